//! Table `bot`; runs, and what is kept of NPS, have rooms of their own.

pub mod files;
pub mod nps;
pub mod runs;
pub mod triggers;

use std::collections::BTreeMap;

use chassis::id::AccountSlug;
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::bot::{self, Trigger};
use crate::domain::{BotId, ChannelId};

/// A bot.
#[derive(Debug, Clone, PartialEq)]
pub struct Bot {
    /// Id.
    pub id: BotId,
    /// Name.
    pub name: String,
    /// Its steps.
    pub steps: Vec<pb::BotStep>,
    /// When it starts by itself; none where only by hand.
    pub trigger: Option<Trigger>,
    /// Channels in which it starts by itself; none are all.
    pub channels: Vec<ChannelId>,
    /// It may be started.
    pub enabled: bool,
    /// It asks the question of NPS.
    pub nps: bool,
    /// Raised with every change.
    pub revision: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
}

/// Bytes of a scenario.
pub(super) fn encoded(steps: &[pb::BotStep]) -> Vec<u8> {
    pb::Bot {
        steps: steps.to_vec(),
        ..pb::Bot::default()
    }
    .encode_to_vec()
}

/// The scenario of bytes.
pub(super) fn decoded(body: &[u8]) -> Result<Vec<pb::BotStep>, sqlx::Error> {
    let bot = pb::Bot::decode(body).map_err(|error| unreadable("bot.body", error))?;
    Ok(bot.steps)
}

struct Row {
    id: BotId,
    name: String,
    body: Vec<u8>,
    trigger: String,
    channels: Vec<Uuid>,
    enabled: bool,
    nps: bool,
    revision: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for Bot {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.id,
            name: row.name,
            steps: decoded(&row.body)?,
            trigger: Trigger::read(&row.trigger),
            channels: row.channels.into_iter().map(ChannelId::from).collect(),
            enabled: row.enabled,
            nps: row.nps,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

macro_rules! select_bots {
    ($tail:literal $(, $argument:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select bot_id as "id: BotId", name, body, trigger, channels, enabled, nps, revision, created_at, updated_at
               from bot "# + $tail,
            $($argument),*
        )
    };
}

/// Returns one bot.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    bot: BotId,
) -> Result<Option<Bot>, sqlx::Error> {
    select_bots!(
        "where account = $1 and bot_id = $2",
        account.as_str(),
        bot as BotId
    )
    .fetch_optional(connection)
    .await?
    .map(Bot::try_from)
    .transpose()
}

/// Returns bots of accounts, by account and id.
async fn several(
    connection: &mut PgConnection,
    accounts: &[String],
    bots: &[Uuid],
) -> Result<BTreeMap<(AccountSlug, BotId), Bot>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select distinct b.account as "account: AccountSlug", b.bot_id as "id: BotId", name, body, trigger, channels,
               enabled, nps, revision, created_at, updated_at
           from unnest($1::text[], $2::uuid[]) k(account, bot_id)
           join bot b on b.account = k.account and b.bot_id = k.bot_id"#,
        accounts,
        bots,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let bot = Row {
                id: row.id,
                name: row.name,
                body: row.body,
                trigger: row.trigger,
                channels: row.channels,
                enabled: row.enabled,
                nps: row.nps,
                revision: row.revision,
                created_at: row.created_at,
                updated_at: row.updated_at,
            };
            Ok(((row.account, row.id), Bot::try_from(bot)?))
        })
        .collect()
}

/// Lists bots after one, in the order of their ids, which is that of their creation.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Bot>, sqlx::Error> {
    let rows = select_bots!(
        "where account = $1 and bot_id > $2 order by bot_id limit $3",
        account.as_str(),
        after,
        limit,
    );
    let rows = rows.fetch_all(connection).await?;
    rows.into_iter().map(Bot::try_from).collect()
}

/// How many bots an account has.
pub async fn count(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from bot where account = $1"#,
        account.as_str()
    )
    .fetch_one(connection)
    .await
}

/// Writes a bot whole, whose files are kept from now on. The account's bots are locked.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    bot: &Bot,
) -> Result<(), sqlx::Error> {
    let channels: Vec<Uuid> = bot.channels.iter().map(|channel| channel.uuid()).collect();
    let files = bot::files(&bot.steps);
    sqlx::query!(
        "insert into bot as kept (account, bot_id, name, body, trigger, channels, enabled, nps, revision, created_at,
             updated_at, attachment_ids, held_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, case when $12 <> '{}'::uuid[] then $11::timestamptz end)
         on conflict (account, bot_id) do update
         set name = excluded.name, body = excluded.body, trigger = excluded.trigger, channels = excluded.channels,
             enabled = excluded.enabled, nps = excluded.nps, revision = excluded.revision,
             updated_at = excluded.updated_at, attachment_ids = excluded.attachment_ids,
             held_at = case when kept.attachment_ids = excluded.attachment_ids then kept.held_at else excluded.held_at end",
        account.as_str(),
        bot.id as BotId,
        bot.name,
        encoded(&bot.steps),
        bot.trigger.map_or("", Trigger::word),
        &channels,
        bot.enabled,
        bot.nps,
        bot.revision,
        bot.created_at,
        bot.updated_at,
        &files,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes a bot. Rules of channels may name it still.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    bot: BotId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from bot where account = $1 and bot_id = $2",
        account.as_str(),
        bot as BotId,
    )
    .execute(connection)
    .await
    .map(drop)
}

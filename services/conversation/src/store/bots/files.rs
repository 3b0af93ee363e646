//! Files of bots, whose bytes the gateway keeps for as long as it is told of them.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::BotId;

/// Files of one bot, which the gateway is to be told to keep on.
#[derive(Debug, Clone)]
pub struct Held {
    /// Whose it is.
    pub account: AccountSlug,
    /// The bot.
    pub bot: BotId,
    /// Its files.
    pub files: Vec<Uuid>,
}

/// Returns bots whose files the gateway was last told of before this, the oldest first.
pub async fn held_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Held>, sqlx::Error> {
    sqlx::query_as!(
        Held,
        r#"select account as "account: AccountSlug", bot_id as "bot: BotId", attachment_ids as files
           from bot where held_at < $1 order by held_at limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Notes that the gateway was told to keep the files of these.
pub async fn held(
    connection: &mut PgConnection,
    bots: &[Held],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = bots.iter().map(|bot| bot.account.to_string()).collect();
    let ids: Vec<BotId> = bots.iter().map(|bot| bot.bot).collect();
    sqlx::query!(
        "with told as (
             select b.account, b.bot_id
             from bot b join unnest($1::text[], $2::uuid[]) as t (account, bot_id) using (account, bot_id)
             where b.held_at is not null
             order by b.account, b.bot_id for no key update of b
         )
         update bot b set held_at = greatest(b.held_at, $3) from told
         where b.account = told.account and b.bot_id = told.bot_id",
        &accounts,
        &ids as &[BotId],
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

//! Calendars, and whether it is working time by them now.

use std::collections::BTreeSet;

use chassis::calendar::Calendar;
use chassis::id::{AccountSlug, AgentId};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::policies::ChannelKey;
use super::unreadable;
use crate::domain::ChannelId;
use crate::domain::calendar::Owner;
use crate::domain::words::UnknownWord;

/// A calendar as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalendarRow {
    /// The account.
    pub account: AccountSlug,
    /// Whose.
    pub owner: Owner,
    /// The hours.
    pub calendar: Calendar,
    /// Raised with every change.
    pub revision: i64,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

/// A calendar that is due to be looked at.
#[derive(Debug, Clone)]
pub struct Due {
    /// The account.
    pub account: AccountSlug,
    /// Whose, as stored.
    pub owner: (String, Uuid),
    /// The hours; none where this version cannot read them.
    pub calendar: Option<Calendar>,
    /// It was working time when it was looked at last.
    pub open: bool,
}

/// What a calendar says now.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The account.
    pub account: AccountSlug,
    /// Whose, as stored.
    pub owner: (String, Uuid),
    /// It is working time.
    pub open: bool,
    /// When to look again.
    pub next_look: OffsetDateTime,
}

struct Row {
    account: AccountSlug,
    owner: String,
    owner_id: Uuid,
    definition: Json<Calendar>,
    revision: i64,
    updated_at: OffsetDateTime,
}

fn key(owner: Owner) -> (&'static str, Uuid) {
    match owner {
        Owner::Account => ("account", Uuid::nil()),
        Owner::Agent(agent) => ("agent", agent.uuid()),
        Owner::Channel(channel) => ("channel", channel.uuid()),
    }
}

impl TryFrom<Row> for CalendarRow {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let owner = match row.owner.as_str() {
            "account" => Owner::Account,
            "agent" => Owner::Agent(AgentId::from(row.owner_id)),
            "channel" => Owner::Channel(ChannelId::from(row.owner_id)),
            _ => {
                let unknown = UnknownWord {
                    set: "Owner",
                    word: row.owner,
                };
                return Err(unreadable("calendar.owner")(unknown));
            }
        };
        Ok(Self {
            account: row.account,
            owner,
            calendar: row.definition.0,
            revision: row.revision,
            updated_at: row.updated_at,
        })
    }
}

/// Locks an owner's own calendar and returns its revision; 0 where there is none.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Owner,
) -> Result<i64, sqlx::Error> {
    let (owner, owner_id) = key(owner);
    let revision = sqlx::query_scalar!(
        "select revision from calendar where account = $1 and owner = $2 and owner_id = $3 for update",
        account.as_str(),
        owner,
        owner_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(revision.unwrap_or(0))
}

/// Sets an owner's calendar over the revision that was locked, and what it says now; returns the new revision, none
/// where somebody was faster to make the first.
pub async fn set(
    connection: &mut PgConnection,
    row: &CalendarRow,
    (open, next_look): (bool, OffsetDateTime),
) -> Result<Option<i64>, sqlx::Error> {
    let (owner, owner_id) = key(row.owner);
    sqlx::query_scalar!(
        "insert into calendar (account, owner, owner_id, definition, holds_chats, revision, updated_at, open, next_look)
         values ($1, $2, $3, $4, $5, nextval('calendar_revision'), $6, $7, $8)
         on conflict (account, owner, owner_id) do update
         set definition = excluded.definition, holds_chats = excluded.holds_chats,
             revision = nextval('calendar_revision'), updated_at = excluded.updated_at, open = excluded.open,
             next_look = excluded.next_look
         where calendar.revision = $9
         returning revision",
        row.account.as_str(),
        owner,
        owner_id,
        Json(&row.calendar) as _,
        row.calendar.holds_chats,
        row.updated_at,
        open,
        next_look,
        row.revision,
    )
    .fetch_optional(connection)
    .await
}

/// Deletes an owner's calendar; returns it as it was, under a revision of its own.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Owner,
) -> Result<Option<CalendarRow>, sqlx::Error> {
    let (owner, owner_id) = key(owner);
    let row = sqlx::query_as!(
        Row,
        r#"delete from calendar where account = $1 and owner = $2 and owner_id = $3
           returning account as "account: AccountSlug", owner, owner_id,
               definition as "definition: Json<Calendar>", nextval('calendar_revision') as "revision!", updated_at"#,
        account.as_str(),
        owner,
        owner_id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(CalendarRow::try_from).transpose()
}

/// Returns an owner's own calendar.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Owner,
) -> Result<Option<CalendarRow>, sqlx::Error> {
    let (owner, owner_id) = key(owner);
    let row = sqlx::query_as!(
        Row,
        r#"select account as "account: AccountSlug", owner, owner_id,
               definition as "definition: Json<Calendar>", revision, updated_at
           from calendar where account = $1 and owner = $2 and owner_id = $3"#,
        account.as_str(),
        owner,
        owner_id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(CalendarRow::try_from).transpose()
}

/// Returns calendars of an account after (owner, id), those of channels only where they are granted (none: all are).
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    granted: Option<&[Uuid]>,
    after: (&str, Uuid),
    limit: i64,
) -> Result<Vec<CalendarRow>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select account as "account: AccountSlug", owner, owner_id,
               definition as "definition: Json<Calendar>", revision, updated_at
           from calendar
           where account = $1 and (owner, owner_id) > ($2, $3)
             and (owner <> 'channel' or $4::uuid[] is null or owner_id = any($4))
           order by owner, owner_id limit $5"#,
        account.as_str(),
        after.0,
        after.1,
        granted as Option<&[Uuid]>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(CalendarRow::try_from).collect()
}

/// Returns where a page goes on after this row.
pub fn cursor(row: &CalendarRow) -> (&'static str, Uuid) {
    key(row.owner)
}

/// Locks calendars that are due to be looked at; what another replica looks at is left to it.
pub async fn due(
    connection: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select account as "account: AccountSlug", owner, owner_id, definition, open
           from calendar where next_look <= $1 order by next_look limit $2
           for no key update skip locked"#,
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|row| Due {
        account: row.account,
        owner: (row.owner, row.owner_id),
        calendar: serde_json::from_value(row.definition).ok(),
        open: row.open,
    });
    Ok(rows.collect())
}

/// Writes what locked calendars say now.
pub async fn turn(connection: &mut PgConnection, turns: &[Turn]) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = turns.iter().map(|turn| turn.account.to_string()).collect();
    let owners: Vec<String> = turns.iter().map(|turn| turn.owner.0.clone()).collect();
    let ids: Vec<Uuid> = turns.iter().map(|turn| turn.owner.1).collect();
    let open: Vec<bool> = turns.iter().map(|turn| turn.open).collect();
    let looks: Vec<OffsetDateTime> = turns.iter().map(|turn| turn.next_look).collect();
    sqlx::query!(
        "update calendar c set open = given.open, next_look = given.next_look
         from unnest($1::text[], $2::text[], $3::uuid[], $4::boolean[], $5::timestamptz[])
              as given(account, owner, owner_id, open, next_look)
         where c.account = given.account and c.owner = given.owner and c.owner_id = given.owner_id",
        &accounts,
        &owners,
        &ids,
        &open,
        &looks,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns which of these channels are closed by a calendar that holds their chats.
pub async fn closed(
    connection: &mut PgConnection,
    channels: &BTreeSet<ChannelKey>,
) -> Result<BTreeSet<ChannelKey>, sqlx::Error> {
    if channels.is_empty() {
        return Ok(BTreeSet::new());
    }
    let accounts: Vec<String> = channels
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<Uuid> = channels.iter().map(|(_, channel)| channel.uuid()).collect();
    let rows = sqlx::query!(
        r#"select wanted.account as "account!: AccountSlug", wanted.channel_id as "channel!: ChannelId"
           from unnest($1::text[], $2::uuid[]) as wanted(account, channel_id)
           left join calendar own
             on own.account = wanted.account and own.owner = 'channel' and own.owner_id = wanted.channel_id
           left join calendar base on base.account = wanted.account and base.owner = 'account'
           where coalesce(own.holds_chats, base.holds_chats, false) and not coalesce(own.open, base.open, true)"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.account, row.channel))
        .collect())
}

//! Rules of channels for creating cards.

use std::collections::HashMap;

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{account as slug, columns, unreadable};
use crate::domain::connection::{Connection, Mode, Scope};
use crate::domain::ids::{ChannelId, PipelineId, SourceId};
use crate::domain::status::{Status, StatusKind};

struct Row {
    channel: Uuid,
    mode: String,
    pipeline: Option<Uuid>,
    source: Option<Uuid>,
    scope: String,
    include_existing_chats: bool,
    activated_at: OffsetDateTime,
}

impl TryFrom<Row> for Connection {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            mode: Mode::try_from(row.mode)
                .map_err(|error| unreadable("connection", row.channel, error))?,
            pipeline: row.pipeline.map(Into::into),
            source: row.source.map(Into::into),
            scope: Scope::try_from(row.scope)
                .map_err(|error| unreadable("connection", row.channel, error))?,
            include_existing_chats: row.include_existing_chats,
            activated_at: row.activated_at,
        })
    }
}

/// Returns a channel's rule.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: ChannelId,
) -> Result<Option<Connection>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select channel, mode, pipeline, source, scope, include_existing_chats, activated_at
         from connection where account = $1 and channel = $2",
        account.as_str(),
        channel.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Returns a channel's rule, locked until the end of the transaction: of two saves at once the second sees the first.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: ChannelId,
) -> Result<Option<Connection>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        "select channel, mode, pipeline, source, scope, include_existing_chats, activated_at
         from connection where account = $1 and channel = $2 for no key update",
        account.as_str(),
        channel.uuid(),
    )
    .fetch_optional(connection)
    .await?
    .map(TryInto::try_into)
    .transpose()
}

/// Saves a channel's rule, whole.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channel: ChannelId,
    rule: &Connection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into connection (account, channel, mode, pipeline, source, scope, include_existing_chats,
                                 activated_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (account, channel) do update
         set mode = excluded.mode, pipeline = excluded.pipeline, source = excluded.source,
             scope = excluded.scope, include_existing_chats = excluded.include_existing_chats,
             activated_at = excluded.activated_at, updated_at = excluded.updated_at",
        account.as_str(),
        channel.uuid(),
        rule.mode.as_str(),
        rule.pipeline.map(Uuid::from),
        rule.source.map(Uuid::from),
        rule.scope.as_str(),
        rule.include_existing_chats,
        rule.activated_at,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A rule with the status in which its cards begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled {
    /// The rule.
    pub connection: Connection,
    /// The status of kind new of its pipeline (F028).
    pub status: Option<Status>,
}

/// Returns the rules of many channels; a channel without one is missing.
pub async fn of_channels(
    connection: &mut PgConnection,
    channels: &[(AccountSlug, ChannelId)],
) -> Result<HashMap<(AccountSlug, ChannelId), Ruled>, sqlx::Error> {
    let (accounts, ids) = columns(channels);
    let rows = sqlx::query!(
        r#"select n.account, n.channel, n.mode, n.pipeline, n.source, n.scope, n.include_existing_chats,
                  n.activated_at, s.id as "status?", s.name as "status_name?"
           from unnest($1::text[], $2::uuid[]) k(account, channel)
           join connection n on n.account = k.account and n.channel = k.channel
           left join status s on s.account = n.account and s.pipeline = n.pipeline and s.kind = 'new'"#,
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let status = row.status.zip(row.status_name).map(|(id, name)| Status {
                id: id.into(),
                name,
                kind: StatusKind::New,
            });
            let rule = Connection::try_from(Row {
                channel: row.channel,
                mode: row.mode,
                pipeline: row.pipeline,
                source: row.source,
                scope: row.scope,
                include_existing_chats: row.include_existing_chats,
                activated_at: row.activated_at,
            })?;
            Ok((
                (slug(row.account)?, row.channel.into()),
                Ruled {
                    connection: rule,
                    status,
                },
            ))
        })
        .collect()
}

/// Returns channels whose rule names a pipeline or a source, some of them.
pub async fn naming(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: Option<PipelineId>,
    source: Option<SourceId>,
    limit: i64,
) -> Result<Vec<ChannelId>, sqlx::Error> {
    let channels = sqlx::query_scalar!(
        "select channel from connection where account = $1 and (pipeline = $2 or source = $3)
         order by channel limit $4",
        account.as_str(),
        pipeline.map(Uuid::from),
        source.map(Uuid::from),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(channels.into_iter().map(Into::into).collect())
}

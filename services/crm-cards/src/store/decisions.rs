//! Decisions of the pipeline connection, each with its facts.

use std::collections::{HashMap, HashSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Before, account as slug, columns, unreadable};
use crate::domain::connection::{Connection, Facts, Rule};
use crate::domain::ids::{CardId, ChannelId, ChatId, ContactId, ConversationId};

/// A decision as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its number.
    pub number: i64,
    /// Its chat.
    pub chat: ChatId,
    /// Its channel.
    pub channel: ChannelId,
    /// The contact.
    pub contact: ContactId,
    /// The created card.
    pub card: Option<CardId>,
    /// The rule that decided.
    pub rule: Rule,
    /// The connection as it was.
    pub connection: Connection,
    /// The facts as they were.
    pub facts: Facts,
    /// When it was decided.
    pub decided_at: OffsetDateTime,
}

struct Row {
    conversation: Uuid,
    number: i64,
    chat: Uuid,
    channel: Uuid,
    contact: Uuid,
    card: Option<Uuid>,
    rule: String,
    connection: Json<Connection>,
    facts: Json<Facts>,
    decided_at: OffsetDateTime,
}

impl TryFrom<Row> for Decided {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            conversation: row.conversation.into(),
            number: row.number,
            chat: row.chat.into(),
            channel: row.channel.into(),
            contact: row.contact.into(),
            card: row.card.map(Into::into),
            rule: Rule::try_from(row.rule)
                .map_err(|error| unreadable("decision", row.conversation, error))?,
            connection: row.connection.0,
            facts: row.facts.0,
            decided_at: row.decided_at,
        })
    }
}

macro_rules! decisions {
    ($from:tt, $($argument:expr),+ $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"select d.conversation, d.number, d.chat, d.channel, d.contact, d.card, d.rule,
                      d.connection as "connection: Json<Connection>", d.facts as "facts: Json<Facts>",
                      d.decided_at from "# + $from,
            $($argument),+
        )
    };
}

/// Returns which of the conversations have been decided.
pub async fn decided(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ConversationId)],
) -> Result<HashSet<(AccountSlug, ConversationId)>, sqlx::Error> {
    Ok(cards_of(connection, keys).await?.into_keys().collect())
}

/// Returns, for conversations that have been decided, the card that was created.
pub async fn cards_of(
    connection: &mut PgConnection,
    keys: &[(AccountSlug, ConversationId)],
) -> Result<HashMap<(AccountSlug, ConversationId), Option<CardId>>, sqlx::Error> {
    let (accounts, ids) = columns(keys);
    let rows = sqlx::query!(
        "select d.account, d.conversation, d.card from unnest($1::text[], $2::uuid[]) k(account, conversation)
         join decision d on d.account = k.account and d.conversation = k.conversation",
        &accounts,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok((
                (slug(row.account)?, row.conversation.into()),
                row.card.map(Into::into),
            ))
        })
        .collect()
}

/// Inserts decisions, sorted; returns how many were new.
pub async fn insert(
    connection: &mut PgConnection,
    decisions: &[(AccountSlug, Decided)],
) -> Result<u64, sqlx::Error> {
    let encode = |error: serde_json::Error| sqlx::Error::Encode(error.into());
    let accounts: Vec<String> = decisions
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let conversations: Vec<Uuid> = decisions
        .iter()
        .map(|(_, made)| made.conversation.uuid())
        .collect();
    let numbers: Vec<i64> = decisions.iter().map(|(_, made)| made.number).collect();
    let chats: Vec<Uuid> = decisions.iter().map(|(_, made)| made.chat.uuid()).collect();
    let channels: Vec<Uuid> = decisions
        .iter()
        .map(|(_, made)| made.channel.uuid())
        .collect();
    let contacts: Vec<Uuid> = decisions
        .iter()
        .map(|(_, made)| made.contact.uuid())
        .collect();
    let cards: Vec<Option<Uuid>> = decisions
        .iter()
        .map(|(_, made)| made.card.map(Into::into))
        .collect();
    let rules: Vec<String> = decisions.iter().map(|(_, made)| made.rule.into()).collect();
    let connections: Vec<serde_json::Value> = decisions
        .iter()
        .map(|(_, made)| serde_json::to_value(&made.connection))
        .collect::<Result<_, _>>()
        .map_err(encode)?;
    let facts: Vec<serde_json::Value> = decisions
        .iter()
        .map(|(_, made)| serde_json::to_value(&made.facts))
        .collect::<Result<_, _>>()
        .map_err(encode)?;
    let times: Vec<OffsetDateTime> = decisions.iter().map(|(_, made)| made.decided_at).collect();
    let inserted = sqlx::query!(
        "insert into decision (account, conversation, number, chat, channel, contact, card, rule, connection,
                               facts, decided_at)
         select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[],
                              $8::text[], $9::jsonb[], $10::jsonb[], $11::timestamptz[])
         on conflict (account, conversation) do nothing",
        &accounts,
        &conversations,
        &numbers,
        &chats,
        &channels,
        &contacts,
        &cards as &[Option<Uuid>],
        &rules,
        &connections,
        &facts,
        &times,
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(inserted)
}

/// What a decision is found by.
#[derive(Debug, Clone, Copy)]
pub enum About {
    /// The conversation that was opened.
    Conversation(ConversationId),
    /// The card that was created.
    Card(CardId),
}

/// Returns a decision.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    about: About,
) -> Result<Option<Decided>, sqlx::Error> {
    let row = match about {
        About::Conversation(conversation) => {
            decisions!(
                "decision d where d.account = $1 and d.conversation = $2",
                account.as_str(),
                conversation.uuid(),
            )
            .fetch_optional(connection)
            .await?
        }
        About::Card(card) => {
            decisions!(
                "decision d where d.account = $1 and d.card = $2",
                account.as_str(),
                card.uuid()
            )
            .fetch_optional(connection)
            .await?
        }
    };
    row.map(TryInto::try_into).transpose()
}

/// Which decisions a list holds.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Only for this chat.
    pub chat: Option<ChatId>,
    /// Only of these channels; all where absent.
    pub channels: Option<Vec<Uuid>>,
    /// Decisions that made a card only where this agent is its responsible.
    pub own: Option<Uuid>,
}

/// Returns a page of decisions, newest first.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: Filter,
    before: Before,
    limit: i64,
) -> Result<Vec<Decided>, sqlx::Error> {
    let rows = match (filter.chat, filter.channels) {
        (Some(chat), _) => {
            decisions!(
                "decision d where d.account = $1 and d.chat = $2 and (d.decided_at, d.conversation) < ($3, $4)
                   and ($6::uuid is null or d.card is null or exists(
                        select from card c where c.account = d.account and c.id = d.card and c.responsible = $6))
                 order by d.decided_at desc, d.conversation desc limit $5",
                account.as_str(),
                chat.uuid(),
                before.time,
                before.id,
                limit,
                filter.own,
            )
            .fetch_all(connection)
            .await?
        }
        (None, Some(channels)) => {
            decisions!(
                "unnest($2::uuid[]) k(channel) cross join lateral (
                     select * from decision e
                     where e.account = $1 and e.channel = k.channel and (e.decided_at, e.conversation) < ($3, $4)
                       and ($6::uuid is null or e.card is null or exists(
                            select from card c where c.account = e.account and c.id = e.card and c.responsible = $6))
                     order by e.decided_at desc, e.conversation desc limit $5) d
                 order by d.decided_at desc, d.conversation desc limit $5",
                account.as_str(),
                &channels,
                before.time,
                before.id,
                limit,
                filter.own,
            )
            .fetch_all(connection)
            .await?
        }
        (None, None) => {
            decisions!(
                "decision d where d.account = $1 and (d.decided_at, d.conversation) < ($2, $3)
                   and ($5::uuid is null or d.card is null or exists(
                        select from card c where c.account = d.account and c.id = d.card and c.responsible = $5))
                 order by d.decided_at desc, d.conversation desc limit $4",
                account.as_str(),
                before.time,
                before.id,
                limit,
                filter.own,
            )
            .fetch_all(connection)
            .await?
        }
    };
    rows.into_iter().map(TryInto::try_into).collect()
}

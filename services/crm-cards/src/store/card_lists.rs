//! Lists of cards: which, in which order.
//!
//! A list is asked for status by status, or kind of status by kind of status: each part comes from an index in the list's
//! order, and the parts are merged, so that few cards among millions are found at once. Only what is asked for stands in
//! the statement, which is planned for its values each time. Words are looked for as `domain::walk` tells.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::talks::Talks;
use super::{Before, words};
use crate::domain::ids::{CardId, ChatId, ContactId, PipelineId, SourceId, StatusId};
use crate::domain::status::{Status, StatusKind};
use crate::domain::walk::{self, Step, Way};

/// In which order cards are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The newest first.
    #[default]
    Created,
    /// The last changed first.
    Updated,
}

impl Order {
    const fn column(self) -> &'static str {
        match self {
            Self::Created => "created_at",
            Self::Updated => "updated_at",
        }
    }
}

/// Whom cards belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Responsible {
    /// To anybody, or nobody.
    #[default]
    Any,
    /// To nobody.
    Nobody,
    /// To this agent.
    Agent(Uuid),
}

/// A stretch of time: from then on, and before then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// From then on.
    pub from: Option<OffsetDateTime>,
    /// Before then.
    pub to: Option<OffsetDateTime>,
}

/// Which cards a list holds.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Kinds of status; all where empty.
    pub kinds: Vec<StatusKind>,
    /// Statuses; all where empty.
    pub statuses: Vec<StatusId>,
    /// Only of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Whom they belong to.
    pub responsible: Responsible,
    /// Only of this source.
    pub source: Option<SourceId>,
    /// Only created from chats of this kind of messenger (F158).
    pub messenger: Option<String>,
    /// Only of this contact.
    pub contact: Option<ContactId>,
    /// Only linked to this chat (F030).
    pub chat: Option<ChatId>,
    /// Only those whose talks were read, or were not (F208).
    pub talks: Option<Talks>,
    /// Only with these words, as `domain::search` writes them.
    pub words: Option<String>,
    /// When they were created.
    pub created: Span,
    /// When they were last changed.
    pub updated: Span,
    /// In which order.
    pub order: Order,
}

/// Returns the ids of a page of cards with the time by which they are ordered.
pub async fn page(
    connection: &mut PgConnection,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> Result<Vec<(Uuid, OffsetDateTime)>, sqlx::Error> {
    let Some(words) = &filter.words else {
        return rows(connection, statement("", account, filter, before, limit)).await;
    };
    if let Way::Walk(entries) = words::way(connection, "card", account, words, limit).await? {
        let each = i64::try_from(walk::each(entries, parts(filter))).unwrap_or(i64::MAX);
        let walked = walk_statement("", account, (filter, words), before, each);
        let steps = steps(connection, walked).await?;
        if let Some(page) = walk::page(steps, usize::try_from(limit).unwrap_or(usize::MAX)) {
            return Ok(page);
        }
    }
    let words = words_statement("", account, (filter, words), before, limit);
    rows(connection, words).await
}

/// Runs a statement that finds a page.
pub(super) async fn rows(
    connection: &mut PgConnection,
    mut statement: QueryBuilder<Postgres>,
) -> Result<Vec<(Uuid, OffsetDateTime)>, sqlx::Error> {
    let query = statement.build_query_as().persistent(false);
    query.fetch_all(connection).await
}

/// Runs a statement that walks.
pub(super) async fn steps(
    connection: &mut PgConnection,
    mut walked: QueryBuilder<Postgres>,
) -> Result<Vec<Step>, sqlx::Error> {
    let query = walked.build_query_as().persistent(false);
    let rows: Vec<(Uuid, OffsetDateTime, bool, bool)> = query.fetch_all(connection).await?;
    let step = |(id, time, hit, last)| Step {
        id,
        time,
        hit,
        last,
    };
    Ok(rows.into_iter().map(step).collect())
}

/// Returns the ids of the newest cards of each of these statuses, at most `limit` of each.
pub async fn columns(
    connection: &mut PgConnection,
    account: &AccountSlug,
    statuses: &[Status],
    responsible: Responsible,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = statuses.iter().map(|status| status.id.uuid()).collect();
    let kinds: Vec<String> = statuses.iter().map(|status| status.kind.into()).collect();
    let mut query = QueryBuilder::new("select c.id from unnest(");
    query.push_bind(ids);
    query.push("::uuid[], ");
    query.push_bind(kinds);
    query
        .push("::text[]) k(status, kind) cross join lateral (select id from card where account = ");
    query.push_bind(account.to_string());
    query.push(" and status = k.status and status_kind = k.kind and deleted_at is null");
    push_responsible(&mut query, responsible);
    query.push(" order by created_at desc, id desc limit ");
    query.push_bind(limit);
    query.push(") c");
    query
        .build_query_scalar()
        .persistent(false)
        .fetch_all(connection)
        .await
}

/// Writes all statements that a page may take, behind a prefix, as `explain `.
pub fn statements(
    prefix: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> Vec<QueryBuilder<Postgres>> {
    let Some(words) = &filter.words else {
        return vec![statement(prefix, account, filter, before, limit)];
    };
    let each = i64::try_from(walk::each(walk::ENTRIES, parts(filter))).unwrap_or(i64::MAX);
    vec![
        walk_statement(prefix, account, (filter, words), before, each),
        words_statement(prefix, account, (filter, words), before, limit),
    ]
}

/// Writes the statement of a list without words behind a prefix.
fn statement(
    prefix: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.time from ");
    push_parts(&mut query, account, filter);
    query.push(" cross join lateral (");
    push_part(&mut query, "", account, filter, before, limit);
    query.push(") c order by c.time desc, c.id desc limit ");
    query.push_bind(limit);
    query
}

/// Writes the statement that looks for words among the newest cards of each part, behind a prefix.
fn walk_statement(
    prefix: &'static str,
    account: &AccountSlug,
    (filter, words): (&Filter, &str),
    before: Before,
    each: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("select c.id, c.time, c.hit, c.place = ");
    query.push_bind(each);
    query.push(" as last from ");
    push_parts(&mut query, account, filter);
    query.push(" cross join lateral (select w.id, w.time, w.words @@ ");
    query.push_bind(words.to_owned());
    query.push("::text::tsquery as hit, row_number() over (order by w.time desc, w.id desc) as place from (");
    push_part(&mut query, ", words", account, filter, before, each);
    query.push(") w) c where c.hit or c.place = ");
    query.push_bind(each);
    query
}

/// Writes the statement that takes all cards with words from their index, behind a prefix: once for all parts.
fn words_statement(
    prefix: &'static str,
    account: &AccountSlug,
    (filter, words): (&Filter, &str),
    before: Before,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(prefix);
    query.push("with found as materialized (select id, ");
    query.push(filter.order.column());
    query.push(" as time from card where account = ");
    query.push_bind(account.to_string());
    query.push(" and deleted_at is null and words @@ ");
    query.push_bind(words.to_owned());
    query.push("::text::tsquery");
    if by_status(filter) {
        query.push(" and status = any(array(select k.status from ");
        push_parts(&mut query, account, filter);
        query.push("))");
    } else if !filter.kinds.is_empty() {
        let kinds: Vec<String> = filter.kinds.iter().copied().map(Into::into).collect();
        query.push(" and status_kind = any(");
        query.push_bind(kinds);
        query.push(")");
    }
    push_conditions(&mut query, account, filter);
    push_before(&mut query, filter, before);
    query.push(") select id, time from found order by time desc, id desc limit ");
    query.push_bind(limit);
    query
}

/// The cards of a part `k` in the list's order, behind a place.
fn push_part(
    query: &mut QueryBuilder<Postgres>,
    more: &'static str,
    account: &AccountSlug,
    filter: &Filter,
    before: Before,
    limit: i64,
) {
    let time = filter.order.column();
    query.push("select id, ");
    query.push(time);
    query.push(" as time");
    query.push(more);
    query.push(" from card where account = ");
    query.push_bind(account.to_string());
    // The kind says nothing new beside the status, but leads into the indexes that begin with something else.
    query.push(if by_status(filter) {
        " and status = k.status and status_kind = k.kind"
    } else {
        " and status_kind = k.kind"
    });
    query.push(" and deleted_at is null");
    push_conditions(query, account, filter);
    push_before(query, filter, before);
    query.push(" order by ");
    query.push(time);
    query.push(" desc, id desc limit ");
    query.push_bind(limit);
}

fn push_before(query: &mut QueryBuilder<Postgres>, filter: &Filter, before: Before) {
    query.push(" and (");
    query.push(filter.order.column());
    query.push(", id) < (");
    query.push_bind(before.time);
    query.push(", ");
    query.push_bind(before.id);
    query.push(")");
}

/// How many parts a list is asked for in; of statuses whose number only the database knows, the usual one.
fn parts(filter: &Filter) -> usize {
    match (filter.statuses.len(), filter.kinds.len()) {
        (0, 0) => StatusKind::ALL.len(),
        (0, kinds) => kinds,
        (statuses, _) => statuses,
    }
}

/// Tells whether a list is asked for by statuses: where they are few, as those of one pipeline.
const fn by_status(filter: &Filter) -> bool {
    filter.pipeline.is_some() || !filter.statuses.is_empty()
}

/// The parts that a list is asked for in.
fn push_parts(query: &mut QueryBuilder<Postgres>, account: &AccountSlug, filter: &Filter) {
    let kinds = if filter.kinds.is_empty() {
        StatusKind::ALL
    } else {
        &filter.kinds
    };
    // A kind that is named twice would bring its cards twice.
    let kinds: std::collections::BTreeSet<StatusKind> = kinds.iter().copied().collect();
    let kinds: Vec<String> = kinds.into_iter().map(Into::into).collect();
    if !by_status(filter) {
        query.push("unnest(");
        query.push_bind(kinds);
        query.push("::text[]) k(kind)");
        return;
    }
    query.push("(select id as status, kind from status where account = ");
    query.push_bind(account.to_string());
    query.push(" and kind = any(");
    query.push_bind(kinds);
    query.push(")");
    if let Some(pipeline) = filter.pipeline {
        query.push(" and pipeline = ");
        query.push_bind(pipeline.uuid());
    }
    if !filter.statuses.is_empty() {
        let statuses: Vec<Uuid> = filter.statuses.iter().map(|status| status.uuid()).collect();
        query.push(" and id = any(");
        query.push_bind(statuses);
        query.push(")");
    }
    query.push(") k");
}

fn push_conditions(query: &mut QueryBuilder<Postgres>, account: &AccountSlug, filter: &Filter) {
    push_responsible(query, filter.responsible);
    for (condition, id) in [
        (" and source = ", filter.source.map(Uuid::from)),
        (" and contact = ", filter.contact.map(Uuid::from)),
    ] {
        if let Some(id) = id {
            query.push(condition);
            query.push_bind(id);
        }
    }
    if let Some(messenger) = &filter.messenger {
        query.push(" and messenger = ");
        query.push_bind(messenger.clone());
    }
    if let Some(chat) = filter.chat {
        query.push(" and id = any(array(select card from chat_card where account = ");
        query.push_bind(account.to_string());
        query.push(" and chat = ");
        query.push_bind(chat.uuid());
        query.push("))");
    }
    if let Some(talks) = &filter.talks {
        push_talks(query, account, talks);
    }
    for (condition, time) in [
        (" and created_at >= ", filter.created.from),
        (" and created_at < ", filter.created.to),
        (" and updated_at >= ", filter.updated.from),
        (" and updated_at < ", filter.updated.to),
    ] {
        if let Some(time) = time {
            query.push(condition);
            query.push_bind(time);
        }
    }
}

/// Cards by whether something in their chats is unread: by the unread ones where they are few, else card by card.
fn push_talks(query: &mut QueryBuilder<Postgres>, account: &AccountSlug, talks: &Talks) {
    let channels = |query: &mut QueryBuilder<Postgres>| {
        if let Some(channels) = &talks.channels {
            query.push(" and t.channel = any(");
            query.push_bind(channels.clone());
            query.push(")");
        }
    };
    let of_card = |query: &mut QueryBuilder<Postgres>| {
        query.push("exists(select from chat_card l join talk t on t.account = l.account and t.chat = l.chat where l.account = ");
        query.push_bind(account.to_string());
        query.push(" and l.card = card.id");
        channels(query);
    };
    if talks.unread && talks.few {
        query.push(" and id = any(array(select l.card from talk t join chat_card l on l.account = t.account and l.chat = t.chat where t.account = ");
        query.push_bind(account.to_string());
        query.push(" and t.unread");
        channels(query);
        query.push("))");
        return;
    }
    query.push(" and ");
    of_card(query);
    query.push(if talks.unread { " and t.unread)" } else { ")" });
    if !talks.unread {
        query.push(" and not ");
        of_card(query);
        query.push(" and t.unread)");
    }
}

fn push_responsible(query: &mut QueryBuilder<Postgres>, responsible: Responsible) {
    match responsible {
        Responsible::Any => {}
        Responsible::Nobody => {
            query.push(" and responsible is null");
        }
        Responsible::Agent(agent) => {
            query.push(" and responsible = ");
            query.push_bind(agent);
        }
    }
}

/// Returns cards of these statuses with their contacts, the oldest first.
pub async fn oldest(
    connection: &mut PgConnection,
    account: &AccountSlug,
    statuses: &[Uuid],
    limit: i64,
) -> Result<Vec<(CardId, Option<ContactId>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select c.id as "id!", c.contact from unnest($2::uuid[]) k(status) cross join lateral (
               select id, contact, created_at from card
               where account = $1 and status = k.status and deleted_at is null
               order by created_at, id limit $3) c
           order by c.created_at, c.id limit $3"#,
        account.as_str(),
        statuses,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id.into(), row.contact.map(Into::into)))
        .collect())
}

//! Table `quick_reply`.

use chassis::id::{AccountSlug, AgentId};
use prost::Message as _;
use sqlx::PgConnection;
use switchboard_proto::common::v1::Text;
use time::OffsetDateTime;
use uuid::Uuid;

use super::unreadable;
use crate::domain::quick_reply::{Owner, QuickReplyId, search};

/// A quick reply as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct QuickReply {
    /// Its id.
    pub id: QuickReplyId,
    /// Whose it is.
    pub owner: Owner,
    /// Its folder; empty for none.
    pub folder: String,
    /// What is typed to get it; empty for none.
    pub shortcut: String,
    /// By what it is known.
    pub title: String,
    /// Its text.
    pub text: Text,
    /// Its files.
    pub files: Vec<Uuid>,
    /// Raised with every change, from 1.
    pub revision: i64,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was changed last.
    pub updated_at: OffsetDateTime,
}

struct Row {
    quick_reply_id: Uuid,
    owner_kind: String,
    owner_id: Uuid,
    folder: String,
    shortcut: String,
    title: String,
    body: Vec<u8>,
    attachment_ids: Vec<Uuid>,
    revision: i64,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl TryFrom<Row> for QuickReply {
    type Error = sqlx::Error;
    fn try_from(row: Row) -> Result<Self, sqlx::Error> {
        let owner = Owner::read(&row.owner_kind, row.owner_id);
        Ok(Self {
            id: row.quick_reply_id.into(),
            owner: owner.map_err(|error| unreadable("quick_reply.owner_kind", error))?,
            folder: row.folder,
            shortcut: row.shortcut,
            title: row.title,
            text: Text::decode(row.body.as_slice())
                .map_err(|error| unreadable("quick_reply.body", error))?,
            files: row.attachment_ids,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Whose quick replies are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// All of the account.
    All,
    /// Some of them.
    Some {
        /// The account's.
        account: bool,
        /// This agent's.
        agent: AgentId,
        /// Groups'.
        groups: Groups,
    },
}

/// Which groups' quick replies are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// All groups'.
    All,
    /// Of these groups.
    Of(Vec<Uuid>),
}

impl Whose {
    /// All; the account's; those of an agent; all groups'; those of groups.
    fn columns(&self) -> (bool, bool, Uuid, bool, &[Uuid]) {
        match self {
            Self::All => (true, true, Uuid::nil(), true, &[]),
            Self::Some {
                account,
                agent,
                groups,
            } => {
                let (all, some): (bool, &[Uuid]) = match groups {
                    Groups::All => (true, &[]),
                    Groups::Of(groups) => (false, groups),
                };
                (false, *account, agent.uuid(), all, some)
            }
        }
    }
}

/// What a list is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Narrowing {
    /// A folder.
    pub folder: Option<String>,
    /// A kind of owner, as it is stored.
    pub kind: Option<&'static str>,
}

/// Returns a quick reply.
pub async fn get(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: QuickReplyId,
) -> Result<Option<QuickReply>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select quick_reply_id, owner_kind, owner_id, folder, shortcut, title, body, attachment_ids, revision, created_at,
                updated_at
         from quick_reply where account = $1 and quick_reply_id = $2",
        account.as_str(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Returns a quick reply, locked until the end of the transaction.
pub async fn lock(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: QuickReplyId,
) -> Result<Option<QuickReply>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select quick_reply_id, owner_kind, owner_id, folder, shortcut, title, body, attachment_ids, revision, created_at,
                updated_at
         from quick_reply where account = $1 and quick_reply_id = $2 for no key update",
        account.as_str(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await?;
    row.map(TryInto::try_into).transpose()
}

/// Counts the quick replies of an account, and those of one owner among them.
pub async fn count(
    connection: &mut PgConnection,
    account: &AccountSlug,
    owner: Owner,
) -> Result<(i64, i64), sqlx::Error> {
    let (kind, id) = owner.stored();
    let row = sqlx::query!(
        r#"select count(*) as "all!", count(*) filter (where owner_kind = $2 and owner_id = $3) as "own!"
           from quick_reply where account = $1"#,
        account.as_str(),
        kind,
        id,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.all, row.own))
}

/// Writes a quick reply: a new one, or one that is locked. Its owner stays. A shortcut that its owner has already is a
/// violated constraint. Its files are kept since `now`.
pub async fn put(
    connection: &mut PgConnection,
    account: &AccountSlug,
    reply: &QuickReply,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (kind, owner) = reply.owner.stored();
    let words = search::vector(account, [&reply.shortcut, &reply.title, &reply.text.text]);
    sqlx::query!(
        "insert into quick_reply as kept (account, quick_reply_id, owner_kind, owner_id, folder, shortcut, title, body,
                                          attachment_ids, words, revision, held_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::tsvector, $11,
                 case when $9::uuid[] = '{}' then null else $14::timestamptz end, $12, $13)
         on conflict (account, quick_reply_id) do update
         set folder = excluded.folder, shortcut = excluded.shortcut, title = excluded.title, body = excluded.body,
             attachment_ids = excluded.attachment_ids, words = excluded.words, revision = excluded.revision,
             held_at = case when kept.attachment_ids = excluded.attachment_ids then kept.held_at else excluded.held_at end,
             updated_at = excluded.updated_at",
        account.as_str(),
        reply.id.uuid(),
        kind,
        owner,
        reply.folder,
        reply.shortcut,
        reply.title,
        reply.text.encode_to_vec(),
        &reply.files,
        words,
        reply.revision,
        reply.created_at,
        reply.updated_at,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Deletes a locked quick reply.
pub async fn delete(
    connection: &mut PgConnection,
    account: &AccountSlug,
    id: QuickReplyId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from quick_reply where account = $1 and quick_reply_id = $2",
        account.as_str(),
        id.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Tells whether groups of an account have quick replies: else nobody needs to know who is in which.
pub async fn has_groups(
    connection: &mut PgConnection,
    account: &AccountSlug,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from quick_reply where account = $1 and owner_kind = 'group') as "has!""#,
        account.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Returns quick replies after (title, id), by title.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    whose: &Whose,
    narrowing: &Narrowing,
    after: (&str, Uuid),
    limit: i64,
) -> Result<Vec<QuickReply>, sqlx::Error> {
    let (all, shared, agent, all_groups, groups) = whose.columns();
    let rows = sqlx::query_as!(
        Row,
        "select quick_reply_id, owner_kind, owner_id, folder, shortcut, title, body, attachment_ids, revision, created_at,
                updated_at
         from quick_reply
         where account = $1 and (title, quick_reply_id) > ($2, $3)
           and ($4 or ($5 and owner_kind = 'account') or (owner_kind = 'agent' and owner_id = $6)
                or (owner_kind = 'group' and ($7 or owner_id = any($8))))
           and ($9::text is null or folder = $9) and ($10::text is null or owner_kind = $10)
         order by title, quick_reply_id limit $11",
        account.as_str(),
        after.0,
        after.1,
        all,
        shared,
        agent,
        all_groups,
        groups,
        narrowing.folder,
        narrowing.kind,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Where a page of what was searched for ended: whether it is among those found by their shortcuts, title and id.
pub type FoundAt<'a> = (bool, &'a str, Uuid);

/// What is searched for: the words as `domain::quick_reply::search` writes them, and with what a shortcut may begin.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// A `tsquery`.
    pub words: &'a str,
    /// A shortcut's beginning; empty where no shortcut can begin so.
    pub shortcut: &'a str,
}

/// Returns quick replies with these words after a position: those whose shortcut begins so first, then by title. The words,
/// of which the account is one, are found by their index whatever the planner guesses of beginnings; what is found is one
/// account's, and so little that it is sorted.
pub async fn find(
    connection: &mut PgConnection,
    account: &AccountSlug,
    (whose, narrowing): (&Whose, &Narrowing),
    sought: Sought<'_>,
    after: FoundAt<'_>,
    limit: i64,
) -> Result<Vec<QuickReply>, sqlx::Error> {
    let (all, shared, agent, all_groups, groups) = whose.columns();
    let rows = sqlx::query_as!(
        Row,
        "with found as materialized (select * from quick_reply where words @@ $2::text::tsquery)
         select quick_reply_id, owner_kind, owner_id, folder, shortcut, title, body, attachment_ids, revision, created_at,
                updated_at
         from found
         where account = $1
           and (not ($3::text <> '' and starts_with(shortcut, $3)), title, quick_reply_id) > ($4, $5, $6)
           and ($7 or ($8 and owner_kind = 'account') or (owner_kind = 'agent' and owner_id = $9)
                or (owner_kind = 'group' and ($10 or owner_id = any($11))))
           and ($12::text is null or folder = $12) and ($13::text is null or owner_kind = $13)
         order by not ($3::text <> '' and starts_with(shortcut, $3)), title, quick_reply_id limit $14",
        account.as_str(),
        sought.words,
        sought.shortcut,
        after.0,
        after.1,
        after.2,
        all,
        shared,
        agent,
        all_groups,
        groups,
        narrowing.folder,
        narrowing.kind,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

/// Returns folders after a name, by name, each with how many of these quick replies are in it.
pub async fn folders(
    connection: &mut PgConnection,
    account: &AccountSlug,
    whose: &Whose,
    after: &str,
    limit: i64,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let (all, shared, agent, all_groups, groups) = whose.columns();
    let rows = sqlx::query!(
        r#"select folder, count(*) as "replies!" from quick_reply
           where account = $1 and folder > $2 and folder <> ''
             and ($3 or ($4 and owner_kind = 'account') or (owner_kind = 'agent' and owner_id = $5)
                  or (owner_kind = 'group' and ($6 or owner_id = any($7))))
           group by folder order by folder limit $8"#,
        account.as_str(),
        after,
        all,
        shared,
        agent,
        all_groups,
        groups,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.folder, row.replies))
        .collect())
}

/// Files of one quick reply, which the gateway is to be told to keep on.
#[derive(Debug, Clone)]
pub struct Held {
    /// Whose it is.
    pub account: AccountSlug,
    /// The quick reply.
    pub id: QuickReplyId,
    /// Its files.
    pub files: Vec<Uuid>,
}

/// Returns quick replies whose files the gateway was last told of before this, the oldest first.
pub async fn held_before(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Held>, sqlx::Error> {
    sqlx::query_as!(
        Held,
        r#"select account as "account: AccountSlug", quick_reply_id as "id: QuickReplyId", attachment_ids as files
           from quick_reply where held_at < $1 order by held_at limit $2"#,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Notes that the gateway was told to keep the files of these.
pub async fn held(
    connection: &mut PgConnection,
    replies: &[Held],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let accounts: Vec<String> = replies
        .iter()
        .map(|reply| reply.account.to_string())
        .collect();
    let ids: Vec<Uuid> = replies.iter().map(|reply| reply.id.uuid()).collect();
    sqlx::query!(
        "with told as (
             select q.account, q.quick_reply_id
             from quick_reply q join unnest($1::text[], $2::uuid[]) as t (account, quick_reply_id)
                  using (account, quick_reply_id)
             where q.held_at is not null
             order by q.account, q.quick_reply_id for no key update of q
         )
         update quick_reply q set held_at = greatest(q.held_at, $3) from told
         where q.account = told.account and q.quick_reply_id = told.quick_reply_id",
        &accounts,
        &ids,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

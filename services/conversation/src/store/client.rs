//! Clients.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::id::{self, AccountSlug};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::chat_words;
use crate::domain::{ChatId, ClientId};

/// A person as the channel knows them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Where the user id is unique (B07).
    pub scope: String,
    /// The provider's user id.
    pub user_id: String,
    /// Name to show.
    pub name: String,
    /// Nick.
    pub username: String,
    /// Phone in E.164.
    pub phone: String,
    /// E-mail address.
    pub email: String,
    /// Language tag.
    pub language: String,
}

impl Profile {
    /// Returns the id of the client: the same for whoever hears of the person first (B07).
    pub fn client(&self, account: &AccountSlug) -> ClientId {
        id::v5("client", &[account.as_str(), &self.scope, &self.user_id]).into()
    }

    /// Takes what is empty here from another word on the same person.
    #[must_use]
    pub fn filled(mut self, other: &Self) -> Self {
        for (own, other) in [
            (&mut self.name, &other.name),
            (&mut self.username, &other.username),
            (&mut self.phone, &other.phone),
            (&mut self.email, &other.email),
            (&mut self.language, &other.language),
        ] {
            if own.is_empty() {
                own.clone_from(other);
            }
        }
        self
    }

    /// Keeps the name of a person whom a message names by an id alone.
    #[must_use]
    pub fn named_as(mut self, known: &Self) -> Self {
        if self.name.is_empty() && self.username.is_empty() {
            self.username.clone_from(&known.username);
        }
        if self.name.is_empty() {
            self.name.clone_from(&known.name);
        }
        self
    }
}

/// A client as a batch saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose it is.
    pub account: AccountSlug,
    /// The profile.
    pub profile: Profile,
    /// The provider's time of it.
    pub time: OffsetDateTime,
}

struct Row {
    id: ClientId,
    account: AccountSlug,
    scope: String,
    user_id: String,
    name: String,
    username: String,
    phone: String,
    email: String,
    language: String,
    profile_time: OffsetDateTime,
}

impl Row {
    fn seen(self) -> (ClientId, Seen) {
        let profile = Profile {
            scope: self.scope,
            user_id: self.user_id,
            name: self.name,
            username: self.username,
            phone: self.phone,
            email: self.email,
            language: self.language,
        };
        let seen = Seen {
            account: self.account,
            profile,
            time: self.profile_time,
        };
        (self.id, seen)
    }
}

/// How long the same profile said again is not written down again.
const SAME_WORD: Duration = Duration::from_mins(10);

impl Seen {
    /// Tells whether this word is newer than what is known and worth a write: it says something else, or the time of
    /// what is known is so old that a late older word could pass for newer.
    pub fn tells_more(&self, known: &Self) -> bool {
        let newer = known.time < self.time;
        newer && (self.profile != known.profile || self.time - known.time > SAME_WORD)
    }
}

/// Returns clients as they are, not locked.
pub async fn known(
    connection: &mut PgConnection,
    ids: &[ClientId],
) -> Result<BTreeMap<ClientId, Seen>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select client_id as "id: ClientId", account as "account: AccountSlug", scope, user_id, name, username,
               phone, email, language, profile_time
           from client where client_id = any($1)"#,
        ids as &[ClientId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Row::seen).collect())
}

/// Inserts clients that are not known and locks the others; returns the known ones as they are.
pub async fn insert_or_lock(
    connection: &mut PgConnection,
    clients: &BTreeMap<ClientId, Seen>,
    now: OffsetDateTime,
) -> Result<BTreeMap<ClientId, Seen>, sqlx::Error> {
    let ids: Vec<ClientId> = clients.keys().copied().collect();
    let column = |of: fn(&Profile) -> &str| -> Vec<String> {
        clients
            .values()
            .map(|seen| of(&seen.profile).to_owned())
            .collect()
    };
    let accounts: Vec<String> = clients.values().map(|s| s.account.to_string()).collect();
    let times: Vec<OffsetDateTime> = clients.values().map(|seen| seen.time).collect();
    let inserted = sqlx::query_scalar!(
        r#"insert into client (client_id, account, scope, user_id, name, username, phone, email, language,
               profile_time, created_at)
           select *, $11 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
               $7::text[], $8::text[], $9::text[], $10::timestamptz[])
           on conflict do nothing
           returning client_id as "id: ClientId""#,
        &ids as &[ClientId],
        &accounts,
        &column(|profile| &profile.scope),
        &column(|profile| &profile.user_id),
        &column(|profile| &profile.name),
        &column(|profile| &profile.username),
        &column(|profile| &profile.phone),
        &column(|profile| &profile.email),
        &column(|profile| &profile.language),
        &times,
        now,
    )
    .fetch_all(&mut *connection)
    .await?;
    let inserted: BTreeSet<ClientId> = inserted.into_iter().collect();
    let known: Vec<ClientId> = ids
        .into_iter()
        .filter(|id| !inserted.contains(id))
        .collect();
    if known.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query_as!(
        Row,
        r#"select client_id as "id: ClientId", account as "account: AccountSlug", scope, user_id, name, username,
               phone, email, language, profile_time
           from client where client_id = any($1) order by client_id for no key update"#,
        &known as &[ClientId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Row::seen).collect())
}

/// Writes newer profiles of locked clients.
pub async fn update(
    connection: &mut PgConnection,
    clients: &BTreeMap<ClientId, &Seen>,
) -> Result<(), sqlx::Error> {
    if clients.is_empty() {
        return Ok(());
    }
    let ids: Vec<ClientId> = clients.keys().copied().collect();
    let column = |of: fn(&Profile) -> &str| -> Vec<String> {
        clients
            .values()
            .map(|seen| of(&seen.profile).to_owned())
            .collect()
    };
    let times: Vec<OffsetDateTime> = clients.values().map(|seen| seen.time).collect();
    sqlx::query!(
        "update client set name = new.name, username = new.username, phone = new.phone, email = new.email,
             language = new.language, profile_time = new.profile_time
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
             as new (client_id, name, username, phone, email, language, profile_time)
         where client.client_id = new.client_id",
        &ids as &[ClientId],
        &column(|profile| &profile.name),
        &column(|profile| &profile.username),
        &column(|profile| &profile.phone),
        &column(|profile| &profile.email),
        &column(|profile| &profile.language),
        &times,
    )
    .execute(&mut *connection)
    .await?;
    // Their names stand in lists, which whoever watches one hears of. Chats come after clients in the order of locks.
    let chats = sqlx::query_scalar!(
        r#"update chat set changed = pg_current_xact_id()
           where chat_id = any(array(
               select chat_id from chat where client_id = any($1) order by chat_id for no key update))
           returning chat_id as "chat: ChatId""#,
        &ids as &[ClientId],
    )
    .fetch_all(&mut *connection)
    .await?;
    chat_words::renew(connection, &chats).await
}

/// Returns by what the clients of chats are known: name, else nick.
pub async fn names(
    connection: &mut PgConnection,
    chats: &[ChatId],
) -> Result<BTreeMap<ChatId, String>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select chat_id as "chat: ChatId", coalesce(nullif(client.name, ''), username) as "name!"
           from chat join client using (client_id) where chat_id = any($1)"#,
        chats as &[ChatId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.chat, row.name)).collect())
}

/// Returns profiles.
pub async fn profiles(
    connection: &mut PgConnection,
    ids: &[ClientId],
) -> Result<BTreeMap<ClientId, Profile>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select client_id as "id: ClientId", scope, user_id, name, username, phone, email, language
           from client where client_id = any($1)"#,
        ids as &[ClientId],
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let profile = Profile {
                scope: row.scope,
                user_id: row.user_id,
                name: row.name,
                username: row.username,
                phone: row.phone,
                email: row.email,
                language: row.language,
            };
            (row.id, profile)
        })
        .collect())
}

//! Use cases: one a file, one transaction each.

pub mod board;
pub mod change_contact;
pub mod chat_connections;
pub mod clicks;
pub mod companies;
pub mod contact_settings;
pub mod contacts;
pub mod convert_card;
pub mod create_card;
pub mod decisions;
pub mod delete_card;
pub mod duplicates;
pub mod entity_access;
pub mod entity_chats;
pub mod export;
pub mod external_crm;
pub mod fields;
pub mod history;
pub mod import;
pub mod internal_messages;
pub mod list_cards;
pub mod locks;
pub mod merge_contacts;
pub mod move_card;
pub mod move_cards;
pub mod notes;
pub mod open_connections;
pub mod openings;
pub mod orders;
pub mod participants;
pub mod people;
pub mod pipeline_connection;
pub mod pipelines;
pub mod recover;
pub mod responsibles;
pub mod save_buyer;
pub mod sources;
mod staff;
pub mod sync;
pub mod transfers;
pub mod unmerge_contact;
pub mod update_card;

mod change_card;

use chassis::access::AccessCopy;
use chassis::auth::Caller;
use chassis::grpc;
use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing, Waker};
use chassis::request::{self, Claim};
use prost::Message;
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use crate::domain::access;
use crate::domain::ids::ChatId;
use crate::error::{Error, SERVICE};
use crate::store;
use crate::store::contacts::Chat;

/// What use cases work with.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub pool: PgPool,
    /// Wakes the relay after a commit.
    pub waker: Waker,
    /// Who the account's agents are.
    pub staff: AccessCopy,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

impl<T> Page<T> {
    /// Makes a page of rows that were asked for with one more than fits.
    fn of(mut rows: Vec<T>, size: u32) -> Self {
        let size = size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        Self { rows, more }
    }

    /// Writes the page for the wire: the entries that fit into one answer, and the token of the next page.
    pub(crate) fn written<M: Message, C: Serialize>(
        &self,
        entry: impl FnMut(&T) -> M,
        cursor: impl FnOnce(&T) -> C,
    ) -> (Vec<M>, String) {
        grpc::page(&self.rows, self.more, entry, cursor)
    }
}

/// A request that creates, as its repeat is told (B02).
#[derive(Debug, Clone)]
pub struct RequestKey {
    /// The method.
    pub method: &'static str,
    /// The caller's id of the request; without one a repeat creates anew.
    pub id: Option<String>,
    /// Hash of the request's content.
    pub hash: [u8; 32],
}

impl RequestKey {
    /// Returns the answer of an earlier request of this id, or claims the id for this transaction.
    async fn earlier<R: Message + Default>(
        &self,
        connection: &mut PgConnection,
        account: &AccountSlug,
        now: OffsetDateTime,
    ) -> Result<Option<R>, Error> {
        let Some(id) = &self.id else { return Ok(None) };
        match request::claim(connection, account, self.method, id, &self.hash, now).await? {
            Claim::New => Ok(None),
            Claim::Done(answer) => {
                let answer =
                    R::decode(answer).map_err(|error| sqlx::Error::Decode(error.into()))?;
                Ok(Some(answer))
            }
            Claim::Conflict => Err(Error::RequestIdReused(id.clone())),
        }
    }

    /// Keeps the answer for repeats.
    async fn keep(
        &self,
        connection: &mut PgConnection,
        account: &AccountSlug,
        answer: &impl Message,
    ) -> Result<(), Error> {
        if let Some(id) = &self.id {
            request::store(
                connection,
                account,
                self.method,
                id,
                &answer.encode_to_vec(),
            )
            .await?;
        }
        Ok(())
    }
}

impl App {
    async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.pool.begin().await
    }

    /// Writes the outbox, commits, and wakes the relay.
    async fn commit(
        &self,
        mut transaction: Transaction<'static, Postgres>,
        events: Vec<Outgoing>,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let wake = !events.is_empty();
        outbox::write(&mut transaction, SERVICE, events, now).await?;
        transaction.commit().await?;
        if wake {
            self.waker.wake();
        }
        Ok(())
    }
}

/// Returns which rows of a kind the caller may see.
fn sight(caller: &Caller, kind: access::Kind) -> Result<access::Sight, Error> {
    access::sight(caller.access(), kind).map_err(|access::Missing| Error::CrmAccess)
}

/// Refuses a caller to whom what is bound to chats is closed.
fn see_chats(caller: &Caller) -> Result<(), Error> {
    access::may_use_chats(caller.access()).map_err(|access::Missing| Error::ChatAccess)?;
    access::may_see_chats(caller.access()).map_err(|access::Missing| Error::CrmAccess)
}

/// Returns a chat that the caller reaches. One whose channel is not granted does not exist for them (F062): what it is
/// answered is what an unknown chat is answered.
async fn reached_chat(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ChatId,
) -> Result<Option<Chat>, sqlx::Error> {
    let chat = store::contacts::chat(connection, caller.account(), id).await?;
    Ok(chat.filter(|chat| access::reaches_channel(caller.access(), chat.channel.uuid())))
}

//! One act of a person upon one chat: the chat locked, changed, its system messages and events written, in one transaction.

use chassis::auth::Caller;
use chassis::outbox::{self, Outgoing, Waker};
use chassis::request::{self, Claim};
use prost::Message;
use sqlx::{PgPool, Postgres, Transaction};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::{self, Cause, Notice};
use super::bots::{self, runs::Outcome};
use super::open::{self, Opener};
use super::{access, read};
use crate::domain::ChatId;
use crate::domain::chat::{Chat, Episode};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::store::message::Stored;

/// What makes a call idempotent (B02).
#[derive(Debug, Clone)]
pub struct Repeat {
    /// The id that the caller made; none where the call is not idempotent.
    pub request_id: Option<String>,
    /// Hash of the request, which tells a repeat from a reuse.
    pub hash: [u8; 32],
}

/// A chat in hand.
pub struct Act {
    /// The transaction.
    pub tx: Transaction<'static, Postgres>,
    /// The chat, locked.
    pub chat: Chat,
    /// Who acts.
    pub cause: Cause,
    /// The moment of the act.
    pub now: OffsetDateTime,
    before: Chat,
    rows: Vec<Stored>,
    events: Vec<Outgoing>,
}

impl Act {
    /// Locks a chat that the caller may see.
    pub async fn begin(
        pool: &PgPool,
        caller: &Caller,
        chat: ChatId,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let mut tx = pool.begin().await?;
        let chat = access::lock_chat(&mut tx, caller, chat).await?;
        Ok(Self {
            tx,
            before: chat.clone(),
            chat,
            cause: Cause::request(caller.actor()),
            now,
            rows: Vec::new(),
            events: Vec::new(),
        })
    }

    /// Returns the first answer of a request id that was used before, for what the caller means now.
    pub async fn repeated<A: Message + Default>(
        &mut self,
        method: &str,
        repeat: &Repeat,
    ) -> Result<Option<A>, Error> {
        let Some(request_id) = &repeat.request_id else {
            return Ok(None);
        };
        let (account, hash) = (&self.chat.account, &repeat.hash);
        let claim = request::claim(&mut self.tx, account, method, request_id, hash, self.now);
        match claim.await? {
            Claim::New => Ok(None),
            Claim::Done(answer) => Ok(Some(A::decode(answer)?)),
            Claim::Conflict => Err(Error::RequestIdReused(request_id.clone())),
        }
    }

    /// Keeps the answer for repeats of the request.
    pub async fn remember(
        &mut self,
        method: &str,
        repeat: &Repeat,
        answer: &impl Message,
    ) -> Result<(), Error> {
        if let Some(request_id) = &repeat.request_id {
            let (account, answer) = (&self.chat.account, answer.encode_to_vec());
            request::store(&mut self.tx, account, method, request_id, &answer).await?;
        }
        Ok(())
    }

    /// Adds an event.
    pub fn tell(&mut self, event: Outgoing) {
        self.events.push(event);
    }

    /// Adds an event where there is one.
    pub fn events_extend(&mut self, event: Option<Outgoing>) {
        self.events.extend(event);
    }

    /// Adds a message that was stored, and its event.
    pub fn keep(&mut self, row: Stored, event: Outgoing) {
        self.rows.push(row);
        self.events.push(event);
    }

    /// Takes what changes of runs of bots lead to.
    pub async fn take(&mut self, outcome: Outcome) -> Result<(), Error> {
        store::bots::runs::save(&mut self.tx, &outcome.runs).await?;
        self.rows.extend(outcome.rows);
        self.events.extend(outcome.events);
        Ok(())
    }

    /// Leaves a system message, whose id is made of what it reports (X10).
    pub fn note(
        &mut self,
        of: String,
        kind: &'static str,
        parameters: &[(&str, String)],
    ) -> Result<(), Error> {
        let notice = Notice {
            of,
            kind,
            parameters,
            time: self.now,
        };
        let (row, event) = announce::system(&mut self.chat, &notice, &self.cause)?;
        self.keep(row, event);
        Ok(())
    }

    /// Opens a conversation: its row, its event, its system message. None is open.
    pub async fn open(&mut self, opener: Opener) -> Result<(), Error> {
        let (chat, cause, events) = (&mut self.chat, &self.cause, &mut self.events);
        let row = open::open(&mut self.tx, chat, opener, cause, events, self.now).await?;
        self.rows.push(row);
        Ok(())
    }

    /// Ends the open conversation, where one is: its row, its event, its system message.
    pub async fn close(&mut self) -> Result<Option<Episode>, Error> {
        let Some(closed) = self.chat.close(self.now) else {
            return Ok(None);
        };
        let actor = self.cause.actor_text();
        store::conversation::update(&mut self.tx, &[&closed], Some(&actor)).await?;
        self.tell(announce::closed(&self.chat, &closed, &self.cause));
        let of = announce::of_revision(closed.id, closed.revision);
        let number = [("number", closed.number.to_string())];
        self.note(of, "conversation.closed", &number)?;
        bots::stop_closed(self).await?;
        Ok(Some(closed))
    }

    /// Returns the chat as its readers see it.
    pub async fn shown(&mut self) -> Result<pb::Chat, Error> {
        let chats = read::shown(&mut self.tx, std::slice::from_ref(&self.chat)).await?;
        chats.into_iter().next().ok_or(Error::ChatNotFound)
    }

    /// Writes what has changed, and lets the events go.
    pub async fn finish(mut self, waker: &Waker) -> Result<(), Error> {
        let marked = announce::read_mark(&self.before, &self.chat, &self.cause);
        self.events.extend(marked);
        let snoozed = announce::snoozed(&self.before, &self.chat, &self.cause);
        self.events.extend(snoozed);
        store::message::insert(&mut self.tx, &self.rows, self.now).await?;
        if self.chat != self.before {
            store::chat::save(&mut self.tx, std::iter::once(&self.chat)).await?;
        }
        if self.chat.name != self.before.name {
            store::chat_words::renew(&mut self.tx, &[self.chat.id]).await?;
        }
        let wake = !self.events.is_empty();
        outbox::write(&mut self.tx, DOMAIN, self.events, self.now).await?;
        self.tx.commit().await?;
        if wake {
            waker.wake();
        }
        Ok(())
    }
}

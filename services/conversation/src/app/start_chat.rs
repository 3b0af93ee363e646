//! `StartChat`: a contact is written to first (F084-F088).

use std::collections::BTreeMap;

use chassis::auth::Caller;
use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Outgoing, Waker};
use chassis::request::{self, Claim};
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use super::announce::{self, Cause, First};
use super::open::{self, Opener};
use super::send::{self, Admission, Command};
use super::{access, read};
use crate::domain::chat::Chat;
use crate::domain::first_message::{self, Contact, Recipient, Refusal};
use crate::domain::words::{ChannelKind, OpenReason};
use crate::domain::{AgentId, ChannelId, ChatId};
use crate::error::{DOMAIN, Error};
use crate::store;
use crate::store::chat::NewChat;
use crate::store::client::{Profile, Seen};

/// The call, as request ids are kept under it.
pub const METHOD: &str = "StartChat";

/// A channel that is to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its kind.
    pub kind: ChannelKind,
    /// It is switched on and connected.
    pub enabled: bool,
    /// It can write to who never wrote to it.
    pub writes_first: bool,
}

/// Knows channels: the gateway.
#[tonic::async_trait]
pub trait Lines: Send + Sync + 'static {
    /// Returns a channel, or refuses with the status that the caller gets.
    async fn line(
        &self,
        account: &AccountSlug,
        agent: AgentId,
        channel: ChannelId,
    ) -> Result<Line, Status>;
}

/// Knows contacts: the CRM.
#[tonic::async_trait]
pub trait Contacts: Send + Sync + 'static {
    /// Returns a contact that the agent may see, or refuses with the status that the caller gets.
    async fn contact(
        &self,
        account: &AccountSlug,
        agent: AgentId,
        contact: Uuid,
    ) -> Result<Contact, Status>;
}

/// Whom an agent wants to write to, and what.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The contact.
    pub contact: Uuid,
    /// The channel.
    pub channel: ChannelId,
    /// One of the contact's addresses; empty: the first.
    pub address: String,
    /// The message; without text and files the chat is only made ready. Its chat is not looked at.
    pub command: Command,
}

impl Wanted {
    fn says_something(&self) -> bool {
        !self.command.text.text.is_empty() || !self.command.files.is_empty()
    }
}

/// Finds or makes the contact's chat, opens a conversation where none is open, and sends the message.
///
/// Who opens is the conversation's opener, and so its responsible (§7, rule 0): nobody has to be asked. Where a conversation is
/// open the message is one like any other, for who may write there.
pub async fn start(
    (pool, waker): (&PgPool, &Waker),
    (lines, contacts): (&dyn Lines, &dyn Contacts),
    admission: &dyn Admission,
    caller: &Caller,
    mut wanted: Wanted,
    now: OffsetDateTime,
) -> Result<pb::StartChatResponse, Error> {
    access::may_use_chats(caller)?;
    let agent = access::agent(caller)?;
    let (account, channel) = (caller.account(), wanted.channel);
    let granted = caller.access();
    if !granted.is_none_or(|access| access.may_see_channel(channel.uuid())) {
        return Err(Error::ChannelNotFound);
    }
    let line = lines.line(account, agent, channel).await;
    let line = line.map_err(Error::Refused)?;
    if !line.writes_first {
        return Err(Error::NotFirst(Refusal::NeverFirst));
    }
    if !line.enabled {
        return Err(Error::NotFirst(Refusal::ChannelOff));
    }
    let contact = contacts.contact(account, agent, wanted.contact).await;
    let contact = contact.map_err(Error::Refused)?;
    let to = first_message::recipient(line.kind, &contact, &wanted.address);
    let to = to.map_err(Error::NotFirst)?;
    wanted.command.chat = id::v5("chat", &[&channel.to_string(), &to.user_id]).into();
    let message = match begin(pool, caller, (line.kind, &to), &wanted, now).await? {
        Begun::Done(message) => {
            waker.wake();
            message.map(|message| *message)
        }
        Begun::Open if wanted.says_something() => {
            let sent = send::send(pool, waker, admission, caller, &wanted.command, now);
            sent.await?.message
        }
        Begun::Open => None,
    };
    let mut connection = pool.acquire().await?;
    let chat = access::chat(&mut connection, caller, wanted.command.chat).await?;
    let shown = read::shown(&mut connection, std::slice::from_ref(&chat)).await?;
    Ok(pb::StartChatResponse {
        chat: shown.into_iter().next(),
        message,
    })
}

/// What came of the first look.
enum Begun {
    /// The conversation was opened, and the message stored where there is one.
    Done(Option<Box<pb::Message>>),
    /// A conversation is open already; nothing was done.
    Open,
}

async fn begin(
    pool: &PgPool,
    caller: &Caller,
    (kind, to): (ChannelKind, &Recipient),
    wanted: &Wanted,
    now: OffsetDateTime,
) -> Result<Begun, Error> {
    let (account, command) = (caller.account(), &wanted.command);
    let agent = access::agent(caller)?;
    let cause = Cause::request(caller.actor());
    let mut tx = pool.begin().await?;
    let (mut chat, mut events) = chat(&mut tx, account, (kind, to), wanted, &cause, now).await?;
    if let Some(request_id) = &command.request_id {
        match request::claim(&mut tx, account, METHOD, request_id, &command.hash, now).await? {
            Claim::New => {}
            Claim::Done(answer) => {
                let answer = pb::SendMessageResponse::decode(answer)?;
                return Ok(Begun::Done(answer.message.map(Box::new)));
            }
            Claim::Conflict => return Err(Error::RequestIdReused(request_id.clone())),
        }
    }
    if chat.spam {
        return Err(Error::ChatIsSpam);
    }
    // Under the client's lock: what this person writes on another line waits.
    let begun = store::first_message::begun_otherwise(&mut tx, account, chat.client, to.contact);
    to.may_be_written_to(begun.await?)
        .map_err(Error::NotFirst)?;
    if chat.open_episode().is_some() {
        return Ok(Begun::Open);
    }
    if chat.episode.is_none() {
        store::first_message::keep(&mut tx, account, chat.id, to.contact).await?;
    }
    let opener = Opener {
        agent,
        reason: OpenReason::AgentStart,
        key: send::request_key(command),
        first: First {
            of_chat: !events.is_empty(),
            to: Some(wanted.contact),
        },
    };
    let row = open::open(&mut tx, &mut chat, opener, &cause, &mut events, now).await?;
    store::message::insert(&mut tx, &[row], now).await?;
    let mut answer = pb::SendMessageResponse::default();
    if wanted.says_something() {
        let stored = send::store_message(&mut tx, caller, agent, command, &mut chat, now).await?;
        answer = stored.0;
        events.extend(stored.1);
    } else {
        store::chat::save(&mut tx, std::iter::once(&chat)).await?;
    }
    if let Some(request_id) = &command.request_id {
        request::store(
            &mut tx,
            account,
            METHOD,
            request_id,
            &answer.encode_to_vec(),
        )
        .await?;
    }
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    Ok(Begun::Done(answer.message.map(Box::new)))
}

/// Finds or makes client and chat, and locks both; returns the event of a new chat.
async fn chat(
    tx: &mut PgConnection,
    account: &AccountSlug,
    (kind, to): (ChannelKind, &Recipient),
    wanted: &Wanted,
    cause: &Cause,
    now: OffsetDateTime,
) -> Result<(Chat, Vec<Outgoing>), Error> {
    let profile = Profile {
        scope: to.scope.to_owned(),
        user_id: to.user_id.clone(),
        name: to.name.clone(),
        email: to.email.clone(),
        ..Profile::default()
    };
    let client = profile.client(account);
    // What the person says of themselves, whenever it was, goes before what we call them.
    let seen = Seen {
        account: account.clone(),
        profile: profile.clone(),
        time: OffsetDateTime::UNIX_EPOCH,
    };
    let clients = BTreeMap::from([(client, seen)]);
    store::client::insert_or_lock(tx, &clients, now).await?;
    let id: ChatId = wanted.command.chat;
    let new = NewChat {
        account: account.clone(),
        channel: wanted.channel,
        channel_kind: kind,
        chat_key: to.user_id.clone(),
        client,
        first_message_at: now,
    };
    let fresh = store::chat::insert(tx, &BTreeMap::from([(id, new)]), now).await?;
    let chat = store::chat::lock(tx, &[id]).await?.remove(&id);
    // An id that another account's chat has: nobody is told of that.
    let chat = chat.filter(|chat| chat.account == *account);
    let chat = chat.ok_or(Error::ChannelNotFound)?;
    let mut events = Vec::new();
    if fresh.contains(&id) {
        events.push(announce::chat_created(&chat, &profile, cause));
    }
    Ok((chat, events))
}

//! Reading: chats, messages, conversations, commands; always within the caller's account and rights.

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::grpc::{fitting_page, timestamp, timestamp_opt};
use prost::Message;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use super::access;
use crate::domain::chat::Chat;
use crate::domain::words::ChatState;
use crate::domain::{ChatId, ClientId};
use crate::error::Error;
use crate::store;
use crate::store::chat::{Narrowing, Position, Whose};
use crate::store::counts::Counted;
use crate::wire;

/// A page and where the next one begins.
pub type Page<T, P> = (Vec<T>, Option<P>);

/// Lists chats by last client message, newest first (D07); with the first page comes how many each tab has.
pub async fn chats(
    connection: &mut PgConnection,
    caller: &Caller,
    mut narrowing: Narrowing,
    whose: Whose,
    after: Option<Position>,
    size: u32,
) -> Result<(Page<pb::Chat, Position>, Option<pb::ChatCounts>), Error> {
    access::may_use_chats(caller)?;
    narrowing.granted = access::granted(caller);
    let limit = i64::from(size) + 1;
    let account = caller.account();
    let found = store::chat::list(connection, account, &narrowing, whose, after, limit).await?;
    let position = |chat: &Chat| (chat.last_client_message_at, chat.id);
    let (found, next) = cut(found, size, position);
    let mut chats = shown(connection, &found).await?;
    let next = fit(&mut chats, &found, position).or(next);
    let counts = match after {
        None => Some(counts(connection, caller, narrowing, whose).await?),
        Some(_) => None,
    };
    Ok(((chats, next), counts))
}

/// Counts the chats that a list's channel and responsible leave.
async fn counts(
    connection: &mut PgConnection,
    caller: &Caller,
    narrowing: Narrowing,
    whose: Whose,
) -> Result<pb::ChatCounts, Error> {
    let counted = Counted {
        granted: narrowing.granted,
        channel: narrowing.channel,
        responsible: match whose {
            Whose::All => None,
            Whose::Nobodys => Some(None),
            Whose::Of(agent) | Whose::WorkedBy(agent) => Some(Some(agent)),
        },
    };
    let mut sums = pb::ChatCounts::default();
    for count in store::counts::of_states(connection, caller.account(), &counted).await? {
        match count.state {
            ChatState::Unassigned => sums.unassigned = count.chats,
            ChatState::Active => sums.active = count.chats,
            ChatState::Inactive => sums.inactive = count.chats,
        }
        sums.waiting += count.waiting;
        sums.unread += count.unread;
    }
    Ok(sums)
}

/// Returns those of the named chats that exist for the caller, the one with the newest message first (F155).
pub async fn found(
    connection: &mut PgConnection,
    caller: &Caller,
    ids: &[ChatId],
    after: Option<Position>,
    size: u32,
) -> Result<Page<pb::Chat, Position>, Error> {
    access::may_use_chats(caller)?;
    let granted = access::granted(caller);
    let limit = i64::from(size) + 1;
    let account = caller.account();
    let found = store::chat::named(connection, account, (ids, granted), after, limit).await?;
    let position = |chat: &Chat| (chat.last_message_at(), chat.id);
    let (found, next) = cut(found, size, position);
    let mut chats = shown(connection, &found).await?;
    let next = fit(&mut chats, &found, position).or(next);
    Ok((chats, next))
}

/// Returns one chat.
pub async fn chat(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ChatId,
) -> Result<pb::Chat, Error> {
    let chat = access::chat(connection, caller, id).await?;
    let mut shown = shown(connection, &[chat]).await?;
    shown.pop().ok_or(Error::ChatNotFound)
}

/// Lists conversations of a chat, newest first; the position is a number.
pub async fn conversations(
    connection: &mut PgConnection,
    caller: &Caller,
    chat: ChatId,
    below: Option<i64>,
    size: u32,
) -> Result<Page<pb::Conversation, i64>, Error> {
    let chat = access::chat(connection, caller, chat).await?;
    let limit = i64::from(size) + 1;
    let found = store::conversation::list(connection, chat.id, below, limit).await?;
    let (found, next) = cut(found, size, |episode| episode.number);
    let conversations = found
        .iter()
        .map(|episode| wire::conversation(chat.id, episode))
        .collect();
    Ok((conversations, next))
}

/// Lists commands of a chat from a number on, for the gateway.
pub async fn commands(
    connection: &mut PgConnection,
    caller: &Caller,
    chat: ChatId,
    from: i64,
    size: u32,
) -> Result<Vec<pb::OutboundCommand>, Error> {
    let limit = i64::from(size);
    let encoded =
        store::delivery::commands(connection, caller.account(), chat, from, limit).await?;
    let commands = encoded
        .iter()
        .map(|command| pb::OutboundCommand::decode(command.as_slice()));
    let mut commands: Vec<_> = commands.collect::<Result<_, _>>()?;
    // The gateway asks again from the first that it has not got.
    commands.truncate(fitting_page(&commands));
    Ok(commands)
}

/// Cuts the entry that was read beyond the page, and tells where the next page begins.
pub(super) fn cut<T, P>(mut found: Vec<T>, size: u32, position: impl Fn(&T) -> P) -> Page<T, P> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| more).map(position);
    (found, next)
}

/// Leaves out the entries that do not fit into one answer with those before them, and tells where the next page begins
/// if there were such; `found` are the rows of the entries, in the same order.
pub(super) fn fit<M: Message, T, P>(
    entries: &mut Vec<M>,
    found: &[T],
    position: impl Fn(&T) -> P,
) -> Option<P> {
    let kept = fitting_page(&*entries);
    let cut = kept < entries.len();
    entries.truncate(kept);
    let last = kept.checked_sub(1).and_then(|last| found.get(last));
    last.filter(|_| cut).map(position)
}

/// Adds what a reader needs beside the rows: clients, their photos, participants and bots, one statement each for a page.
pub(super) async fn shown(
    connection: &mut PgConnection,
    chats: &[Chat],
) -> Result<Vec<pb::Chat>, Error> {
    if chats.is_empty() {
        return Ok(Vec::new());
    }
    let clients: BTreeSet<ClientId> = chats.iter().map(|chat| chat.client).collect();
    let clients: Vec<ClientId> = clients.into_iter().collect();
    let profiles = store::client::profiles(connection, &clients).await?;
    let ids: Vec<ChatId> = chats.iter().map(|chat| chat.id).collect();
    let photos = store::client_photo::of_chats(connection, &ids).await?;
    let copies = store::assignment::get(connection, &ids).await?;
    let runs: Vec<Uuid> = chats.iter().filter_map(|chat| Some(chat.bot?.0)).collect();
    let bots = store::bots::runs::names(connection, &runs).await?;
    let shown = chats.iter().map(|chat| {
        let bot = chat.bot.and_then(|(run, _)| bots.get(&run));
        // Participants belong to the conversation that they joined.
        let participants = copies.get(&chat.id).filter(|copy| {
            chat.open_episode()
                .is_some_and(|open| open.number == copy.number)
        });
        pb::Chat {
            chat_id: chat.id.to_string(),
            channel_id: chat.channel.to_string(),
            channel_kind: wire::channel_kind_out(chat.channel_kind),
            client_id: chat.client.to_string(),
            client: profiles.get(&chat.client).map(wire::identity_out),
            state: wire::chat_state_out(chat.state),
            responsible_agent_id: chat
                .responsible
                .map(|id| id.to_string())
                .unwrap_or_default(),
            participant_agent_ids: participants
                .map(|copy| copy.participants.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            unanswered: chat.unanswered,
            last_message: chat.preview.as_ref().map(wire::preview_out),
            last_client_message_time: Some(timestamp(chat.last_client_message_at)),
            open_conversation: chat
                .open_episode()
                .map(|episode| wire::conversation(chat.id, episode)),
            create_time: Some(timestamp(chat.created_at)),
            name: chat.name.clone(),
            image_attachment_id: chat.image.map(|id| id.to_string()).unwrap_or_default(),
            spam: chat.spam,
            waiting: chat.waiting,
            unread: chat.unread,
            bot_run_id: chat.bot.map(|(run, _)| run.to_string()).unwrap_or_default(),
            bot_name: bot.map(|(_, name)| name.clone()).unwrap_or_default(),
            bot_id: bot.map(|(id, _)| id.to_string()).unwrap_or_default(),
            labels: chat.labels.clone(),
            snoozed: chat.snooze.is_some(),
            wake_time: timestamp_opt(chat.snooze.and_then(|snooze| snooze.until)),
            client_photo_attachment_id: photos
                .get(&chat.id)
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    });
    Ok(shown.collect())
}

//! What clients are answered by itself when they open a conversation (B15): decided apart from what they wrote, once for each
//! conversation.

use std::collections::BTreeSet;

use chassis::actor::Actor;
use chassis::id;
use chassis::outbox::{self, Outgoing, Waker};
use chassis::trace::TraceContext;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::common::v1::{ContentPart, Text, content_part::Content};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::announce::{self, Cause};
use super::send::queued;
use super::working_hours::{self, Calendars, Hours};
use crate::domain::channel_rule::{self, Opened, Reply};
use crate::domain::chat::Chat;
use crate::domain::preview::Preview;
use crate::domain::words::{DeliveryState, MessageKind};
use crate::domain::{ChatId, MessageId};
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store;
use crate::store::auto_reply::Waiting;
use crate::store::channel_rule::Key;
use crate::store::message::Stored;
use crate::wire;

/// Conversations of one transaction at most.
const AT_ONCE: i64 = 100;

/// Answers conversations that clients have opened. Returns whether there were so many that more may be left.
pub async fn round(
    pool: &PgPool,
    waker: &Waker,
    hours: &dyn Hours,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let mut tx = pool.begin().await?;
    let waiting = store::auto_reply::take(&mut tx, AT_ONCE).await?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let channels: BTreeSet<Key> = waiting
        .iter()
        .map(|waiting| (waiting.account.clone(), waiting.channel))
        .collect();
    let calendars = working_hours::known(&mut tx, &channels).await?;
    if channels
        .iter()
        .any(|channel| !calendars.contains_key(channel))
    {
        // Assignment is asked with no transaction open. What it knows is there the next time.
        tx.rollback().await?;
        working_hours::learn(pool, hours, &channels).await?;
        return Ok(true);
    }
    let events = answer(&mut tx, &waiting, &calendars, now).await?;
    let wake = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    if wake {
        waker.wake();
    }
    Ok(waiting.len() == usize::try_from(AT_ONCE).unwrap_or(usize::MAX))
}

/// Answers where the rules have it.
async fn answer(
    tx: &mut PgConnection,
    waiting: &[Waiting],
    calendars: &Calendars,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let keys: BTreeSet<Key> = calendars.keys().cloned().collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let ids: BTreeSet<ChatId> = waiting.iter().map(|waiting| waiting.chat).collect();
    let ids: Vec<ChatId> = ids.into_iter().collect();
    let mut chats = store::chat::lock(tx, &ids).await?;
    let rules = store::channel_rule::several(tx, &keys).await?;
    let (mut rows, mut commands) = (Vec::new(), Vec::new());
    let (mut events, mut changed) = (Vec::new(), BTreeSet::new());
    for one in waiting {
        let key = (one.account.clone(), one.channel);
        let (Some(chat), Some(rule)) = (chats.get_mut(&one.chat), rules.get(&key)) else {
            continue;
        };
        let calendar = calendars.get(&key).and_then(Option::as_ref);
        let Some(reply) = channel_rule::reply(rule, opened(chat, one, calendar, now)) else {
            continue;
        };
        let cause = Cause {
            id: None,
            trace: TraceContext::none(),
            actor: Some(Actor::Rule(reply.rule().to_owned())),
        };
        let row = write(chat, one, reply, now);
        events.push(announce::stored(chat, wire::message(&row)?, &cause));
        let (command, event) = queued(chat, &row, &cause)?;
        events.push(event);
        commands.push(command);
        figures::AUTO_REPLIES.of([reply.rule()]).increment(1);
        rows.push(row);
        changed.insert(one.chat);
    }
    store::message::insert(tx, &rows, now).await?;
    store::delivery::keep_commands(tx, &commands, now).await?;
    let changed = chats.values().filter(|chat| changed.contains(&chat.id));
    store::chat::save(tx, changed).await?;
    Ok(events)
}

/// What is known of a conversation that waits.
fn opened(
    chat: &Chat,
    one: &Waiting,
    calendar: Option<&chassis::calendar::Calendar>,
    now: OffsetDateTime,
) -> Opened {
    let open = chat.open_episode();
    let open = open.filter(|open| open.id == one.conversation && !chat.spam);
    Opened {
        is_open: open.is_some(),
        answered: open.is_some_and(|open| chat.answered_number >= open.number),
        age: now - one.opened_at,
        working_time: calendar.is_none_or(|calendar| calendar.is_open(one.opened_at)),
    }
}

/// Writes the answer as the bot's message in its chat. Its id is the conversation's: there is one.
fn write(chat: &mut Chat, one: &Waiting, reply: Reply<'_>, now: OffsetDateTime) -> Stored {
    let text = Text {
        text: reply.text().to_owned(),
        ..Text::default()
    };
    let content = pb::Message {
        parts: vec![ContentPart {
            content: Some(Content::Text(text)),
        }],
        ..pb::Message::default()
    };
    let message = id::v5("auto-reply", &[&one.conversation.to_string()]);
    let (message, kind) = (MessageId::from(message), MessageKind::Bot);
    let mut row = announce::new_message(chat, message, kind, None, now, &content);
    row.delivery = Some(DeliveryState::Queued);
    row.out_seq = chat.next_command();
    row.attempt = 1;
    row.delivery_at = Some(now);
    chat.show(Preview {
        message,
        kind,
        text: wire::preview_text(&content.parts),
        time: now,
    });
    row
}

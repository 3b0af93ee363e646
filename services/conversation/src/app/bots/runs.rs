//! Runs of bots in chats: begun, moved on and ended, each change under the chat's lock, with its events and system messages.

use std::collections::BTreeMap;

use chassis::id;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::common::v1::{ContentPart, Text};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::nps;
use crate::app::announce::{self, Cause, Notice};
use crate::app::quick_replies::render::put_in;
use crate::app::send::{parts, queue};
use crate::domain::bot::{self, Effect, Hearing, Input, Listening, RunState, Stands, Then, Waits};
use crate::domain::chat::{Chat, Episode};
use crate::domain::preview::Preview;
use crate::domain::words::{DeliveryState, MessageKind};
use crate::domain::{ChatId, ConversationId, MessageId};
use crate::error::Error;
use crate::store;
use crate::store::bots::Bot;
use crate::store::bots::runs::{GivenUp, Run};
use crate::store::client::Profile;
use crate::store::message::Stored;
use crate::wire;

/// What changes of runs lead to, to be written with the chats.
#[derive(Default)]
pub struct Outcome {
    /// Runs that are new or changed.
    pub runs: Vec<Run>,
    /// Messages.
    pub rows: Vec<Stored>,
    /// Events.
    pub events: Vec<Outgoing>,
}

/// Begins a run in a locked chat where none is under way; it goes on by itself, at once.
pub fn begin(
    chat: &mut Chat,
    (id, bot, conversation): (Uuid, &Bot, ConversationId),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<Run, Error> {
    let run = Run {
        id,
        account: chat.account.clone(),
        bot: bot.id,
        bot_name: bot.name.clone(),
        nps: bot.nps,
        chat: chat.id,
        channel: chat.channel,
        conversation,
        steps: bot.steps.clone(),
        state: RunState::Ready,
        at: bot::State::default(),
        input: None,
        since: None,
        due_at: Some(now),
        tries: 0,
        started_by: cause.actor_text(),
        started_at: now,
        ended_at: None,
        is_new: true,
    };
    chat.bot = Some((run.id, Waits::Nothing));
    let event = pb::BotStarted {
        run_id: run.id.to_string(),
        bot_id: run.bot.to_string(),
        bot_name: run.bot_name.clone(),
        chat_id: run.chat.to_string(),
        channel_id: run.channel.to_string(),
        conversation_id: run.conversation.to_string(),
    };
    outcome
        .events
        .push(announce::about_chat(chat, &event, cause));
    let notice = Notice {
        of: format!("{}/begun", run.id),
        kind: "bot.started",
        parameters: &[("name", run.bot_name.clone())],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    outcome.rows.push(row);
    outcome.events.push(event);
    outcome.runs.push(run.clone());
    Ok(run)
}

/// Begins a run that nobody starts, in a locked chat with an open conversation, where none is under way.
pub fn begin_by_itself(
    chat: &mut Chat,
    bot: &Bot,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Some(open) = chat.open_episode().map(|open| open.id) else {
        return Ok(());
    };
    let of = (id::v7(now), bot, open);
    begin(chat, of, &super::round::cause(bot.id), now, outcome).map(drop)
}

/// Ends a run of a locked chat.
pub fn end(
    chat: &mut Chat,
    run: &mut Run,
    state: RunState,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    run.state = state;
    (run.due_at, run.input, run.ended_at) = (None, None, Some(now));
    if chat.bot.is_some_and(|(id, _)| id == run.id) {
        chat.bot = None;
    }
    let ended = GivenUp {
        run: run.id,
        bot: run.bot,
        bot_name: run.bot_name.clone(),
        conversation: run.conversation,
    };
    tell_end(chat, &ended, state, cause, now, outcome)
}

/// Tells that a run has ended, to integrators and in the chat.
fn tell_end(
    chat: &mut Chat,
    run: &GivenUp,
    state: RunState,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let event = pb::BotStopped {
        run_id: run.run.to_string(),
        bot_id: run.bot.to_string(),
        bot_name: run.bot_name.clone(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: run.conversation.to_string(),
        reason: state.as_str().to_owned(),
    };
    outcome
        .events
        .push(announce::about_chat(chat, &event, cause));
    let notice = Notice {
        of: format!("{}/ended", run.run),
        kind: "bot.stopped",
        parameters: &[
            ("name", run.bot_name.clone()),
            ("reason", state.as_str().to_owned()),
        ],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    outcome.rows.push(row);
    outcome.events.push(event);
    Ok(())
}

/// Tells that a run was given up that could not be moved on, which may not even be read.
pub fn gave_up(
    chat: &mut Chat,
    run: &GivenUp,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let why = "it could not be moved on, however often it was tried";
    leave(chat, &run.bot_name, why, cause, now, outcome)?;
    tell_end(chat, run, RunState::Failed, cause, now, outcome)
}

/// Somebody was heard in a chat where a bot runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The client wrote this, which is that to the run, and was accepted then.
    Client(Hearing, String, OffsetDateTime),
    /// An agent answered.
    Agent,
}

/// A run of a locked chat, as it listens.
pub fn listening(chat: &Chat, run: &Run) -> Listening {
    Listening::of(&Stands {
        nps: run.nps,
        own_open: is_own_open(chat, run),
        aside: chat.bot == Some((run.id, Waits::Nothing)),
        state: run.state,
        expects: bot::expected(&run.steps, &run.at.step),
        input: run.input.as_deref(),
        since: run.since,
        due_at: run.due_at,
    })
}

/// Tells whether the conversation in which a run began is open.
pub fn is_own_open(chat: &Chat, run: &Run) -> bool {
    let is_own = |open: &Episode| open.id == run.conversation;
    chat.open_episode().is_some_and(is_own)
}

/// Lets the runs of locked chats hear what was said there, in its order: an answer of the client moves a run on that waits, one of
/// an agent ends it.
pub async fn hear(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    runs: &mut BTreeMap<Uuid, Run>,
    heard: Vec<(ChatId, Heard, Cause)>,
    now: OffsetDateTime,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::default();
    let before = runs.clone();
    for (id, heard, cause) in heard {
        let Some(chat) = chats.get_mut(&id) else {
            continue;
        };
        let Some(run) = chat.bot.and_then(|(run, _)| runs.get_mut(&run)) else {
            continue;
        };
        match heard {
            // Who says goodbye before the end of the conversation does not take the question of NPS back (F203).
            Heard::Agent if run.nps && is_own_open(chat, run) => {
                chat.bot = Some((run.id, Waits::Nothing));
            }
            Heard::Agent => end(chat, run, RunState::Answered, &cause, now, &mut outcome)?,
            Heard::Client(Hearing::Nothing, ..) => {}
            // It makes room for a bot that begins with the conversation that the words open.
            Heard::Client(Hearing::Ends, ..) => {
                end(chat, run, RunState::Finished, &cause, now, &mut outcome)?;
            }
            Heard::Client(Hearing::Answer | Hearing::Score | Hearing::Comment, text, at) => {
                nps::answer_heard(connection, chat, run, now).await?;
                answered(run, text, at, now);
            }
        }
    }
    let changed = runs.values().filter(|run| before.get(&run.id) != Some(run));
    outcome.runs.extend(changed.cloned());
    Ok(outcome)
}

/// Notes what the client answered. What comes before the run went on with the first words belongs to the same answer.
fn answered(run: &mut Run, text: String, accepted_at: OffsetDateTime, now: OffsetDateTime) {
    match (run.state, &mut run.input) {
        (RunState::Waiting, _) => {
            run.state = RunState::Ready;
            run.input = Some(text);
            run.since = Some(accepted_at);
            run.due_at = Some(now);
        }
        (RunState::Ready, Some(input)) => {
            input.push('\n');
            input.push_str(&text);
        }
        _ => {}
    }
}

/// Moves a run of a locked chat on.
pub async fn go_on(
    connection: &mut PgConnection,
    (chat, run, client): (&mut Chat, &mut Run, &Profile),
    input: Input<'_>,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let steps = std::mem::take(&mut run.steps);
    let (effects, then) = bot::advance(&steps, &mut run.at, input, now);
    (run.input, run.tries) = (None, 0);
    let (mut closed, mut asks) = (false, None);
    for effect in effects {
        match effect {
            Effect::Say { text, files } => {
                let who = (&mut *chat, &*run, client);
                asks = Some(say(connection, who, (text, files), cause, now, outcome).await?);
            }
            Effect::Note(text) => note(chat, client, text, cause, now, outcome)?,
            Effect::Score { score, comment } => {
                let said = (score, &*comment);
                nps::scored(connection, chat, run, said, cause, now, outcome).await?;
            }
            Effect::Comment { score, comment } => {
                let said = (score, &*comment);
                nps::commented(connection, chat, run, said, cause, now, outcome).await?;
            }
            Effect::Close => closed = true,
        }
    }
    let waits = bot::expected(&steps, &run.at.step);
    run.steps = steps;
    match then {
        Then::Waits(until) => {
            (run.state, run.due_at, run.since) = (RunState::Waiting, Some(until), Some(now));
            let score = waits == Some(pb::bot_step::ask::Expects::Score);
            chat.bot = Some((run.id, if score { Waits::Score } else { Waits::Answer }));
            if score {
                nps::question_sent(connection, chat, run, asks, now).await?;
            }
        }
        Then::Calls => {
            (run.state, run.due_at) = (RunState::Calling, Some(now));
            chat.bot = Some((run.id, Waits::Nothing));
        }
        Then::Ends => end(chat, run, RunState::Finished, cause, now, outcome)?,
        Then::Fails(why) => fail(chat, run, why, cause, now, outcome)?,
    }
    // A later conversation is none of its business: a bot of NPS goes on after the end of its own.
    if closed && is_own_open(chat, run) {
        nps::skip_by_bot(connection, chat, run, cause, now, outcome).await?;
        close(connection, chat, cause, now, outcome).await?;
    }
    Ok(())
}

/// Ends a run that cannot go on, and says why.
pub fn fail(
    chat: &mut Chat,
    run: &mut Run,
    why: &str,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    tracing::info!(run = %run.id, why, "a bot could not go on");
    leave(chat, &run.bot_name, why, cause, now, outcome)?;
    end(chat, run, RunState::Failed, cause, now, outcome)
}

/// Leaves a note on why a bot could not go on.
fn leave(
    chat: &mut Chat,
    bot_name: &str,
    why: &str,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let words = Text {
        text: format!("{bot_name}: {why}"),
        ..Text::default()
    };
    let row = message(chat, MessageKind::Note, parts(&[], words), now);
    outcome
        .events
        .push(announce::stored(chat, wire::message(&row)?, cause));
    outcome.rows.push(row);
    Ok(())
}

/// Ends the open conversation as the bot has it.
async fn close(
    connection: &mut PgConnection,
    chat: &mut Chat,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Some(closed) = chat.close(now) else {
        return Ok(());
    };
    let actor = cause.actor_text();
    store::conversation::update(connection, &[&closed], Some(&actor)).await?;
    outcome.events.push(announce::closed(chat, &closed, cause));
    let notice = Notice {
        of: announce::of_revision(closed.id, closed.revision),
        kind: "conversation.closed",
        parameters: &[("number", closed.number.to_string())],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    outcome.rows.push(row);
    outcome.events.push(event);
    Ok(())
}

/// Says something to the client, as one message with its files; returns the message.
async fn say(
    connection: &mut PgConnection,
    (chat, run, client): (&mut Chat, &Run, &Profile),
    (text, files): (Option<&Text>, &[String]),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<MessageId, Error> {
    let parts = parts(files, put_in(text, chat, client));
    let mut row = message(chat, MessageKind::Bot, parts, now);
    row.conversation = Some(run.conversation);
    row.delivery = Some(DeliveryState::Queued);
    row.out_seq = chat.next_command();
    row.attempt = 1;
    row.delivery_at = Some(now);
    outcome
        .events
        .push(announce::stored(chat, wire::message(&row)?, cause));
    outcome
        .events
        .push(queue(connection, chat, &row, cause, now).await?);
    let id = row.id;
    outcome.rows.push(row);
    Ok(id)
}

fn note(
    chat: &mut Chat,
    client: &Profile,
    text: Option<&Text>,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let parts = parts(&[], put_in(text, chat, client));
    let row = message(chat, MessageKind::Note, parts, now);
    outcome
        .events
        .push(announce::stored(chat, wire::message(&row)?, cause));
    outcome.rows.push(row);
    Ok(())
}

/// Makes a message of the bot in its chat.
fn message(
    chat: &mut Chat,
    kind: MessageKind,
    parts: Vec<ContentPart>,
    now: OffsetDateTime,
) -> Stored {
    let content = pb::Message {
        parts,
        ..pb::Message::default()
    };
    let id = MessageId::from(id::v7(now));
    if kind == MessageKind::Bot {
        chat.show(Preview {
            message: id,
            kind,
            text: wire::preview_text(&content.parts),
            time: now,
        });
    }
    announce::new_message(chat, id, kind, None, now, &content)
}

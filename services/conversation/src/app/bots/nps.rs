//! The question of NPS at the end of a conversation (F202, D15), and what was answered.

use std::collections::BTreeMap;

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::BotError;
use super::runs::Outcome;
use crate::app::access;
use crate::app::act::Act;
use crate::app::announce::{self, Cause, Notice};
use crate::domain::bot::nps;
use crate::domain::chat::Chat;
use crate::domain::words::NpsSkipped;
use crate::domain::{ChatId, ConversationId, MessageId};
use crate::error::Error;
use crate::store;
use crate::store::bots::nps::{self as table, Counted, Kept, Nps, Question, Total};
use crate::store::bots::runs::Run;
use crate::store::bots::{self as bots, Bot};
use crate::store::message::Stored;

/// The bot of NPS that the rule of a chat's channel names; none where it names none that may be started.
pub async fn bot_of(connection: &mut PgConnection, chat: &Chat) -> Result<Option<Bot>, Error> {
    let rule = store::channel_rule::get(connection, &chat.account, chat.channel).await?;
    let Some(bot) = rule.and_then(|rule| rule.nps_bot) else {
        return Ok(None);
    };
    let bot = bots::get(connection, &chat.account, bot).await?;
    Ok(bot.filter(|bot| bot.enabled && bot.nps))
}

/// Why a chat's client cannot be asked now; none where they can.
pub(super) async fn obstacle(
    connection: &mut PgConnection,
    chat: &Chat,
    now: OffsetDateTime,
) -> Result<Option<NpsSkipped>, Error> {
    let reach = store::reach::of(connection, chat).await?;
    Ok(nps::obstacle(chat, reach, now))
}

/// Refuses to close a conversation before the question was sent (F202). Where the channel cannot take it, that is noted, and the
/// conversation may be closed (D15).
pub async fn before_close(act: &mut Act) -> Result<(), Error> {
    let Some(open) = act.chat.open_episode().map(|open| (open.id, open.revision)) else {
        return Ok(());
    };
    if bot_of(&mut act.tx, &act.chat).await?.is_none()
        || table::asked(&mut act.tx, &act.chat, open.0)
            .await?
            .is_settled(open.1)
    {
        return Ok(());
    }
    let Some(why) = obstacle(&mut act.tx, &act.chat, act.now).await? else {
        return Err(BotError::NpsNotSent(act.chat.id).into());
    };
    let mut outcome = Outcome::default();
    let (chat, cause) = (&mut act.chat, &act.cause);
    skip(&mut act.tx, chat, (open, why), cause, act.now, &mut outcome).await?;
    act.take(outcome).await
}

/// Notes that a bot ends a conversation without its client being asked of NPS, where the channel's rule asks.
pub(super) async fn skip_by_bot(
    connection: &mut PgConnection,
    chat: &mut Chat,
    run: &Run,
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let Some(open) = chat.open_episode().map(|open| (open.id, open.revision)) else {
        return Ok(());
    };
    let asks = bot_of(connection, chat).await?.is_some();
    let asked = table::asked(connection, chat, open.0).await?;
    if nps::skipped_by_bot(run.nps, asks, asked.is_settled(open.1)) {
        let why = (open, NpsSkipped::ClosedByBot);
        skip(connection, chat, why, cause, now, outcome).await?;
    }
    Ok(())
}

/// Keeps and tells that a conversation's client is not asked.
async fn skip(
    connection: &mut PgConnection,
    chat: &mut Chat,
    ((open, revision), why): ((ConversationId, i64), NpsSkipped),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let whose = (&chat.account, chat.id, chat.channel);
    let nps = Nps {
        skipped: Some(why),
        ..Nps::default()
    };
    table::keep(connection, whose, open, &nps, now).await?;
    // A conversation that goes on after its end may end so again.
    let of = announce::of_revision(open, revision);
    let (row, events) = skipped(chat, (open, of), why, cause, now)?;
    outcome.rows.push(row);
    outcome.events.extend(events);
    Ok(())
}

/// Tells that a conversation's client was not asked, to integrators and in the chat; `of` is what led to it.
fn skipped(
    chat: &mut Chat,
    (conversation, of): (ConversationId, String),
    why: NpsSkipped,
    cause: &Cause,
    now: OffsetDateTime,
) -> Result<(Stored, Vec<Outgoing>), Error> {
    let event = pb::NpsSkipped {
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: conversation.to_string(),
        reason: why.as_str().to_owned(),
    };
    let told = announce::about_chat(chat, &event, cause);
    let notice = Notice {
        of: format!("{of}/nps"),
        kind: "nps.skipped",
        parameters: &[("reason", why.as_str().to_owned())],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    Ok((row, vec![told, event]))
}

/// Takes what became of bots' messages in locked chats: a client whom the question did not reach was not asked. Returns the
/// system messages that say so, to be stored.
pub async fn delivered(
    connection: &mut PgConnection,
    chats: &mut BTreeMap<ChatId, Chat>,
    messages: &[table::Outcome],
    events: &mut Vec<Outgoing>,
    now: OffsetDateTime,
) -> Result<Vec<Stored>, Error> {
    let cause = Cause {
        id: None,
        trace: chassis::trace::TraceContext::none(),
        actor: None,
    };
    let mut rows = Vec::new();
    for unreached in table::delivered(connection, messages).await? {
        let Some(chat) = chats.get_mut(&unreached.chat) else {
            continue;
        };
        let of = (unreached.conversation, unreached.message.to_string());
        let (row, told) = skipped(chat, of, NpsSkipped::NotDelivered, &cause, now)?;
        rows.push(row);
        events.extend(told);
    }
    Ok(rows)
}

/// Notes that who opened a conversation by what they said to a bot of NPS is not asked again in it.
pub(super) async fn answer_heard(
    connection: &mut PgConnection,
    chat: &Chat,
    run: &Run,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let open = chat.open_episode().map(|open| open.id);
    let Some(open) = nps::answered_before(run.nps, run.conversation, open) else {
        return Ok(());
    };
    let whose = (&chat.account, chat.id, chat.channel);
    let nps = Nps {
        skipped: Some(NpsSkipped::AnsweredBefore),
        ..Nps::default()
    };
    Ok(table::keep(connection, whose, open, &nps, now)
        .await
        .map(drop)?)
}

/// Keeps that a conversation's client is asked by a run, and who answers for the chat at that moment.
pub(super) async fn asked(
    connection: &mut PgConnection,
    chat: &Chat,
    run: &Run,
    now: OffsetDateTime,
) -> Result<(), Error> {
    table::keep_question(connection, &question(chat, run, None), now).await?;
    kept(connection, chat, run, Nps::default(), now)
        .await
        .map(drop)
}

/// Keeps which message asks, as soon as the run has sent it.
pub(super) async fn question_sent(
    connection: &mut PgConnection,
    chat: &Chat,
    run: &Run,
    message: Option<MessageId>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    Ok(table::keep_question(connection, &question(chat, run, message), now).await?)
}

/// The question of a run, for the conversation as it stands.
fn question<'q>(chat: &'q Chat, run: &Run, message: Option<MessageId>) -> Question<'q> {
    let own = chat.episode.as_ref();
    let own = own.filter(|episode| episode.id == run.conversation);
    Question {
        account: &chat.account,
        conversation: run.conversation,
        // Only the newest conversation of a chat is taken up again.
        revision: own.map_or(0, |episode| episode.revision),
        responsible: chat.responsible,
        message,
    }
}

/// Keeps the score, with what is known of the comment to it, and tells.
pub(super) async fn scored(
    connection: &mut PgConnection,
    chat: &mut Chat,
    run: &Run,
    (score, comment): (i32, &str),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let nps = Nps {
        score: Some(score),
        comment,
        ..Nps::default()
    };
    let kept = kept(connection, chat, run, nps, now).await?;
    let of = format!("{}/score", run.id);
    note(chat, of, (score, comment), cause, now, outcome)?;
    tell(chat, run, (score, kept), cause, outcome);
    Ok(())
}

/// Keeps the comment, and tells it where the score is known: else it is told of with that.
pub(super) async fn commented(
    connection: &mut PgConnection,
    chat: &mut Chat,
    run: &Run,
    (score, comment): (Option<i32>, &str),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let nps = Nps {
        comment,
        goes_on: true,
        ..Nps::default()
    };
    let kept = kept(connection, chat, run, nps, now).await?;
    if let Some(score) = score {
        let of = format!("{}/comment/{}", run.id, run.at.questions);
        note(chat, of, (score, comment), cause, now, outcome)?;
        tell(chat, run, (score, kept), cause, outcome);
    }
    Ok(())
}

async fn kept(
    connection: &mut PgConnection,
    chat: &Chat,
    run: &Run,
    nps: Nps<'_>,
    now: OffsetDateTime,
) -> Result<Kept, Error> {
    let whose = (&chat.account, chat.id, chat.channel);
    let nps = Nps {
        run: Some(run.id),
        ..nps
    };
    Ok(table::keep(connection, whose, run.conversation, &nps, now).await?)
}

/// Says in the chat what the client answered: after the end nothing else shows it.
fn note(
    chat: &mut Chat,
    of: String,
    (score, comment): (i32, &str),
    cause: &Cause,
    now: OffsetDateTime,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let notice = Notice {
        of,
        kind: "nps.answered",
        parameters: &[
            ("score", score.to_string()),
            ("comment", nps::shown(comment)),
        ],
        time: now,
    };
    let (row, event) = announce::system(chat, &notice, cause)?;
    outcome.rows.push(row);
    outcome.events.push(event);
    Ok(())
}

/// `nps.answered`
fn tell(chat: &Chat, run: &Run, (score, kept): (i32, Kept), cause: &Cause, outcome: &mut Outcome) {
    // An earlier version, which asked, did not keep who was responsible.
    let responsible = if kept.known {
        kept.responsible
    } else {
        chat.responsible
    };
    let event = pb::NpsAnswered {
        run_id: run.id.to_string(),
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: run.conversation.to_string(),
        responsible_agent_id: responsible
            .map(|agent| agent.to_string())
            .unwrap_or_default(),
        score,
        comment: kept.comment,
    };
    outcome
        .events
        .push(announce::about_chat(chat, &event, cause));
}

/// Counts what clients answered.
pub async fn totals(
    pool: &PgPool,
    caller: &Caller,
    mut counted: Counted,
) -> Result<Vec<Total>, Error> {
    access::may_use_chats(caller)?;
    counted.granted = access::granted(caller);
    let mut connection = pool.acquire().await?;
    Ok(table::totals(&mut connection, caller.account(), &counted).await?)
}

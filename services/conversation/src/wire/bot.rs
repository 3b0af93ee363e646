//! Bots on the wire.

use chassis::grpc::{timestamp, timestamp_opt};
use switchboard_proto::conversation::v1 as pb;

use crate::domain::bot::Trigger;
use crate::domain::words::BotRunState;
use crate::store::bots::Bot;
use crate::store::bots::nps::Total;
use crate::store::bots::runs::Run;

/// Writes a bot.
pub fn bot(bot: &Bot) -> pb::Bot {
    use pb::bot::Trigger as Out;
    let trigger = match bot.trigger {
        None => Out::Unspecified,
        Some(Trigger::ConversationOpened) => Out::ConversationOpened,
        Some(Trigger::ResponseTimeExceeded) => Out::ResponseTimeExceeded,
    };
    pb::Bot {
        bot_id: bot.id.to_string(),
        name: bot.name.clone(),
        steps: bot.steps.clone(),
        trigger: trigger.into(),
        channel_ids: bot.channels.iter().map(ToString::to_string).collect(),
        enabled: bot.enabled,
        nps: bot.nps,
        revision: bot.revision,
        create_time: Some(timestamp(bot.created_at)),
        update_time: Some(timestamp(bot.updated_at)),
    }
}

/// Writes a run of a bot.
pub fn bot_run(run: &Run) -> pb::BotRun {
    use pb::bot_run::State as Out;
    let state = match run.state {
        BotRunState::Ready | BotRunState::Calling => Out::Running,
        BotRunState::Waiting => Out::Waiting,
        BotRunState::Finished => Out::Finished,
        BotRunState::Stopped => Out::Stopped,
        BotRunState::Answered => Out::Answered,
        BotRunState::Closed => Out::Closed,
        BotRunState::Failed => Out::Failed,
    };
    pb::BotRun {
        run_id: run.id.to_string(),
        bot_id: run.bot.to_string(),
        bot_name: run.bot_name.clone(),
        chat_id: run.chat.to_string(),
        conversation_id: run.conversation.to_string(),
        state: state.into(),
        step: run.at.step.clone(),
        answers: run.at.answers.clone().into_iter().collect(),
        started_by: run.started_by.clone(),
        start_time: Some(timestamp(run.started_at)),
        end_time: timestamp_opt(run.ended_at),
    }
}

/// Writes a total of NPS.
pub fn nps_total(total: &Total) -> pb::NpsTotal {
    let answered = total.promoters + total.passives + total.detractors;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of answers are far below what a double holds"
    )]
    let score = (answered > 0)
        .then(|| (total.promoters - total.detractors) as f64 * 100.0 / answered as f64);
    pb::NpsTotal {
        start_time: Some(timestamp(total.start)),
        asked: total.asked,
        answered,
        skipped: total.skipped,
        promoters: total.promoters,
        passives: total.passives,
        detractors: total.detractors,
        score,
    }
}

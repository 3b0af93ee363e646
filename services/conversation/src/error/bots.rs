//! What can go wrong with bots.

use chassis::grpc::{self, FieldViolation};
use tonic::{Code, Status};

use super::DOMAIN;
use crate::app::bots::BotError;

/// How it is told.
pub(super) fn status(error: &BotError) -> Status {
    let refuse = |code, reason, facts: &[(&str, &str)]| {
        grpc::refusal(DOMAIN, code, reason, &error.to_string(), facts)
    };
    let not_now = |reason| refuse(Code::FailedPrecondition, reason, &[]);
    match error {
        BotError::NotFound => refuse(Code::NotFound, "BOT_NOT_FOUND", &[]),
        BotError::Flawed(flaws) => {
            let flaws: Vec<FieldViolation> = flaws
                .iter()
                .map(|flaw| FieldViolation::new(format!("bot.{}", flaw.field), &flaw.rule))
                .collect();
            grpc::invalid(DOMAIN, &flaws)
        }
        BotError::Changed(revision) => refuse(
            Code::Aborted,
            "CHANGED_MEANWHILE",
            &[("revision", &revision.to_string())],
        ),
        BotError::TooMany => not_now("TOO_MANY_BOTS"),
        BotError::AllChannels => refuse(Code::PermissionDenied, "CHANNELS_NOT_GRANTED", &[]),
        BotError::Disabled => not_now("BOT_DISABLED"),
        BotError::Runs(name) => refuse(Code::FailedPrecondition, "BOT_RUNS", &[("bot", name)]),
        BotError::NpsOff => not_now("NPS_OFF"),
        BotError::Unknown(violations) => grpc::invalid(DOMAIN, violations),
        BotError::NpsNotSent(chat) => refuse(
            Code::FailedPrecondition,
            "NPS_NOT_SENT",
            &[("chat_id", &chat.to_string())],
        ),
        BotError::NpsSent => not_now("NPS_SENT"),
        BotError::NpsImpossible(_) => not_now("CHANNEL_CANNOT"),
    }
}

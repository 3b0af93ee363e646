//! Channels as people read them.

use switchboard_proto::channel_gateway::v1::{
    Channel, ChannelHealth, ChannelProblem, VerifyChannelResponse,
};

use crate::output::table::harmless;
use crate::output::{Cell, Show, View, cell, words};

impl Show for Channel {
    const NAME: &'static str = "switchboard.channel_gateway.v1.Channel";
    const OPTIONAL: &'static [&'static str] = &[
        "PROVIDER",
        "TOKEN ENDS",
        "WEBHOOK",
        "KIND",
        "LAST OUT",
        "LAST IN",
    ];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "KIND",
        "NAME",
        "STATE",
        "HEALTH",
        "PROVIDER",
        "WEBHOOK",
        "LAST IN",
        "LAST OUT",
        "TOKEN ENDS",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let health = self.health.clone().unwrap_or_default();
        vec![
            cell(&self.channel_id),
            cell(words::word(self.kind().as_str_name(), "CHANNEL_KIND_")),
            cell(&self.name),
            cell(words::word(self.state().as_str_name(), "STATE_")).by_word(),
            cell(summary(&health)).by_word(),
            cell(&self.provider_name),
            cell(words::word(health.webhook().as_str_name(), "WEBHOOK_")).by_word(),
            cell(words::ago(self.last_inbound_time.as_ref(), view.now)).dim(),
            cell(words::ago(self.last_outbound_time.as_ref(), view.now)).dim(),
            cell(words::ago(health.token_expire_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, view: &View) -> Vec<String> {
        let health = self.health.clone().unwrap_or_default();
        let mut lines = told(&health.problems, view);
        if lines.is_empty() && !self.problem.is_empty() {
            lines.push(harmless(&self.problem));
        }
        if let Some(at) = &health.check_time {
            lines.push(format!("looked at {}", words::ago(Some(at), view.now)));
        }
        lines
    }
}

/// Health in one word; a hint does not make a channel unwell, and should be seen all the same.
fn summary(health: &ChannelHealth) -> String {
    let word = words::word(health.state().as_str_name(), "STATE_");
    if word == "well" && health.problems.iter().any(|problem| problem.hint) {
        return "hint".to_owned();
    }
    word
}

/// One line a problem: since when, what, and what to do.
fn told(problems: &[ChannelProblem], view: &View) -> Vec<String> {
    let line = |problem: &ChannelProblem| {
        let since = words::ago(problem.since_time.as_ref(), view.now);
        let (reason, detail) = (harmless(&problem.reason), harmless(&problem.detail));
        format!("{reason} ({since}): {detail}")
    };
    problems.iter().map(line).collect()
}

impl Show for VerifyChannelResponse {
    const NAME: &'static str = "switchboard.channel_gateway.v1.VerifyChannelResponse";
    const HEADERS: &'static [&'static str] =
        &["ACCEPTED", "PROVIDER", "WEBHOOK", "TOKEN ENDS", "PROBLEMS"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let webhook = words::word(self.webhook().as_str_name(), "WEBHOOK_");
        vec![
            cell(if self.accepted { "yes" } else { "no" }).by_word(),
            cell(&self.provider_name),
            cell(webhook).by_word(),
            cell(words::ago(self.token_expire_time.as_ref(), view.now)).dim(),
            cell(if self.problems.is_empty() {
                "none".to_owned()
            } else {
                self.problems.len().to_string()
            }),
        ]
    }
    fn more(&self, view: &View) -> Vec<String> {
        told(&self.problems, view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchboard_proto::channel_gateway::v1::channel_health::State;

    #[test]
    fn b10_a_hint_is_seen_beside_a_channel_that_is_well() {
        let hint = ChannelProblem {
            hint: true,
            ..ChannelProblem::default()
        };
        for (state, problems, expected) in [
            (State::Well, vec![], "well"),
            (State::Well, vec![hint.clone()], "hint"),
            (State::Degraded, vec![hint], "degraded"),
            (State::Unknown, vec![], "unknown"),
        ] {
            let health = ChannelHealth {
                state: state.into(),
                problems,
                ..ChannelHealth::default()
            };
            assert_eq!(summary(&health), expected);
        }
    }
}

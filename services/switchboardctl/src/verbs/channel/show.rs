//! Channels as people read them.

use switchboard_proto::channel_gateway::v1::{
    Capabilities, Channel, ChannelHealth, ChannelProblem, VerifyChannelResponse,
    capabilities::TextUnit,
};

use crate::output::table::harmless;
use crate::output::{Cell, Show, View, cell, words};

impl Show for Channel {
    const NAME: &'static str = "switchboard.channel_gateway.v1.Channel";
    const OPTIONAL: &'static [&'static str] = &[
        "LINKS",
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
        "LINKS",
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
            cell(if self.shorten_links {
                "short"
            } else {
                "as-typed"
            }),
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

impl Show for Capabilities {
    const NAME: &'static str = "switchboard.channel_gateway.v1.Capabilities";
    const HEADERS: &'static [&'static str] = &[
        "TEXT LIMIT",
        "FORMATTING",
        "PICTURES A MESSAGE",
        "CAPTION LIMIT",
        "FILE LIMIT",
        "REPLIES",
        "EDITS",
        "DELETES",
        "REACTIONS",
        "TELLS DELIVERED",
        "TELLS READ",
        "SEES ITS APP",
        "WRITES FIRST",
        "ANSWERS WITHIN",
        "COMMENTS",
    ];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let can = |can| cell(words::yes(can)).by_word();
        let unit = match self.text_unit() {
            TextUnit::Bytes => "bytes",
            TextUnit::Characters | TextUnit::Unspecified => "characters",
        };
        let length = |limit: i32, none: &str| match limit {
            0 => none.to_owned(),
            i32::MAX => "any length".to_owned(),
            limit => format!("{limit} {unit}"),
        };
        let bytes = |bytes: i64| words::bytes(u64::try_from(bytes).unwrap_or(0));
        let own = self.file_limits.iter().map(|limit| {
            let kind = words::word(limit.kind().as_str_name(), "KIND_");
            format!("{kind} {}", bytes(limit.max_bytes))
        });
        let files: Vec<String> = std::iter::once(bytes(self.file_limit)).chain(own).collect();
        vec![
            cell(length(self.text_limit, "any length")),
            can(self.rich_text),
            cell(self.pictures_per_message),
            cell(length(self.caption_limit, "never beside a file")),
            cell(files.join(", ")),
            can(self.reply),
            can(self.edit),
            can(self.delete),
            can(self.react),
            can(self.delivered_receipts),
            can(self.read_receipts),
            can(self.own_app_messages),
            can(self.writes_first),
            cell(match self.window_hours {
                0 => "always".to_owned(),
                hours => format!("{hours} h"),
            }),
            can(self.comments),
        ]
    }
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
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;
    use switchboard_proto::channel_gateway::v1::FileLimit;
    use switchboard_proto::channel_gateway::v1::channel_health::State;
    use switchboard_proto::common::v1::attachment;

    #[test]
    fn d15_what_a_channel_can_is_told_in_words() {
        let typed = Cli::try_parse_from(["switchboardctl", "channel", "list"]).unwrap();
        let view = View::new(&typed.globals);
        let texts = |can: Capabilities| -> Vec<String> {
            let cells = can.cells(&view);
            assert_eq!(cells.len(), Capabilities::HEADERS.len());
            cells.iter().map(|cell| cell.text().to_owned()).collect()
        };
        let telegram = Capabilities {
            text_limit: 4_096,
            rich_text: true,
            file_limit: 50 << 20,
            file_limits: vec![FileLimit {
                kind: attachment::Kind::Photo.into(),
                max_bytes: 10 << 20,
                else_document: true,
            }],
            ..Capabilities::default()
        };
        let told = texts(telegram);
        assert_eq!(told[..2], ["4096 characters", "yes"]);
        assert_eq!(
            told[3..6],
            ["never beside a file", "50 MiB, photo 10 MiB", "no"]
        );
        assert_eq!(told[13], "always");
        let other = Capabilities {
            window_hours: 24,
            caption_limit: i32::MAX,
            text_limit: 1_000,
            text_unit: TextUnit::Bytes.into(),
            ..Capabilities::default()
        };
        let told = texts(other);
        assert_eq!(
            [&told[0], &told[3], &told[13]],
            ["1000 bytes", "any length", "24 h"]
        );
    }

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

//! Rules of channels: continuing, waiting, and what is answered by itself.

use std::time::Duration;

use clap::{Args, Subcommand};
use switchboard_proto::conversation::v1::{
    ChannelRule, GetChannelRuleRequest, ListChannelRulesRequest, SetChannelRuleRequest,
};

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on channels' rules.
#[derive(Subcommand)]
pub(crate) enum RuleVerb {
    /// Change a channel's rule; what is not named stays
    Set(SetArgs),
    /// Show a channel's rule
    Show {
        /// The channel, by name or id
        channel: String,
    },
    /// List the rules that were set
    List(Page),
}

/// What of a rule is changed.
#[derive(Args)]
pub(crate) struct SetArgs {
    /// The channel, by name or id
    channel: String,
    /// A client who writes within so many minutes after the end continues the conversation; 0: each return is a new one
    #[arg(long, value_name = "MINUTES")]
    continue_minutes: Option<i32>,
    /// Working time within which the first answer of a conversation is due, as 10m or 1h30m; 0s: no limit
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    first_response: Option<Duration>,
    /// The same for every further answer
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    next_response: Option<Duration>,
    /// What a client who opens a conversation in working hours is answered by itself; empty: nothing
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
    /// The same outside working hours
    #[arg(long, value_name = "TEXT")]
    off_hours_reply: Option<String>,
    /// Id of the bot of NPS that has to be sent before a conversation is closed; '' for none
    #[arg(long, value_name = "UUID")]
    nps_bot: Option<String>,
}

impl Show for ChannelRule {
    const NAME: &'static str = "switchboard.conversation.v1.ChannelRule";
    const OPTIONAL: &'static [&'static str] = &["CHANGED", "REVISION", "NPS BOT"];
    const HEADERS: &'static [&'static str] = &[
        "CHANNEL",
        "CONTINUES WITHIN",
        "FIRST ANSWER",
        "NEXT ANSWER",
        "GREETING",
        "OFF HOURS",
        "NPS BOT",
        "REVISION",
        "CHANGED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let minutes = self.continue_minutes;
        vec![
            cell(view.name(&self.channel_id)),
            cell(time(minutes.saturating_mul(60), "never")),
            cell(time(self.first_response_seconds, "no limit")),
            cell(time(self.next_response_seconds, "no limit")),
            cell(&self.greeting),
            cell(&self.off_hours_reply),
            cell(&self.nps_bot_id),
            cell(self.revision.to_string()),
            cell(words::ago(self.update_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// A time in words; what stands for none.
fn time(seconds: i32, none: &str) -> String {
    match u64::try_from(seconds) {
        Ok(seconds) if seconds > 0 => {
            humantime::format_duration(Duration::from_secs(seconds)).to_string()
        }
        _ => none.to_owned(),
    }
}

/// As many seconds; what is longer than can be, the service refuses.
fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}

impl SetArgs {
    fn change(self, rule: &mut ChannelRule) {
        let limits = [
            (self.continue_minutes, &mut rule.continue_minutes),
            (
                self.first_response.map(seconds),
                &mut rule.first_response_seconds,
            ),
            (
                self.next_response.map(seconds),
                &mut rule.next_response_seconds,
            ),
        ];
        for (given, kept) in limits {
            *kept = given.unwrap_or(*kept);
        }
        let texts = [
            (self.greeting, &mut rule.greeting),
            (self.off_hours_reply, &mut rule.off_hours_reply),
            (self.nps_bot, &mut rule.nps_bot_id),
        ];
        for (given, kept) in texts {
            if let Some(given) = given {
                *kept = given;
            }
        }
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: RuleVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.channel_rules(&session.role().await?).await?;
    match verb {
        RuleVerb::Set(args) => {
            let channel_id = session.known_channel_id(&args.channel).await?.to_string();
            let asked = GetChannelRuleRequest {
                channel_id: channel_id.clone(),
            };
            let kept = client.get_channel_rule(asked).await?.into_inner().rule;
            let mut rule = kept.unwrap_or_default();
            rule.channel_id = channel_id;
            args.change(&mut rule);
            let request = SetChannelRuleRequest {
                expected_revision: Some(rule.revision),
                rule: Some(rule),
            };
            view.one(client.set_channel_rule(request).await?.into_inner().rule)
        }
        RuleVerb::Show { channel } => {
            let request = GetChannelRuleRequest {
                channel_id: session.channel_id(&channel).await?.to_string(),
            };
            view.one(client.get_channel_rule(request).await?.into_inner().rule)
        }
        RuleVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListChannelRulesRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_channel_rules(request).await?.into_inner();
                Ok((page.rules, page.next_page_token))
            };
            let (rules, next) = page.read(ask).await?;
            view.list(&rules, &next)
        }
    }
}

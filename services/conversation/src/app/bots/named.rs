//! What bots name of other services: agents, custom fields, channels, files. One that there is not would fail every run, at some client.

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::AccountSlug;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::bot_step::Act;
use tonic::Status;
use uuid::Uuid;

use super::{BotError, Wanted};
use crate::domain::{AgentId, ChannelId, bot};
use crate::error::Error;
use crate::store::bots::Bot;

/// Knows what bots name.
#[tonic::async_trait]
pub trait Things: Send + Sync + 'static {
    /// Returns those of agents that an account has not.
    async fn no_agents(
        &self,
        account: &AccountSlug,
        agents: BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Status>;

    /// Returns the keys of an account's text fields of contacts.
    async fn text_fields(&self, account: &AccountSlug) -> Result<BTreeSet<String>, Status>;

    /// Returns those of channels that an account has not.
    async fn no_channels(
        &self,
        account: &AccountSlug,
        channels: BTreeSet<ChannelId>,
    ) -> Result<BTreeSet<ChannelId>, Status>;

    /// Has files kept for about a month from now on, which an agent may give to bots, or the account where no agent is named. Returns
    /// those that are not kept: there are none such, or they are others'.
    async fn no_files(
        &self,
        account: &AccountSlug,
        agent: Option<AgentId>,
        files: BTreeSet<Uuid>,
    ) -> Result<BTreeSet<Uuid>, Status>;
}

/// What a scenario names: agents and fields.
fn named(steps: &[pb::BotStep]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut agents, mut fields) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        match &step.act {
            Some(Act::Assign(assign)) => {
                agents.insert(assign.agent_id.clone());
            }
            Some(Act::SetField(set)) => {
                fields.insert(set.field.clone());
            }
            _ => {}
        }
    }
    (agents, fields)
}

/// Refuses a bot that names what there is not. What it named before is not looked at again: a bot whose agent has gone can still be
/// renamed, and switched off.
pub(super) async fn check(
    things: &dyn Things,
    caller: &Caller,
    wanted: &Wanted,
    before: Option<&Bot>,
) -> Result<(), Error> {
    let account = caller.account();
    let known = before.map(|bot| named(&bot.steps)).unwrap_or_default();
    let (mut agents, mut fields) = named(&wanted.steps);
    agents.retain(|agent| !known.0.contains(agent));
    fields.retain(|field| !known.1.contains(field));
    let mut channels: BTreeSet<ChannelId> = wanted.channels.iter().copied().collect();
    channels.retain(|channel| before.is_none_or(|bot| !bot.channels.contains(channel)));
    if !agents.is_empty() {
        agents = refused(things.no_agents(account, agents).await)?;
    }
    if !fields.is_empty() {
        let there = refused(things.text_fields(account).await)?;
        fields.retain(|field| !there.contains(field));
    }
    if !channels.is_empty() {
        channels = refused(things.no_channels(account, channels).await)?;
    }
    let kept = before.map(|bot| bot::files(&bot.steps)).unwrap_or_default();
    let mut files: BTreeSet<Uuid> = bot::files(&wanted.steps).into_iter().collect();
    files.retain(|file| !kept.contains(file));
    if !files.is_empty() {
        files = refused(things.no_files(account, caller.agent(), files).await)?;
    }
    let mut violations = unknown(wanted, &agents, &fields, &channels);
    violations.extend(no_files(&wanted.steps, &files));
    if violations.is_empty() {
        return Ok(());
    }
    Err(BotError::Unknown(violations).into())
}

fn refused<T>(answer: Result<T, Status>) -> Result<T, Error> {
    answer.map_err(Error::Refused)
}

/// Names the places at which a bot names what there is not.
fn unknown(
    wanted: &Wanted,
    agents: &BTreeSet<String>,
    fields: &BTreeSet<String>,
    channels: &BTreeSet<ChannelId>,
) -> Vec<FieldViolation> {
    let mut violations = Vec::new();
    for (place, step) in wanted.steps.iter().enumerate() {
        let at = format!("bot.steps[{place}]");
        match &step.act {
            Some(Act::Assign(assign)) if agents.contains(&assign.agent_id) => {
                let rule = format!(
                    "step \"{}\": the account has no agent {}",
                    step.key, assign.agent_id
                );
                violations.push(FieldViolation::new(format!("{at}.assign.agent_id"), rule));
            }
            Some(Act::SetField(set)) if fields.contains(&set.field) => {
                let rule = format!(
                    "step \"{}\": contacts have no field \"{}\" of type text",
                    step.key, set.field
                );
                violations.push(FieldViolation::new(format!("{at}.set_field.field"), rule));
            }
            _ => {}
        }
    }
    for (place, channel) in wanted.channels.iter().enumerate() {
        if channels.contains(channel) {
            let rule = format!("the account has no channel {channel}");
            violations.push(FieldViolation::new(
                format!("bot.channel_ids[{place}]"),
                rule,
            ));
        }
    }
    violations
}

/// Names the places at which a scenario sends files that are not there.
fn no_files(steps: &[pb::BotStep], missing: &BTreeSet<Uuid>) -> Vec<FieldViolation> {
    let mut violations = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let Some(Act::Send(send)) = &step.act else {
            continue;
        };
        for (entry, file) in send.attachment_ids.iter().enumerate() {
            if file.parse().is_ok_and(|file: Uuid| missing.contains(&file)) {
                let rule = format!(
                    "step \"{}\": must be an upload of the caller's own that is there, a file of a bot or a quick reply, or one that was \
                     sent in a chat that the caller sees",
                    step.key
                );
                let at = format!("bot.steps[{place}].send.attachment_ids[{entry}]");
                violations.push(FieldViolation::new(at, rule));
            }
        }
    }
    violations
}

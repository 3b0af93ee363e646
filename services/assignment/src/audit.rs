//! What is told of changes of this service's settings (B11).

use chassis::actor::Actor;
use chassis::audit::{Api, Entry, Subject, snapshot};
use chassis::auth::{Caller, Scope};
use chassis::id::AccountSlug;
use prost::Name;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::assignment::v1 as pb;

use crate::domain::ChannelId;
use crate::domain::calendar::Owner;
use crate::store::accounts::AccountRow;
use crate::store::agents::Agent;
use crate::store::calendars::CalendarRow;
use crate::store::groups::Group;
use crate::store::policies::{self, ChannelKey};
use crate::store::reply_rules;
use crate::store::roles::Role;
use crate::store::sync::SyncRow;
use crate::wire;

/// The scopes that change settings here.
pub const SCOPES: &[Scope] = &[Scope::AGENTS_ADMIN, Scope::CHANNELS_ADMIN];

/// The services whose changes are collected here, each with the scopes that change settings there.
const COLLECTED: &[(&str, &[Scope])] = &[
    ("channel-gateway", &[Scope::CHANNELS_ADMIN]),
    ("conversation", &[Scope::CHANNELS_ADMIN]),
    ("crm-cards", &[Scope::CRM_ADMIN]),
];

/// Makes what lists the changes of settings: this service's own, and those of all others.
pub fn api(pool: &PgPool) -> Api {
    Api::new(crate::NAME, pool.clone(), SCOPES).collecting(COLLECTED)
}

/// What of an agent is no setting: who it is, where they are and what they have to do now, and what is evaluated from
/// the rest.
const OF_AGENT: &[&str] = &[
    "agent_id",
    "create_time",
    "load",
    "presence",
    "presence_reason",
    "presence_end_time",
    "presence_source",
    "access.agent_id",
    "access.version",
    "access.active",
    "access.chats",
];

const OF_ROLE: &[&str] = &["role_id", "agent_count", "revision", "create_time"];

const OF_GROUP: &[&str] = &["group_id", "revision", "create_time"];

const OF_CALENDAR: &[&str] = &["owner", "revision", "update_time"];

/// A setting before and after; none where it is not there.
type Sides<M> = (Option<M>, Option<M>);

fn entry<M: Name>(
    account: &AccountSlug,
    actor: Actor,
    (action, subject): (&'static str, Subject),
    (before, after): &Sides<M>,
    left_out: &[&str],
) -> Result<Entry, sqlx::Error> {
    let side = |side: &Option<M>| {
        side.as_ref()
            .map_or(Ok(Value::Null), |message| snapshot(message, left_out))
    };
    let sides = (&side(before)?, &side(after)?);
    Ok(Entry::new(account, actor, action, subject, sides))
}

/// An account was created.
pub fn account(row: &AccountRow, actor: Actor) -> Result<Entry, sqlx::Error> {
    let subject = Subject::new("account", &row.slug, &row.name);
    let sides = (None, Some(wire::account(row)));
    let left_out = ["slug", "create_time"];
    entry(
        &row.slug,
        actor,
        ("account.create", subject),
        &sides,
        &left_out,
    )
}

/// An agent was created, or changed.
pub fn agent(caller: &Caller, before: Option<&Agent>, after: &Agent) -> Result<Entry, sqlx::Error> {
    let action = match before {
        None => "agent.create",
        Some(_) => "agent.update",
    };
    let subject = Subject::new("agent", &after.id, &after.name);
    let sides = (before.map(wire::agent), Some(wire::agent(after)));
    entry(
        &after.account,
        caller.actor(),
        (action, subject),
        &sides,
        OF_AGENT,
    )
}

/// A role was created, changed or deleted.
pub fn role(
    caller: &Caller,
    before: Option<&Role>,
    after: Option<&Role>,
) -> Result<Entry, sqlx::Error> {
    let action = match (before, after) {
        (None, _) => "role.create",
        (_, None) => "role.delete",
        _ => "role.update",
    };
    let role = after.or(before);
    let id = role.map(|role| role.id.to_string()).unwrap_or_default();
    let subject = Subject::new("role", &id, role.map_or("", |role| &role.name));
    let sides = (before.map(wire::staff::role), after.map(wire::staff::role));
    entry(
        caller.account(),
        caller.actor(),
        (action, subject),
        &sides,
        OF_ROLE,
    )
}

/// A group was created, changed or deleted.
pub fn group(
    caller: &Caller,
    before: Option<&Group>,
    after: Option<&Group>,
) -> Result<Entry, sqlx::Error> {
    let action = match (before, after) {
        (None, _) => "group.create",
        (_, None) => "group.delete",
        _ => "group.update",
    };
    let group = after.or(before);
    let id = group.map(|group| group.id.to_string()).unwrap_or_default();
    let subject = Subject::new("group", &id, group.map_or("", |group| &group.name));
    let sides = (
        before.map(wire::staff::group),
        after.map(wire::staff::group),
    );
    entry(
        caller.account(),
        caller.actor(),
        (action, subject),
        &sides,
        OF_GROUP,
    )
}

/// An owner's calendar was set or deleted.
pub fn calendar(
    caller: &Caller,
    owner: Owner,
    before: Option<&CalendarRow>,
    after: Option<&CalendarRow>,
) -> Result<Entry, sqlx::Error> {
    let action = if after.is_some() {
        "calendar.set"
    } else {
        "calendar.delete"
    };
    let subject = match owner {
        Owner::Account => Subject::new("account", caller.account(), ""),
        Owner::Channel(channel) => Subject::channel(&channel),
        Owner::Agent(agent) => Subject::new("agent", &agent, ""),
    };
    let sides = (
        before.map(wire::calendar::write),
        after.map(wire::calendar::write),
    );
    entry(
        caller.account(),
        caller.actor(),
        (action, subject),
        &sides,
        OF_CALENDAR,
    )
}

/// Returns a channel's policy with its options for replies as it is answered.
pub async fn policy_now(
    connection: &mut PgConnection,
    key: &ChannelKey,
) -> Result<pb::DistributionPolicy, sqlx::Error> {
    let read = policies::get(connection, key, None).await?;
    let rules = reply_rules::get(connection, key).await?;
    let settings = read.as_ref().map(|read| &read.policy.settings);
    Ok(wire::policy::policy(key, settings, rules))
}

/// A channel's policy was set. One that was never set was off.
pub fn policy(
    caller: &Caller,
    before: pb::DistributionPolicy,
    after: pb::DistributionPolicy,
) -> Result<Entry, sqlx::Error> {
    let told = (
        "distribution-policy.set",
        Subject::channel(&after.channel_id),
    );
    let sides = (Some(before), Some(after));
    // The agents of the pool, once more, for those who know no weights.
    let left_out = ["channel_id", "agent_ids"];
    entry(caller.account(), caller.actor(), told, &sides, &left_out)
}

/// What an agent's presence follows was set.
pub fn follows(
    account: &AccountSlug,
    actor: Actor,
    before: pb::PresenceOptions,
    after: pb::PresenceOptions,
) -> Result<Entry, sqlx::Error> {
    let told = (
        "presence-options.set",
        Subject::new("agent", &after.agent_id, ""),
    );
    let sides = (Some(before), Some(after));
    entry(account, actor, told, &sides, &["agent_id"])
}

/// What a channel keeps in step with CRM was set.
pub fn sync(
    caller: &Caller,
    channel: ChannelId,
    before: &SyncRow,
    after: &SyncRow,
) -> Result<Entry, sqlx::Error> {
    let told = ("responsible-sync.set", Subject::channel(&channel));
    let sides = (
        Some(wire::sync::sync(channel, before)),
        Some(wire::sync::sync(channel, after)),
    );
    let left_out = ["channel_id", "revision", "update_time"];
    entry(caller.account(), caller.actor(), told, &sides, &left_out)
}

/// Additional fields in a contact were allowed or forbidden.
pub fn contact_fields(caller: &Caller, before: bool, after: bool) -> Result<Entry, sqlx::Error> {
    let account = caller.account();
    let told = ("contact-fields.set", Subject::new("account", account, ""));
    let fields = |allowed| Some(pb::ContactFields { allowed });
    let sides = (fields(before), fields(after));
    entry(account, caller.actor(), told, &sides, &[])
}

//! Between what is on the wire and what the domain speaks of. Conversion is the validation.

pub mod calendar;
pub mod policy;
pub mod staff;
pub mod sync;

use std::collections::BTreeSet;

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, KindAccess, View};
use chassis::grpc::{Parse, timestamp, timestamp_opt};
use chassis::id::AgentId;
use chassis::stamp::Stamp;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::common::v1 as common;
use tonic::Status;
use uuid::Uuid;

use crate::domain::access::Grants;
use crate::domain::availability::{Follows, Source};
use crate::domain::chat::Chat;
use crate::domain::words::{Presence, Rule};
use crate::error::DOMAIN;
use crate::store::accounts::AccountRow;
use crate::store::agents::Agent;
use crate::store::choices::ChoiceRow;

/// Parses fields of requests of this service.
pub const PARSE: Parse = Parse::new(DOMAIN);

/// Agents of a pool or group and channels of a grant at most.
pub const MAX_LISTED: usize = 1_000;

/// Writes an account.
pub fn account(row: &AccountRow) -> pb::Account {
    pb::Account {
        slug: row.slug.to_string(),
        name: row.name.clone(),
        language: row.language.clone(),
        create_time: Some(timestamp(row.created_at)),
    }
}

/// Writes an agent.
pub fn agent(agent: &Agent) -> pb::Agent {
    pb::Agent {
        agent_id: agent.id.to_string(),
        name: agent.name.clone(),
        active: agent.active,
        presence: presence(agent.presence).into(),
        capacity: agent.capacity,
        load: agent.load,
        access: Some(access(&agent.access())),
        create_time: Some(timestamp(agent.created_at)),
        role_id: agent.role.map(|role| role.to_string()).unwrap_or_default(),
        presence_reason: agent.presence_reason.clone(),
        presence_end_time: timestamp_opt(agent.presence_end),
        presence_source: presence_source(agent.presence_source).into(),
    }
}

/// Writes what an agent may do.
pub fn access(record: &AccessRecord) -> pb::AgentAccess {
    let chats = match record.chats {
        ChatAccess::None => pb::ChatAccess::None,
        ChatAccess::Limited => pb::ChatAccess::Limited,
        ChatAccess::Full => pb::ChatAccess::Full,
    };
    pb::AgentAccess {
        agent_id: record.agent.to_string(),
        version: record.version.cast_signed(),
        active: record.active,
        channels: Some(channel_grant(&record.channels)),
        chats: chats.into(),
        leads: Some(kind_access(record.leads)),
        contacts: Some(kind_access(record.contacts)),
        settings: record.settings,
    }
}

fn channel_grant(grant: &ChannelGrant) -> pb::ChannelGrant {
    match grant {
        ChannelGrant::All => pb::ChannelGrant {
            all: true,
            channel_ids: Vec::new(),
        },
        ChannelGrant::Some(channels) => pb::ChannelGrant {
            all: false,
            channel_ids: channels.iter().map(Uuid::to_string).collect(),
        },
    }
}

pub(crate) fn kind_access(kind: KindAccess) -> pb::KindAccess {
    let view = match kind.view {
        View::None => pb::View::None,
        View::Own => pb::View::Own,
        View::All => pb::View::All,
    };
    pb::KindAccess {
        create: kind.create,
        view: view.into(),
    }
}

/// Reads what is granted; what is left out of it is not granted.
pub fn grants(grants: &pb::Grants) -> Result<Grants, Status> {
    let channels = match &grants.channels {
        None => ChannelGrant::Some(BTreeSet::new()),
        Some(grant) if grant.all => ChannelGrant::All,
        Some(grant) => {
            let field = "grants.channels.channel_ids";
            let ids: Vec<Uuid> = PARSE.ids(field, &grant.channel_ids, MAX_LISTED)?;
            ChannelGrant::Some(ids.into_iter().collect())
        }
    };
    Ok(Grants {
        channels,
        leads: kind("grants.leads.view", grants.leads.as_ref())?,
        contacts: kind("grants.contacts.view", grants.contacts.as_ref())?,
        settings: grants.settings,
    })
}

/// Tells whether more than channels is granted.
pub const fn tells_rights(grants: &pb::Grants) -> bool {
    grants.leads.is_some() || grants.contacts.is_some() || grants.settings
}

/// Reads what is granted on a kind of entity; nothing where it is left out.
pub fn kind(field: &str, kind: Option<&pb::KindAccess>) -> Result<KindAccess, Status> {
    let Some(kind) = kind else {
        return Ok(KindAccess {
            create: false,
            view: View::None,
        });
    };
    let view = match pb::View::try_from(kind.view) {
        Ok(pb::View::Unspecified | pb::View::None) => View::None,
        Ok(pb::View::Own) => View::Own,
        Ok(pb::View::All) => View::All,
        Err(_) => return Err(PARSE.refuse(field, "must be a known view")),
    };
    Ok(KindAccess {
        create: kind.create,
        view,
    })
}

/// Writes presence.
pub const fn presence(presence: Presence) -> pb::Presence {
    match presence {
        Presence::Online => pb::Presence::Online,
        Presence::Away => pb::Presence::Away,
        Presence::Offline => pb::Presence::Offline,
    }
}

/// Writes what presence follows.
pub fn presence_options(id: AgentId, follows: Follows) -> pb::PresenceOptions {
    pb::PresenceOptions {
        agent_id: id.to_string(),
        follow_calendar: follows.calendar,
        follow_streams: follows.streams,
        away_gives_back: follows.away_gives_back,
    }
}

/// Writes what decided on presence.
pub const fn presence_source(source: Source) -> pb::PresenceSource {
    match source {
        Source::None => pb::PresenceSource::Unspecified,
        Source::Hand => pb::PresenceSource::Hand,
        Source::Calendar => pb::PresenceSource::Calendar,
        Source::Stream => pb::PresenceSource::Stream,
    }
}

/// Reads presence.
pub fn presence_of(value: i32) -> Result<Presence, Status> {
    match pb::Presence::try_from(value) {
        Ok(pb::Presence::Online) => Ok(Presence::Online),
        Ok(pb::Presence::Away) => Ok(Presence::Away),
        Ok(pb::Presence::Offline) => Ok(Presence::Offline),
        _ => Err(PARSE.refuse("presence", "must be online, away or offline")),
    }
}

/// Writes a rule.
pub const fn rule(rule: Rule) -> pb::AssignmentRule {
    match rule {
        Rule::Opener => pb::AssignmentRule::Opener,
        Rule::Crm => pb::AssignmentRule::Crm,
        Rule::Previous => pb::AssignmentRule::Previous,
        Rule::Distribution => pb::AssignmentRule::Distribution,
        Rule::Claim => pb::AssignmentRule::Claim,
        Rule::FirstReply => pb::AssignmentRule::FirstReply,
        Rule::Hand => pb::AssignmentRule::Hand,
        Rule::Redirect => pb::AssignmentRule::Redirect,
        Rule::Successor => pb::AssignmentRule::Successor,
        Rule::Reply => pb::AssignmentRule::Reply,
        Rule::None => pb::AssignmentRule::None,
    }
}

/// Writes who answers for a chat.
pub fn assignment(chat: &Chat) -> pb::ChatAssignment {
    pb::ChatAssignment {
        chat_id: chat.id.to_string(),
        channel_id: chat.channel.to_string(),
        conversation_id: chat.conversation.to_string(),
        number: chat.number,
        agent_id: chat
            .agent
            .map(|agent| agent.to_string())
            .unwrap_or_default(),
        participant_agent_ids: chat.participants.iter().map(ToString::to_string).collect(),
        stamp: Some(stamp(chat.stamp)),
        version: chat.version,
        offer_end_time: timestamp_opt(chat.offered_until()),
    }
}

/// Writes a stamp.
pub fn stamp(stamp: Stamp) -> common::Stamp {
    common::Stamp {
        time: Some(timestamp(stamp.time)),
        event_id: stamp.event.to_string(),
    }
}

/// Writes a choice as it was made.
pub fn choice(row: &ChoiceRow) -> pb::AssignmentChoice {
    let candidates = row.candidates.iter().map(|candidate| pb::Candidate {
        agent_id: candidate.agent.to_string(),
        load: candidate.load,
        left_out: candidate
            .left_out
            .map(|why| why.as_str().to_owned())
            .unwrap_or_default(),
        capacity: candidate.capacity,
        weight: candidate.weight,
        turn: candidate.turn,
    });
    pb::AssignmentChoice {
        conversation_id: row.conversation.to_string(),
        number: row.number,
        time: Some(timestamp(row.time)),
        rule: rule(row.rule).into(),
        agent_id: row.agent.map(|agent| agent.to_string()).unwrap_or_default(),
        actor: row.actor.clone(),
        candidates: candidates.collect(),
    }
}

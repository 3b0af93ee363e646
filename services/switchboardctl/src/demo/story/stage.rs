//! The stage: who plays, on which channel, and what was published meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng as _;
use switchboard_proto::assignment::v1::{Distribution, GetDistributionPolicyRequest, Presence};
use switchboard_proto::channel_gateway::v1::GetChannelRequest;
use switchboard_proto::crm_cards::v1::{GetPipelineConnectionRequest, pipeline_connection::Mode};
use uuid::Uuid;

use super::super::names::name_of;
use super::super::stand_in::StandIn;
use super::super::wait::unexpected;
use super::transcript::Transcript;
use crate::connect::Session;
use crate::context::{Line, program};
use crate::error::CliError;
use crate::output::{View, words};
use crate::token::Role;
use crate::verbs::channel::is_enabled;
use crate::verbs::events::{Event, Watch};

/// An agent of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Player {
    /// Id.
    pub id: Uuid,
    /// Name.
    pub name: String,
}

/// Everything the scenes share.
pub(crate) struct Stage<'s> {
    /// Connections.
    pub session: &'s Session,
    /// Names and colours.
    pub view: View,
    /// The transcript.
    pub out: Transcript,
    /// How long a step may take.
    pub patience: Duration,
    /// The channel.
    pub channel: String,
    /// The pipeline's source on created cards; may be empty.
    pub source: String,
    /// The customer's Telegram id, new in every story.
    pub customer: i64,
    /// The name of the customer who plays.
    pub name: String,
    /// The stand-in for Telegram.
    pub telegram: StandIn,
    /// Calls that the bot had made before the story.
    pub sent_before: u64,
    /// Agents who are online and in the pool.
    pub pool: Vec<Player>,
    /// Ids that the story is about: an event that names one of them belongs to it.
    pub ids: BTreeSet<String>,
    /// The chat, once it is there.
    pub chat_id: String,
    /// NPS was sent before the conversation was closed: the bot's question is a message more.
    pub asked: bool,
    /// The events were printed already.
    pub shown: bool,
    events: Arc<Mutex<Recording>>,
    recorder: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Recording {
    events: Vec<Event>,
    broken: Option<String>,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        self.recorder.abort();
    }
}

impl<'s> Stage<'s> {
    /// Checks that the system is ready for the story, and begins to listen to its events.
    pub async fn set(
        session: &'s Session,
        mut view: View,
        patience: Duration,
    ) -> Result<Self, CliError> {
        if session.settings.token.is_some() || session.settings.key.is_none() {
            return Err(CliError::usage(
                "the story is played by several agents, each with their own token",
                "give a signing key: --key FILE, or the context file that scripts/start writes",
            ));
        }
        let telegram = session.settings.telegram()?.clone();
        let account = session.settings.account()?.to_owned();
        view.learn_names(session).await;
        let channel = telegram.channel.to_string();
        let (source, line, pool) = rules(session, &view, &account, &channel).await?;

        let stand_in = StandIn::new(&telegram)?;
        if !stand_in.has_webhook().await? {
            return Err(CliError::failed(
                "the stand-in for the Bot API knows no webhook of the channel",
                "`switchboardctl demo setup` registers it again",
            ));
        }
        let sent_before = stand_in.sent_total().await?;
        let customer = rand::rng().random_range(1_000_000_000..2_000_000_000);
        let name = name_of(customer);
        stand_in.name(customer, name).await?;

        let watch = Watch::open(session, format!("switchboard.v1.{account}.>"), false).await?;
        let events = Arc::new(Mutex::new(Recording::default()));
        let recorder = tokio::spawn(record(watch, Arc::clone(&events)));

        let mut out = Transcript::new(view.colour);
        out.begin("Switchboard: a customer writes, on every channel", &line);
        Ok(Self {
            session,
            view,
            out,
            patience,
            channel,
            source,
            customer,
            name: name.to_owned(),
            telegram: stand_in,
            sent_before,
            pool,
            ids: BTreeSet::new(),
            chat_id: String::new(),
            asked: false,
            shown: false,
            events,
            recorder,
        })
    }

    /// Turns to another channel and a customer there.
    pub async fn turn_to(&mut self, line: &Line, name: String) -> Result<(), CliError> {
        let account = self.session.settings.account()?;
        let channel = line.channel.to_string();
        let (source, _, pool) = rules(self.session, &self.view, account, &channel).await?;
        (self.channel, self.source, self.pool) = (channel, source, pool);
        self.name = name;
        self.chat_id.clear();
        Ok(())
    }

    /// Remembers ids that the story is about.
    pub fn about<'i>(&mut self, ids: impl IntoIterator<Item = &'i str>) {
        self.ids.extend(
            ids.into_iter()
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
        );
    }

    /// The events of this story so far, in the order of the stream.
    pub fn events(&self) -> Result<Vec<Event>, CliError> {
        let recording = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &recording.broken {
            return Err(unexpected("the events of the story", error));
        }
        let mine = |event: &&Event| {
            let text = event.payload.to_string();
            self.ids.iter().any(|id| text.contains(id.as_str()))
        };
        Ok(recording.events.iter().filter(mine).cloned().collect())
    }

    /// The player with an id.
    pub fn player(&self, id: &str) -> Option<Player> {
        self.pool
            .iter()
            .find(|player| player.id.to_string() == id)
            .cloned()
    }

    /// Somebody of the pool who is not this one.
    pub fn other_than(&self, player: &Player) -> Result<Player, CliError> {
        let other = self.pool.iter().find(|other| other.id != player.id);
        other
            .cloned()
            .ok_or_else(|| unexpected("a second agent in the pool", "only one"))
    }

    /// What to look at when a step did not hold.
    pub fn advice(&self) -> String {
        let chat = match self.chat_id.as_str() {
            "" => String::new(),
            chat => format!(", `{} chat messages {chat}`", program()),
        };
        format!("`{} deadletter list`{chat}, the services' logs", program())
    }
}

async fn record(mut watch: Watch, into: Arc<Mutex<Recording>>) {
    loop {
        let next = watch.next().await;
        let mut recording = into.lock().unwrap_or_else(PoisonError::into_inner);
        match next {
            Ok(event) => recording.events.push(event),
            Err(error) => {
                recording.broken = Some(error.to_string());
                return;
            }
        }
    }
}

/// What the story needs to stand before it begins: the source, a line for the title, and the pool.
async fn rules(
    session: &Session,
    view: &View,
    account: &str,
    channel: &str,
) -> Result<(String, String, Vec<Player>), CliError> {
    let missing = |text: String| {
        CliError::failed(
            text,
            "scripts/start and `switchboardctl demo setup` make what is missing",
        )
    };
    let mut gateway = session.channel_gateway(&Role::Account).await?;
    let found = gateway
        .get_channel(GetChannelRequest {
            channel_id: channel.to_owned(),
        })
        .await?
        .into_inner()
        .channel;
    let found = found
        .filter(is_enabled)
        .ok_or_else(|| missing(format!("the channel {channel} is not enabled")))?;

    let mut crm = session.crm_cards(&Role::Account).await?;
    let request = GetPipelineConnectionRequest {
        channel_id: channel.to_owned(),
    };
    let connection = crm
        .get_pipeline_connection(request)
        .await?
        .into_inner()
        .connection
        .unwrap_or_default();
    if connection.mode() != Mode::Repeat {
        let mode = words::word(connection.mode().as_str_name(), "MODE_");
        return Err(missing(format!(
            "the story needs the pipeline connection in mode repeat, and it is {mode}"
        )));
    }

    let mut assignment = session.assignment(&Role::Account).await?;
    let request = GetDistributionPolicyRequest {
        channel_id: channel.to_owned(),
    };
    let policy = assignment
        .get_distribution_policy(request)
        .await?
        .into_inner()
        .policy
        .unwrap_or_default();
    if policy.distribution() != Distribution::RoundRobin {
        return Err(missing(
            "the story needs round-robin distribution on the channel".into(),
        ));
    }
    let ready = |agent: &switchboard_proto::assignment::v1::Agent| {
        agent.active
            && agent.presence() == Presence::Online
            && policy.agent_ids.contains(&agent.agent_id)
    };
    let agents = session.agents().await?;
    let pool: Vec<Player> = agents
        .into_iter()
        .filter(ready)
        .filter_map(|agent| {
            Some(Player {
                id: agent.agent_id.parse().ok()?,
                name: agent.name,
            })
        })
        .collect();
    if pool.len() < 2 {
        return Err(missing(
            "the story needs two agents of the channel's pool online".into(),
        ));
    }
    let names: Vec<_> = pool.iter().map(|player| player.name.as_str()).collect();
    let line = format!(
        "account {account} · channel {} ({}) · cards: repeat · chats: round-robin among {}",
        view.name(&found.channel_id),
        words::word(found.kind().as_str_name(), "CHANNEL_KIND_"),
        names.join(", "),
    );
    Ok((connection.source_id, line, pool))
}

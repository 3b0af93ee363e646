//! What a rehearsal does, step by step.

use std::time::{Duration, Instant};

use reqwest::Url;
use switchboard_proto::assignment::v1::{
    Agent, CreateAgentRequest, Distribution, DistributionPolicy, PoolEntry, Presence,
    SetDistributionPolicyRequest, SetPresenceRequest, UpdateAgentRequest, pool_entry::Member,
};
use switchboard_proto::channel_gateway::v1::{
    Channel, ConnectChannelRequest, CreateChannelRequest, EnableChannelRequest,
    ListChannelsRequest, ViberBotCredentials, connect_channel_request, create_channel_request,
};
use switchboard_proto::common::v1::ChannelKind;
use switchboard_proto::conversation::v1::{Chat, ListChatsRequest, ListMessagesRequest};
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, Decision, ExplainCardRequest, ListPipelinesRequest, PipelineConnection,
    SetPipelineConnectionRequest, decision, explain_card_request::About, pipeline_connection::Mode,
};
use uuid::Uuid;

use super::line::Line;
use super::{NAME, Transcript};
use crate::connect::Session;
use crate::demo::wait::{Seen, until};
use crate::error::CliError;
use crate::token::Role;

/// What a rehearsal's line tells of itself as its name at the provider.
const PROVIDER_NAME: &str = "rehearsal";

/// A rehearsal, and what it has made so far.
pub(super) struct Play<'s> {
    pub(super) session: &'s Session,
    webhooks: Url,
    http: reqwest::Client,
    patience: Duration,
    pub(super) agent: Option<String>,
    pub(super) channel: Option<Uuid>,
    pub(super) conversation: Option<String>,
}

impl<'s> Play<'s> {
    /// Makes everything ready in this process.
    pub fn new(session: &'s Session, webhooks: &str, patience: Duration) -> Result<Self, CliError> {
        let webhooks = Url::parse(webhooks)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let webhooks = webhooks.ok_or_else(|| {
            CliError::usage(
                "--webhooks is no http(s) address",
                "it looks like https://hooks.example.com, or http://switchboard-channel-gateway:7121",
            )
        })?;
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(3))
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| CliError::failed(format!("cannot prepare HTTP: {error}"), ""))?;
        Ok(Self {
            session,
            webhooks,
            http,
            patience,
            agent: None,
            channel: None,
            conversation: None,
        })
    }

    /// Plays all steps.
    pub async fn act(&mut self, out: &mut Transcript) -> Result<(), CliError> {
        let began = Instant::now();
        let agent = self.agent().await?;
        let pipeline = self.pipeline().await?;
        let (channel, line) = self.line(&agent, &pipeline).await?;
        out.done("prepared", began, &format!("channel {channel}"));

        let text = format!("Rehearsal {}", crate::clock::new_id());
        let began = Instant::now();
        let told = self.write(channel, &line, &text).await?;
        out.done("accepted", began, &told);

        let began = Instant::now();
        let (chat, message) = self.stored(channel, &text).await?;
        out.done(
            "stored",
            began,
            &format!("message {message} in chat {chat}"),
        );
        let card = self.card_made().await?;
        out.done("card", began, &format!("card {card}"));
        self.assigned(&chat, &agent).await?;
        out.done("assigned", began, &format!("agent {agent}"));
        Ok(())
    }

    /// The rehearsal's agent, active and online.
    async fn agent(&mut self) -> Result<String, CliError> {
        let known = self.session.agents().await?;
        let known = known.into_iter().find(|agent| agent.name == NAME);
        let mut client = self.session.assignment(&Role::Account).await?;
        let agent = if let Some(Agent { agent_id, .. }) = known {
            let request = UpdateAgentRequest {
                agent_id: agent_id.clone(),
                active: Some(true),
                ..UpdateAgentRequest::default()
            };
            client.update_agent(request).await?;
            agent_id
        } else {
            let request = CreateAgentRequest {
                request_id: crate::clock::new_id(),
                name: NAME.into(),
                ..CreateAgentRequest::default()
            };
            let made = client.create_agent(request).await?.into_inner().agent;
            made.unwrap_or_default().agent_id
        };
        self.agent = Some(agent.clone());
        let request = SetPresenceRequest {
            agent_id: agent.clone(),
            presence: Presence::Online.into(),
            ..SetPresenceRequest::default()
        };
        client.set_presence(request).await?;
        Ok(agent)
    }

    /// The rehearsal's pipeline: other people's cards stay among themselves.
    async fn pipeline(&self) -> Result<String, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let mut page_token = String::new();
        loop {
            let request = ListPipelinesRequest {
                page_size: 200,
                page_token,
            };
            let page = client.list_pipelines(request).await?.into_inner();
            if let Some(known) = page.pipelines.into_iter().find(|known| known.name == NAME) {
                return Ok(known.pipeline_id);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let request = CreatePipelineRequest {
            request_id: crate::clock::new_id(),
            name: NAME.into(),
            statuses: Vec::new(),
        };
        let made = client.create_pipeline(request).await?.into_inner().pipeline;
        Ok(made.unwrap_or_default().pipeline_id)
    }

    /// The rehearsal's channel with its rules, heard under a new token.
    async fn line(&mut self, agent: &str, pipeline: &str) -> Result<(Uuid, Line), CliError> {
        let known = self.known_channel().await?;
        let id = known.as_ref().map(|channel| channel.channel_id.clone());
        let id = id.unwrap_or_else(crate::clock::new_id);
        let channel: Uuid = id
            .parse()
            .map_err(|_| CliError::failed("the channel's id is none", ""))?;
        let line = Line::new(channel, &rand::random());
        let credentials = ViberBotCredentials {
            token: line.token().to_owned(),
            ..ViberBotCredentials::default()
        };
        let mut gateway = self.session.channel_gateway(&Role::Account).await?;
        if known.is_none() {
            let request = CreateChannelRequest {
                request_id: crate::clock::new_id(),
                channel_id: id.clone(),
                name: NAME.into(),
                credentials: Some(create_channel_request::Credentials::ViberBot(
                    credentials.clone(),
                )),
            };
            gateway.create_channel(request).await?;
        }
        self.channel = Some(channel);
        if known.is_some() {
            // What a rehearsal that was cut off has left would keep this one from its card.
            self.close().await?;
            self.conversation = None;
            self.delete_cards().await?;
        }
        self.rules(&id, agent, pipeline).await?;
        // Last, so that the customer already meets the rules.
        if known.is_none() {
            let request = EnableChannelRequest { channel_id: id };
            gateway.enable_channel(request).await?;
        } else {
            let request = ConnectChannelRequest {
                channel_id: id,
                credentials: Some(connect_channel_request::Credentials::ViberBot(credentials)),
            };
            gateway.connect_channel(request).await?;
        }
        Ok((channel, line))
    }

    async fn known_channel(&self) -> Result<Option<Channel>, CliError> {
        let mut gateway = self.session.channel_gateway(&Role::Account).await?;
        let mut page_token = String::new();
        loop {
            let request = ListChannelsRequest {
                page_size: 200,
                page_token,
            };
            let page = gateway.list_channels(request).await?.into_inner();
            // A bot of Viber that somebody called so is let be.
            let known = page.channels.into_iter().find(|channel| {
                channel.name == NAME
                    && channel.kind() == ChannelKind::ViberBot
                    && ["", PROVIDER_NAME].contains(&channel.provider_name.as_str())
            });
            page_token = page.next_page_token;
            if known.is_some() || page_token.is_empty() {
                return Ok(known);
            }
        }
    }

    async fn rules(&self, channel: &str, agent: &str, pipeline: &str) -> Result<(), CliError> {
        let connection = PipelineConnection {
            channel_id: channel.to_owned(),
            mode: Mode::Repeat.into(),
            pipeline_id: pipeline.to_owned(),
            // The customer's chat is from the first rehearsal.
            include_existing_chats: Some(true),
            ..PipelineConnection::default()
        };
        let request = SetPipelineConnectionRequest {
            connection: Some(connection),
        };
        let mut crm = self.session.crm_cards(&Role::Account).await?;
        crm.set_pipeline_connection(request).await?;
        let policy = DistributionPolicy {
            channel_id: channel.to_owned(),
            distribution: Distribution::RoundRobin.into(),
            pool: vec![PoolEntry {
                member: Some(Member::AgentId(agent.to_owned())),
                weight: 1,
            }],
            ..DistributionPolicy::default()
        };
        let request = SetDistributionPolicyRequest {
            policy: Some(policy),
        };
        let mut assignment = self.session.assignment(&Role::Account).await?;
        assignment.set_distribution_policy(request).await?;
        Ok(())
    }

    /// Writes as the customer, until the gateway has accepted it: a replica may not know the new token for some seconds, and the
    /// same message counts once.
    async fn write(&self, channel: Uuid, line: &Line, text: &str) -> Result<String, CliError> {
        let now = crate::clock::now();
        let milliseconds = i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0);
        let number = rand::random::<u64>() >> 1;
        let (body, signature) = line.written(text, number, milliseconds);
        let address = self.webhooks.join(&format!("/in/viber/{channel}"));
        let address =
            address.map_err(|_| CliError::usage("--webhooks is no http(s) address", ""))?;
        let (http, patience) = (self.http.clone(), self.patience);
        until("the webhook answers 200", patience, async || {
            let asked = Instant::now();
            let answer = http
                .post(address.clone())
                .header("x-viber-content-signature", &signature)
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await;
            Ok(match answer {
                Ok(answer) if answer.status() == 200 => Seen::Yes(format!(
                    "{address} answered 200 in {:.1} ms",
                    asked.elapsed().as_secs_f64() * 1000.0
                )),
                Ok(answer) => Seen::NotYet(format!("{address} answered {}", answer.status())),
                Err(error) => Seen::NotYet(format!("{address}: {}", crate::error::plain(&error))),
            })
        })
        .await
    }

    /// The chats of the channel, the newest first.
    pub(super) async fn chats(&self, channel: Uuid) -> Result<Vec<Chat>, CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let request = ListChatsRequest {
            page_size: 200,
            channel_id: channel.to_string(),
            ..ListChatsRequest::default()
        };
        Ok(client.list_chats(request).await?.into_inner().chats)
    }

    /// Waits until the message is in a chat with an open conversation; returns chat and message.
    async fn stored(&mut self, channel: Uuid, text: &str) -> Result<(String, String), CliError> {
        let mut client = self.session.conversation(&Role::Account).await?;
        let this = &*self;
        let expected = "the message in a chat of the channel";
        let (chat, conversation, message) = until(expected, self.patience, async || {
            let Some(chat) = this.chats(channel).await?.into_iter().next() else {
                return Ok(Seen::NotYet("no chat".into()));
            };
            let request = ListMessagesRequest {
                chat_id: chat.chat_id.clone(),
                page_size: 50,
                ..ListMessagesRequest::default()
            };
            let messages = client.list_messages(request).await?.into_inner().messages;
            let ours = messages
                .into_iter()
                .find(|message| crate::demo::plain_text(message) == text);
            Ok(match (ours, chat.open_conversation) {
                (Some(message), Some(open)) => {
                    Seen::Yes((chat.chat_id, open.conversation_id, message.message_id))
                }
                (Some(_), None) => Seen::NotYet("the message, and no open conversation".into()),
                (None, _) => Seen::NotYet("a chat without it".into()),
            })
        })
        .await?;
        self.conversation = Some(conversation);
        Ok((chat, message))
    }

    /// What was decided of the conversation; none where that has not come yet.
    pub(super) async fn decision(&self) -> Result<Option<Decision>, CliError> {
        let mut client = self.session.crm_cards(&Role::Account).await?;
        let about = self.conversation.clone().map(About::ConversationId);
        let request = ExplainCardRequest { about };
        Ok(client.explain_card(request).await?.into_inner().decision)
    }

    async fn card_made(&self) -> Result<String, CliError> {
        let expected = "a card of the conversation";
        let decision = until(expected, self.patience, async || {
            let decided = self.decision().await?;
            Ok(decided.map_or_else(|| Seen::NotYet("no decision".into()), Seen::Yes))
        })
        .await?;
        if decision.outcome() != decision::Outcome::Created {
            return Err(CliError::failed(
                format!(
                    "no card was made: {} ({})",
                    decision.explanation, decision.rule
                ),
                "another rehearsal of this account may be under way",
            ));
        }
        Ok(decision.card_id)
    }

    async fn assigned(&self, chat: &str, agent: &str) -> Result<(), CliError> {
        let channel = self.channel.unwrap_or_default();
        let expected = format!("the chat given to agent {agent}");
        until(&expected, self.patience, async || {
            let chats = self.chats(channel).await?;
            let found = chats.into_iter().find(|known| known.chat_id == chat);
            let responsible = found.unwrap_or_default().responsible_agent_id;
            Ok(if responsible == agent {
                Seen::Yes(())
            } else if responsible.is_empty() {
                Seen::NotYet("nobody: working hours of the account may keep the agent away".into())
            } else {
                Seen::NotYet(format!("agent {responsible}"))
            })
        })
        .await
    }
}

//! Makes the demo account. Everything is looked up first, so that it can be run again.

use switchboard_proto::assignment::v1::{
    CreateAccountRequest, CreateAgentRequest, Distribution, DistributionPolicy, Presence,
    SetDistributionPolicyRequest, SetPresenceRequest,
};
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, DisableChannelRequest, EnableChannelRequest, GetChannelRequest,
    TelegramBotCredentials, create_channel_request::Credentials,
};
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, CreateSourceRequest, ListPipelinesRequest, ListSourcesRequest,
    PipelineConnection, SetPipelineConnectionRequest, pipeline_connection::Mode,
};
use tonic::Code;
use uuid::Uuid;

use super::stand_in::StandIn;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, say};
use crate::token::Role;
use crate::verbs::channel::is_enabled;

const AGENTS: [&str; 2] = ["Olena", "Taras"];
const PIPELINE: &str = "Sales";
const SOURCE: &str = "Telegram";

/// Runs the verb.
pub(crate) async fn run(session: &Session, _view: View) -> Result<(), CliError> {
    let account = session.settings.account()?.to_owned();
    let telegram = session.settings.telegram()?.clone();
    let channel_id = telegram.channel.to_string();

    let request = CreateAccountRequest {
        slug: account.clone(),
        name: "Demo shop".into(),
        language: "en".into(),
    };
    match session
        .assignment(&Role::Ops)
        .await?
        .create_account(request)
        .await
        .map_err(CliError::from)
    {
        Ok(_) => told("account", &account),
        // It was made with another name: it is there.
        Err(error) if error.code() == Some(Code::AlreadyExists) => told("account", &account),
        Err(error) => return Err(error),
    }

    let agent_ids = agents(session, &account).await?;
    let (pipeline_id, source_id) = pipeline_and_source(session).await?;

    let mut gateway = session.channel_gateway(&Role::Account).await?;
    let known = gateway
        .get_channel(GetChannelRequest {
            channel_id: channel_id.clone(),
        })
        .await
        .map_err(CliError::from);
    let enabled = match known {
        Ok(answer) => answer.into_inner().channel.as_ref().is_some_and(is_enabled),
        Err(error) if error.code() == Some(Code::NotFound) => {
            let request = CreateChannelRequest {
                request_id: format!("demo-setup-{channel_id}"),
                channel_id: channel_id.clone(),
                name: "Demo bot".into(),
                credentials: Some(Credentials::TelegramBot(TelegramBotCredentials {
                    token: telegram.bot_token.clone(),
                })),
            };
            gateway.create_channel(request).await?;
            false
        }
        Err(error) => return Err(error),
    };
    told("channel", &format!("Demo bot ({channel_id})"));

    let connection = PipelineConnection {
        channel_id: channel_id.clone(),
        mode: Mode::Repeat.into(),
        pipeline_id,
        source_id,
        ..PipelineConnection::default()
    };
    let request = SetPipelineConnectionRequest {
        connection: Some(connection),
    };
    session
        .crm_cards(&Role::Account)
        .await?
        .set_pipeline_connection(request)
        .await?;
    told("connection", "repeat");

    let policy = DistributionPolicy {
        channel_id: channel_id.clone(),
        distribution: Distribution::RoundRobin.into(),
        agent_ids,
        keep_previous: false,
        ..Default::default()
    };
    let request = SetDistributionPolicyRequest {
        policy: Some(policy),
    };
    session
        .assignment(&Role::Account)
        .await?
        .set_distribution_policy(request)
        .await?;
    told("distribution", "round-robin");

    // Last, so that the first customer already meets the rules.
    let heard = enabled && StandIn::new(&telegram)?.has_webhook().await?;
    if enabled && !heard {
        let channel_id = channel_id.clone();
        gateway
            .disable_channel(DisableChannelRequest { channel_id })
            .await?;
    }
    if !heard {
        gateway
            .enable_channel(EnableChannelRequest { channel_id })
            .await?;
    }
    told("enabled", "customers are heard");
    Ok(())
}

async fn agents(session: &Session, account: &str) -> Result<Vec<String>, CliError> {
    let mut client = session.assignment(&Role::Account).await?;
    let known = session.agents().await?;
    let mut ids = Vec::with_capacity(AGENTS.len());
    for name in AGENTS {
        let id = if let Some(agent) = known.iter().find(|agent| agent.name == name) {
            agent.agent_id.clone()
        } else {
            let key = format!("switchboard:demo:{account}:agent:{name}");
            let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, key.as_bytes()).to_string();
            let request = CreateAgentRequest {
                request_id: format!("demo-setup-{id}"),
                agent_id: id.clone(),
                name: name.into(),
                ..CreateAgentRequest::default()
            };
            client.create_agent(request).await?;
            id
        };
        let request = SetPresenceRequest {
            agent_id: id.clone(),
            presence: Presence::Online.into(),
            ..SetPresenceRequest::default()
        };
        client.set_presence(request).await?;
        told("agent", &format!("{name} ({id}), online"));
        ids.push(id);
    }
    Ok(ids)
}

async fn pipeline_and_source(session: &Session) -> Result<(String, String), CliError> {
    let mut client = session.crm_cards(&Role::Account).await?;
    let request = ListPipelinesRequest {
        page_size: 200,
        page_token: String::new(),
    };
    let known = client.list_pipelines(request).await?.into_inner().pipelines;
    let pipeline =
        if let Some(pipeline) = known.into_iter().find(|pipeline| pipeline.name == PIPELINE) {
            pipeline
        } else {
            let request_id = "demo-setup-pipeline".into();
            let request = CreatePipelineRequest {
                request_id,
                name: PIPELINE.into(),
                statuses: Vec::new(),
            };
            client
                .create_pipeline(request)
                .await?
                .into_inner()
                .pipeline
                .unwrap_or_default()
        };
    told(
        "pipeline",
        &format!("{PIPELINE} ({})", pipeline.pipeline_id),
    );

    let request = ListSourcesRequest {
        page_size: 200,
        page_token: String::new(),
    };
    let known = client.list_sources(request).await?.into_inner().sources;
    let source = if let Some(source) = known.into_iter().find(|source| source.name == SOURCE) {
        source
    } else {
        let request = CreateSourceRequest {
            request_id: "demo-setup-source".into(),
            name: SOURCE.into(),
        };
        client
            .create_source(request)
            .await?
            .into_inner()
            .source
            .unwrap_or_default()
    };
    told("source", &format!("{SOURCE} ({})", source.source_id));
    Ok((pipeline.pipeline_id, source.source_id))
}

fn told(what: &str, text: &str) {
    say!("{what:<13} {text}");
}

//! What must not get in, and what must not get lost because it is odd.

use anyhow::Context;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::{DisableChannelRequest, EnableChannelRequest};
use switchboard_proto::crm_cards::v1::{
    PipelineConnection, SetPipelineConnectionRequest, pipeline_connection::Mode,
};
use switchboard_proto::operator::v1::operator_service_client::OperatorServiceClient;
use switchboard_proto::operator::v1::{
    GetDeadLetterRequest, ListDeadLettersRequest, ReplayDeadLettersRequest,
};
use switchboard_tests::services::Kind;
use switchboard_tests::world::{Account, Bearer, Plan, World, eventually};
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic_types::StatusExt;

const SECRET: &str = "X-Telegram-Bot-Api-Secret-Token";

struct Webhook {
    http: reqwest::Client,
    url: String,
    secret: String,
}

impl Webhook {
    fn of(world: &World, account: &Account) -> anyhow::Result<Self> {
        let registered = world
            .telegram
            .webhook(&account.bot_token)
            .context("a registered webhook")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            http,
            url: registered.0,
            secret: registered.1,
        })
    }

    async fn post(
        &self,
        secret: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<u16> {
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .body(body);
        let request = if let Some(secret) = secret {
            request.header(SECRET, secret)
        } else {
            request
        };
        Ok(request.send().await?.status().as_u16())
    }
}

fn text(update_id: i64, chat: &serde_json::Value) -> String {
    let from = json!({ "id": 77, "is_bot": false, "first_name": "Олена" });
    json!({ "update_id": update_id, "message": {
        "message_id": update_id, "date": 1_790_764_802, "from": from, "chat": chat, "text": "привіт" } })
    .to_string()
}

#[expect(
    clippy::too_many_lines,
    reason = "a story is read from its beginning to its end"
)]
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_refuse_what_is_not_authentic_and_keep_what_they_do_not_understand()
-> anyhow::Result<()> {
    let mut world = World::start().await?;
    let account = world
        .account(Plan {
            agents: 1,
            ..Plan::default()
        })
        .await?;
    let webhook = Webhook::of(&world, &account)?;
    let secret = Some(webhook.secret.as_str());
    let private = json!({ "id": 77, "type": "private", "first_name": "Олена" });

    assert_eq!(
        webhook.post(None, text(1, &private)).await?,
        401,
        "no secret"
    );
    assert_eq!(
        webhook.post(Some("guess"), "{ not even json").await?,
        401,
        "a wrong secret, before parsing"
    );
    let unknown = Webhook {
        url: webhook
            .url
            .replace(&account.channel_id, &uuid::Uuid::new_v4().to_string()),
        ..Webhook::of(&world, &account)?
    };
    assert_eq!(
        unknown.post(secret, text(1, &private)).await?,
        404,
        "an unknown channel"
    );
    assert_eq!(
        webhook.post(secret, vec![b' '; 1024 * 1024 + 1]).await?,
        413,
        "a body over the limit"
    );

    // Authentic and odd: answered 200 and kept raw.
    let group = json!({ "id": -100, "type": "supergroup", "title": "Команда" });
    let odd = [
        ("not json", "{ not json".to_owned()),
        (
            "an unknown kind",
            json!({ "update_id": 5, "shiny_new_thing": { "id": 1 } }).to_string(),
        ),
        ("a group", text(6, &group)),
        ("nothing", String::new()),
    ];
    for (what, body) in &odd {
        assert_eq!(webhook.post(secret, body.clone()).await?, 200, "{what}");
    }
    let operator = Bearer::new(&world.system.tokens().operator())?;
    let channel = Endpoint::from_shared(world.system.grpc_url(Kind::ChannelGateway)?)?
        .connect()
        .await?;
    let mut operator = OperatorServiceClient::new(InterceptedService::new(channel, operator));
    let letters = eventually("four dead letters", async || {
        let request = ListDeadLettersRequest {
            account: account.slug.clone(),
            ..Default::default()
        };
        let letters = operator
            .list_dead_letters(request)
            .await?
            .into_inner()
            .dead_letters;
        Ok((letters.len() >= odd.len()).then_some(letters))
    })
    .await?;
    assert_eq!(letters.len(), odd.len());
    let mut raws = Vec::new();
    for letter in &letters {
        let request = GetDeadLetterRequest {
            sequence: letter.sequence,
        };
        let letter = operator
            .get_dead_letter(request)
            .await?
            .into_inner()
            .dead_letter
            .expect("a letter");
        assert!(letter.headers.contains_key("traceparent"), "O2.9");
        let event =
            <switchboard_proto::channel_gateway::v1::InboundEvent as prost::Message>::decode(
                letter.payload,
            )?;
        raws.push(String::from_utf8(event.raw.to_vec())?);
    }
    for (what, body) in &odd {
        assert!(raws.contains(body), "{what} is kept as it came");
    }
    assert!(
        account.chats().await?.is_empty(),
        "none of it opened a chat"
    );

    // NATS away: 503 at once; and when it is back, so are we.
    world.nats.kill()?;
    let begun = std::time::Instant::now();
    let status = webhook.post(secret, text(7, &private)).await?;
    assert_eq!(status, 503);
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(5),
        "the provider is not kept waiting"
    );
    world.nats.restart()?;
    eventually("acceptance after the broker came back", async || {
        Ok((webhook.post(secret, text(7, &private)).await? == 200).then_some(()))
    })
    .await?;
    account.chat_of(77).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_while_a_channel_was_disabled_is_replayed_when_it_is_enabled_again()
-> anyhow::Result<()> {
    let world = World::start().await?;
    let account = world.account(Plan::default()).await?;
    let webhook = Webhook::of(&world, &account)?;
    let private = json!({ "id": 77, "type": "private", "first_name": "Олена" });
    let channel_id = account.channel_id.clone();
    let mut gateway = account.admin.gateway.clone();
    gateway
        .disable_channel(DisableChannelRequest {
            channel_id: channel_id.clone(),
        })
        .await?;
    assert_eq!(
        webhook
            .post(Some(&webhook.secret), text(1, &private))
            .await?,
        200
    );
    let bearer = Bearer::new(&world.system.tokens().operator())?;
    let channel = Endpoint::from_shared(world.system.grpc_url(Kind::ChannelGateway)?)?
        .connect()
        .await?;
    let mut operator = OperatorServiceClient::new(InterceptedService::new(channel, bearer));
    let letter = eventually("the dead letter", async || {
        let request = ListDeadLettersRequest {
            account: account.slug.clone(),
            ..Default::default()
        };
        Ok(operator
            .list_dead_letters(request)
            .await?
            .into_inner()
            .dead_letters
            .pop())
    })
    .await?;
    let replay = ReplayDeadLettersRequest {
        sequences: vec![letter.sequence],
    };
    let outcome = operator
        .replay_dead_letters(replay.clone())
        .await?
        .into_inner()
        .outcomes;
    assert!(
        !outcome[0].handled,
        "while the channel is disabled the letter stays"
    );
    gateway
        .enable_channel(EnableChannelRequest { channel_id })
        .await?;
    let outcome = operator
        .replay_dead_letters(replay)
        .await?
        .into_inner()
        .outcomes;
    assert!(outcome[0].handled, "{outcome:?}");
    let chat = account.chat_of(77).await?;
    assert_eq!(chat.unanswered, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_sends_too_much_is_told_to_wait_and_its_neighbour_is_not()
-> anyhow::Result<()> {
    let limit = |key: &str, value: &str| {
        (
            Some(Kind::ChannelGateway),
            format!("SWITCHBOARD_{key}"),
            value.to_owned(),
        )
    };
    let world = World::start_with(switchboard_tests::world::WorldOptions {
        environment: vec![
            limit("HTTP__REQUESTS_PER_SECOND_PER_ACCOUNT", "5"),
            limit("HTTP__BURST", "5"),
        ],
        ..Default::default()
    })
    .await?;
    let (loud, quiet) = (
        world.account(Plan::default()).await?,
        world.account(Plan::default()).await?,
    );
    let private = json!({ "id": 77, "type": "private", "first_name": "Олена" });
    let webhook = Webhook::of(&world, &loud)?;
    let mut refused = None;
    for update in 0..50 {
        let request = webhook
            .http
            .post(&webhook.url)
            .header(SECRET, &webhook.secret)
            .body(text(update, &private));
        let answer = request.send().await?;
        if answer.status().as_u16() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a refusal among fifty at once");
    let wait: u64 = refused
        .headers()
        .get("retry-after")
        .expect("Retry-After")
        .to_str()?
        .parse()?;
    assert!((1..=60).contains(&wait));
    let neighbour = Webhook::of(&world, &quiet)?;
    assert_eq!(
        neighbour
            .post(Some(&neighbour.secret), text(1, &private))
            .await?,
        200
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_connection_without_a_pipeline_is_refused_naming_the_field() -> anyhow::Result<()>
{
    let world = World::start().await?;
    let account = world
        .account(Plan {
            agents: 1,
            ..Plan::default()
        })
        .await?;
    // With a second pipeline there is none that picks itself (F018).
    let mut crm = account.admin.crm.clone();
    let request_id = uuid::Uuid::new_v4().to_string();
    crm.create_pipeline(switchboard_proto::crm_cards::v1::CreatePipelineRequest {
        request_id,
        name: "Service".into(),
        ..Default::default()
    })
    .await?;
    let connection = PipelineConnection {
        channel_id: account.channel_id.clone(),
        mode: Mode::OneTime.into(),
        ..Default::default()
    };
    let refused = crm
        .set_pipeline_connection(SetPipelineConnectionRequest {
            connection: Some(connection),
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.get_details_error_info().is_some());
    let fields: Vec<_> = refused
        .get_details_bad_request()
        .expect("BadRequest")
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    assert_eq!(fields, ["connection.pipeline_id"]);
    Ok(())
}

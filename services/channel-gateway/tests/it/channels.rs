//! Channels: created, enabled, hidden from those who may not see them.

use chassis::access::ChannelGrant;
use chassis::testing;
use serde_json::json;
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    CreateChannelRequest, DisableChannelRequest, EnableChannelRequest, GetChannelRequest,
    ListChannelsRequest, TelegramBotCredentials, UpdateChannelRequest, channel,
    update_channel_request,
};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::world::{World, world};

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().unwrap().reason
}

async fn get(world: &World, caller: &chassis::auth::Caller) -> Result<i32, tonic::Status> {
    let request = GetChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let got = world
        .api()
        .get_channel(testing::request(caller, request))
        .await?;
    Ok(got.into_inner().channel.unwrap().state)
}

#[tokio::test(flavor = "multi_thread")]
async fn b02_a_channel_is_created_once_and_a_bot_is_connected_once() {
    let world = world().await;
    let token = "99001:AAE_other-token";
    let first = world.create(token, "r1").await.unwrap();
    assert_eq!(
        world.create(token, "r1").await.unwrap(),
        first,
        "the same request has the same answer"
    );
    assert_eq!(
        reason(
            &world
                .create("99002:AAE_other-token", "r1")
                .await
                .unwrap_err()
        ),
        "REQUEST_ID_REUSED"
    );
    let twice = world.create("99001:AAE_new-token", "").await.unwrap_err();
    assert_eq!(
        (twice.code(), reason(&twice).as_str()),
        (Code::AlreadyExists, "CHANNEL_ALREADY_CONNECTED")
    );
    let malformed = world.create("no token", "").await.unwrap_err();
    assert_eq!(
        malformed
            .get_details_bad_request()
            .unwrap()
            .field_violations[0]
            .field,
        "telegram_bot.token"
    );
    let api = world.api();
    let none = api.create_channel(testing::request(
        &world.caller,
        CreateChannelRequest {
            name: "x".into(),
            ..Default::default()
        },
    ));
    assert_eq!(none.await.unwrap_err().code(), Code::InvalidArgument);
    let sealed: Vec<u8> = sqlx::query_scalar("select token_sealed from channel where id = $1")
        .bind(first)
        .fetch_one(&world.app.pool)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&sealed).contains("AAE_other"));
}

#[tokio::test(flavor = "multi_thread")]
async fn enabling_registers_the_webhook_with_everything_said() {
    let world = world().await;
    let call = &world.bot.calls("setWebhook")[0];
    assert_eq!(
        call.body["url"],
        json!(format!("https://gw.example/in/telegram/{}", world.channel))
    );
    assert_eq!(call.body["max_connections"], json!(40));
    let allowed = call.body["allowed_updates"].as_array().unwrap();
    assert!(
        allowed.contains(&json!("message_reaction")) && allowed.contains(&json!("my_chat_member"))
    );
    assert!(world.secret().len() >= 32);
    let names: Vec<String> = world
        .events()
        .await
        .into_iter()
        .map(|event| event.0)
        .collect();
    assert_eq!(names, ["channel.connected", "channel.enabled"]);
    assert_eq!(
        get(&world, &world.caller).await.unwrap(),
        channel::State::Enabled as i32
    );

    let disable = DisableChannelRequest {
        channel_id: world.channel.to_string(),
    };
    world
        .api()
        .disable_channel(testing::request(&world.caller, disable))
        .await
        .unwrap();
    assert_eq!(
        get(&world, &world.caller).await.unwrap(),
        channel::State::Disabled as i32
    );
    world.bot.refuse_token(&world.token);
    let enable = EnableChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let refused = world
        .api()
        .enable_channel(testing::request(&world.caller, enable.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "CREDENTIALS_REFUSED")
    );
    assert!(!format!("{refused:?}").contains("AAE_secret"));

    let bot = TelegramBotCredentials {
        token: format!("{}:AAE_fresh-token", world.token.split_once(':').unwrap().0),
    };
    let another = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        name: String::new(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(
            TelegramBotCredentials {
                token: "99100:AAE_other-bot".to_owned(),
            },
        )),
        ..UpdateChannelRequest::default()
    };
    let refused = world
        .api()
        .update_channel(testing::request(&world.caller, another))
        .await
        .unwrap_err();
    let field = &refused.get_details_bad_request().unwrap().field_violations[0];
    assert_eq!(field.field, "telegram_bot.token");
    let update = UpdateChannelRequest {
        channel_id: world.channel.to_string(),
        name: "Shop 2".to_owned(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(bot)),
        ..UpdateChannelRequest::default()
    };
    world
        .api()
        .update_channel(testing::request(&world.caller, update))
        .await
        .unwrap();
    let enabled = world
        .api()
        .enable_channel(testing::request(&world.caller, enable))
        .await
        .unwrap()
        .into_inner();
    let channel = enabled.channel.unwrap();
    assert_eq!(
        (channel.name.as_str(), channel.provider_name.as_str()),
        ("Shop 2", "shop_bot")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_webhook_is_not_taken_is_disabled_again_and_its_token_may_become_any() {
    let world = world().await;
    world.bot.refuse_webhooks();
    let fresh = world.create("99400:AAE_some-token", "").await.unwrap();
    let update = |token: &str| UpdateChannelRequest {
        channel_id: fresh.to_string(),
        name: String::new(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(
            TelegramBotCredentials {
                token: token.to_owned(),
            },
        )),
        ..UpdateChannelRequest::default()
    };
    let api = world.api();
    api.update_channel(testing::request(
        &world.caller,
        update("99401:AAE_some-token"),
    ))
    .await
    .unwrap();
    let taken = api
        .update_channel(testing::request(&world.caller, update(&world.token)))
        .await
        .unwrap_err();
    assert_eq!(reason(&taken), "CHANNEL_ALREADY_CONNECTED");
    let enable = |id: Uuid| EnableChannelRequest {
        channel_id: id.to_string(),
    };
    for id in [fresh, world.channel] {
        let away = api
            .enable_channel(testing::request(&world.caller, enable(id)))
            .await
            .unwrap_err();
        assert_eq!(away.code(), Code::Unavailable);
    }
    let states: Vec<(Uuid, String)> = sqlx::query_as("select id, state from channel order by id")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    let state = |id| states.iter().find(|row| row.0 == id).unwrap().1.as_str();
    assert_eq!(state(fresh), "disabled");
    assert_eq!(state(world.channel), "enabled", "it has its webhook still");
    let events: Vec<String> = world.events().await.into_iter().map(|e| e.0).collect();
    let of_fresh = &events[events.len() - 3..];
    assert_eq!(
        of_fresh,
        ["channel.enabled", "channel.updated", "channel.enabled"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f062_channels_beyond_the_grant_or_of_another_account_do_not_exist() {
    let world = world().await;
    let agent = Uuid::from_u128(1).into();
    let mut access = testing::full_access(agent);
    access.channels = ChannelGrant::Some([Uuid::from_u128(99)].into());
    access.settings = false;
    let narrowed = testing::caller(
        &world.account,
        agent,
        &["channels:admin", "chats:read"],
        access.clone(),
    );
    let stranger = testing::caller(
        &testing::fresh_account(),
        agent,
        &["channels:admin"],
        testing::full_access(agent),
    );
    for caller in [&narrowed, &stranger] {
        assert_eq!(
            get(&world, caller).await.unwrap_err().code(),
            Code::NotFound
        );
        let list = world
            .api()
            .list_channels(testing::request(caller, ListChannelsRequest::default()))
            .await
            .unwrap();
        assert!(list.into_inner().channels.is_empty());
    }
    let disable = DisableChannelRequest {
        channel_id: world.channel.to_string(),
    };
    let refused = world
        .api()
        .disable_channel(testing::request(&narrowed, disable.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "SETTINGS_ACCESS_MISSING")
    );
    let refused = world
        .api()
        .disable_channel(testing::request(&stranger, disable))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    access.channels = ChannelGrant::Some([world.channel].into());
    let granted = testing::caller(&world.account, agent, &["channels:read"], access);
    assert!(get(&world, &granted).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_listed_by_name_page_by_page() {
    let world = world().await;
    for number in 0..4 {
        world
            .create(&format!("9920{number}:AAE_some-token"), "")
            .await
            .unwrap();
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListChannelsRequest {
            page_size: 2,
            page_token,
        };
        let page = world
            .api()
            .list_channels(testing::request(&world.caller, request))
            .await
            .unwrap()
            .into_inner();
        found.extend(page.channels.into_iter().map(|channel| channel.channel_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 5);
}

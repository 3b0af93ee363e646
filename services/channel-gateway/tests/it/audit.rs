//! Who changed what of channels, from what to what; secrets never.

use channel_gateway::app::audited::SCOPES;
use chassis::access::ChannelGrant;
use chassis::audit::Api;
use chassis::auth::Caller;
use chassis::testing::{self, audited, request, told};
use switchboard_proto::channel_gateway::v1::channel_gateway_service_server::ChannelGatewayService as _;
use switchboard_proto::channel_gateway::v1::{
    ConnectChannelRequest, DisableChannelRequest, DisconnectChannelRequest, EnableChannelRequest,
    TelegramBotCredentials, UpdateChannelRequest, connect_channel_request, update_channel_request,
};
use switchboard_proto::operator::v1::{AuditEntry, ListAuditEntriesRequest};
use uuid::Uuid;

use crate::world::{World, world};

async fn entries(world: &World, caller: &Caller) -> Vec<AuditEntry> {
    let api = Api::new("channel-gateway", world.app.pool.clone(), SCOPES);
    let all = ListAuditEntriesRequest::default();
    audited(&api, caller, all).await.unwrap()
}

/// What was told since there were so many entries, the oldest first.
async fn told_since(world: &World, before: usize) -> Vec<(String, Vec<String>)> {
    let mut entries = entries(world, &world.caller).await;
    entries.reverse();
    let new = entries.into_iter().skip(before);
    new.map(|entry| (entry.action.clone(), told(&entry)))
        .collect()
}

fn line(action: &str, changes: &[&str]) -> (String, Vec<String>) {
    let changes = changes.iter().map(|&change| change.to_owned());
    (action.to_owned(), changes.collect())
}

fn bot(token: &str) -> TelegramBotCredentials {
    TelegramBotCredentials {
        token: token.to_owned(),
    }
}

/// Makes every change of a channel, each twice but the last: the second changes nothing.
async fn change(world: &World, id: &str) {
    let (api, caller, id) = (world.api(), &world.caller, id.to_owned());
    let update = UpdateChannelRequest {
        channel_id: id.clone(),
        name: "Shop bot".into(),
        shorten_links: Some(true),
        credentials: None,
    };
    for _ in 0..2 {
        api.update_channel(request(caller, update.clone()))
            .await
            .unwrap();
    }
    // The same bot, as the token's number says, under another secret; and once more.
    let other = world.token.replace("secret", "another");
    let new_token = UpdateChannelRequest {
        channel_id: id.clone(),
        credentials: Some(update_channel_request::Credentials::TelegramBot(bot(
            &other,
        ))),
        ..Default::default()
    };
    for _ in 0..2 {
        api.update_channel(request(caller, new_token.clone()))
            .await
            .unwrap();
    }
    for _ in 0..2 {
        let disable = DisableChannelRequest {
            channel_id: id.clone(),
        };
        api.disable_channel(request(caller, disable)).await.unwrap();
    }
    for _ in 0..2 {
        let enable = EnableChannelRequest {
            channel_id: id.clone(),
        };
        api.enable_channel(request(caller, enable)).await.unwrap();
    }
    for _ in 0..2 {
        let disconnect = DisconnectChannelRequest {
            channel_id: id.clone(),
        };
        api.disconnect_channel(request(caller, disconnect))
            .await
            .unwrap();
    }
    let connect = ConnectChannelRequest {
        channel_id: id.clone(),
        credentials: Some(connect_channel_request::Credentials::TelegramBot(bot(
            &other,
        ))),
    };
    api.connect_channel(request(caller, connect)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_every_change_of_a_channel_is_told_and_no_secret_is() {
    let world = world().await;
    let made = told_since(&world, 0).await;
    assert_eq!(
        made[0],
        line(
            "channel.create",
            &[
                "credentials: . -> (hidden)",
                "kind: . -> CHANNEL_KIND_TELEGRAM_BOT",
                "name: . -> Shop",
                "state: . -> STATE_DISABLED",
            ]
        )
    );
    assert_eq!(made[1].0, "channel.enable");
    assert!(
        made[1]
            .1
            .contains(&"state: STATE_DISABLED -> STATE_ENABLED".to_owned())
    );
    assert_eq!(made.len(), 2);

    change(&world, &world.channel.to_string()).await;
    let told = told_since(&world, 2).await;
    let (connected, others) = told.split_at(5);
    assert_eq!(
        connected,
        [
            line(
                "channel.update",
                &["name: Shop -> Shop bot", "shorten_links: false -> true"]
            ),
            line("channel.update", &["credentials: (hidden) -> (hidden)"]),
            line(
                "channel.disable",
                &["state: STATE_ENABLED -> STATE_DISABLED"]
            ),
            line(
                "channel.enable",
                &["state: STATE_DISABLED -> STATE_ENABLED"]
            ),
            line(
                "channel.disconnect",
                &[
                    "credentials: (hidden) -> .",
                    "state: STATE_ENABLED -> STATE_DISCONNECTED"
                ]
            ),
        ]
    );
    assert!(
        others.iter().all(|(action, _)| action == "channel.connect"),
        "{others:?}"
    );
    let all: Vec<&String> = others.iter().flat_map(|(_, changes)| changes).collect();
    assert!(
        all.iter()
            .any(|change| *change == "credentials: . -> (hidden)"),
        "{all:?}"
    );
    assert!(
        all.iter()
            .any(|change| change.ends_with("-> STATE_ENABLED")),
        "{all:?}"
    );

    let kept: Vec<String> = sqlx::query_scalar("select changes::text from chassis.audit_entry")
        .fetch_all(&world.app.pool)
        .await
        .unwrap();
    let kept = kept.concat();
    assert!(
        kept.contains("(hidden)") && !kept.contains("AAE_"),
        "{kept}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_channels_of_others_and_of_other_accounts_stay_hidden() {
    let world = world().await;
    let all = entries(&world, &world.caller).await;
    assert!(!all.is_empty() && all.iter().all(|entry| entry.subject_name == "Shop"));
    assert!(all.iter().all(|entry| entry.actor == "service:tests"));
    let agent = Uuid::from_u128(1).into();
    let mut record = testing::full_access(agent);
    record.channels = ChannelGrant::Some([world.channel].into());
    let seeing = testing::caller(&world.account, agent, &["channels:admin"], record.clone());
    assert_eq!(entries(&world, &seeing).await, all);
    record.channels = ChannelGrant::Some([Uuid::from_u128(2)].into());
    let blind = testing::caller(&world.account, agent, &["channels:admin"], record);
    assert!(entries(&world, &blind).await.is_empty());
    let other = testing::fresh_account();
    let other = testing::service_caller(Some(&other), "x", &["channels:admin"], None);
    assert!(entries(&world, &other).await.is_empty());
}

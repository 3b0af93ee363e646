//! Bounces and reports about what was sent.

use chassis::clock;
use chassis::consumer::Handler as _;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{DeliveryFailed, InboundEvent};
use switchboard_proto::conversation::v1::{MessageQueued, OutboundCommand};
use uuid::Uuid;

use super::{CHAT, CLIENT, read, sent_key, unfollowed};
use crate::world::{World, world};

/// A report about a mail of ours as the gateway's consumer has it.
fn report(world: &World, channel: Uuid, action: &str, uid: u32) -> InboundEvent {
    let olena = "Final-Recipient: rfc822; olena@client.example";
    report_of(world, channel, olena, action, uid)
}

/// The same about whom these fields name.
fn report_of(world: &World, channel: Uuid, named: &str, action: &str, uid: u32) -> InboundEvent {
    let raw = format!(
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.client.example\nTo: sales@shop.example\nSubject: report\n\
         Message-ID: <d{uid}@mx.client.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=D\n\n\
         --D\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.client.example\n\n\
         {named}\nAction: {action}\n\n\
         --D\nContent-Type: text/rfc822-headers\n\nMessage-ID: <m1.1@shop.example>\n\n--D--\n"
    );
    read(world, channel, &raw, uid)
}

#[tokio::test(flavor = "multi_thread")]
async fn b03_a_bounce_counts_after_a_report_of_arrival_and_stays() {
    for (actions, together, expected) in [
        (
            &["expanded", "failed", "delivered", "expanded"][..],
            false,
            &["delivery.failed"][..],
        ),
        (
            &["delivered", "failed", "delivered"],
            false,
            &["delivery.delivered", "delivery.failed"],
        ),
        (&["delivered", "failed"], true, &["delivery.failed"]),
        (&["failed", "delivered"], true, &["delivery.failed"]),
        (&["expanded"], false, &[]),
        (&["delivered"], false, &["delivery.delivered"]),
    ] {
        let world = world().await;
        let channel = unfollowed(&world).await;
        world.queue([world.command(CHAT, 1, "a")]).await;
        sqlx::query("update part set state = 'sent', provider_key = '<m1.1@shop.example>'")
            .execute(&world.app.pool)
            .await
            .unwrap();
        sent_key(&world, channel, "<m1.1@shop.example>").await;
        let items: Vec<_> = actions
            .iter()
            .zip(1..)
            .map(|(action, uid)| {
                let mut delivery = world.delivery(&MessageQueued::default());
                let report = report(&world, channel, action, uid);
                delivery.payload = report.encode_to_vec().into();
                delivery
            })
            .collect();
        let at_once = if together { items.len() } else { 1 };
        for batch in items.chunks(at_once) {
            world.inbound().handle(batch, clock::now()).await.unwrap();
        }
        let events = world.events().await;
        let told: Vec<&str> = events
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with("delivery."))
            .collect();
        assert_eq!(told, expected, "{actions:?}");
        let state = world.states(CHAT).await.remove(0);
        let failed = events.iter().find(|(name, _)| name == "delivery.failed");
        if let Some((_, payload)) = failed {
            let failed = DeliveryFailed::decode(payload.clone()).unwrap();
            assert!(!failed.reason.is_empty());
            assert_eq!((state.2.as_str(), state.3), ("failed", failed.reason));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounce_about_somebody_whom_we_did_not_write_to_fails_nothing() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let command = OutboundCommand {
        channel_id: channel.to_string(),
        chat_key: CLIENT.to_owned(),
        ..world.command(CHAT, 1, "a")
    };
    world.queue([command]).await;
    sqlx::query("update part set state = 'sent', provider_key = '<m1.1@shop.example>'")
        .execute(&world.app.pool)
        .await
        .unwrap();
    sent_key(&world, channel, "<m1.1@shop.example>").await;
    for (uid, named, expected) in [
        (
            1,
            "Final-Recipient: rfc822; olena.private@other.example",
            "sent",
        ),
        (
            2,
            "Final-Recipient: rfc822; box17@host.example\nOriginal-Recipient: rfc822; Olena@client.example",
            "failed",
        ),
    ] {
        let mut delivery = world.delivery(&MessageQueued::default());
        let report = report_of(&world, channel, named, "failed", uid);
        delivery.payload = report.encode_to_vec().into();
        let batch = [delivery];
        world.inbound().handle(&batch, clock::now()).await.unwrap();
        assert_eq!(world.states(CHAT).await[0].2, expected, "{named}");
    }
}

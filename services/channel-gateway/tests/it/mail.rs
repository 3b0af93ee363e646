//! Mailboxes. What their tests share; each matter has a room of its own.

mod bounces;
mod ids;
mod lines;
mod oauth;
mod servers;
mod threads;

use bytes::Bytes;
use channel_gateway::app::book::Found;
use channel_gateway::app::mail::Mailroom;
use channel_gateway::app::mailbox::Mail;
use channel_gateway::domain::email::{self, Fetched, Ours};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::mailbox::Folder;
use chassis::clock;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};
use uuid::Uuid;

use crate::connection::mailbox;
use crate::health::create;
use crate::webhooks::items;
use crate::world::World;

const CHAT: u128 = 41;
const CLIENT: &str = "olena@client.example";

/// A channel of a mailbox that nobody follows.
async fn unfollowed(world: &World) -> Uuid {
    let id = create(world, mailbox("sales@shop.example")).await.unwrap();
    sqlx::query("update channel set state = 'enabled' where id = $1")
        .bind(id)
        .execute(&world.app.pool)
        .await
        .unwrap();
    let found = world.app.book.find_fresh(id).await;
    assert!(matches!(found, Found::Known(_)));
    id
}

fn room(world: &World) -> Mailroom {
    Mailroom {
        app: world.app.clone(),
        intake: world.intake(),
    }
}

fn mail(world: &World, channel: Uuid, place: (Folder, u32, u32), raw: &str) -> Mail {
    let (folder, uidvalidity, uid) = place;
    let raw = Bytes::from(raw.replace('\n', "\r\n"));
    Mail {
        channel,
        account: world.account.to_string(),
        folder,
        uidvalidity,
        uid,
        internal_date: Some(clock::now()),
        size: u32::try_from(raw.len()).unwrap(),
        flags: Vec::new(),
        raw,
        cut: None,
    }
}

fn written(from: &str, id: &str, text: &str) -> String {
    format!("From: {from}\nTo: sales@shop.example\nSubject: order\nMessage-ID: <{id}>\n\n{text}\n")
}

/// A mail as the gateway's consumer has it.
fn read(world: &World, channel: Uuid, raw: &str, uid: u32) -> InboundEvent {
    let raw = Bytes::from(raw.replace('\n', "\r\n"));
    let line = Line {
        account: world.account.as_str(),
        channel,
        provider_account: "sales@shop.example",
    };
    let ours = Ours {
        address: "sales@shop.example",
        domain: "shop.example",
        aliases: &[],
        gateway_id: "",
    };
    let meta = Fetched {
        raw_ref: "",
        size: u64::try_from(raw.len()).unwrap(),
        internal_date: clock::now(),
        folder: email::Folder::Inbox,
        uid_key: &format!("inbox:1:{uid}"),
    };
    email::normalise(line, &ours, &meta, &raw, clock::now())
        .0
        .remove(0)
}

/// What went into INBOUND, by its event key: the provider's key of a message, or what else it is.
async fn heard(world: &World) -> Vec<(String, String)> {
    let items = items(world).await;
    let mut heard: Vec<(String, String)> = items
        .iter()
        .map(|item| {
            let event = InboundEvent::decode(item.payload.clone()).unwrap();
            let what = match event.kind.unwrap() {
                Kind::Message(message) => message.provider_key,
                Kind::OwnAppMessage(own) => format!("own {}", own.message.unwrap().provider_key),
                Kind::Unsupported(unsupported) => {
                    assert!(!event.raw_ref.is_empty() && event.chat_key.is_empty());
                    unsupported.kind
                }
                Kind::ProviderState(state) => state.kind,
                other => format!("{other:?}"),
            };
            (event.event_key, what)
        })
        .collect();
    heard.sort();
    heard
}

async fn sent_key(world: &World, channel: Uuid, key: &str) {
    let sent = "insert into sent_key (channel_id, provider_key, chat_id, out_seq, part, sent_at)
                values ($1, $2, $3, 1, 0, now())";
    sqlx::query(sent)
        .bind(channel)
        .bind(key)
        .bind(Uuid::from_u128(CHAT))
        .execute(&world.app.pool)
        .await
        .unwrap();
}

//! Mails with one id, and mails under our own address.

use channel_gateway::app::mailbox::Sink as _;
use channel_gateway::domain::mailbox::Folder;
use prost::Message as _;
use switchboard_proto::channel_gateway::v1::{InboundEvent, inbound_event::Kind};

use super::{CLIENT, heard, mail, room, sent_key, unfollowed, written};
use crate::webhooks::items;
use crate::world::world;

// channels.md 5.1: "Same id with a different body hash: keep both"; pitfall 34: nothing twice
#[tokio::test(flavor = "multi_thread")]
async fn x04_two_mails_with_one_id_are_two_messages_and_a_repeat_is_one() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    sent_key(&world, channel, "<m1.1@shop.example>").await;
    let one = written("Olena <olena@client.example>", "form@x", "42?");
    let two = written("Petro <petro@client.example>", "form@x", "42?");
    let three = written("Olena <olena@client.example>", "form@x", "43?");
    let ours = written(
        "Olena <olena@client.example>",
        "m1.1@shop.example",
        "Thanks",
    );
    for (uidvalidity, uid, raw) in [
        (1, 1, &one),
        (1, 2, &two),
        (1, 3, &three),
        (1, 4, &one),
        (1, 5, &ours),
        // The folder began a new life, in another order.
        (2, 1, &three),
        (2, 2, &ours),
        (2, 3, &two),
        (2, 4, &one),
    ] {
        // Nothing depends on what one process remembers.
        let mail = mail(&world, channel, (Folder::Inbox, uidvalidity, uid), raw);
        room(&world).accept(mail).await.unwrap();
    }
    let heard = heard(&world).await;
    let key = |place: &str| {
        let mut found = heard.iter().filter(|(event, _)| event == place);
        found.next().unwrap().1.clone()
    };
    assert_eq!(heard.len(), 9);
    assert_eq!(key("inbox:1:1"), "<form@x>", "the first has the id");
    for (first, again) in [
        ("inbox:1:1", "inbox:1:4"),
        ("inbox:1:1", "inbox:2:4"),
        ("inbox:1:2", "inbox:2:3"),
        ("inbox:1:3", "inbox:2:1"),
        ("inbox:1:5", "inbox:2:2"),
    ] {
        assert_eq!(key(first), key(again), "{first}");
    }
    assert_ne!(
        key("inbox:1:5"),
        "<m1.1@shop.example>",
        "an id of ours is ours"
    );
    let mut keys: Vec<&String> = heard.iter().map(|(_, key)| key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn x04_of_two_mails_with_one_id_that_are_read_at_once_one_has_the_id() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let read = (0..8).map(|number| {
        let raw = written(CLIENT, "form@x", &format!("text {number}"));
        let mail = mail(&world, channel, (Folder::Inbox, 1, number + 1), &raw);
        let room = room(&world);
        async move { room.accept(mail).await.unwrap() }
    });
    futures::future::join_all(read).await;
    let mut keys: Vec<String> = heard(&world).await.into_iter().map(|it| it.1).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 8);
    assert_eq!(keys.iter().filter(|key| *key == "<form@x>").count(), 1);
}

// A reply names the mail that its writer knows by the id.
#[tokio::test(flavor = "multi_thread")]
async fn x04_a_reply_in_a_thread_finds_the_mail_of_its_own_chat() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    let reply = |from: &str, id: &str| {
        let plain = written(from, id, "and?");
        plain.replace("\n\n", "\nIn-Reply-To: <form@x>\n\n")
    };
    for (uid, raw) in [
        (1, written("petro@client.example", "form@x", "42?")),
        (2, written(CLIENT, "form@x", "43?")),
        (3, reply("petro@client.example", "r1@x")),
        (4, reply(CLIENT, "r2@x")),
    ] {
        let mail = mail(&world, channel, (Folder::Inbox, 1, uid), &raw);
        room(&world).accept(mail).await.unwrap();
    }
    let items = items(&world).await;
    let mut named: Vec<(String, String, Vec<String>)> = items
        .iter()
        .filter_map(|item| {
            let event = InboundEvent::decode(item.payload.clone()).unwrap();
            match event.kind {
                Some(Kind::Message(message)) => {
                    Some((event.event_key, message.provider_key, message.references))
                }
                _ => None,
            }
        })
        .collect();
    named.sort();
    assert_eq!(named.len(), 4);
    assert_eq!(named[2].2, ["<form@x>"]);
    assert_ne!(named[1].1, "<form@x>");
    assert_eq!(named[3].2, [named[1].1.clone()]);
}

// Security: anybody can write our address into a mail.
#[tokio::test(flavor = "multi_thread")]
async fn x04_a_mail_under_our_own_address_is_ours_only_where_it_went_out_from_here() {
    let world = world().await;
    let channel = unfollowed(&world).await;
    sent_key(&world, channel, "<m1.1@shop.example>").await;
    let under = |id: &str| {
        let plain = written("Shop <sales@shop.example>", id, "Pay to ...");
        plain.replace("To: sales@shop.example", &format!("To: {CLIENT}"))
    };
    for (folder, uid, id) in [
        (Folder::Inbox, 1, "forged@x"),
        (Folder::Inbox, 2, "m1.1@shop.example"),
        // A blind copy to ourselves that overtakes what is filed among the sent ones.
        (Folder::Inbox, 3, "outlook@x"),
        (Folder::Sent, 1, "outlook@x"),
        (Folder::Inbox, 4, "outlook@x"),
    ] {
        let mail = mail(&world, channel, (folder, 1, uid), &under(id));
        room(&world).accept(mail).await.unwrap();
    }
    let expected = [
        ("inbox:1:1", "own-address-unproven"),
        ("inbox:1:2", "own-copy"),
        ("inbox:1:3", "own-address-unproven"),
        ("inbox:1:4", "own-copy"),
        ("sent:1:1", "own <outlook@x>"),
    ];
    let heard = heard(&world).await;
    let heard: Vec<(&str, &str)> = heard
        .iter()
        .map(|(key, what)| (key.as_str(), what.as_str()))
        .collect();
    assert_eq!(heard, expected);
}

//! Mails: subject, whole text, files of the mail itself, threads (D23), and what machines write.

use chassis::testing::request;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1 as pb;
use switchboard_proto::conversation::v1::conversation_service_server::ConversationService as _;

use crate::own_app::{hear, own};
use crate::world::{World, at, parts, text_of};

fn file(name: &str) -> common::Attachment {
    common::Attachment {
        attachment_id: chassis::id::v5("file", &[name]).to_string(),
        file_name: name.into(),
        extension: bytes::Bytes::from_static(b"acme/2026/secret-place"),
        ..Default::default()
    }
}

/// A mail `number` that names these of its thread.
fn mail(world: &World, number: i64, thread: &[&str]) -> gateway::InboundEvent {
    let message = gateway::InboundMessage {
        provider_key: format!("<{number}@client.example>"),
        parts: parts(&format!("visible {number}")),
        subject: format!("Re: order {number}"),
        full_text: format!("visible {number}\n> quoted\n-- \nAda"),
        html: Some(file("message.html")),
        original: Some(file("message.eml")),
        references: thread.iter().map(|key| (*key).to_owned()).collect(),
        extension: bytes::Bytes::from_static(b"{}"),
        ..Default::default()
    };
    let item = world.item(
        &format!("in:1:{number}"),
        "7",
        at(number),
        Kind::Message(message),
    );
    gateway::InboundEvent {
        channel_kind: common::ChannelKind::Email.into(),
        ..item
    }
}

fn by_machine(mut item: gateway::InboundEvent) -> gateway::InboundEvent {
    if let Some(Kind::Message(message)) = item.kind.as_mut() {
        message.automatic = true;
    }
    item
}

#[tokio::test]
async fn a_mail_shows_its_subject_and_keeps_its_whole_text_and_its_files() {
    let world = World::new().await;
    world.receive(&[mail(&world, 1, &[])]).await;
    let shown = &world.client_messages("7").await[0];
    assert_eq!(
        (shown.subject.as_str(), text_of(shown).as_str()),
        ("Re: order 1", "visible 1")
    );
    assert_eq!(shown.full_text, "", "only where it is asked for");
    for kept in [&shown.html, &shown.original] {
        assert!(
            kept.as_ref().unwrap().extension.is_empty(),
            "not ours to tell"
        );
    }
    assert_eq!(shown.original.as_ref().unwrap().file_name, "message.eml");
    let stored = world.events_of::<pb::MessageStored>().await;
    let told = stored.last().unwrap().message.as_ref().unwrap();
    assert_eq!(
        (told.subject.as_str(), told.full_text.as_str()),
        ("Re: order 1", "")
    );

    // The gateway's word on a file counts for these too.
    let fetched = gateway::AttachmentStored {
        channel_id: world.channel.to_string(),
        attachment: Some(common::Attachment {
            state: common::attachment::State::Stored.into(),
            ..file("message.eml")
        }),
        provider_keys: Vec::new(),
    };
    world
        .hear(&[world.event(1, world.chat("7"), &fetched)])
        .await;
    let list = pb::ListMessagesRequest {
        chat_id: world.chat("7").to_string(),
        full_text: true,
        page_size: 200,
        ..Default::default()
    };
    let items: Vec<_> = (2..=12).map(|number| mail(&world, number, &[])).collect();
    world.receive(&items).await;
    let by = world.as_service();
    let answer = world.api.list_messages(request(&by, list.clone())).await;
    let page = answer.unwrap().into_inner();
    assert_eq!(page.messages.len(), 10, "large texts come in small pages");
    let next = pb::ListMessagesRequest {
        page_token: page.next_page_token,
        ..list
    };
    let answer = world.api.list_messages(request(&by, next)).await;
    let rest = answer.unwrap().into_inner().messages;
    let first = rest
        .iter()
        .find(|message| message.subject == "Re: order 1")
        .unwrap();
    assert_eq!(first.full_text, "visible 1\n> quoted\n-- \nAda");
    assert_eq!(
        first.original.as_ref().unwrap().state(),
        common::attachment::State::Stored
    );
}

#[tokio::test]
async fn d23_threads_live_on_messages_and_open_no_second_conversation() {
    let world = World::new().await;
    world.receive(&[mail(&world, 1, &[])]).await;
    let other_chat = gateway::InboundEvent {
        chat_key: "8".into(),
        client: Some(crate::world::client("8", "Bob")),
        ..mail(&world, 50, &["<1@client.example>"])
    };
    let own_mail = gateway::OwnAppMessageReceived {
        provider_key: "<own@shop.example>".into(),
        subject: "Re: order 1".into(),
        references: vec!["<1@client.example>".into()],
        ..own(2, "ours")
    };
    hear(&world, &[own_mail]).await;
    world
        .receive(&[
            // Newest first: the unknown one is passed over.
            mail(
                &world,
                3,
                &[
                    "<lost@x.example>",
                    "<own@shop.example>",
                    "<1@client.example>",
                ],
            ),
            // Within the batch.
            mail(&world, 4, &["<3@client.example>"]),
            // Another thread, or one that nobody knows here.
            mail(&world, 5, &[]),
            mail(&world, 6, &["<lost@x.example>"]),
            other_chat,
        ])
        .await;
    assert_eq!(
        world.count("select count(*) from conversation where chat_id = (select chat_id from chat where chat_key = '7')").await,
        1
    );
    let history = world.history("7").await;
    let id = |key: &str| {
        let found = history.iter().find(|message| message.provider_key == key);
        found.unwrap().message_id.clone()
    };
    let answers = |number: i64| {
        let key = format!("<{number}@client.example>");
        let found = history.iter().find(|message| message.provider_key == key);
        let reply = found.unwrap().reply.clone();
        reply.map(|reply| reply.message_id)
    };
    let ours = history
        .iter()
        .find(|message| message.provider_key == "<own@shop.example>")
        .unwrap();
    assert_eq!(
        ours.reply.as_ref().unwrap().message_id,
        id("<1@client.example>")
    );
    assert_eq!(ours.subject, "Re: order 1");
    assert_eq!(answers(3), Some(ours.message_id.clone()));
    assert_eq!(answers(4), Some(id("<3@client.example>")));
    assert_eq!((answers(5), answers(6)), (None, None));
    let bob = &world.client_messages("8").await[0];
    assert_eq!(bob.reply, None, "another person's thread");
    assert_eq!(
        bob.references,
        ["<1@client.example>"],
        "what it names is kept"
    );
}

#[tokio::test]
async fn automatic_mail_is_stored_and_opens_nothing_and_nobody_waits_for_an_answer() {
    let world = World::new().await;
    let bulk = by_machine(mail(&world, 1, &[]));
    world.receive(std::slice::from_ref(&bulk)).await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(
        (chat.state(), chat.unanswered),
        (pb::chat::State::Inactive, 0)
    );
    assert_eq!(chat.last_message.unwrap().text, "visible 1");
    let created = world.events_of::<pb::ChatCreated>().await;
    assert_eq!(created.len(), 1, "there is a chat, and that is told once");
    assert!(world.events_of::<pb::ConversationOpened>().await.is_empty());
    let message = &world.client_messages("7").await[0];
    assert!(message.automatic);
    assert_eq!(message.conversation_id, "");

    // A person opens; a machine's answer inside and after it changes no count and opens nothing again.
    world
        .receive(&[by_machine(mail(&world, 2, &[])), mail(&world, 3, &[])])
        .await;
    let opened = world.events_of::<pb::ConversationOpened>().await;
    assert_eq!((opened.len(), opened[0].chat_is_new), (1, false));
    assert_eq!(world.events_of::<pb::ChatCreated>().await.len(), 1);
    world.receive(&[by_machine(mail(&world, 4, &[]))]).await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(
        (chat.state(), chat.unanswered),
        (pb::chat::State::Unassigned, 1)
    );
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world.receive(&[by_machine(mail(&world, 5, &[]))]).await;
    assert_eq!(world.events_of::<pb::ConversationOpened>().await.len(), 1);
    let before = world.everything().await;
    world.receive(&[bulk]).await;
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn f071_what_a_machine_wrote_is_not_counted_after_an_answer_either() {
    let world = World::new().await;
    world.receive(&[mail(&world, 1, &[])]).await;
    let sent = world
        .send(&world.as_agent("ann"), "7", "r1", "hello")
        .await
        .unwrap();
    world
        .receive(&[by_machine(mail(&world, 2, &[])), mail(&world, 3, &[])])
        .await;
    let delivered = gateway::DeliverySent {
        delivery: Some(gateway::DeliveryRef {
            message_id: sent.message_id.clone(),
            chat_id: world.chat("7").to_string(),
            channel_id: world.channel.to_string(),
            out_seq: 1,
            attempt: 1,
            part: 0,
            parts: 1,
        }),
        provider_key: "<m1@gw.shop.example>".into(),
        time: Some(chassis::grpc::timestamp(at(9))),
        ..gateway::DeliverySent::default()
    };
    world
        .hear(&[world.event(1, world.chat("7"), &delivered)])
        .await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.unanswered, 1, "the person's mail alone");
    // Our mail is found by its Message-ID.
    world
        .receive(&[mail(&world, 4, &["<m1@gw.shop.example>"])])
        .await;
    let answer = world.client_messages("7").await.pop().unwrap();
    assert_eq!(answer.reply.unwrap().message_id, sent.message_id);
}

#[tokio::test]
async fn an_agent_may_write_into_a_chat_that_only_a_machine_has_written_into() {
    let world = World::new().await;
    world.receive(&[by_machine(mail(&world, 1, &[]))]).await;
    let sent = world
        .send(&world.as_agent("ann"), "7", "r1", "hello")
        .await
        .unwrap();
    let opened = world.events_of::<pb::ConversationOpened>().await;
    assert_eq!(opened[0].reason(), common::OpenReason::AgentMessage);
    assert_eq!(sent.conversation_id, opened[0].conversation_id);
}

#[tokio::test]
async fn a_machines_mail_of_our_own_is_no_answer() {
    let world = World::new().await;
    world.receive(&[mail(&world, 1, &[])]).await;
    let vacation = gateway::OwnAppMessageReceived {
        automatic: true,
        ..own(2, "away")
    };
    hear(&world, &[vacation]).await;
    let chat = world.get_chat(&world.as_service(), "7").await.unwrap();
    assert_eq!(chat.unanswered, 1);
}

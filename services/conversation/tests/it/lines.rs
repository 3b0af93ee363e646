//! Lines of the feature list that no other room of these tests bears by its number: what an item of the list shows, kinds of
//! messages, and how talks are counted.

use chassis::testing::request;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1 as gateway;
use switchboard_proto::common::v1::OpenReason;
use switchboard_proto::conversation::v1::{
    self as pb, chat::State, conversation_service_server::ConversationService as _, message::Kind,
};
use uuid::Uuid;

use crate::own_app;
use crate::world::{World, agent, at, plain, text_of};

impl World {
    async fn list(&self) -> Vec<pb::Chat> {
        let ask = pb::ListChatsRequest::default();
        let page = self.api.list_chats(request(&self.as_agent("ann"), ask));
        page.await.unwrap().into_inner().chats
    }

    async fn given(&self, key: &str, number: i64, to: &str, joined: &[&str]) {
        let word = assignment::ChatAssignment {
            chat_id: self.chat(key).to_string(),
            channel_id: self.channel.to_string(),
            number,
            agent_id: agent(to).to_string(),
            participant_agent_ids: joined.iter().map(|name| agent(name).to_string()).collect(),
            version: 1,
            ..Default::default()
        };
        let assigned = assignment::ChatAssigned {
            assignment: Some(word),
            ..Default::default()
        };
        self.hear(&[self.event(7, self.chat(key), &assigned)]).await;
    }

    /// Lets a message be sent at the provider.
    async fn sent(&self, message: &pb::Message) {
        let sent = gateway::DeliverySent {
            delivery: Some(gateway::DeliveryRef {
                message_id: message.message_id.clone(),
                chat_id: message.chat_id.clone(),
                channel_id: self.channel.to_string(),
                out_seq: message.delivery.as_ref().unwrap().out_seq,
                attempt: 1,
                part: 0,
                parts: 1,
            }),
            provider_key: format!("out/{}", message.message_id),
            ..Default::default()
        };
        let id = message.message_id.parse::<Uuid>().unwrap().as_u128();
        self.hear(&[self.event(id, self.chat("7"), &sent)]).await;
    }
}

#[tokio::test]
async fn f063_f121_inquiries_of_all_channels_stand_in_one_list() {
    let world = World::new().await;
    let mut elsewhere = world.message("8", "1", at(2), "by the other line");
    elsewhere.channel_id = Uuid::from_u128(0xc4a2).to_string();
    elsewhere.channel_kind = switchboard_proto::common::v1::ChannelKind::ViberBot.into();
    world
        .receive(&[world.message("7", "1", at(1), "hello"), elsewhere])
        .await;
    let chats = world.list().await;
    let kinds: Vec<i32> = chats.iter().map(|chat| chat.channel_kind).collect();
    assert_eq!(
        kinds,
        [2, 1],
        "each with its channel's kind, the newest first"
    );
    assert_ne!(chats[0].channel_id, chats[1].channel_id);
}

#[tokio::test]
async fn f066_f068_f069_f070_f073_an_item_shows_client_channel_last_message_responsible_and_count()
{
    let world = World::new().await;
    let words = [
        world.message("7", "1", at(1), "hello"),
        world.message("7", "2", at(9), "are you there?"),
    ];
    world.receive(&words).await;
    let item = world.list().await.remove(0);
    assert_eq!(item.client.unwrap().name, "Ada");
    assert_eq!(item.channel_id, world.channel.to_string());
    let last = item.last_message.unwrap();
    assert_eq!((&*last.text, last.kind()), ("are you there?", Kind::Client));
    assert_eq!(last.time, Some(chassis::grpc::timestamp(at(9))));
    assert_eq!(
        item.responsible_agent_id, "",
        "nobody has answered yet (F070)"
    );
    assert_eq!(item.unanswered, 2);
    world.given("7", 1, "ann", &[]).await;
    // One number for everybody: it is the chat's (F073).
    for name in ["ann", "bob"] {
        let chat = world.get_chat(&world.as_agent(name), "7").await.unwrap();
        assert_eq!(
            (chat.responsible_agent_id, chat.unanswered),
            (agent("ann").to_string(), 2)
        );
    }
}

#[tokio::test]
async fn f079_f080_f082_f083_messages_say_whose_they_are_and_the_systems_never_leave() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    world.given("7", 1, "ann", &[]).await;
    world.send(&ann, "7", "", "Good day").await.unwrap();
    world.close(&ann, "7").await.unwrap();
    let history = world.history("7").await;
    let kinds: Vec<Kind> = history.iter().map(pb::Message::kind).collect();
    // The client's, the manager's and the system's, each with its side (F080).
    assert!(
        kinds
            .iter()
            .all(|kind| [Kind::Client, Kind::Agent, Kind::System].contains(kind))
    );
    let mut told: Vec<String> = history
        .iter()
        .filter_map(|message| message.system.as_ref())
        .map(|system| system.kind.clone())
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "chat.assigned",
            "conversation.closed",
            "conversation.opened"
        ]
    );
    // One message of all went to the provider (F082).
    let commands = world.events_of::<pb::MessageQueued>().await;
    assert_eq!(commands.len(), 1);
    let of_agent = history
        .iter()
        .find(|message| message.kind() == Kind::Agent)
        .unwrap();
    assert_eq!(
        commands[0].command.as_ref().unwrap().message_id,
        of_agent.message_id
    );
}

#[tokio::test]
async fn f104_a_link_to_a_chat_stays_whatever_becomes_of_it() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let before = world.list().await.remove(0).chat_id;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[world.message("7", "2", at(2), "again")])
        .await;
    assert_eq!(world.list().await.remove(0).chat_id, before);
    // And after a restore: it is made of channel and client alone.
    let other = World::new().await;
    other
        .receive(&[other.message("7", "9", at(99), "after a restore")])
        .await;
    assert_eq!(other.list().await.remove(0).chat_id, before);
}

#[tokio::test]
async fn f164_who_was_added_to_a_chat_shows_in_it() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    world.given("7", 1, "ann", &["bob", "eve"]).await;
    let chat = world.list().await.remove(0);
    let added: Vec<String> = ["bob", "eve"].map(|name| agent(name).to_string()).into();
    assert_eq!(chat.participant_agent_ids, added);
}

/// F168: whether a window asks first is the client's of this API to keep; nothing here asks twice.
#[tokio::test]
async fn f105_f167_f168_f169_f201_one_call_ends_a_dialog_which_is_inactive_at_once() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let closed = world.close(&world.as_agent("ann"), "7").await.unwrap();
    assert!(closed.close_time.is_some());
    let ask = pb::ListChatsRequest {
        states: vec![State::Inactive.into()],
        ..Default::default()
    };
    let page = world
        .api
        .list_chats(request(&world.as_agent("bob"), ask))
        .await;
    assert_eq!(page.unwrap().into_inner().chats.len(), 1);
}

#[tokio::test]
async fn f186_text_and_files_are_sent_by_hand_to_a_chat_that_was_found() {
    let world = World::new().await;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let ann = world.as_agent("ann");
    // As a card's window does: the chats of the card are named, and one is written into.
    let find = pb::FindChatsRequest {
        chat_ids: vec![world.chat("7").to_string()],
        ..Default::default()
    };
    let found = world.api.find_chats(request(&ann, find)).await.unwrap();
    let wanted = pb::SendMessageRequest {
        chat_id: found.into_inner().chats.remove(0).chat_id,
        text: Some(plain("The price list")),
        attachment_ids: vec![Uuid::from_u128(0xf11e).to_string()],
        ..Default::default()
    };
    let answer = world.api.send_message(request(&ann, wanted)).await.unwrap();
    assert_eq!(answer.into_inner().message.unwrap().parts.len(), 2);
}

#[tokio::test]
async fn f200_f204_d20_talks_are_numbered_through_the_account_without_gaps() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    for (key, second) in [("7", 1), ("8", 2), ("7", 3), ("8", 4), ("7", 5)] {
        world
            .receive(&[world.message(key, &second.to_string(), at(second), "hello")])
            .await;
        world.close(&ann, key).await.unwrap();
    }
    let numbers = async |key: &str| -> Vec<i64> {
        let ask = pb::ListConversationsRequest {
            chat_id: world.chat(key).to_string(),
            ..Default::default()
        };
        let page = world.api.list_conversations(request(&ann, ask)).await;
        let talks = page.unwrap().into_inner().conversations;
        talks.iter().rev().map(|talk| talk.number).collect()
    };
    assert_eq!(
        numbers("7").await,
        [1, 3, 5],
        "a repeat appeal is a new talk (F204)"
    );
    assert_eq!(numbers("8").await, [2, 4]);
}

#[tokio::test]
async fn f205_an_outgoing_message_without_an_open_talk_begins_one() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    world.close(&ann, "7").await.unwrap();
    let sent = world.send(&ann, "7", "", "One more thing").await.unwrap();
    let opened = world
        .events_of::<pb::ConversationOpened>()
        .await
        .pop()
        .unwrap();
    assert_eq!(
        (opened.number, opened.reason()),
        (2, OpenReason::AgentMessage)
    );
    assert_eq!(sent.conversation_id, opened.conversation_id);
}

#[tokio::test]
async fn d08_an_agent_answers_here_or_in_the_messengers_own_app() {
    let world = World::new().await;
    let ann = world.as_agent("ann");
    let unanswered = async || world.get_chat(&ann, "7").await.unwrap().unanswered;
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    let sent = world.send(&ann, "7", "", "Good day").await.unwrap();
    assert_eq!(unanswered().await, 1, "not before it was sent");
    world.sent(&sent).await;
    assert_eq!(unanswered().await, 0);
    world
        .receive(&[world.message("7", "2", at(60), "and?")])
        .await;
    assert_eq!(unanswered().await, 1);
    own_app::hear(&world, &[own_app::own(70, "from the phone")]).await;
    assert_eq!(unanswered().await, 0);
    let of_agents = world.history("7").await;
    let texts: Vec<String> = of_agents
        .iter()
        .filter(|it| it.kind() == Kind::Agent)
        .map(text_of)
        .collect();
    assert_eq!(texts, ["from the phone", "Good day"]);
}

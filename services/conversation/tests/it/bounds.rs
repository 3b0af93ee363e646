//! What is refused or hidden: rights, request ids, fields, forged tokens, items that can never be stored.

use chassis::access::{ChatAccess, View};
use chassis::consumer::HandlerError;
use chassis::grpc::page_token;
use chassis::outbox::Waker;
use chassis::testing::{caller, full_access, request};
use conversation::app::sweep::sweep;
use switchboard_proto::assignment::v1 as assignment;
use switchboard_proto::channel_gateway::v1::{self as gateway, inbound_event::Kind};
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use switchboard_proto::crm_cards::v1 as cards;
use time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::world::{World, agent, inbound_message, noon, plain, reason, text_of};

async fn hello(world: &World) {
    world
        .receive(&[world.message("7", "1", noon(), "hello")])
        .await;
}

fn field(status: &Status) -> String {
    status.get_details_bad_request().unwrap().field_violations[0]
        .field
        .clone()
}

#[tokio::test]
async fn f176_who_may_not_see_cards_reads_only_that_there_is_one() {
    let world = World::new().await;
    hello(&world).await;
    let created = cards::CardCreated {
        card: Some(cards::Card {
            card_id: world.chat("card").to_string(),
            title: "Lead 1".into(),
            chat_id: world.chat("7").to_string(),
            ..Default::default()
        }),
        conversation_id: String::new(),
    };
    world
        .hear(&[world.event(1, world.chat("card"), &created)])
        .await;
    let ann = agent("ann");
    let mut limited = full_access(ann);
    limited.chats = ChatAccess::Limited;
    let mut blind = full_access(ann);
    blind.leads.view = View::None;
    let mut own = full_access(ann);
    own.leads.view = View::Own;
    // What is known of whose the card is: first nobody's, then Ann's.
    sqlx::query("insert into entity_name values ('acme', $1, 'card', 'Lead 1', null, 1)")
        .bind(world.chat("card"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    for (access, answers, text, parameters) in [
        (full_access(ann), false, "Card \"Lead 1\" was created", 2),
        (limited, false, "A card was created", 0),
        (blind, false, "A card was created", 0),
        (own.clone(), false, "A card was created", 0),
        (own, true, "Card \"Lead 1\" was created", 2),
    ] {
        sqlx::query("update entity_name set responsible = case when $1 then $2::uuid end")
            .bind(answers)
            .bind(ann.uuid())
            .execute(&world.db.pool)
            .await
            .unwrap();
        let by = caller(&world.account, ann, &["chats:*"], access);
        let ask = pb::ListMessagesRequest {
            chat_id: world.chat("7").to_string(),
            ..Default::default()
        };
        let answer = world.api.list_messages(request(&by, ask)).await.unwrap();
        let messages = answer.into_inner().messages;
        let mut notices = messages.into_iter().filter_map(|message| message.system);
        let told = notices
            .find(|notice| notice.kind == "card.created")
            .unwrap();
        assert_eq!(
            (told.text.as_str(), told.parameters.len()),
            (text, parameters)
        );
    }
}

#[tokio::test]
async fn f177_a_converted_card_names_its_company_to_who_sees_own_contacts_with_an_own_one_alone() {
    let ann = agent("ann");
    let mut own = full_access(ann);
    own.contacts.view = View::Own;
    for (contact, expected) in [("", false), ("theirs", false), ("anns", true)] {
        let world = World::new().await;
        hello(&world).await;
        let contact_id = match contact {
            "" => String::new(),
            contact => world.chat(contact).to_string(),
        };
        sqlx::query("insert into entity_name values ('acme', $1, 'contact', 'Ada', $2, 1)")
            .bind(world.chat(contact))
            .bind((contact == "anns").then_some(ann.uuid()))
            .execute(&world.db.pool)
            .await
            .unwrap();
        let card = world.chat("card");
        let converted = cards::CardConverted {
            card: Some(cards::Card {
                card_id: card.to_string(),
                title: "Deal".into(),
                chat_id: world.chat("7").to_string(),
                ..Default::default()
            }),
            contact: Some(cards::Contact {
                contact_id,
                name: "Ada".into(),
                ..Default::default()
            }),
            company: Some(cards::Company {
                company_id: world.chat("company").to_string(),
                name: "Kava".into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        world.hear(&[world.event(1, card, &converted)]).await;
        let by = caller(&world.account, ann, &["chats:*"], own.clone());
        let ask = pb::ListMessagesRequest {
            chat_id: world.chat("7").to_string(),
            ..Default::default()
        };
        let answer = world.api.list_messages(request(&by, ask)).await.unwrap();
        let messages = answer.into_inner().messages;
        let told = messages
            .into_iter()
            .filter_map(|message| message.system)
            .find(|notice| notice.parameters.get("card_id") == Some(&card.to_string()))
            .unwrap();
        let shown = told.parameters.contains_key("company_name") || told.text.contains("Kava");
        assert_eq!(shown, expected, "{contact:?}: {told:?}");
    }
}

#[tokio::test]
async fn b02_a_request_id_is_its_senders_and_never_a_messages_key() {
    let world = World::new().await;
    hello(&world).await;
    let (ann, bob) = (world.as_agent("ann"), world.as_agent("bob"));
    world.close(&ann, "7").await.unwrap();
    // The conversation of the client's message was named after its key.
    world.send(&ann, "7", "7/1", "good day").await.unwrap();
    assert_eq!(world.count("select count(*) from conversation").await, 2);
    let refused = world.send(&bob, "7", "7/1", "good day").await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED", "another's answer");

    // Forgotten after a week, it would name the same conversation again.
    world.close(&ann, "7").await.unwrap();
    sqlx::raw_sql("delete from chassis.request")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let refused = world.send(&ann, "7", "7/1", "good day").await.unwrap_err();
    assert_eq!(reason(&refused), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn x03_a_retry_is_admitted_as_a_new_message_is() {
    let world = World::new().await;
    hello(&world).await;
    let (ann, bob) = (world.as_agent("ann"), world.as_agent("bob"));
    let message = world.send(&ann, "7", "r1", "answer").await.unwrap();
    sqlx::raw_sql("update message set delivery = 'failed' where kind = 'agent'")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let retry = || pb::RetryMessageRequest {
        request_id: String::new(),
        chat_id: message.chat_id.clone(),
        message_id: message.message_id.clone(),
    };
    world.assignment.answers(|_| {
        let text = "the chat is another's";
        let code = Code::FailedPrecondition;
        Err(chassis::grpc::refusal(
            "assignment",
            code,
            "CHAT_HAS_RESPONSIBLE",
            text,
            &[],
        ))
    });
    let refused = world
        .api
        .retry_message(request(&bob, retry()))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CHAT_HAS_RESPONSIBLE");
    world.close(&ann, "7").await.unwrap();
    let refused = world
        .api
        .retry_message(request(&ann, retry()))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CONVERSATION_CLOSED");
    assert_eq!(world.published().await["message.queued"], 1);
}

#[tokio::test]
async fn a_confirmed_responsible_is_not_told_twice() {
    let world = World::new().await;
    hello(&world).await;
    let says = |version| assignment::ChatAssignment {
        chat_id: world.chat("7").to_string(),
        channel_id: world.channel.to_string(),
        number: 1,
        agent_id: agent("ann").to_string(),
        version,
        ..Default::default()
    };
    let given = assignment::ChatAssigned {
        assignment: Some(says(1)),
        ..Default::default()
    };
    let confirmed = assignment::ChatAssigned {
        assignment: Some(says(2)),
        previous_agent_id: agent("ann").to_string(),
        ..Default::default()
    };
    let chat = world.chat("7");
    world
        .hear(&[
            world.event(1, chat, &given),
            world.event(2, chat, &confirmed),
        ])
        .await;
    let history = world.history("7").await;
    let told = history
        .iter()
        .filter_map(|message| message.system.as_ref())
        .filter(|notice| notice.kind == "chat.assigned");
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn ranges_of_a_text_are_bounded() {
    let world = World::new().await;
    hello(&world).await;
    let whole = common::TextEntity {
        offset: 0,
        length: 2,
        ..Default::default()
    };
    let with = |change: &dyn Fn(&mut common::TextEntity)| {
        let mut entity = whole.clone();
        change(&mut entity);
        vec![whole.clone(), entity]
    };
    for (entities, wrong) in [
        (with(&|e| e.url = "x".repeat(2_049)), "text.entities[1].url"),
        (with(&|e| e.url = "x\0".into()), "text.entities[1].url"),
        (
            with(&|e| e.language = "x".repeat(65)),
            "text.entities[1].language",
        ),
        (
            with(&|e| e.language = "\0".into()),
            "text.entities[1].language",
        ),
        (with(&|e| e.length = 3), "text.entities[1]"),
        (with(&|e| e.offset = u32::MAX), "text.entities[1]"),
        (vec![whole.clone(); 101], "text.entities"),
    ] {
        let send = pb::SendMessageRequest {
            chat_id: world.chat("7").to_string(),
            // One character outside the basic plane is two units of UTF-16.
            text: Some(common::Text {
                entities,
                ..plain("😀")
            }),
            ..Default::default()
        };
        let by = world.as_agent("ann");
        let refused = world
            .api
            .send_message(request(&by, send))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused)),
            (Code::InvalidArgument, wrong.to_owned())
        );
    }
}

#[tokio::test]
async fn page_tokens_with_impossible_times_are_refused() {
    let world = World::new().await;
    hello(&world).await;
    let year_minus_5000 = -219_000_000_000_i128 * 1_000_000_000;
    for nanos in [year_minus_5000, i128::MAX] {
        let chats = pb::ListChatsRequest {
            page_token: page_token(&(nanos, uuid::Uuid::nil())),
            ..Default::default()
        };
        let messages = pb::ListMessagesRequest {
            chat_id: world.chat("7").to_string(),
            page_token: page_token(&(nanos, 1, 1)),
            ..Default::default()
        };
        let by = world.as_service();
        let one = world.api.list_chats(request(&by, chats)).await.unwrap_err();
        let two = world
            .api
            .list_messages(request(&by, messages))
            .await
            .unwrap_err();
        assert_eq!(
            (field(&one), field(&two)),
            ("page_token".into(), "page_token".into())
        );
    }
}

#[tokio::test]
async fn what_cannot_be_stored_of_an_edit_or_a_reaction_is_told_at_once() {
    let world = World::new().await;
    let edit = |key: &str| {
        let kind = Kind::Edit(gateway::InboundEdit {
            own_app: false,
            provider_key: key.into(),
            message: Some(inbound_message(key, "edited")),
            sent_at: None,
        });
        world.item(key, "7", noon(), kind)
    };
    let mut nobodys = edit("7/1");
    nobodys.client = None;
    let poison = world.try_receive(&[nobodys], noon()).await;
    assert!(matches!(poison, Err(HandlerError::Poison(_))), "{poison:?}");

    // What lies there nevertheless is dropped, and holds up nothing.
    world.receive(&[edit("7/1"), edit("7/2")]).await;
    sqlx::raw_sql("update parked set item = '\\xff' where provider_key = '7/1'")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let day = std::time::Duration::from_hours(24);
    let late = noon() + Duration::hours(25);
    let swept = sweep(&world.db.pool, &Waker::new(), day, late)
        .await
        .unwrap();
    assert_eq!(swept.edits, 1);
    assert_eq!(text_of(&world.client_messages("7").await[0]), "edited");
    assert_eq!(world.count("select count(*) from parked").await, 0);

    let reaction = Kind::Reaction(gateway::InboundReaction {
        provider_key: "7/2".into(),
        emojis: vec!["👍\0".into()],
    });
    world.receive(&[world.item("r", "7", late, reaction)]).await;
    let seen = &world.client_messages("7").await[0].reactions;
    assert_eq!(seen[0].emoji, "👍");
}

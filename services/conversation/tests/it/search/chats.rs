//! Chats are found by the words of their clients, of themselves, and of what they are linked with (F075).

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, View};
use chassis::auth::Caller;
use chassis::consumer::Delivery;
use chassis::testing::{caller, full_access, request};
use conversation::app::search_words::fill;
use switchboard_proto::DomainEvent;
use switchboard_proto::common::v1 as common;
use switchboard_proto::conversation::v1::{
    self as pb, chat_service_server::ChatService as _,
    conversation_service_server::ConversationService as _,
};
use switchboard_proto::crm_cards::v1 as crm;
use tonic::Code;
use uuid::Uuid;

use super::handle;
use crate::world::{World, agent, at, noon};

fn ask(text: &str) -> pb::ListChatsRequest {
    pb::ListChatsRequest {
        text: text.into(),
        ..Default::default()
    }
}

/// Users of the chats that are found, in their order, over pages of two.
async fn found(world: &World, by: &Caller, mut ask: pb::ListChatsRequest) -> Vec<String> {
    ask.page_size = 2;
    let mut users = Vec::new();
    loop {
        let answer = world
            .api
            .list_chats(request(by, ask.clone()))
            .await
            .unwrap()
            .into_inner();
        users.extend(
            answer
                .chats
                .into_iter()
                .map(|chat| chat.client.unwrap().user_id),
        );
        ask.page_token = answer.next_page_token;
        if ask.page_token.is_empty() {
            return users;
        }
    }
}

/// Chats of Олена (1), Олег (2) and Ada (3), the newest last.
pub async fn filled() -> World {
    let world = World::new().await;
    for (user, name, username, phone, email) in [
        ("1", "Олена Коваль", "olena_k", "+380441234567", ""),
        ("2", "Олег", "", "", "oleh@shop.ua"),
        ("3", "Ada", "", "", ""),
    ] {
        let mut item = world.message(user, "1", at(user.parse().unwrap()), "x");
        item.client = Some(common::ClientIdentity {
            scope: "telegram".into(),
            user_id: user.into(),
            name: name.into(),
            username: username.into(),
            phone: phone.into(),
            email: email.into(),
            language: String::new(),
        });
        world.receive(&[item]).await;
    }
    world
}

#[tokio::test]
async fn f075_chats_are_found_by_client_and_name_as_they_are_now() {
    let world = filled().await;
    let by = world.as_service();
    for (text, expected) in [
        ("ол", &["2", "1"][..]),
        ("ОЛЕНА ков", &["1"]),
        ("коваль оле", &["1"]),
        ("лена", &[]),
        ("olena_k", &["1"]),
        ("oleh@shop.ua", &["2"]),
        ("+38 (044) 123-45-67", &["1"]),
        ("044 123", &["1"]),
        ("4567", &["1"]),
        ("a", &["3"]),
        ("'a' | b:*", &[]),
    ] {
        assert_eq!(found(&world, &by, ask(text)).await, expected, "{text}");
    }
    let update = pb::UpdateChatRequest {
        chat_id: world.chat("3").to_string(),
        name: Some("Кав'ярня Олені".into()),
        ..Default::default()
    };
    world
        .api
        .update_chat(request(&world.as_agent("ann"), update))
        .await
        .unwrap();
    let mut renamed = world.message("2", "2", at(1_000), "y");
    renamed.client = Some(crate::world::client("2", "Петро"));
    world.receive(&[renamed]).await;
    for (text, expected) in [
        ("кавярня", &["3"][..]),
        ("олен", &["3", "1"]),
        ("олег", &[]),
        ("петро", &["2"]),
        ("ada", &["3"]),
    ] {
        assert_eq!(found(&world, &by, ask(text)).await, expected, "{text}");
    }
    for refused in [ask("?!"), ask(&"x".repeat(201))] {
        let status = world
            .api
            .list_chats(request(&by, refused))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    let list = Some(ask("олена"));
    let watch = pb::WatchChatsRequest {
        list,
        resume_token: String::new(),
    };
    let status = world
        .api
        .watch_chats(request(&by, watch))
        .await
        .err()
        .unwrap();
    assert_eq!(status.code(), Code::InvalidArgument);
}

/// Six thousand chats more of one Олександр, older than the others, of which every tenth is Ann's.
pub async fn many(world: &World) {
    sqlx::query(
        "with one as (
             insert into client (client_id, account, scope, user_id, name, username, phone, email, language, profile_time, created_at)
             values (gen_random_uuid(), 'acme', 's', 'u', 'Олександр', '', '', '', '', now(), now()) returning client_id)
         insert into chat (chat_id, account, channel_id, channel_kind, chat_key, client_id, state, last_client_message_at, created_at,
             responsible)
         select gen_random_uuid(), 'acme', $1, 'telegram-bot', 'k' || n, client_id, 'inactive', $2 - n * interval '1 second', now(),
             case when n % 10 = 0 then $3 end
         from one, generate_series(1, 6000) n",
    )
    .bind(world.channel)
    .bind(noon())
    .bind(agent("ann").uuid())
    .execute(&world.db.pool)
    .await
    .unwrap();
    while fill(&world.db.pool, at(3_600)).await.unwrap() {}
}

#[tokio::test]
async fn f075_a_search_goes_with_all_that_a_list_is_narrowed_to_for_rare_and_common_words() {
    let world = filled().await;
    let ann = world.as_agent("ann");
    sqlx::query("update chat set responsible = $1, state = 'active', assignment_number = number where chat_key = '1'")
        .bind(agent("ann").uuid())
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.close(&ann, "2").await.unwrap();
    let cases: [Case<pb::ListChatsRequest, &str>; 6] = [
        (|ask| ask.mine = true, "1"),
        (|ask| ask.responsible = "me".into(), "1"),
        (|ask| ask.responsible = "none".into(), "2"),
        (|ask| ask.unanswered_only = true, "2"),
        (|ask| ask.states = vec![pb::chat::State::Active.into()], "1"),
        (|ask| ask.channel_id = Uuid::max().to_string(), ""),
    ];
    let mut granted = full_access(agent("ann"));
    granted.channels = ChannelGrant::Some([Uuid::from_u128(7)].into());
    let granted = caller(&world.account, agent("ann"), &["chats:*"], granted);
    for common in [false, true] {
        if common {
            many(&world).await;
        }
        for (number, (change, expected)) in cases.into_iter().enumerate() {
            let mut narrowed = ask("ол");
            change(&mut narrowed);
            let answer = world.api.list_chats(request(&ann, narrowed)).await;
            let first = answer.unwrap().into_inner().chats.into_iter().next();
            let first = first.map(|chat| chat.client.unwrap().user_id);
            assert_eq!(first.unwrap_or_default(), expected, "{common}: {number}");
        }
        assert_eq!(
            found(&world, &granted, ask("ол")).await,
            [""; 0],
            "{common}"
        );
    }
    let of_ann = pb::ListChatsRequest {
        responsible: "me".into(),
        ..ask("олекс")
    };
    assert_eq!(found(&world, &ann, of_ann).await.len(), 600);
}

/// A change, and what is found then.
type Case<A, F> = (fn(&mut A), F);

/// An event of CRM, of a chat its `sequence`th.
fn of_crm<E: DomainEvent>(world: &World, sequence: u64, event: &E) -> Delivery {
    let mut delivery = world.event(u128::from(sequence), world.chat("1"), event);
    delivery.envelope.sequence = sequence;
    delivery
}

fn contact(revision: i64, name: &str, responsible: &str) -> crm::Contact {
    crm::Contact {
        contact_id: Uuid::from_u128(0xc0).to_string(),
        name: name.into(),
        revision,
        responsible_agent_id: responsible.into(),
        ..Default::default()
    }
}

fn card(revision: i64, title: &str) -> crm::Card {
    crm::Card {
        card_id: Uuid::from_u128(0xca).to_string(),
        title: title.into(),
        revision,
        ..Default::default()
    }
}

fn linked(world: &World, entity: u128, sequence: u64, linked: bool) -> Delivery {
    let chat_id = world.chat("1").to_string();
    let entity = Some(common::LinkedEntity {
        entity_id: Uuid::from_u128(entity).to_string(),
        ..Default::default()
    });
    if linked {
        of_crm(world, sequence, &crm::ChatLinked { chat_id, entity })
    } else {
        of_crm(world, sequence, &crm::ChatUnlinked { chat_id, entity })
    }
}

#[tokio::test]
async fn f075_f176_f177_chats_are_found_by_linked_names_that_the_caller_may_see() {
    let world = filled().await;
    let ann = agent("ann");
    let card = crm::CardCreated {
        card: Some(card(1, "Шафа")),
        conversation_id: String::new(),
    };
    let contact = |name| crm::ContactCreated {
        contact: Some(contact(1, name, &ann.to_string())),
    };
    handle(
        &world,
        &[
            of_crm(&world, 1, &card),
            of_crm(&world, 2, &contact("Buyer")),
        ],
    )
    .await;
    let service = world.as_service();
    assert_eq!(
        found(&world, &service, ask("шафа")).await,
        [""; 0],
        "only what is linked counts"
    );
    handle(
        &world,
        &[linked(&world, 0xca, 3, true), linked(&world, 0xc0, 4, true)],
    )
    .await;
    assert_eq!(
        found(&world, &service, ask("шафа олена buy")).await,
        ["1"],
        "together"
    );
    let cases: [Case<AccessRecord, [bool; 3]>; 6] = [
        (|_| (), [true, true, true]),
        (
            |access| access.contacts.view = View::None,
            [true, false, true],
        ),
        (|access| access.leads.view = View::None, [false, true, true]),
        // The contact is Ann's, the card is nobody's.
        (
            |access| (access.contacts.view, access.leads.view) = (View::Own, View::Own),
            [false, true, true],
        ),
        (
            |access| access.chats = ChatAccess::Limited,
            [false, false, true],
        ),
        (
            |access| access.channels = ChannelGrant::Some([Uuid::from_u128(7)].into()),
            [false, false, false],
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let mut access = full_access(ann);
        change(&mut access);
        let by = caller(&world.account, ann, &["chats:*"], access);
        for (text, expected) in ["шафа", "buyer", "олена"].into_iter().zip(expected) {
            let any = !found(&world, &by, ask(text)).await.is_empty();
            assert_eq!(any, expected, "{number}: {text}");
        }
    }
    let bob = agent("bob");
    let mut access = full_access(bob);
    access.contacts.view = View::Own;
    let bob = caller(&world.account, bob, &["chats:*"], access);
    assert_eq!(found(&world, &bob, ask("buyer")).await, [""; 0]);
}

#[tokio::test]
async fn f075_linked_names_are_known_as_they_are_in_every_order_of_events() {
    let world = filled().await;
    let updated = |revision, name| crm::ContactUpdated {
        contact: Some(contact(revision, name, "")),
    };
    let events = [
        of_crm(
            &world,
            1,
            &crm::ContactCreated {
                contact: Some(contact(1, "Перша", "")),
            },
        ),
        linked(&world, 0xc0, 2, true),
        of_crm(&world, 3, &updated(2, "Друга")),
        of_crm(
            &world,
            4,
            &crm::CardCreated {
                card: Some(card(1, "Шафа")),
                conversation_id: String::new(),
            },
        ),
        linked(&world, 0xca, 5, true),
        linked(&world, 0xca, 6, false),
        of_crm(
            &world,
            7,
            &crm::ContactMerged {
                contact: Some(contact(3, "Третя", "")),
                ..Default::default()
            },
        ),
    ];
    let by = world.as_service();
    let as_it_is = async |order: &str| {
        for (text, expected) in [
            ("перша", &[][..]),
            ("друга", &[]),
            ("третя", &["1"]),
            ("шафа", &[]),
        ] {
            assert_eq!(
                found(&world, &by, ask(text)).await,
                expected,
                "{order}: {text}"
            );
        }
    };
    for turn in 0..events.len() {
        for backwards in [false, true] {
            sqlx::raw_sql("truncate entity_name, entity_link; update chat_words set crm = ''")
                .execute(&world.db.pool)
                .await
                .unwrap();
            let mut order = events.to_vec();
            order.rotate_left(turn);
            if backwards {
                order.reverse();
            }
            handle(&world, &order[..3]).await;
            for event in &order[3..] {
                handle(&world, &[event.clone(), event.clone()]).await;
            }
            as_it_is(&format!("{turn} {backwards}")).await;
        }
    }
    handle(&world, &events).await;
    as_it_is("again").await;
    let gone = crm::ContactDeleted {
        contact: Some(contact(3, "Третя", "")),
    };
    handle(
        &world,
        &[
            of_crm(&world, 8, &gone),
            of_crm(&world, 9, &updated(3, "Третя")),
        ],
    )
    .await;
    assert_eq!(found(&world, &by, ask("третя")).await, [""; 0]);
    assert_eq!(
        world
            .count("select count(*) from entity_name where name = ''")
            .await,
        1
    );
}

//! Two contacts that are one person, and one that is two after all (B08); duplicates that are suspected; buyers that chats are
//! bound to.

mod visits;

use chassis::grpc::timestamp;
use switchboard_proto::channel_gateway::v1::LinkClicked;
use switchboard_proto::crm_cards::v1::bind_buyer_request::Bound;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, deliver, field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);

fn chat(user: &str) -> Chat<'_> {
    Chat {
        channel: CHANNEL,
        user,
    }
}

/// Opens a chat of a user; returns it with its contact.
async fn opened(world: &World, tenant: &Tenant, user: &str, number: i64) -> (Opening, Contact) {
    let opening = tenant.opening(chat(user), number);
    world.handle(&[opening.delivery()]).await.unwrap();
    let contact = world
        .connections(tenant, &opening.chat())
        .await
        .contact
        .unwrap();
    (opening, contact)
}

/// A contact, without the External Lines field, which answers to changes do not hold.
async fn get(world: &World, tenant: &Tenant, id: &str) -> Contact {
    let request = GetContactRequest {
        contact_id: id.into(),
    };
    let answer = world.api.get_contact(tenant.ask(request)).await.unwrap();
    let mut contact = answer.into_inner().contact.unwrap();
    contact.external_lines.clear();
    contact
}

async fn unmerge(
    world: &World,
    tenant: &Tenant,
    id: &str,
) -> Result<(Contact, Contact), tonic::Status> {
    let request = UnmergeContactRequest {
        contact_id: id.into(),
    };
    let answer = world
        .api
        .unmerge_contact(tenant.ask(request))
        .await?
        .into_inner();
    Ok((answer.contact.unwrap(), answer.from.unwrap()))
}

async fn duplicates(world: &World, tenant: &Tenant) -> Vec<SuspectedDuplicate> {
    let request = ListSuspectedDuplicatesRequest::default();
    let answer = world
        .api
        .list_suspected_duplicates(tenant.ask(request))
        .await
        .unwrap();
    answer.into_inner().duplicates
}

fn reasons(duplicate: &SuspectedDuplicate) -> Vec<(&str, &str)> {
    let reasons = duplicate.reasons.iter();
    reasons
        .map(|reason| (reason.kind().as_str_name(), reason.value.as_str()))
        .collect()
}

#[tokio::test]
async fn b08_all_that_a_contact_has_moves_and_its_old_id_leads_to_the_other() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let (from_chat, from) = opened(&world, &tenant, "1", 1).await;
    let (into_chat, into) = opened(&world, &tenant, "2", 2).await;
    let change = UpdateContactRequest {
        contact_id: from.contact_id.clone(),
        phones: Some(ContactPoints {
            values: vec!["+380441234567".into()],
        }),
        responsible_agent_id: Some(ANNA.to_string()),
        ..UpdateContactRequest::default()
    };
    let from = world.update_contact(&tenant, change).await.unwrap();
    world.save_buyer(&tenant, &from.contact_id).await;
    let order = world.create_order(&tenant, &from.contact_id).await.unwrap();
    let merged = world.merge(&tenant, &from, &into).await.unwrap();
    assert_eq!(merged.contact_id, into.contact_id);
    assert_eq!(merged.name, "Client 2");
    assert_eq!(merged.phones, ["+380441234567"]);
    assert_eq!(merged.identities.len(), 2);
    assert!(merged.buyer);
    assert_eq!(merged.responsible_agent_id, ANNA.to_string());
    assert_eq!(get(&world, &tenant, &from.contact_id).await, merged);
    assert_eq!(world.contacts(&tenant).await, std::slice::from_ref(&merged));
    for opening in [&from_chat, &into_chat] {
        let found = world.connections(&tenant, &opening.chat()).await;
        assert_eq!(found.contact.unwrap().contact_id, into.contact_id);
        assert_eq!(found.cards[0].contact_id, into.contact_id);
        assert_eq!(
            found.cards[0].kind(),
            switchboard_proto::common::v1::EntityKind::Deal
        );
        assert_eq!(found.orders[0].order_id, order.order_id);
    }
    // By its old id: cards, orders, another merge, a buyer.
    let of_old = ListCardsRequest {
        contact_id: from.contact_id.clone(),
        ..ListCardsRequest::default()
    };
    let cards = world.api.list_cards(tenant.ask(of_old)).await.unwrap();
    assert_eq!(cards.into_inner().cards.len(), 2);
    let order = world.create_order(&tenant, &from.contact_id).await.unwrap();
    assert_eq!(order.contact_id, into.contact_id);
    assert_eq!(
        world.merge(&tenant, &from, &into).await.unwrap().contact_id,
        into.contact_id
    );
    // A message of the one that went opens with the contact of both: no new one (F154).
    let again = tenant.opening(chat("1"), 3);
    world.handle(&[again.delivery()]).await.unwrap();
    assert_eq!(world.contacts(&tenant).await.len(), 1);
    assert_eq!(world.rule(&tenant, &again).await, "CARD_IN_WORK");
    let told = world
        .history_of(&tenant, Entity::ContactId(into.contact_id.clone()), &[])
        .await;
    let joined: Vec<_> = told
        .iter()
        .filter(|line| line.starts_with("merged"))
        .collect();
    assert_eq!(joined.len(), 2, "{told:?}");
    assert!(
        joined
            .iter()
            .any(|line| line.contains(&format!("merged_contact_id: . -> {}", from.contact_id))),
        "{told:?}"
    );
    assert_eq!(
        told.iter()
            .filter(|line| line.starts_with("created"))
            .count(),
        2,
        "{told:?}"
    );
}

#[tokio::test]
async fn b08_a_merge_is_told_with_what_moved() {
    let (world, tenant) = (world().await, tenant());
    let (from_chat, from) = opened(&world, &tenant, "1", 1).await;
    let (_, into) = opened(&world, &tenant, "2", 2).await;
    let before = world.names(&tenant.account).await.len();
    world.merge(&tenant, &from, &into).await.unwrap();
    let published = world.published(&tenant.account).await;
    let names: Vec<&str> = published[before..]
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    assert_eq!(names, ["contact.merged", "chat.unlinked", "chat.linked"]);
    let told: ContactMerged = published[before].read();
    assert_eq!(told.merged_contact_id, from.contact_id);
    assert_eq!(told.contact.unwrap().contact_id, into.contact_id);
    assert_eq!(told.chat_ids, [from_chat.chat()]);
}

#[tokio::test]
async fn bad_merges_are_refused_by_name_and_change_nothing() {
    let (world, tenant) = (world().await, tenant());
    let (_, from) = opened(&world, &tenant, "1", 1).await;
    let (_, into) = opened(&world, &tenant, "2", 2).await;
    let before = world.names(&tenant.account).await;
    let itself = world.merge(&tenant, &from, &from).await.unwrap_err();
    assert_eq!(
        (itself.code(), &*field(&itself)),
        (Code::InvalidArgument, "into_contact_id")
    );
    let nobody = Contact {
        contact_id: ANNA.to_string(),
        ..Contact::default()
    };
    for (from, into) in [(&nobody, &into), (&from, &nobody)] {
        let refused = world.merge(&tenant, from, into).await.unwrap_err();
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::NotFound, "CONTACT_UNKNOWN")
        );
    }
    let stale = MergeContactsRequest {
        from_contact_id: from.contact_id.clone(),
        into_contact_id: into.contact_id.clone(),
        expected_from_revision: None,
        expected_into_revision: Some(7),
    };
    let refused = world
        .api
        .merge_contacts(tenant.ask(stale))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Aborted);
    let refused = unmerge(&world, &tenant, &from.contact_id)
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "CONTACT_NOT_MERGED")
    );
    let stranger = crate::world::tenant();
    let refused = world.merge(&stranger, &from, &into).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(world.names(&tenant.account).await, before);
    assert_eq!(world.contacts(&tenant).await.len(), 2);
}

#[tokio::test]
async fn b08_a_merge_taken_back_returns_what_it_moved_and_what_came_since() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    world
        .set_mode(&tenant, Uuid::from_u128(2), Mode::Repeat)
        .await;
    let (from_chat, from) = opened(&world, &tenant, "1", 1).await;
    let (into_chat, into) = opened(&world, &tenant, "2", 2).await;
    let change = UpdateContactRequest {
        contact_id: from.contact_id.clone(),
        emails: Some(ContactPoints {
            values: vec!["anna@example.com".into()],
        }),
        responsible_agent_id: Some(ANNA.to_string()),
        ..UpdateContactRequest::default()
    };
    let from = world.update_contact(&tenant, change).await.unwrap();
    world.merge(&tenant, &from, &into).await.unwrap();
    // The first person writes on another channel, and the second one gets a phone.
    let since = Chat {
        channel: Uuid::from_u128(2),
        user: "1",
    };
    let since = tenant.opening(since, 3);
    world.handle(&[since.delivery()]).await.unwrap();
    let phone = UpdateContactRequest {
        contact_id: into.contact_id.clone(),
        phones: Some(ContactPoints {
            values: vec!["+380441234567".into()],
        }),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, phone).await.unwrap();
    let (back, left) = unmerge(&world, &tenant, &from.contact_id).await.unwrap();
    assert_eq!(back.contact_id, from.contact_id);
    assert_eq!(
        (&back.emails, &back.responsible_agent_id),
        (&from.emails, &from.responsible_agent_id)
    );
    assert_eq!(back.identities, from.identities);
    assert_eq!(left.identities, into.identities);
    assert_eq!((left.phones.len(), left.emails.len()), (1, 0));
    assert_eq!(left.responsible_agent_id, "");
    for (opening, contact) in [(&from_chat, &from), (&since, &from), (&into_chat, &into)] {
        let found = world.connections(&tenant, &opening.chat()).await;
        assert_eq!(found.contact.unwrap().contact_id, contact.contact_id);
        assert_eq!(found.cards.len(), 1);
        assert_eq!(found.cards[0].contact_id, contact.contact_id);
    }
    assert_eq!(world.contacts(&tenant).await.len(), 2);
    let names = world.names(&tenant.account).await;
    assert!(names.contains(&"contact.unmerged".to_owned()));
    let refused = unmerge(&world, &tenant, &from.contact_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CONTACT_NOT_MERGED");
    // Two persons are suspected no more, and may be merged anew.
    assert!(duplicates(&world, &tenant).await.is_empty());
    world.merge(&tenant, &back, &left).await.unwrap();
}

#[tokio::test]
async fn b08_of_merges_upon_merges_the_last_is_taken_back_first() {
    let (world, tenant) = (world().await, tenant());
    let (_, one) = opened(&world, &tenant, "1", 1).await;
    let (_, two) = opened(&world, &tenant, "2", 2).await;
    let (_, three) = opened(&world, &tenant, "3", 3).await;
    world.merge(&tenant, &one, &two).await.unwrap();
    world.merge(&tenant, &two, &three).await.unwrap();
    assert_eq!(
        get(&world, &tenant, &one.contact_id).await.contact_id,
        three.contact_id
    );
    let refused = unmerge(&world, &tenant, &one.contact_id).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "CONTACT_MERGED_ON")
    );
    unmerge(&world, &tenant, &two.contact_id).await.unwrap();
    assert_eq!(
        get(&world, &tenant, &one.contact_id).await.contact_id,
        two.contact_id
    );
    let (back, _) = unmerge(&world, &tenant, &one.contact_id).await.unwrap();
    assert_eq!(back.identities, one.identities);
    assert_eq!(world.contacts(&tenant).await.len(), 3);
}

/// Messages, orders and merges of the same contacts at once: nothing is lost and nobody has two contacts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn x04_a_merge_amid_openings_loses_no_conversation() {
    let world = std::sync::Arc::new(world().await);
    let tenant = tenant();
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    for round in 0..12 {
        let users = [format!("a{round}"), format!("b{round}")];
        let (_, from) = opened(&world, &tenant, &users[0], round * 10).await;
        let (_, into) = opened(&world, &tenant, &users[1], round * 10 + 1).await;
        let mut tasks = Vec::new();
        for (place, user) in users.iter().enumerate() {
            let opening =
                tenant.opening(chat(user), round * 10 + 2 + i64::try_from(place).unwrap());
            let handled = std::sync::Arc::clone(&world);
            tasks.push(tokio::spawn(async move {
                handled.handle_until_done(&[opening.delivery()]).await;
            }));
        }
        let merging = std::sync::Arc::clone(&world);
        let asker = tenant.clone();
        let ids = (from.clone(), into.clone());
        tasks.push(tokio::spawn(async move {
            while let Err(refused) = merging.merge(&asker, &ids.0, &ids.1).await {
                assert!(
                    matches!(refused.code(), Code::Aborted | Code::Unavailable),
                    "{refused:?}"
                );
            }
        }));
        for task in tasks {
            task.await.unwrap();
        }
        let merged = get(&world, &tenant, &from.contact_id).await;
        assert_eq!(
            (merged.contact_id, merged.identities.len()),
            (into.contact_id, 2)
        );
    }
    assert_eq!(world.decisions(&tenant).await.len(), 48);
    assert_eq!(world.contacts(&tenant).await.len(), 12);
}

#[tokio::test]
async fn d27_the_same_phone_or_address_makes_contacts_suspected_until_somebody_says_no() {
    let (world, tenant) = (world().await, tenant());
    let mut opening = tenant.opening(chat("1"), 1);
    let client = opening.event.client.as_mut().unwrap();
    client.phone = "+380441234567".into();
    client.email = "Anna@example.com".into();
    world.handle(&[opening.delivery()]).await.unwrap();
    let first = world.contacts(&tenant).await.remove(0);
    assert_eq!(
        (first.phones.len(), &*first.emails[0]),
        (1, "anna@example.com")
    );
    // Another bot does not know that it is the same person.
    let mut other = tenant.opening(chat("2"), 2);
    let client = other.event.client.as_mut().unwrap();
    client.scope = "viber:2".into();
    client.phone = "+380441234567".into();
    world.handle(&[other.delivery()]).await.unwrap();
    let found = duplicates(&world, &tenant).await;
    assert_eq!(found.len(), 1);
    assert_eq!(reasons(&found[0]), [("KIND_PHONE", "+380441234567")]);
    let second = world
        .connections(&tenant, &other.chat())
        .await
        .contact
        .unwrap();
    let mut pair = [
        found[0].first.clone().unwrap(),
        found[0].second.clone().unwrap(),
    ];
    pair.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(pair, [first.clone(), second.clone()]);
    let address = UpdateContactRequest {
        contact_id: second.contact_id.clone(),
        emails: Some(ContactPoints {
            values: vec!["anna@example.com".into()],
        }),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, address).await.unwrap();
    let found = duplicates(&world, &tenant).await;
    assert_eq!(
        reasons(&found[0]),
        [
            ("KIND_PHONE", "+380441234567"),
            ("KIND_EMAIL", "anna@example.com")
        ]
    );
    let no_phone = UpdateContactRequest {
        contact_id: second.contact_id.clone(),
        phones: Some(ContactPoints::default()),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, no_phone).await.unwrap();
    let found = duplicates(&world, &tenant).await;
    assert_eq!(reasons(&found[0]), [("KIND_EMAIL", "anna@example.com")]);
    let published = world.published(&tenant.account).await;
    let told: Vec<DuplicateSuspected> = published
        .iter()
        .filter(|event| event.name == "duplicate.suspected")
        .map(crate::world::Published::read)
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let dismiss = DismissDuplicateRequest {
        first_contact_id: second.contact_id.clone(),
        second_contact_id: first.contact_id.clone(),
    };
    for _ in 0..2 {
        let request = tenant.ask(dismiss.clone());
        world.api.dismiss_duplicate(request).await.unwrap();
    }
    assert!(duplicates(&world, &tenant).await.is_empty());
    // Nor later, whatever they have in common.
    let phone = UpdateContactRequest {
        contact_id: second.contact_id.clone(),
        phones: Some(ContactPoints {
            values: vec!["+380441234567".into()],
        }),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, phone).await.unwrap();
    assert!(duplicates(&world, &tenant).await.is_empty());
    let itself = DismissDuplicateRequest {
        first_contact_id: first.contact_id.clone(),
        second_contact_id: first.contact_id,
    };
    let refused = world
        .api
        .dismiss_duplicate(tenant.ask(itself))
        .await
        .unwrap_err();
    assert_eq!(field(&refused), "second_contact_id");
}

#[tokio::test]
async fn d27_pages_of_suspected_pairs_follow_each_other_and_a_merged_pair_is_gone() {
    let (world, tenant) = (world().await, tenant());
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let request = CreateContactRequest {
            name: name.into(),
            phones: vec!["+380441234567".into()],
            ..CreateContactRequest::default()
        };
        made.push(world.new_contact(&tenant, request).await.unwrap());
    }
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSuspectedDuplicatesRequest {
            page_size: 1,
            page_token,
            ..ListSuspectedDuplicatesRequest::default()
        };
        let page = world
            .api
            .list_suspected_duplicates(tenant.ask(request))
            .await
            .unwrap();
        let page = page.into_inner();
        found.extend(page.duplicates);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(found.len(), 6);
    let of_one = ListSuspectedDuplicatesRequest {
        contact_id: made[0].contact_id.clone(),
        ..ListSuspectedDuplicatesRequest::default()
    };
    let of_one = world
        .api
        .list_suspected_duplicates(tenant.ask(of_one))
        .await
        .unwrap();
    assert_eq!(of_one.into_inner().duplicates.len(), 3);
    world.merge(&tenant, &made[0], &made[1]).await.unwrap();
    assert_eq!(duplicates(&world, &tenant).await.len(), 3);
    let stranger = crate::world::tenant();
    assert!(duplicates(&world, &stranger).await.is_empty());
}

fn clicked(opening: &Opening, visitor: u128) -> chassis::consumer::Delivery {
    let event = LinkClicked {
        channel_id: opening.event.channel_id.clone(),
        chat_id: opening.chat(),
        message_id: Uuid::from_u128(9).to_string(),
        url: "https://example.com/offer".into(),
        visitor_id: Uuid::from_u128(visitor).to_string(),
        time: Some(timestamp(chassis::clock::now())),
    };
    deliver(&opening.account, &opening.chat(), &event)
}

#[tokio::test]
async fn f193_f194_f196_clicks_stand_in_the_history_and_one_visitor_of_two_is_suspected() {
    let (world, tenant) = (world().await, tenant());
    let (one_chat, one) = opened(&world, &tenant, "1", 1).await;
    let (two_chat, _) = opened(&world, &tenant, "2", 2).await;
    let first = clicked(&one_chat, 7);
    world.handle(&[first.clone(), first.clone()]).await.unwrap();
    world.handle(&[first]).await.unwrap();
    assert!(duplicates(&world, &tenant).await.is_empty());
    let about = || Entity::ContactId(one.contact_id.clone());
    let actions = [history_entry::Kind::KeyAction];
    let told = world.history_of(&tenant, about(), &actions).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("url: . -> https://example.com/offer"),
        "{told:?}"
    );
    let shown = world.history_of(&tenant, about(), &[]).await;
    assert!(
        !shown.iter().any(|line| line.starts_with("key_action")),
        "{shown:?}"
    );
    let second = clicked(&two_chat, 7);
    world
        .handle(&[second, clicked(&two_chat, 8)])
        .await
        .unwrap();
    let found = duplicates(&world, &tenant).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        reasons(&found[0]),
        [("KIND_VISITOR", Uuid::from_u128(7).to_string().as_str())]
    );
    let names = world.names(&tenant.account).await;
    assert_eq!(
        names
            .iter()
            .filter(|name| *name == "duplicate.suspected")
            .count(),
        1
    );
    // A click in a chat that is not known is nobody's.
    let unknown = tenant.opening(chat("3"), 3);
    world.handle(&[clicked(&unknown, 7)]).await.unwrap();
}

#[tokio::test]
async fn f113_d10_a_chat_is_bound_to_a_buyer_while_phone_or_address_is_missing() {
    let (world, tenant) = (world().await, tenant());
    let (opening, contact) = opened(&world, &tenant, "1", 1).await;
    let buyer = CreateContactRequest {
        name: "Buyer".into(),
        ..CreateContactRequest::default()
    };
    let buyer = world.new_contact(&tenant, buyer).await.unwrap();
    let bind = |bound: Bound| BindBuyerRequest {
        bound: Some(bound),
        buyer_contact_id: buyer.contact_id.clone(),
    };
    let of_chat = || bind(Bound::ChatId(opening.chat()));
    let refused = world
        .api
        .bind_buyer(tenant.ask(of_chat()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "CONTACT_NOT_A_BUYER")
    );
    world.save_buyer(&tenant, &buyer.contact_id).await;
    let points = |phones: &[&str], emails: &[&str]| UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        phones: Some(ContactPoints {
            values: phones.iter().map(|one| (*one).to_owned()).collect(),
        }),
        emails: Some(ContactPoints {
            values: emails.iter().map(|one| (*one).to_owned()).collect(),
        }),
        ..UpdateContactRequest::default()
    };
    let both = points(&["+380441234567"], &["anna@example.com"]);
    world.update_contact(&tenant, both).await.unwrap();
    let refused = world
        .api
        .bind_buyer(tenant.ask(of_chat()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "CONTACT_IS_KNOWN")
    );
    let one = points(&["+380441234567"], &[]);
    world.update_contact(&tenant, one).await.unwrap();
    let itself = bind(Bound::ContactId(buyer.contact_id.clone()));
    let refused = world.api.bind_buyer(tenant.ask(itself)).await.unwrap_err();
    assert_eq!(field(&refused), "buyer_contact_id");
    let bound = world.api.bind_buyer(tenant.ask(of_chat())).await.unwrap();
    let bound = bound.into_inner().contact.unwrap();
    assert_eq!(
        (bound.contact_id.as_str(), bound.phones.len()),
        (buyer.contact_id.as_str(), 1)
    );
    let found = world
        .connections(&tenant, &opening.chat())
        .await
        .contact
        .unwrap();
    assert_eq!(found, bound);
    // An order can be made now (F117).
    world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap();
}

//! What becomes of cards: changed, moved, deleted, with notes and participants.

use chassis::testing;
use switchboard_proto::common::v1::EntityKind;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, field, reason, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);

/// A chat whose conversation made a card.
async fn with_card(mode: Mode) -> (World, Tenant, Pipeline, Opening, Card) {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, mode).await;
    let opening = tenant.opening(chat("1"), 1);
    world.handle(&[opening.delivery()]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    (world, tenant, pipeline, opening, card)
}

fn chat(user: &str) -> Chat<'_> {
    Chat {
        channel: CHANNEL,
        user,
    }
}

fn money(currency: &str, amount: &str) -> Money {
    Money {
        currency: currency.into(),
        amount: amount.into(),
    }
}

fn change(card: &Card) -> UpdateCardRequest {
    UpdateCardRequest {
        card_id: card.card_id.clone(),
        ..UpdateCardRequest::default()
    }
}

#[tokio::test]
async fn f025_f116_a_card_is_changed_field_by_field_and_told_with_its_author() {
    let (world, tenant, _, opening, card) = with_card(Mode::Repeat).await;
    let source = CreateSourceRequest {
        name: "Fair".into(),
        ..CreateSourceRequest::default()
    };
    let source = world.api.create_source(tenant.ask(source)).await.unwrap();
    let source = source.into_inner().source.unwrap().source_id;
    let before = world.names(&tenant.account).await.len();
    let agent = tenant.agent(testing::full_access(ANNA.into()));
    let request = UpdateCardRequest {
        title: Some(" Wardrobe ".into()),
        amount: Some(money("UAH", "1200.5")),
        source_id: Some(source.clone()),
        responsible_agent_id: Some(ANNA.to_string()),
        ..change(&card)
    };
    let changed = world.update_card(&agent, request.clone()).await.unwrap();
    assert_eq!((&*changed.title, &changed.source_id), ("Wardrobe", &source));
    assert_eq!(changed.amount, Some(money("UAH", "1200.50")));
    assert_eq!(changed.responsible_agent_id, ANNA.to_string());
    assert_eq!((changed.revision, &changed.chat_id), (2, &card.chat_id));
    assert_eq!(
        world.get_card(&tenant, &card.card_id).await.unwrap(),
        changed
    );
    let events = world.published(&tenant.account).await.split_off(before);
    let names: Vec<&str> = events.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["card.updated", "entity.responsible-changed"]);
    assert!(
        events
            .iter()
            .all(|event| event.actor == format!("agent:{ANNA}"))
    );
    let updated: CardUpdated = events[0].read();
    assert_eq!(updated.card, Some(changed.clone()));
    // D06: only an edit of the responsible tells the sync, with all chats and the stamp of this act.
    let responsible: EntityResponsibleChanged = events[1].read();
    assert_eq!(responsible.chat_ids, [opening.chat()]);
    let entity = responsible.entity.unwrap();
    assert_eq!(entity.responsible_agent_id, ANNA.to_string());
    assert!(entity.stamp.unwrap().time.unwrap().seconds > 0);
    // Said again it is no change; another field is none of the responsible.
    world.update_card(&agent, request).await.unwrap();
    let retitled = UpdateCardRequest {
        title: Some("Shelf".into()),
        ..change(&card)
    };
    world.update_card(&agent, retitled).await.unwrap();
    let names = world.names(&tenant.account).await.split_off(before + 2);
    assert_eq!(names, ["card.updated"]);
    // Cleared.
    let cleared = UpdateCardRequest {
        amount: Some(money("", "")),
        source_id: Some(String::new()),
        responsible_agent_id: Some(String::new()),
        ..change(&card)
    };
    let cleared = world.update_card(&tenant, cleared).await.unwrap();
    assert_eq!(
        (
            cleared.amount,
            &*cleared.source_id,
            &*cleared.responsible_agent_id
        ),
        (None, "", "")
    );
    let told = world.history(&tenant, &card.card_id).await;
    assert!(
        told.contains(&format!(
            "responsible by service:tests: responsible_agent_id: {ANNA} -> "
        )),
        "{told:?}"
    );
}

#[tokio::test]
async fn wrong_changes_of_cards_are_refused_by_field_and_change_nothing() {
    let (world, tenant, _, _, card) = with_card(Mode::Repeat).await;
    let unknown = Uuid::from_u128(404).to_string();
    for (request, expected) in [
        (
            UpdateCardRequest {
                title: Some(" ".into()),
                ..change(&card)
            },
            "title",
        ),
        (
            UpdateCardRequest {
                title: Some("x".repeat(501)),
                ..change(&card)
            },
            "title",
        ),
        (
            UpdateCardRequest {
                amount: Some(money("UAH", "0.001")),
                ..change(&card)
            },
            "amount.amount",
        ),
        (
            UpdateCardRequest {
                amount: Some(money("UAH", "1e3")),
                ..change(&card)
            },
            "amount.amount",
        ),
        (
            UpdateCardRequest {
                amount: Some(money("UAH", "1000000000000000")),
                ..change(&card)
            },
            "amount.amount",
        ),
        (
            UpdateCardRequest {
                amount: Some(money("hryvnia", "1")),
                ..change(&card)
            },
            "amount.currency",
        ),
        (
            UpdateCardRequest {
                source_id: Some(unknown.clone()),
                ..change(&card)
            },
            "source_id",
        ),
        (
            UpdateCardRequest {
                contact_id: Some(unknown.clone()),
                ..change(&card)
            },
            "contact_id",
        ),
        (
            UpdateCardRequest {
                responsible_agent_id: Some("x".into()),
                ..change(&card)
            },
            "responsible_agent_id",
        ),
    ] {
        let refused = world.update_card(&tenant, request).await.unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused).as_str()),
            (Code::InvalidArgument, expected)
        );
    }
    assert_eq!(world.get_card(&tenant, &card.card_id).await.unwrap(), card);
}

#[tokio::test]
async fn d05_with_a_buyer_as_contact_a_lead_becomes_a_deal_and_stays_one() {
    let (world, tenant, _, _, card) = with_card(Mode::Repeat).await;
    world
        .handle(&[tenant.opening(chat("2"), 2).delivery()])
        .await
        .unwrap();
    let contacts = world.contacts(&tenant).await;
    let other = contacts
        .iter()
        .find(|one| one.contact_id != card.contact_id)
        .unwrap();
    world.save_buyer(&tenant, &other.contact_id).await;
    let to = |contact: &str| UpdateCardRequest {
        contact_id: Some(contact.into()),
        ..change(&card)
    };
    assert_eq!(card.kind(), EntityKind::Lead);
    let deal = world
        .update_card(&tenant, to(&other.contact_id))
        .await
        .unwrap();
    assert_eq!(
        (deal.kind(), &deal.contact_id),
        (EntityKind::Deal, &other.contact_id)
    );
    let back = world
        .update_card(&tenant, to(&card.contact_id))
        .await
        .unwrap();
    assert_eq!(back.kind(), EntityKind::Deal);
    let none = world.update_card(&tenant, to("")).await.unwrap();
    assert_eq!((none.kind(), &*none.contact_id), (EntityKind::Deal, ""));
}

#[tokio::test]
async fn f009_a_deleted_card_is_gone_for_everybody_but_one_time_counts_it() {
    let (world, tenant, _, opening, card) = with_card(Mode::OneTime).await;
    let before = world.names(&tenant.account).await.len();
    world.delete_card(&tenant, &card.card_id).await.unwrap();
    let events = world.published(&tenant.account).await.split_off(before);
    let told: Vec<_> = events
        .iter()
        .map(|event| (&*event.name, &*event.subject))
        .collect();
    let chat_id = opening.chat();
    assert_eq!(
        told,
        [
            ("card.deleted", &*card.card_id),
            ("chat.unlinked", &*chat_id)
        ]
    );
    let unlinked: ChatUnlinked = events[1].read();
    assert_eq!(unlinked.entity.unwrap().entity_id, card.card_id);
    for refused in [
        world.get_card(&tenant, &card.card_id).await.map(drop),
        world.delete_card(&tenant, &card.card_id).await,
        world.update_card(&tenant, change(&card)).await.map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused)),
            (Code::NotFound, "CARD_UNKNOWN".into())
        );
    }
    assert!(world.cards(&tenant).await.is_empty());
    assert!(world.connections(&tenant, &chat_id).await.cards.is_empty());
    let again = tenant.opening(chat("1"), 2);
    world.handle(&[again.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &again).await, "CARD_EVER_LINKED");
    assert!(world.cards(&tenant).await.is_empty());
}

#[tokio::test]
async fn x04_a_deleted_card_does_not_keep_mode_repeat_from_the_next() {
    let (world, tenant, _, _, card) = with_card(Mode::Repeat).await;
    world.delete_card(&tenant, &card.card_id).await.unwrap();
    let again = tenant.opening(chat("1"), 2);
    world.handle(&[again.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &again).await, "NOTHING_IN_WORK");
    assert_eq!(world.cards(&tenant).await.len(), 1);
}

#[tokio::test]
async fn a_card_moves_into_another_pipeline_only_where_that_is_named() {
    let (world, tenant, pipeline, _, card) = with_card(Mode::Repeat).await;
    let other = world.pipeline(&tenant).await;
    let to = |status: &Status, pipeline: &str| MoveCardRequest {
        card_id: card.card_id.clone(),
        status_id: status.status_id.clone(),
        pipeline_id: pipeline.into(),
        expected_revision: None,
    };
    for (status, named) in [
        (&other.statuses[1], ""),
        (&other.statuses[1], &*pipeline.pipeline_id),
        (&pipeline.statuses[1], &*other.pipeline_id),
    ] {
        let refused = world
            .api
            .move_card(tenant.ask(to(status, named)))
            .await
            .unwrap_err();
        assert_eq!(
            (refused.code(), field(&refused).as_str()),
            (Code::InvalidArgument, "status_id")
        );
    }
    let request = to(&other.statuses[1], &other.pipeline_id);
    let moved = world
        .api
        .move_card(tenant.ask(request))
        .await
        .unwrap()
        .into_inner()
        .card
        .unwrap();
    assert_eq!(
        (&moved.pipeline_id, moved.status.as_ref()),
        (&other.pipeline_id, Some(&other.statuses[1]))
    );
    let event: CardMoved = world
        .published(&tenant.account)
        .await
        .last()
        .unwrap()
        .read();
    assert_eq!(event.previous_pipeline_id, pipeline.pipeline_id);
    assert_eq!(event.previous_status_id, pipeline.statuses[0].status_id);
}

#[tokio::test]
async fn f109_notes_are_added_once_and_listed_newest_first() {
    let (world, tenant, _, _, card) = with_card(Mode::Repeat).await;
    let note = |id: &str, text: &str| AddCardNoteRequest {
        request_id: id.into(),
        card_id: card.card_id.clone(),
        text: text.into(),
    };
    let first = world
        .api
        .add_card_note(tenant.ask(note("1", "one")))
        .await
        .unwrap()
        .into_inner();
    let again = world
        .api
        .add_card_note(tenant.ask(note("1", "one")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    world
        .api
        .add_card_note(tenant.ask(note("2", "two")))
        .await
        .unwrap();
    world
        .api
        .add_card_note(tenant.ask(note("3", &"ї".repeat(10_000))))
        .await
        .unwrap();
    for text in [" ".to_owned(), "x".repeat(10_001)] {
        let refused = world
            .api
            .add_card_note(tenant.ask(note("", &text)))
            .await
            .unwrap_err();
        assert_eq!(field(&refused), "text");
    }
    let (mut texts, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListCardNotesRequest {
            page_size: 2,
            page_token,
            card_id: card.card_id.clone(),
        };
        let page = world
            .api
            .list_card_notes(tenant.ask(request))
            .await
            .unwrap()
            .into_inner();
        texts.extend(
            page.notes
                .into_iter()
                .map(|note| note.text.chars().take(3).collect::<String>()),
        );
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(texts, ["їїї", "two", "one"]);
    let events = world.published(&tenant.account).await;
    let told: CardUpdated = events.last().unwrap().read();
    assert_eq!(told.note.unwrap().actor, "service:tests");
}

#[tokio::test]
async fn participants_come_and_go_each_once() {
    let (world, tenant, _, _, card) = with_card(Mode::Repeat).await;
    let agents = |numbers: &[u128]| -> Vec<String> {
        let ids = numbers
            .iter()
            .map(|number| Uuid::from_u128(*number).to_string());
        ids.collect()
    };
    let add = |numbers: &[u128]| AddCardParticipantsRequest {
        card_id: card.card_id.clone(),
        agent_ids: agents(numbers),
    };
    let remove = |numbers: &[u128]| RemoveCardParticipantsRequest {
        card_id: card.card_id.clone(),
        agent_ids: agents(numbers),
    };
    let added = world
        .api
        .add_card_participants(tenant.ask(add(&[3, 1, 3])))
        .await
        .unwrap();
    let added = added.into_inner().card.unwrap();
    assert_eq!(
        (added.participant_agent_ids, added.revision),
        (agents(&[1, 3]), 2)
    );
    let again = world
        .api
        .add_card_participants(tenant.ask(add(&[1])))
        .await
        .unwrap();
    assert_eq!(again.into_inner().card.unwrap().revision, 2);
    let removed = world
        .api
        .remove_card_participants(tenant.ask(remove(&[1, 9])))
        .await
        .unwrap();
    let removed = removed.into_inner().card.unwrap();
    assert_eq!(
        (&removed.participant_agent_ids, removed.revision),
        (&agents(&[3]), 3)
    );
    assert_eq!(
        world.get_card(&tenant, &card.card_id).await.unwrap(),
        removed
    );
    let told = &world.history(&tenant, &card.card_id).await[0];
    assert!(
        told.starts_with("participants by service:tests: participant_agent_ids: "),
        "{told}"
    );
    let many: Vec<u128> = (10..60).collect();
    let refused = world
        .api
        .add_card_participants(tenant.ask(add(&many)))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::FailedPrecondition, "TOO_MANY_PARTICIPANTS".into())
    );
    let refused = world
        .api
        .add_card_participants(tenant.ask(add(&[])))
        .await
        .unwrap_err();
    assert_eq!(field(&refused), "agent_ids");
}

//! Who changed which field of an entity from what to what, and changes that overtake each other.

use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::history_service_server::HistoryService as _;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::world::{Chat, fact, reason, stamp, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);

/// X10: each act leaves its author, also those of rules and of the synchronisation.
#[tokio::test]
async fn x10_every_act_on_a_card_is_in_its_history_with_its_author() {
    use switchboard_proto::assignment::v1::AssignmentRule::Distribution;
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    let opening = tenant.opening(chat, 1);
    let agent = Uuid::from_u128(100);
    let assigned = opening.assigned(agent, Distribution, stamp(1_000));
    world.handle(&[opening.delivery()]).await.unwrap();
    world.handle(&[assigned]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    world
        .move_to(&tenant, &card.card_id, &pipeline.statuses[1])
        .await
        .unwrap();
    world.save_buyer(&tenant, &card.contact_id).await;
    let note = AddCardNoteRequest {
        card_id: card.card_id.clone(),
        text: "Calls back on Monday".into(),
        ..AddCardNoteRequest::default()
    };
    let note = world.api.add_card_note(tenant.ask(note)).await.unwrap();
    let note = note.into_inner().note.unwrap().note_id;
    let (from, to) = (&pipeline.statuses[0], &pipeline.statuses[1]);
    let told = world.history(&tenant, &card.card_id).await;
    let (created, told) = told.split_last().unwrap();
    let expected = [
        format!("note by service:tests: note_id: . -> {note}"),
        "updated by service:tests: kind: ENTITY_KIND_LEAD -> ENTITY_KIND_DEAL".to_owned(),
        format!(
            "moved by service:tests: status.kind: STATUS_KIND_NEW -> STATUS_KIND_IN_PROGRESS, \
             status.name: New -> In progress, status.status_id: {} -> {}",
            from.status_id, to.status_id
        ),
        format!("responsible by sync:card-from-chat: responsible_agent_id:  -> {agent}"),
    ];
    assert_eq!(told, expected);
    assert!(
        created.starts_with("created by rule:pipeline-connection: "),
        "{created}"
    );
    assert!(created.contains("title: . -> Client 1"), "{created}");

    // The contact's own: who wrote first brought it.
    let client = &opening.event.client_id;
    let contact = Entity::ContactId(card.contact_id.clone());
    let told = world.history_of(&tenant, contact, &[]).await;
    let saved = "updated by service:tests: buyer: false -> true";
    let linked = format!(
        "linked by client:{client}: chat_id: . -> {}",
        opening.chat()
    );
    assert_eq!(told[0], saved);
    assert!(told[1..].contains(&linked), "{told:?}");
    let created = format!("created by client:{client}: ");
    assert!(
        told[1..].iter().any(|entry| entry.starts_with(&created)),
        "{told:?}"
    );
    let order = world.create_order(&tenant, &card.contact_id).await.unwrap();
    world
        .move_order(&tenant, &order.order_id, StatusKind::Successful)
        .await;
    let told = world
        .history_of(&tenant, Entity::OrderId(order.order_id), &[])
        .await;
    assert_eq!(
        told[0],
        "moved by service:tests: status: STATUS_KIND_NEW -> STATUS_KIND_SUCCESSFUL"
    );
    assert!(told.len() == 2 && told[1].starts_with("created by service:tests: "));
}

#[tokio::test]
async fn f194_key_actions_are_listed_only_where_they_are_asked_for() {
    use history_entry::Kind::{Created, KeyAction};
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let card = world.card(&tenant, "x").await;
    let insert = "insert into history (account, entity, subject, kind, at, id, actor, changes)
                  select $1, 'card', $2, 'key-action', now() + n * interval '1 s', gen_random_uuid(), 'client:x', '[]'
                  from generate_series(1, 3) n";
    sqlx::query(insert)
        .bind(tenant.account.as_str())
        .bind(card.card_id.parse::<Uuid>().unwrap())
        .execute(&world.database.pool)
        .await
        .unwrap();
    assert_eq!(world.history(&tenant, &card.card_id).await.len(), 1);
    let about = || Entity::CardId(card.card_id.clone());
    let actions = [KeyAction];
    assert_eq!(world.history_of(&tenant, about(), &actions).await.len(), 3);
    let both = [KeyAction, Created];
    assert_eq!(world.history_of(&tenant, about(), &both).await.len(), 4);
    // Page by page, newest first.
    let (mut kinds, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListHistoryRequest {
            page_size: 3,
            page_token,
            entity: Some(about()),
            kinds: both.map(Into::into).to_vec(),
        };
        let page = world
            .api
            .list_history(tenant.ask(request))
            .await
            .unwrap()
            .into_inner();
        kinds.extend(page.entries.iter().map(HistoryEntry::kind));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(kinds, [KeyAction, KeyAction, KeyAction, Created]);
}

#[tokio::test]
async fn a_change_that_was_overtaken_is_refused_with_the_present_revision() {
    let (world, tenant) = (world().await, tenant());
    let pipeline = world.pipeline(&tenant).await;
    let card = world.card(&tenant, "first").await;
    assert_eq!((card.revision, pipeline.revision), (1, 1));
    let titled = |title: &str, seen| UpdateCardRequest {
        card_id: card.card_id.clone(),
        title: Some(title.into()),
        expected_revision: seen,
        ..UpdateCardRequest::default()
    };
    // Of many at once that saw the same exactly one is done.
    let tries =
        (0..8).map(|number| world.update_card(&tenant, titled(&number.to_string(), Some(1))));
    let answers = futures::future::join_all(tries).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.is_ok()).collect();
    assert_eq!(done.len(), 1);
    for refused in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        let told = (refused.code(), reason(refused), fact(refused, "revision"));
        assert_eq!(
            told,
            (Code::Aborted, "CHANGED_MEANWHILE".into(), "2".into())
        );
    }
    // What is as it was changes nothing, and so does not count.
    let title = world.get_card(&tenant, &card.card_id).await.unwrap().title;
    let same = world
        .update_card(&tenant, titled(&title, Some(2)))
        .await
        .unwrap();
    assert_eq!(same.revision, 2);
    let unchecked = world
        .update_card(&tenant, titled("last", None))
        .await
        .unwrap();
    assert_eq!(unchecked.revision, 3);
    let stale = MoveCardRequest {
        card_id: card.card_id.clone(),
        status_id: pipeline.statuses[1].status_id.clone(),
        expected_revision: Some(2),
        ..MoveCardRequest::default()
    };
    let refused = world
        .api
        .move_card(tenant.ask(stale.clone()))
        .await
        .unwrap_err();
    assert_eq!(fact(&refused, "revision"), "3");
    let fresh = MoveCardRequest {
        expected_revision: Some(3),
        ..stale
    };
    let moved = world.api.move_card(tenant.ask(fresh)).await.unwrap();
    assert_eq!(moved.into_inner().card.unwrap().revision, 4);
    let delete = DeleteCardRequest {
        card_id: card.card_id.clone(),
        expected_revision: Some(3),
    };
    let refused = world.api.delete_card(tenant.ask(delete)).await.unwrap_err();
    assert_eq!(fact(&refused, "revision"), "4");
    let contact = world.contacts(&tenant).await;
    assert!(contact.is_empty());
}

#[tokio::test]
async fn buyers_and_orders_have_revisions_too() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    world
        .handle(&[tenant.opening(chat, 1).delivery()])
        .await
        .unwrap();
    let contact = world.contacts(&tenant).await.remove(0);
    let save = |seen| SaveBuyerRequest {
        contact_id: contact.contact_id.clone(),
        expected_revision: Some(seen),
    };
    let refused = world.api.save_buyer(tenant.ask(save(7))).await.unwrap_err();
    assert_eq!(
        (reason(&refused), fact(&refused, "revision")),
        ("CHANGED_MEANWHILE".into(), "1".into())
    );
    let saved = world.api.save_buyer(tenant.ask(save(1))).await.unwrap();
    assert_eq!(saved.into_inner().contact.unwrap().revision, 2);
    let order = world
        .create_order(&tenant, &contact.contact_id)
        .await
        .unwrap();
    let moved = |seen| MoveOrderRequest {
        order_id: order.order_id.clone(),
        status: StatusKind::Successful.into(),
        expected_revision: Some(seen),
    };
    let refused = world
        .api
        .move_order(tenant.ask(moved(2)))
        .await
        .unwrap_err();
    assert_eq!(fact(&refused, "revision"), "1");
    let order = world.api.move_order(tenant.ask(moved(1))).await.unwrap();
    assert_eq!(order.into_inner().order.unwrap().revision, 2);
}

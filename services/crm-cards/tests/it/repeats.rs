//! One opening, however often and wherever it comes, is decided once.

use chassis::consumer::HandlerError;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, deliver, tenant, world};

#[tokio::test]
async fn x01_an_opening_delivered_five_times_makes_one_card_one_decision_and_one_set_of_events() {
    let world = world().await;
    let channel = Uuid::from_u128(1);
    for way in ["in one batch", "one after another", "at once"] {
        let tenant = tenant();
        world.pipeline(&tenant).await;
        world.set_mode(&tenant, channel, Mode::Repeat).await;
        let opening = tenant.opening(Chat { channel, user: "1" }, 1);
        let delivery = opening.delivery();
        match way {
            "in one batch" => world.handle(&vec![delivery.clone(); 5]).await.unwrap(),
            "one after another" => {
                for _ in 0..5 {
                    world.handle(std::slice::from_ref(&delivery)).await.unwrap();
                }
            }
            _ => {
                let five = (0..5).map(|_| world.handle_until_done(std::slice::from_ref(&delivery)));
                futures::future::join_all(five).await;
            }
        }
        assert_eq!(world.cards(&tenant).await.len(), 1, "{way}");
        assert_eq!(world.decisions(&tenant).await.len(), 1, "{way}");
        assert_eq!(world.contacts(&tenant).await.len(), 1, "{way}");
        let expected = [
            "contact.created",
            "chat.linked",
            "card.created",
            "chat.linked",
            "connection.decided",
        ];
        assert_eq!(world.names(&tenant.account).await, expected, "{way}");
    }
}

#[tokio::test]
async fn a_decision_is_published_with_all_that_assignment_needs() {
    let (world, tenant, channel) = (world().await, tenant(), Uuid::from_u128(1));
    let pipeline = world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::OneTime).await;
    let opening = tenant.opening(Chat { channel, user: "1" }, 1);
    let delivery = opening.delivery();
    world.handle(std::slice::from_ref(&delivery)).await.unwrap();

    let published = world.published(&tenant.account).await;
    assert!(
        published
            .iter()
            .all(|event| event.cause == Some(delivery.envelope.id))
    );
    let decided = published.last().unwrap();
    assert_eq!(
        (decided.subject.as_str(), decided.actor.as_str()),
        (opening.chat().as_str(), "rule:pipeline-connection")
    );
    let decided: ConnectionDecided = decided.read();
    assert_eq!(decided.revision, 1);
    assert_eq!(decided.reason, opening.event.reason);
    assert_eq!(decided.client_id, opening.event.client_id);
    assert_eq!(decided.open_time, opening.event.open_time);
    let kinds: Vec<_> = decided
        .linked
        .iter()
        .map(|entity| entity.kind().as_str_name())
        .collect();
    assert_eq!(kinds, ["ENTITY_KIND_CONTACT", "ENTITY_KIND_LEAD"]);
    let decision = decided.decision.unwrap();
    assert_eq!(decision.rule, "FIRST_CARD_OF_CHAT");
    assert_eq!(decision.outcome(), decision::Outcome::Created);
    assert!(decision.explanation.starts_with("Card created"));

    // F028, F030, D30: what the card carries.
    let card = world.cards(&tenant).await.remove(0);
    assert_eq!(card.card_id, decision.card_id);
    assert_eq!(card.status.unwrap().kind(), StatusKind::New);
    assert_eq!(card.pipeline_id, pipeline.pipeline_id);
    assert_eq!(card.chat_id, opening.chat());
    assert_eq!(card.contact_id, decision.contact_id);
    assert_eq!(
        (card.title.as_str(), card.source_detail.as_str()),
        ("Client 1", "spring-sale")
    );
    assert_eq!(card.responsible_agent_id, "", "F027");
    assert_eq!(card.source_id, "", "F024");
}

#[tokio::test]
async fn f154_two_first_openings_of_one_client_on_two_channels_at_once_make_one_contact() {
    let (world, tenant) = (world().await, tenant());
    for round in 0..16 {
        let user = format!("user-{round}");
        let one = tenant
            .opening(
                Chat {
                    channel: Uuid::from_u128(1),
                    user: &user,
                },
                1,
            )
            .delivery();
        let two = tenant
            .opening(
                Chat {
                    channel: Uuid::from_u128(2),
                    user: &user,
                },
                1,
            )
            .delivery();
        let (one, two) = ([one], [two]);
        tokio::join!(world.handle_until_done(&one), world.handle_until_done(&two));
    }
    assert_eq!(world.contacts(&tenant).await.len(), 16);
    assert_eq!(world.decisions(&tenant).await.len(), 32);
    let names = world.names(&tenant.account).await;
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    assert_eq!(count("contact.created"), 16);
    assert_eq!(count("chat.linked"), 32);
}

#[tokio::test]
async fn x02_two_openings_of_one_client_in_one_batch_make_one_card() {
    let (world, tenant, channel) = (world().await, tenant(), Uuid::from_u128(1));
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    // The later conversation comes first: each runs once, in whatever order.
    let late = tenant.opening(Chat { channel, user: "1" }, 2);
    let early = tenant.opening(Chat { channel, user: "1" }, 1);
    world
        .handle(&[late.delivery(), early.delivery()])
        .await
        .unwrap();
    assert_eq!(world.cards(&tenant).await.len(), 1);
    assert_eq!(world.rule(&tenant, &late).await, "NOTHING_IN_WORK");
    assert_eq!(world.rule(&tenant, &early).await, "CARD_IN_WORK");
}

#[tokio::test]
async fn another_pipeline_connection_changes_nothing_for_a_channel() {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    // F001
    let (on, off) = (Uuid::from_u128(1), Uuid::from_u128(2));
    world.set_mode(&tenant, on, Mode::Repeat).await;
    let [with, without] = [on, off].map(|channel| tenant.opening(Chat { channel, user: "1" }, 1));
    world
        .handle(&[without.delivery(), with.delivery()])
        .await
        .unwrap();
    assert_eq!(world.rule(&tenant, &without).await, "CONNECTION_OFF");
    assert_eq!(world.rule(&tenant, &with).await, "NOTHING_IN_WORK");
}

#[tokio::test]
async fn what_cannot_be_read_is_poison_and_what_is_unknown_is_left_alone() {
    let (world, tenant) = (world().await, tenant());
    let mut opening = tenant.opening(
        Chat {
            channel: Uuid::from_u128(1),
            user: "1",
        },
        1,
    );
    opening.event.chat_id = "no uuid".into();
    let refused = world.handle(&[opening.delivery()]).await.unwrap_err();
    assert!(matches!(refused, HandlerError::Poison(_)), "{refused}");
    let mut opening = tenant.opening(
        Chat {
            channel: Uuid::from_u128(1),
            user: "1",
        },
        1,
    );
    opening.event.client = None;
    let refused = world.handle(&[opening.delivery()]).await.unwrap_err();
    assert!(matches!(refused, HandlerError::Poison(_)), "{refused}");
    let unknown = deliver(&tenant.account, "x", &OrderCreated::default());
    world.handle(&[unknown]).await.unwrap();
    assert!(world.published(&tenant.account).await.is_empty());
}

#[tokio::test]
async fn a_reason_from_the_future_and_a_nul_in_a_name_are_survived() {
    let (world, tenant, channel) = (world().await, tenant(), Uuid::from_u128(1));
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    let mut opening = tenant.opening(Chat { channel, user: "1" }, 1);
    opening.event.reason = 99;
    opening.event.client.as_mut().unwrap().name = "N\0N".into();
    world.handle(&[opening.delivery()]).await.unwrap();
    assert_eq!(world.rule(&tenant, &opening).await, "OPENED_BY_AGENT");
    assert_eq!(world.contacts(&tenant).await[0].name, "NN");
}

#[tokio::test]
async fn a_full_batch_of_new_clients_is_decided_in_one_transaction() {
    let (world, tenant, channel) = (world().await, tenant(), Uuid::from_u128(1));
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, channel, Mode::Repeat).await;
    let users: Vec<String> = (0..512).map(|user| user.to_string()).collect();
    let batch: Vec<_> = users
        .iter()
        .map(|user| tenant.opening(Chat { channel, user }, 1).delivery())
        .collect();
    let begun = std::time::Instant::now();
    world.handle(&batch).await.unwrap();
    println!("512 openings: {:?}", begun.elapsed());
    assert_eq!(world.names(&tenant.account).await.len(), 512 * 5);
}

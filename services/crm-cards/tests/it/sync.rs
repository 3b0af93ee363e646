//! Entities take the responsible of their chat, by kind, and each act once (§8).

use chassis::access::AccessRecord;
use chassis::consumer::Delivery;
use chassis::grpc::timestamp;
use chassis::stamp::Stamp;
use chassis::testing;
use switchboard_proto::assignment::v1::{
    AgentAccessChanged, AssignmentRule, ResponsibleSyncRequested,
};
use switchboard_proto::common::v1::{EntityKind, Stamp as WireStamp};
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use uuid::Uuid;

use crate::world::{Chat, Opening, STRANGER, Tenant, World, deliver, stamp, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);

async fn prepared() -> (World, Tenant, Opening) {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
    let opening = tenant.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        1,
    );
    (world, tenant, opening)
}

fn requested(opening: &Opening, agent: Uuid, kinds: &[EntityKind], stamp: Stamp) -> Delivery {
    let event = ResponsibleSyncRequested {
        chat_id: opening.chat(),
        agent_id: agent.to_string(),
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
        stamp: Some(WireStamp {
            time: Some(timestamp(stamp.time)),
            event_id: stamp.event.to_string(),
        }),
        channel_id: opening.event.channel_id.clone(),
        conversation_id: opening.event.conversation_id.clone(),
        number: opening.event.number,
    };
    deliver(&opening.account, &opening.chat(), &event)
}

/// Who answers for the card and for the contact.
async fn responsibles(world: &World, tenant: &Tenant) -> (String, String) {
    let card = world.cards(tenant).await.remove(0);
    let contact = world.contacts(tenant).await.remove(0);
    (card.responsible_agent_id, contact.responsible_agent_id)
}

async fn changes(world: &World, tenant: &Tenant) -> usize {
    let names = world.names(&tenant.account).await;
    let changed = names
        .iter()
        .filter(|name| *name == "entity.responsible-changed");
    changed.count()
}

/// What is asked before the chat is known waits until it is (F055): entities are looked for by their chat (F056).
#[tokio::test]
async fn f052_f053_f055_f056_f057_f059_linked_entities_of_ticked_kinds_take_the_chats_responsible()
{
    use EntityKind::{Company, Contact, Customer, Deal, Lead};
    for (kinds, buyer, card, contact) in [
        (vec![Lead], false, true, false),
        (vec![Contact], false, false, true),
        (vec![Lead, Contact], false, true, true),
        (vec![Deal, Customer, Company], false, false, false),
        (vec![Deal], true, true, false),
        (vec![Customer], true, false, true),
        (vec![Lead, Contact], true, false, false),
    ] {
        for early in [false, true] {
            let (world, tenant, opening) = prepared().await;
            let asked = requested(&opening, ANNA, &kinds, stamp(1_000));
            if early && buyer {
                continue;
            }
            if early {
                world.handle(std::slice::from_ref(&asked)).await.unwrap();
                assert_eq!(
                    changes(&world, &tenant).await,
                    0,
                    "nothing is known to be linked"
                );
            }
            world.handle(&[opening.delivery()]).await.unwrap();
            if buyer {
                let person = world.contacts(&tenant).await.remove(0);
                world.save_buyer(&tenant, &person.contact_id).await;
            }
            world.handle(&[asked.clone(), asked]).await.unwrap();
            let named = |taken| {
                if taken {
                    ANNA.to_string()
                } else {
                    String::new()
                }
            };
            let expected = (named(card), named(contact));
            let found = responsibles(&world, &tenant).await;
            assert_eq!(found, expected, "{kinds:?} buyer: {buyer} early: {early}");
            let told = usize::from(card) + usize::from(contact);
            assert_eq!(changes(&world, &tenant).await, told, "{kinds:?}");
        }
    }
}

#[tokio::test]
async fn f054_a_chat_that_is_linked_to_no_card_gives_none_and_makes_none() {
    let (world, tenant, opening) = prepared().await;
    world.set_mode(&tenant, CHANNEL, Mode::None).await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let asked = requested(&opening, ANNA, &[EntityKind::Lead], stamp(1_000));
    world.handle(&[asked]).await.unwrap();
    assert!(world.cards(&tenant).await.is_empty());
    assert_eq!(changes(&world, &tenant).await, 0);
}

#[tokio::test]
async fn x05_the_stamp_is_passed_on_a_lower_one_changes_nothing_and_the_event_is_a_syncs() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let kinds = [EntityKind::Lead, EntityKind::Contact];
    for (agent, second, expected, told) in [
        (ANNA, 1_000, ANNA, 2),
        (BOB, 999, ANNA, 2),
        (ANNA, 1_005, ANNA, 2),
        (BOB, 1_004, ANNA, 2),
        (BOB, 1_006, BOB, 4),
    ] {
        let asked = requested(&opening, agent, &kinds, stamp(second));
        world.handle(std::slice::from_ref(&asked)).await.unwrap();
        world.handle(&[asked]).await.unwrap();
        let both = (expected.to_string(), expected.to_string());
        assert_eq!(responsibles(&world, &tenant).await, both, "{second}");
        assert_eq!(changes(&world, &tenant).await, told, "{second}");
    }
    let published = world.published(&tenant.account).await;
    let changed: Vec<_> = published
        .iter()
        .filter(|event| event.name == "entity.responsible-changed")
        .collect();
    assert!(
        changed
            .iter()
            .all(|event| event.actor == "sync:responsible-to-crm")
    );
    for event in &changed[2..] {
        let changed: EntityResponsibleChanged = event.read();
        assert_eq!(changed.chat_ids, [opening.chat()]);
        assert_eq!(changed.previous_agent_id, ANNA.to_string());
        let time = changed.entity.unwrap().stamp.unwrap().time.unwrap();
        assert_eq!(time.seconds, 1_006);
    }
}

#[tokio::test]
async fn f034_a_company_takes_the_chats_responsible_and_tells_its_own_to_all_chats_of_its_contacts()
{
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let company = CreateCompanyRequest {
        name: "Oak".into(),
        ..CreateCompanyRequest::default()
    };
    let company = world.new_company(&tenant, company).await.unwrap();
    let contact = world.contacts(&tenant).await.remove(0);
    let belongs = UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        company_id: Some(company.company_id.clone()),
        ..UpdateContactRequest::default()
    };
    world.update_contact(&tenant, belongs).await.unwrap();
    let kinds = [EntityKind::Company];
    let asked = requested(&opening, ANNA, &kinds, stamp(1_000));
    world.handle(&[asked.clone(), asked]).await.unwrap();
    assert_eq!(changes(&world, &tenant).await, 1);
    let shown = world
        .connections(&tenant, &opening.chat())
        .await
        .company
        .unwrap();
    assert_eq!(shown.responsible_agent_id, ANNA.to_string());
    // By hand it is another's (F044), which every chat of its contacts is told.
    let give = UpdateCompanyRequest {
        company_id: company.company_id.clone(),
        responsible_agent_id: Some(BOB.to_string()),
        ..UpdateCompanyRequest::default()
    };
    world.update_company(&tenant, give).await.unwrap();
    let lower = requested(&opening, ANNA, &kinds, stamp(1_001));
    world.handle(&[lower]).await.unwrap();
    let published = world.published(&tenant.account).await;
    let told: Vec<EntityResponsibleChanged> = published
        .iter()
        .filter(|event| event.name == "entity.responsible-changed")
        .map(crate::world::Published::read)
        .collect();
    assert_eq!(told.len(), 2);
    for (event, agent) in told.iter().zip([ANNA, BOB]) {
        let entity = event.entity.clone().unwrap();
        assert_eq!(entity.kind(), EntityKind::Company);
        assert_eq!(entity.responsible_agent_id, agent.to_string());
        assert_eq!(event.chat_ids, [opening.chat()]);
    }
    // Whoever decides on the next conversation is told of the company, too.
    let next = tenant.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        2,
    );
    world.handle(&[next.delivery()]).await.unwrap();
    let published = world.published(&tenant.account).await;
    let decided = published
        .iter()
        .rfind(|event| event.name == "connection.decided");
    let decided: ConnectionDecided = decided.unwrap().read();
    let linked = decided.linked.iter();
    let company_of = linked.filter(|entity| entity.kind() == EntityKind::Company);
    let companies: Vec<_> = company_of
        .map(|entity| entity.responsible_agent_id.clone())
        .collect();
    assert_eq!(companies, [BOB.to_string()]);
}

#[tokio::test]
async fn x06_who_is_unknown_or_inactive_is_put_on_no_entity_and_that_is_reported() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let kinds = [EntityKind::Lead, EntityKind::Contact];
    let anna = requested(&opening, ANNA, &kinds, stamp(1_000));
    world.handle(&[anna]).await.unwrap();
    // In one batch with what makes the agent inactive, whatever comes first there.
    let record = AccessRecord {
        version: 2,
        active: false,
        ..testing::full_access(BOB.into())
    };
    let gone = AgentAccessChanged {
        access: Some((&record).into()),
    };
    let gone = deliver(&opening.account, &BOB.to_string(), &gone);
    let stranger = requested(&opening, STRANGER, &kinds, stamp(1_010));
    let bob = requested(&opening, BOB, &kinds, stamp(1_020));
    world.handle(&[stranger, bob, gone]).await.unwrap();
    let both = (ANNA.to_string(), ANNA.to_string());
    assert_eq!(responsibles(&world, &tenant).await, both);
    assert_eq!(changes(&world, &tenant).await, 2);
    let published = world.published(&tenant.account).await;
    let skipped: Vec<_> = published
        .iter()
        .filter(|event| event.name == "entity.responsible-skipped")
        .map(crate::world::Published::read::<EntityResponsibleSkipped>)
        .map(|event| (event.chat_id, event.agent_id, event.reason))
        .collect();
    let told = |agent: Uuid, why: &str| (opening.chat(), agent.to_string(), why.to_owned());
    let expected = [told(STRANGER, "AGENT_UNKNOWN"), told(BOB, "AGENT_INACTIVE")];
    assert_eq!(skipped, expected);
    // They left no stamp.
    let later = requested(&opening, ANNA, &kinds, stamp(1_005));
    world.handle(&[later]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    assert_eq!(card.responsible_stamp.unwrap().time.unwrap().seconds, 1_005);
}

#[tokio::test]
async fn f057_of_two_acts_in_one_batch_each_kind_takes_the_last_that_was_meant_for_it() {
    for together in [false, true] {
        let (world, tenant, opening) = prepared().await;
        world.handle(&[opening.delivery()]).await.unwrap();
        // Between them somebody changed what the channel keeps in step.
        let first = requested(&opening, ANNA, &[EntityKind::Lead], stamp(1_000));
        let second = requested(&opening, BOB, &[EntityKind::Contact], stamp(1_001));
        if together {
            world.handle(&[second, first]).await.unwrap();
        } else {
            world.handle(&[first]).await.unwrap();
            world.handle(&[second]).await.unwrap();
        }
        let expected = (ANNA.to_string(), BOB.to_string());
        assert_eq!(
            responsibles(&world, &tenant).await,
            expected,
            "together: {together}"
        );
    }
}

/// Contacts before cards, on every path (§3): an agent who holds a contact finds its card free, whatever a batch waits for.
#[tokio::test]
async fn f026_f052_a_batch_that_waits_for_a_contact_holds_no_card() {
    let (world, tenant, opening) = prepared().await;
    world.handle(&[opening.delivery()]).await.unwrap();
    let batch = [
        opening.assigned(ANNA, AssignmentRule::Distribution, stamp(1_000)),
        requested(&opening, BOB, &[EntityKind::Contact], stamp(2_000)),
    ];
    let mut agent = world.database.pool.begin().await.unwrap();
    sqlx::query("select from contact for no key update")
        .execute(&mut *agent)
        .await
        .unwrap();
    let handled = world.handle(&batch);
    let meanwhile = async {
        // Until the batch waits for what the agent holds.
        let waits = "select exists(select from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock')";
        while !sqlx::query_scalar::<_, bool>(waits)
            .fetch_one(&world.database.pool)
            .await
            .unwrap()
        {
            tokio::task::yield_now().await;
        }
        let card = "select from card for no key update nowait";
        sqlx::query(card).execute(&mut *agent).await.unwrap();
        agent.commit().await.unwrap();
    };
    let (handled, ()) = tokio::join!(handled, meanwhile);
    handled.unwrap();
    let found = responsibles(&world, &tenant).await;
    assert_eq!(found, (ANNA.to_string(), BOB.to_string()));
}

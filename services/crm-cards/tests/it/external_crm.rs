//! A CRM outside sets responsibles by acts of its own time (§8).

use std::sync::Arc;

use chassis::access::{AccessCopy, AccessRecord};
use chassis::grpc::timestamp;
use chassis::outbox::Waker;
use chassis::testing::{self, Records};
use chassis::{clock, stamp::Stamp};
use crm_cards::app::App;
use crm_cards::grpc::external_crm::ExternalCrm;
use switchboard_proto::common::v1::{EntityKind, LinkedEntity, Stamp as WireStamp};
use switchboard_proto::crm_cards::v1::external_crm_service_server::ExternalCrmService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::responsible_outcome::Outcome;
use switchboard_proto::crm_cards::v1::*;
use time::Duration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, fields, reason, stamp, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(200);
const GONE: Uuid = Uuid::from_u128(300);
const STRANGER: Uuid = Uuid::from_u128(400);

/// The service as a CRM outside sees it. Anna and Bob are active, one is gone, and of the stranger nobody has heard.
struct Outside {
    world: World,
    tenant: Tenant,
    api: ExternalCrm,
}

impl Outside {
    async fn new() -> Self {
        let (world, tenant) = (world().await, tenant());
        let staff = Records::default();
        for agent in [ANNA, BOB, GONE] {
            let active = agent != GONE;
            let record = testing::full_access(agent.into());
            staff.put(&tenant.account, AccessRecord { active, ..record });
        }
        let access = AccessCopy::new(world.database.pool.clone(), Arc::new(staff));
        let app = App {
            pool: world.database.pool.clone(),
            waker: Waker::new(),
            staff: access.clone(),
        };
        world.pipeline(&tenant).await;
        world.set_mode(&tenant, CHANNEL, Mode::Repeat).await;
        Self {
            api: ExternalCrm::new(app, access),
            world,
            tenant,
        }
    }

    async fn opened(&self, user: &str, number: i64) -> Opening {
        let chat = Chat {
            channel: CHANNEL,
            user,
        };
        let opening = self.tenant.opening(chat, number);
        self.world.handle(&[opening.delivery()]).await.unwrap();
        opening
    }

    async fn try_set(&self, entities: &[LinkedEntity]) -> Result<Vec<ResponsibleOutcome>, Status> {
        let request = SetEntityResponsiblesRequest {
            entities: entities.to_vec(),
        };
        let answer = self.api.set_entity_responsibles(self.tenant.ask(request));
        Ok(answer.await?.into_inner().outcomes)
    }

    /// Sets and returns the outcomes.
    async fn set(&self, entities: &[LinkedEntity]) -> Vec<Outcome> {
        let outcomes = self.try_set(entities).await.unwrap();
        outcomes.iter().map(ResponsibleOutcome::outcome).collect()
    }

    /// What was told of responsibles so far.
    async fn told(&self) -> Vec<EntityResponsibleChanged> {
        let published = self.world.published(&self.tenant.account).await;
        let changed = published
            .iter()
            .filter(|event| event.name == "entity.responsible-changed");
        changed.map(crate::world::Published::read).collect()
    }
}

fn act(kind: EntityKind, entity: &str, agent: Option<Uuid>, stamp: Stamp) -> LinkedEntity {
    LinkedEntity {
        kind: kind.into(),
        entity_id: entity.into(),
        responsible_agent_id: agent.map(|agent| agent.to_string()).unwrap_or_default(),
        stamp: Some(WireStamp {
            time: Some(timestamp(stamp.time)),
            event_id: stamp.event.to_string(),
        }),
    }
}

#[tokio::test]
async fn f043_f044_f047_acts_of_a_crm_outside_are_told_with_their_own_stamps_and_all_chats() {
    let outside = Outside::new().await;
    let (world, tenant) = (&outside.world, &outside.tenant);
    let opening = outside.opened("1", 1).await;
    let company = CreateCompanyRequest {
        name: "Oak".into(),
        ..CreateCompanyRequest::default()
    };
    let company = world.new_company(tenant, company).await.unwrap().company_id;
    let contact = world.contacts(tenant).await.remove(0);
    let belongs = UpdateContactRequest {
        contact_id: contact.contact_id.clone(),
        company_id: Some(company.clone()),
        ..UpdateContactRequest::default()
    };
    world.update_contact(tenant, belongs).await.unwrap();
    let card = world.cards(tenant).await.remove(0);
    assert_eq!(
        (card.responsible_stamp, contact.responsible_stamp),
        (None, None)
    );
    let before = world.published(&tenant.account).await.len();

    // In no order: a kind says only where to look.
    let acts = [
        act(EntityKind::Deal, &card.card_id, Some(ANNA), stamp(1_000)),
        act(EntityKind::Company, &company, Some(BOB), stamp(1_001)),
        act(
            EntityKind::Customer,
            &contact.contact_id,
            Some(ANNA),
            stamp(1_002),
        ),
    ];
    assert_eq!(outside.set(&acts).await, [Outcome::Applied; 3]);
    let published = world.published(&tenant.account).await;
    let names: Vec<_> = published[before..]
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    let changed = "entity.responsible-changed";
    let updated = ["card.updated", "company.updated", "contact.updated"];
    assert_eq!(sorted, [&updated[..], &[changed; 3]].concat());
    // An act of a service, so that dialogs follow it.
    assert!(
        published[before..]
            .iter()
            .all(|event| event.actor == "service:tests")
    );
    let told = outside.told().await;
    for (act, kind) in acts
        .iter()
        .zip([EntityKind::Lead, EntityKind::Company, EntityKind::Contact])
    {
        let event = told.iter().find(|event| {
            let entity = event.entity.as_ref().unwrap();
            entity.entity_id == act.entity_id
        });
        let event = event.unwrap();
        let entity = event.entity.clone().unwrap();
        assert_eq!(
            entity,
            LinkedEntity {
                kind: kind.into(),
                ..act.clone()
            }
        );
        assert_eq!(event.chat_ids, [opening.chat()]);
    }
    // Who fills a copy from the lists has the stamps, too.
    let card = world.cards(tenant).await.remove(0);
    let contact = world.contacts(tenant).await.remove(0);
    assert_eq!(card.responsible_stamp, acts[0].stamp);
    assert_eq!(contact.responsible_stamp, acts[2].stamp);
    let shown = world
        .connections(tenant, &opening.chat())
        .await
        .company
        .unwrap();
    assert_eq!(shown.responsible_stamp, acts[1].stamp);
    let newest = world.history(tenant, &card.card_id).await.remove(0);
    let expected = format!("responsible by service:tests: responsible_agent_id:  -> {ANNA}");
    assert_eq!(newest, expected);
}

#[tokio::test]
async fn x05_the_stamp_decides_and_an_act_that_is_sent_again_changes_nothing() {
    let outside = Outside::new().await;
    let opening = outside.opened("1", 1).await;
    let card = outside.world.cards(&outside.tenant).await.remove(0).card_id;
    let lead = |agent, seconds| act(EntityKind::Lead, &card, agent, stamp(seconds));
    for (acts, outcomes, held, told) in [
        (
            vec![lead(Some(ANNA), 1_000)],
            vec![Outcome::Applied],
            ANNA,
            1,
        ),
        (
            vec![lead(Some(ANNA), 1_000)],
            vec![Outcome::Unchanged],
            ANNA,
            1,
        ),
        // Another act of the same stamp, and an older one.
        (
            vec![lead(Some(BOB), 1_000)],
            vec![Outcome::Overtaken],
            ANNA,
            1,
        ),
        (
            vec![lead(Some(BOB), 999)],
            vec![Outcome::Overtaken],
            ANNA,
            1,
        ),
        (
            vec![lead(Some(ANNA), 999)],
            vec![Outcome::Unchanged],
            ANNA,
            1,
        ),
        // Said anew later: it is told, so that an older act in a dialog ends nowhere.
        (
            vec![lead(Some(ANNA), 1_005)],
            vec![Outcome::Unchanged],
            ANNA,
            2,
        ),
        (
            vec![lead(Some(BOB), 1_004)],
            vec![Outcome::Overtaken],
            ANNA,
            2,
        ),
        // Of several on one entity the latest counts, wherever it stands.
        (
            vec![
                lead(Some(ANNA), 1_010),
                lead(Some(BOB), 1_020),
                lead(None, 1_015),
            ],
            vec![Outcome::Overtaken, Outcome::Applied, Outcome::Overtaken],
            BOB,
            3,
        ),
    ] {
        let found = outside.try_set(&acts).await.unwrap();
        let names: Vec<_> = found.iter().map(ResponsibleOutcome::outcome).collect();
        assert_eq!(names, outcomes, "{acts:?}");
        for outcome in found {
            let entity = outcome.entity.unwrap();
            assert_eq!(entity.responsible_agent_id, held.to_string(), "{acts:?}");
        }
        assert_eq!(outside.told().await.len(), told, "{acts:?}");
    }
    let told = outside.told().await;
    let confirmed = &told[1];
    assert_eq!(confirmed.previous_agent_id, ANNA.to_string());
    assert_eq!(
        confirmed.entity.as_ref().unwrap().stamp,
        lead(None, 1_005).stamp
    );
    assert_eq!(confirmed.chat_ids, [opening.chat()]);
    let revision = outside
        .world
        .cards(&outside.tenant)
        .await
        .remove(0)
        .revision;
    assert_eq!(revision, 3, "as often as another one answers for it");
    // Nobody is an answer as well (F051).
    assert_eq!(outside.set(&[lead(None, 1_030)]).await, [Outcome::Applied]);
    assert_eq!(
        outside.set(&[lead(None, 1_031)]).await,
        [Outcome::Unchanged]
    );
    assert_eq!(
        outside.told().await.len(),
        4,
        "that it is nobody still no chat takes"
    );
}

#[tokio::test]
async fn x06_an_agent_who_is_unknown_or_inactive_changes_nothing_and_is_reported() {
    let outside = Outside::new().await;
    outside.opened("1", 1).await;
    let card = outside.world.cards(&outside.tenant).await.remove(0).card_id;
    let lead = |agent, seconds| act(EntityKind::Lead, &card, Some(agent), stamp(seconds));
    let nowhere = Uuid::from_u128(9).to_string();
    assert_eq!(outside.set(&[lead(ANNA, 1_000)]).await, [Outcome::Applied]);
    let acts = [
        lead(STRANGER, 1_010),
        lead(GONE, 1_011),
        act(EntityKind::Lead, &nowhere, Some(ANNA), stamp(1_000)),
        act(EntityKind::Contact, &nowhere, Some(ANNA), stamp(1_000)),
        act(EntityKind::Company, &card, Some(ANNA), stamp(1_000)),
    ];
    let found = outside.try_set(&acts).await.unwrap();
    let names: Vec<_> = found.iter().map(ResponsibleOutcome::outcome).collect();
    let unknown = Outcome::UnknownEntity;
    assert_eq!(
        names,
        [
            Outcome::AgentUnknown,
            Outcome::AgentInactive,
            unknown,
            unknown,
            unknown
        ]
    );
    for outcome in &found[..2] {
        let in_place = outcome.entity.clone().unwrap();
        assert_eq!(in_place, lead(ANNA, 1_000));
    }
    assert!(found[2..].iter().all(|outcome| outcome.entity.is_none()));
    assert_eq!(outside.told().await.len(), 1);
    // What was in place can be taken over as before: the refused acts left no stamp.
    assert_eq!(outside.set(&[lead(BOB, 1_001)]).await, [Outcome::Applied]);
}

#[tokio::test]
async fn b08_a_merged_contacts_id_leads_to_the_one_that_stays_and_other_accounts_have_none_of_it() {
    let outside = Outside::new().await;
    let (world, tenant) = (&outside.world, &outside.tenant);
    let (stays, goes) = (outside.opened("1", 1).await, outside.opened("2", 2).await);
    let contact = async |opening: &Opening| {
        let shown = world.connections(tenant, &opening.chat()).await;
        shown.contact.unwrap()
    };
    let (target, source) = (contact(&stays).await, contact(&goes).await);
    world.merge(tenant, &source, &target).await.unwrap();
    let (target, source) = (target.contact_id, source.contact_id);
    let by_old = act(EntityKind::Contact, &source, Some(ANNA), stamp(1_001));
    let by_new = act(EntityKind::Contact, &target, Some(BOB), stamp(1_000));
    let found = outside.try_set(&[by_new.clone(), by_old]).await.unwrap();
    let names: Vec<_> = found.iter().map(ResponsibleOutcome::outcome).collect();
    assert_eq!(names, [Outcome::Overtaken, Outcome::Applied]);
    assert!(
        found
            .iter()
            .all(|one| one.entity.as_ref().unwrap().entity_id == target)
    );
    let told = outside.told().await;
    assert_eq!(told.len(), 1);
    let mut chats = vec![stays.chat(), goes.chat()];
    chats.sort();
    let mut told = told[0].chat_ids.clone();
    told.sort();
    assert_eq!(told, chats);

    let elsewhere = Outside {
        tenant: crate::world::tenant(),
        api: outside.api.clone(),
        world: crate::world::world().await,
    };
    let nobodys = act(EntityKind::Contact, &target, None, stamp(2_000));
    assert_eq!(elsewhere.set(&[nobodys]).await, [Outcome::UnknownEntity]);
}

#[tokio::test]
async fn a_wrong_request_is_refused_whole_and_its_entries_are_named() {
    let outside = Outside::new().await;
    outside.opened("1", 1).await;
    let card = outside.world.cards(&outside.tenant).await.remove(0).card_id;
    let now = clock::now();
    let at = |seconds: i64| Stamp {
        time: now + Duration::seconds(seconds),
        event: Uuid::from_u128(5),
    };
    let good = act(EntityKind::Lead, &card, Some(ANNA), at(0));
    let ahead = act(EntityKind::Lead, &card, Some(BOB), at(120));
    let odd = |change: fn(&mut LinkedEntity)| {
        let mut odd = good.clone();
        change(&mut odd);
        odd
    };
    for (entities, named) in [
        (vec![], vec!["entities"]),
        (vec![good.clone(); 201], vec!["entities"]),
        (
            vec![ahead.clone(), good.clone(), ahead.clone()],
            vec!["entities[0].stamp.time", "entities[2].stamp.time"],
        ),
        (
            vec![good.clone(), odd(|one| one.kind = 0)],
            vec!["entities[1].kind"],
        ),
        (vec![odd(|one| one.kind = 99)], vec!["entities[0].kind"]),
        (
            vec![odd(|one| one.entity_id.clear())],
            vec!["entities[0].entity_id"],
        ),
        (
            vec![odd(|one| one.stamp = None)],
            vec!["entities[0].stamp.time"],
        ),
        (
            vec![odd(|one| one.stamp.as_mut().unwrap().event_id.clear())],
            vec!["entities[0].stamp.event_id"],
        ),
        (
            vec![odd(|one| {
                one.stamp.as_mut().unwrap().time.as_mut().unwrap().seconds = -5;
            })],
            vec!["entities[0].stamp.time"],
        ),
        (
            vec![odd(|one| one.responsible_agent_id = "Anna".into())],
            vec!["entities[0].responsible_agent_id"],
        ),
    ] {
        let refused = outside.try_set(&entities).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(fields(&refused), named);
    }
    assert!(outside.told().await.is_empty(), "nothing of them was done");
    // So far ahead clocks may be.
    let near = act(EntityKind::Lead, &card, Some(BOB), at(55));
    assert_eq!(outside.set(&[near]).await, [Outcome::Applied]);

    // An agent cannot say that it was earlier.
    let agent = outside.tenant.agent(testing::full_access(ANNA.into()));
    let by_agent = Outside {
        tenant: agent,
        ..outside
    };
    let refused = by_agent.try_set(&[good]).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "SERVICE_TOKEN_REQUIRED")
    );
}

//! Responsibles kept in step with CRM: what is set, what a chat takes, what CRM is asked for.

use chassis::actor::Actor;
use chassis::id::AgentId;
use chassis::stamp::Stamp;
use chassis::testing::request;
use prost::Message as _;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::responsible_sync_service_server::ResponsibleSyncService as _;
use switchboard_proto::common::v1::{self as common, EntityKind, LinkedEntity};
use time::{Duration, OffsetDateTime};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{Talk, World, field, noon, reason};

/// An entity with a responsible of so many minutes after noon.
fn entity(kind: EntityKind, id: u128, agent: Option<AgentId>, minute: i64) -> LinkedEntity {
    LinkedEntity {
        kind: kind.into(),
        entity_id: Uuid::from_u128(id).to_string(),
        responsible_agent_id: agent.map(|agent| agent.to_string()).unwrap_or_default(),
        stamp: Some(common::Stamp {
            time: Some(chassis::grpc::timestamp(at(minute))),
            event_id: Uuid::from_u128(id).to_string(),
        }),
    }
}

fn at(minute: i64) -> OffsetDateTime {
    noon() + Duration::minutes(minute)
}

fn kinds(kinds: &[EntityKind]) -> Vec<i32> {
    kinds.iter().map(|kind| (*kind).into()).collect()
}

impl World {
    async fn try_sync(
        &self,
        from_crm: &[EntityKind],
        to_crm: &[EntityKind],
        expected_revision: Option<i64>,
    ) -> Result<pb::ResponsibleSync, Status> {
        let sync = pb::ResponsibleSync {
            channel_id: self.channel.to_string(),
            from_crm: kinds(from_crm),
            to_crm: kinds(to_crm),
            ..Default::default()
        };
        let asked = pb::SetResponsibleSyncRequest {
            sync: Some(sync),
            expected_revision,
        };
        let answer = self.api.set_responsible_sync(request(&self.admin(), asked));
        Ok(answer.await?.into_inner().sync.unwrap())
    }

    async fn sync(&self, from_crm: &[EntityKind], to_crm: &[EntityKind]) -> pb::ResponsibleSync {
        self.try_sync(from_crm, to_crm, None).await.unwrap()
    }

    async fn allow_fields(&self, allowed: bool) -> Result<(), Status> {
        let asked = pb::SetContactFieldsRequest {
            contact_fields: Some(pb::ContactFields { allowed }),
        };
        let answer = self.api.set_contact_fields(request(&self.admin(), asked));
        answer.await.map(drop)
    }

    /// The chat's responsible and stamp.
    async fn state(&self, talk: &Talk) -> (Option<AgentId>, OffsetDateTime) {
        let assignment = self.assignment(talk).await;
        let stamp = assignment.stamp.and_then(|stamp| stamp.time).unwrap();
        let time = OffsetDateTime::from_unix_timestamp(stamp.seconds).unwrap();
        (
            assignment.agent_id.parse().ok().map(|id: Uuid| id.into()),
            time,
        )
    }

    async fn hand_to(&self, agent: AgentId, talk: &Talk) {
        let hand = pb::AssignChatRequest {
            chat_id: talk.chat.to_string(),
            agent_id: agent.to_string(),
            ..Default::default()
        };
        self.api
            .assign_chat(request(&self.admin(), hand))
            .await
            .unwrap();
    }

    /// What CRM was asked for so far.
    async fn requested(&self) -> Vec<pb::ResponsibleSyncRequested> {
        let events = self.outbox().await;
        let asked = events
            .iter()
            .filter(|event| event.kind.ends_with("ResponsibleSyncRequested"));
        asked
            .map(|event| pb::ResponsibleSyncRequested::decode(&*event.payload).unwrap())
            .collect()
    }

    async fn skipped(&self) -> Vec<String> {
        let events = self.outbox().await;
        let skipped = events
            .iter()
            .filter(|event| event.kind.ends_with("ResponsibleSyncSkipped"));
        skipped
            .map(|event| {
                pb::ResponsibleSyncSkipped::decode(&*event.payload)
                    .unwrap()
                    .reason
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f037_f038_f039_each_direction_has_its_kinds_and_needs_the_contacts_fields() {
    let world = World::new().await;
    let never = pb::GetResponsibleSyncRequest {
        channel_id: world.channel.to_string(),
    };
    let read = world
        .api
        .get_responsible_sync(request(&world.admin(), never));
    let read = read.await.unwrap().into_inner().sync.unwrap();
    assert_eq!(
        (read.revision, read.from_crm, read.to_crm),
        (0, vec![], vec![])
    );

    let (lead, contact) = (EntityKind::Lead, EntityKind::Contact);
    let set = world.sync(&[contact, lead, contact], &[lead]).await;
    assert_eq!(set.from_crm, kinds(&[lead, contact]));
    assert_eq!((set.to_crm, set.revision), (kinds(&[lead]), 1));
    let late = world.try_sync(&[], &[lead], Some(0)).await.unwrap_err();
    assert_eq!(
        (late.code(), reason(&late).0.as_str()),
        (Code::Aborted, "CHANGED_MEANWHILE")
    );
    assert_eq!(reason(&late).1["revision"], "1");
    let odd = world.try_sync(&[EntityKind::Unspecified], &[], None).await;
    assert_eq!(field(&odd.unwrap_err()), "sync.from_crm[0]");

    // Forbidden only while nothing is kept in step, and then nothing can be.
    let refused = world.allow_fields(false).await.unwrap_err();
    let (why, facts) = reason(&refused);
    assert_eq!(
        (refused.code(), why.as_str(), facts["channel_ids"].as_str()),
        (
            Code::FailedPrecondition,
            "CHANNELS_IN_STEP",
            &*world.channel.to_string()
        )
    );
    world.sync(&[], &[]).await;
    world.allow_fields(false).await.unwrap();
    let refused = world.try_sync(&[lead], &[], None).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).0.as_str()),
        (Code::FailedPrecondition, "CONTACT_FIELDS_OFF")
    );
    world.allow_fields(true).await.unwrap();
    world.sync(&[lead], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f036_f040_f041_f045_an_opened_chat_takes_whom_crm_names_before_all_else() {
    let world = World::new().await;
    let (anna, boris, vera) = (
        world.agent("Anna").await,
        world.agent("Boris").await,
        world.agent("Vera").await,
    );
    world.policy(&[anna], true).await;
    // However absent they are: they answer for the client.
    world.presence(boris, pb::Presence::Offline).await;
    let talk = Talk::new(&world, 1);
    let linked = vec![
        entity(EntityKind::Contact, 1, Some(boris), -70),
        entity(EntityKind::Lead, 2, Some(vera), -80),
        entity(EntityKind::Deal, 3, Some(anna), -61),
    ];
    // F035: nothing is kept in step, so that distribution chooses.
    world
        .handle(&[talk.opened(), talk.decided_with(&linked)])
        .await;
    assert_eq!(world.responsible(&talk).await, Some(anna));

    world
        .sync(&[EntityKind::Contact, EntityKind::Lead], &[])
        .await;
    // F046: setting it changes no chat.
    assert_eq!(world.responsible(&talk).await, Some(anna));
    for number in 2..=3 {
        let again = talk.next(number);
        world
            .handle(&[again.opened(), again.decided_with(&linked)])
            .await;
        assert_eq!(
            world.state(&again).await,
            (Some(boris), at(-70)),
            "every time"
        );
        let explained = world.explain(&again).await.remove(0);
        assert_eq!(explained.rule(), pb::AssignmentRule::Crm);
        assert_eq!(explained.actor, "sync:responsible-from-crm");
    }
    // F051: no responsible, nothing taken.
    let other = Talk::new(&world, 9);
    let nobody = vec![entity(EntityKind::Contact, 7, None, -10)];
    world
        .handle(&[other.opened(), other.decided_with(&nobody)])
        .await;
    assert_eq!(world.responsible(&other).await, Some(anna));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x06_who_is_unknown_or_inactive_there_changes_nothing_and_is_reported() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna], false).await;
    world
        .sync(&[EntityKind::Contact, EntityKind::Deal], &[])
        .await;
    let stranger: AgentId = Uuid::from_u128(0xdead).into();
    let talk = Talk::new(&world, 1);
    let linked = [
        entity(EntityKind::Contact, 1, Some(stranger), -65),
        entity(EntityKind::Deal, 2, Some(boris), -70),
    ];
    world
        .handle(&[talk.opened(), talk.decided_with(&linked)])
        .await;
    // The next one changed last counts.
    assert_eq!(world.responsible(&talk).await, Some(boris));
    assert_eq!(world.skipped().await, ["AGENT_UNKNOWN"]);

    world
        .handle(&[talk.crm_changed(&linked[0], &[&talk], None)])
        .await;
    assert_eq!(
        world.responsible(&talk).await,
        Some(boris),
        "older than what is in place, or unknown"
    );
    let later = entity(EntityKind::Contact, 1, Some(stranger), 5);
    world
        .handle(&[talk.crm_changed(&later, &[&talk], None)])
        .await;
    assert_eq!(world.responsible(&talk).await, Some(boris));
    assert_eq!(world.skipped().await.len(), 3);
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f044_f047_f048_f049_a_change_in_crm_comes_to_all_open_chats_of_channels_that_take_the_kind()
 {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna], false).await;
    world.sync(&[EntityKind::Contact], &[]).await;
    let talks = world.come(1..=2).await;
    let elsewhere = Talk {
        channel: Uuid::from_u128(0xe15e),
        ..Talk::new(&world, 3)
    };
    let ended = Talk::new(&world, 4);
    world
        .handle(&[
            elsewhere.opened(),
            elsewhere.decided(),
            ended.opened(),
            ended.decided(),
        ])
        .await;
    world.handle(&[ended.closed(2)]).await;
    let all = [&talks[0], &talks[1], &elsewhere, &ended];
    // Another kind is left alone.
    let lead = entity(EntityKind::Lead, 5, Some(boris), 1);
    world
        .handle(&[talks[0].crm_changed(&lead, &all, None)])
        .await;
    assert_eq!(world.responsible(&talks[0]).await, Some(anna));

    let contact = entity(EntityKind::Contact, 6, Some(boris), 2);
    let change = talks[0].crm_changed(&contact, &all, None);
    world.handle(&[change.clone(), change.clone()]).await;
    for talk in &talks {
        assert_eq!(world.state(talk).await, (Some(boris), at(2)));
    }
    assert_eq!(
        world.responsible(&elsewhere).await,
        None,
        "its channel takes nothing"
    );
    assert_eq!(world.responsible(&ended).await, Some(anna), "it is over");
    let events = world.events().await;
    world.handle(&[change]).await;
    assert_eq!(world.events().await, events, "a repeat changes nothing");

    // F050: an entity without chats changes none.
    let alone = entity(EntityKind::Contact, 6, Some(anna), 3);
    world
        .handle(&[talks[0].crm_changed(&alone, &[], None)])
        .await;
    assert_eq!(world.responsible(&talks[0]).await, Some(boris));
    // At the next opening it counts, though what the decision saw was older.
    let again = ended.next(5);
    world
        .handle(&[again.opened(), again.decided_with(&[contact])])
        .await;
    assert_eq!(world.state(&again).await, (Some(anna), at(3)));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_what_a_sync_changed_is_not_sent_on_and_an_older_act_undoes_no_later_one() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna], false).await;
    world
        .sync(
            &[EntityKind::Contact],
            &[EntityKind::Contact, EntityKind::Lead],
        )
        .await;
    let talk = world.come(1..=1).await.remove(0);
    let asked = world.requested().await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].agent_id, anna.to_string());
    assert_eq!(
        asked[0].kinds,
        kinds(&[EntityKind::Lead, EntityKind::Contact])
    );
    assert_eq!(
        (asked[0].number, asked[0].conversation_id.clone()),
        (1, talk.conversation.to_string())
    );

    // What CRM took from the chat comes back as a sync: nothing follows from it.
    let synced = entity(EntityKind::Contact, 1, Some(boris), 50);
    let echo = talk.crm_changed(
        &synced,
        &[&talk],
        Some(Actor::Sync("responsible-to-crm".into())),
    );
    world.handle(&[echo]).await;
    assert_eq!(world.responsible(&talk).await, Some(anna));

    // A person's act in CRM comes over, and is not asked for there.
    let (_, in_place) = world.state(&talk).await;
    let human = entity(EntityKind::Contact, 1, Some(boris), 1);
    world
        .handle(&[talk.crm_changed(&human, &[&talk], None)])
        .await;
    assert_eq!(world.responsible(&talk).await, Some(boris));
    assert_eq!(world.requested().await.len(), 1);

    // Of two crossing acts the later one stays, in whatever order they are heard of.
    world.hand_to(anna, &talk).await;
    let (_, claimed) = world.state(&talk).await;
    assert!(claimed > in_place);
    assert_eq!(world.requested().await.len(), 2);
    let crossing = entity(EntityKind::Contact, 1, Some(boris), 2);
    world
        .handle(&[talk.crm_changed(&crossing, &[&talk], None)])
        .await;
    assert_eq!(world.responsible(&talk).await, Some(anna));
    let stamp = Stamp {
        time: claimed,
        event: Uuid::max(),
    };
    assert!(
        stamp
            > Stamp {
                time: at(2),
                event: Uuid::nil()
            }
    );
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f052_a_provisional_choice_asks_for_nothing_before_the_decision_confirms_or_replaces_it() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.policy(&[anna], false).await;
    world
        .sync(&[EntityKind::Contact], &[EntityKind::Lead])
        .await;
    let (confirmed, replaced) = (Talk::new(&world, 1), Talk::new(&world, 2));
    world.handle(&[confirmed.opened(), replaced.opened()]).await;
    let late = chassis::clock::now() + Duration::MINUTE;
    assert_eq!(world.app.choose_overdue(late).await.unwrap(), 2);
    assert_eq!(world.responsible(&replaced).await, Some(anna));
    assert!(world.requested().await.is_empty());

    let linked = [entity(EntityKind::Contact, 1, Some(boris), -90)];
    world
        .handle(&[confirmed.decided(), replaced.decided_with(&linked)])
        .await;
    assert_eq!(world.responsible(&confirmed).await, Some(anna));
    assert_eq!(world.state(&replaced).await, (Some(boris), at(-90)));
    let asked = world.requested().await;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].chat_id, confirmed.chat.to_string());
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_of_entities_long_ago_is_forgotten() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    world.sync(&[EntityKind::Contact], &[]).await;
    let talk = Talk::new(&world, 1);
    let contact = entity(EntityKind::Contact, 1, Some(anna), 1);
    world.handle(&[talk.crm_changed(&contact, &[], None)]).await;
    let now = noon();
    assert_eq!(world.app.forget_entities(now).await.unwrap(), 0);
    let later = now + Duration::days(9);
    assert_eq!(world.app.forget_entities(later).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f051_what_is_nobodys_when_a_chat_opens_gives_it_nobody_however_late_the_news_of_it_comes()
{
    let world = World::new().await;
    let boris = world.agent("Boris").await;
    world.sync(&[EntityKind::Contact], &[]).await;
    let talk = Talk::new(&world, 1);
    let given = entity(EntityKind::Contact, 1, Some(boris), -80);
    let nobodys = entity(EntityKind::Contact, 1, None, -75);
    let events = [
        talk.crm_changed(&given, &[&talk], None),
        talk.crm_changed(&nobodys, &[&talk], None),
        talk.opened(),
        talk.decided_with(std::slice::from_ref(&nobodys)),
    ];
    // Together, as after a pause; and the oldest once more.
    world.handle(&events).await;
    assert_eq!(world.responsible(&talk).await, None);
    world.handle(&events[..1]).await;
    assert_eq!(world.responsible(&talk).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn x05_what_an_entity_has_from_one_chat_comes_to_another_by_its_own_opening_only() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.sync(&[EntityKind::Contact], &[]).await;
    let (first, second) = (Talk::new(&world, 1), Talk::new(&world, 2));
    let before = entity(EntityKind::Contact, 1, Some(anna), -80);
    // Another chat gave it to Boris: no change of CRM's own tells of that.
    let after = entity(EntityKind::Contact, 1, Some(boris), -70);
    world
        .handle(&[
            second.opened(),
            second.decided_with(std::slice::from_ref(&after)),
        ])
        .await;
    world
        .handle(&[
            first.opened(),
            first.decided_with(std::slice::from_ref(&before)),
        ])
        .await;
    assert_eq!(world.state(&second).await, (Some(boris), at(-70)));
    assert_eq!(
        world.state(&first).await,
        (Some(anna), at(-80)),
        "decided before that"
    );
    let again = first.next(3);
    world
        .handle(&[again.opened(), again.decided_with(&[after])])
        .await;
    assert_eq!(world.state(&again).await, (Some(boris), at(-70)));
}

#[tokio::test(flavor = "multi_thread")]
async fn f057_x05_what_a_chat_follows_in_the_midst_of_a_conversation_is_told_from_its_opening() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    world.sync(&[EntityKind::Contact], &[]).await;
    let talk = Talk::new(&world, 1);
    let opening = entity(EntityKind::Contact, 1, Some(anna), -80);
    let change = entity(EntityKind::Contact, 1, Some(boris), 1);
    world
        .handle(&[talk.opened(), talk.decided_with(&[opening])])
        .await;
    world
        .handle(&[talk.crm_changed(&change, &[&talk], None)])
        .await;
    let events = world.outbox().await;
    let assigned = events
        .iter()
        .filter(|event| event.kind.ends_with("ChatAssigned"));
    let told: Vec<_> = assigned
        .map(|event| pb::ChatAssigned::decode(&*event.payload).unwrap())
        .map(|event| (event.rule(), event.entity_changed))
        .collect();
    let crm = pb::AssignmentRule::Crm;
    assert_eq!(told, [(crm, false), (crm, true)]);
}

//! Who changed which setting, from what to what.

use chassis::audit::Api;
use chassis::auth::Caller;
use chassis::clock;
use chassis::testing::{audited, request, service_caller, told};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::calendar_owner::Owner;
use switchboard_proto::assignment::v1::calendar_service_server::CalendarService as _;
use switchboard_proto::assignment::v1::group_service_server::GroupService as _;
use switchboard_proto::assignment::v1::role_service_server::RoleService as _;
use switchboard_proto::operator::v1::{AuditEntry, ListAuditEntriesRequest};

use crate::hours::{always, owner};
use crate::world::World;
use assignment::app::presence::ByHand;
use assignment::domain::availability::Follows;

impl World {
    async fn audit(&self, caller: &Caller) -> Vec<AuditEntry> {
        let scopes = assignment::audit::SCOPES;
        let api = Api::new("assignment", self.db.pool.clone(), scopes);
        let all = ListAuditEntriesRequest::default();
        audited(&api, caller, all).await.unwrap()
    }

    /// What was told since there were so many entries, the oldest first: the action, and what changed.
    async fn told_since(&self, before: usize) -> Vec<(String, Vec<String>)> {
        let mut entries = self.audit(&self.admin()).await;
        entries.reverse();
        let new = entries.into_iter().skip(before);
        new.map(|entry| (entry.action.clone(), told(&entry)))
            .collect()
    }
}

fn line(action: &str, changes: &[&str]) -> (String, Vec<String>) {
    let changes = changes.iter().map(|&change| change.to_owned());
    (action.to_owned(), changes.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_accounts_and_agents_are_told_with_what_they_were_given() {
    let world = World::new().await;
    let entries = world.audit(&world.admin()).await;
    let [opened] = entries.as_slice() else {
        panic!("one entry: {entries:?}");
    };
    assert_eq!(
        (&*opened.action, &*opened.actor),
        ("account.create", "service:ops")
    );
    assert_eq!(
        (&*opened.subject_kind, &*opened.subject_id),
        ("account", "acme")
    );
    world.open_account("acme").await;
    let other = chassis::testing::account("other");
    let stranger = service_caller(Some(&other), "x", &["agents:admin"], None);
    assert!(world.audit(&stranger).await.is_empty());

    let create = pb::CreateAgentRequest {
        request_id: "r".into(),
        name: "Anna".into(),
        grants: Some(pb::Grants {
            settings: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut anna = String::new();
    for _ in 0..2 {
        let answer = world
            .api
            .create_agent(request(&world.admin(), create.clone()));
        anna = answer.await.unwrap().into_inner().agent.unwrap().agent_id;
    }
    let update = pb::UpdateAgentRequest {
        agent_id: anna.clone(),
        name: Some("Anna Koval".into()),
        capacity: Some(5),
        active: Some(false),
        grants: Some(pb::Grants {
            leads: Some(pb::KindAccess {
                create: true,
                view: pb::View::Own.into(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    for _ in 0..2 {
        world
            .api
            .update_agent(request(&world.admin(), update.clone()))
            .await
            .unwrap();
    }
    let unknown = pb::UpdateAgentRequest {
        agent_id: uuid::Uuid::from_u128(9).to_string(),
        ..update
    };
    world
        .api
        .update_agent(request(&world.admin(), unknown))
        .await
        .unwrap_err();
    assert_eq!(
        world.told_since(1).await,
        [
            line(
                "agent.create",
                &[
                    "access.contacts.view: . -> VIEW_NONE",
                    "access.leads.view: . -> VIEW_NONE",
                    "access.settings: . -> true",
                    "active: . -> true",
                    "name: . -> Anna",
                ]
            ),
            line(
                "agent.update",
                &[
                    "access.leads.create: false -> true",
                    "access.leads.view: VIEW_NONE -> VIEW_OWN",
                    "access.settings: true -> false",
                    "active: true -> false",
                    "capacity: 0 -> 5",
                    "name: Anna -> Anna Koval",
                ]
            ),
        ]
    );
    let newest = &world.audit(&world.admin()).await[0];
    assert_eq!(
        (&*newest.subject_kind, &newest.subject_id),
        ("agent", &anna)
    );
    assert_eq!(
        (&*newest.subject_name, &*newest.actor),
        ("Anna Koval", "service:shop")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_roles_and_groups_are_told_until_they_are_deleted() {
    let world = World::new().await;
    let admin = world.admin();
    let anna = world.agent_with("Anna", 0, None).await.to_string();
    let (api, before) = (&world.api, world.audit(&admin).await.len());
    let role = pb::CreateRoleRequest {
        name: "Sales".into(),
        settings: true,
        ..Default::default()
    };
    let role = api.create_role(request(&admin, role)).await.unwrap();
    let role_id = role.into_inner().role.unwrap().role_id;
    let update = pb::UpdateRoleRequest {
        role_id: role_id.clone(),
        settings: Some(false),
        ..Default::default()
    };
    for _ in 0..2 {
        api.update_role(request(&admin, update.clone()))
            .await
            .unwrap();
    }
    let delete = pb::DeleteRoleRequest { role_id };
    api.delete_role(request(&admin, delete)).await.unwrap();
    let group = pb::CreateGroupRequest {
        name: "Kyiv".into(),
        ..Default::default()
    };
    let group = api.create_group(request(&admin, group)).await.unwrap();
    let group_id = group.into_inner().group.unwrap().group_id;
    let update = pb::UpdateGroupRequest {
        group_id: group_id.clone(),
        members: Some(pb::GroupMembers {
            agent_ids: vec![anna.clone()],
        }),
        ..Default::default()
    };
    for _ in 0..2 {
        api.update_group(request(&admin, update.clone()))
            .await
            .unwrap();
    }
    let delete = pb::DeleteGroupRequest { group_id };
    api.delete_group(request(&admin, delete)).await.unwrap();
    let view = |kind| format!("{kind}.view: . -> VIEW_NONE");
    let viewed = |kind| format!("{kind}.view: VIEW_NONE -> .");
    assert_eq!(
        world.told_since(before).await,
        [
            line(
                "role.create",
                &[
                    &view("contacts"),
                    &view("leads"),
                    "name: . -> Sales",
                    "settings: . -> true"
                ]
            ),
            line("role.update", &["settings: true -> false"]),
            line(
                "role.delete",
                &[&viewed("contacts"), &viewed("leads"), "name: Sales -> ."]
            ),
            line("group.create", &["name: . -> Kyiv"]),
            line("group.update", &[&format!("agent_ids: [] -> [{anna}]")]),
            line(
                "group.delete",
                &[&format!("agent_ids: [{anna}] -> ."), "name: Kyiv -> ."]
            ),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_a_channels_distribution_and_rules_for_replies_are_told_by_field() {
    let world = World::new().await;
    let admin = world.admin();
    let anna = world.agent_with("Anna", 0, None).await.to_string();
    let before = world.audit(&admin).await.len();
    let policy = pb::DistributionPolicy {
        channel_id: world.channel.to_string(),
        distribution: pb::Distribution::RoundRobin.into(),
        agent_ids: vec![anna.clone()],
        ..Default::default()
    };
    let rules = pb::DistributionPolicy {
        claim_before_reply: true,
        ..policy.clone()
    };
    for policy in [&policy, &policy, &rules] {
        let set = pb::SetDistributionPolicyRequest {
            policy: Some(policy.clone()),
        };
        world
            .api
            .set_distribution_policy(request(&admin, set))
            .await
            .unwrap();
    }
    assert_eq!(
        world.told_since(before).await,
        [
            line(
                "distribution-policy.set",
                &[
                    "distribution: DISTRIBUTION_OFF -> DISTRIBUTION_ROUND_ROBIN",
                    &format!("pool[0].agent_id: . -> {anna}"),
                    "pool[0].weight: . -> 1",
                ]
            ),
            line(
                "distribution-policy.set",
                &["claim_before_reply: false -> true"]
            ),
        ]
    );
    let newest = &world.audit(&admin).await[0];
    assert_eq!(
        (&*newest.subject_kind, &newest.subject_id),
        ("channel", &world.channel.to_string())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn b11_working_hours_and_what_presence_follows_are_told_and_presence_is_not() {
    let world = World::new().await;
    let admin = world.admin();
    let anna = world.agent_with("Anna", 0, None).await;
    let before = world.audit(&admin).await.len();
    let calendar = always(Owner::AgentId(anna.to_string()));
    let shorter = pb::Calendar {
        weekly: calendar.weekly[..1].to_vec(),
        holds_chats: true,
        ..calendar.clone()
    };
    for calendar in [&shorter, &shorter] {
        let set = pb::SetCalendarRequest {
            calendar: Some(calendar.clone()),
            ..Default::default()
        };
        world.api.set_calendar(request(&admin, set)).await.unwrap();
    }
    let set = pb::SetCalendarRequest {
        calendar: Some(pb::Calendar {
            holds_chats: false,
            time_zone: "UTC".into(),
            ..shorter
        }),
        ..Default::default()
    };
    world.api.set_calendar(request(&admin, set)).await.unwrap();
    let delete = pb::DeleteCalendarRequest {
        owner: Some(owner(Owner::AgentId(anna.to_string()))),
        ..Default::default()
    };
    world
        .api
        .delete_calendar(request(&admin, delete))
        .await
        .unwrap();
    world.presence(anna, pb::Presence::Away).await;
    let now = clock::now();
    let follows = Follows {
        streams: true,
        ..Follows::default()
    };
    for _ in 0..2 {
        world
            .app
            .set_follows(&admin, anna, follows, now)
            .await
            .unwrap();
    }
    world
        .app
        .set_presence(&admin, anna, ByHand::Automatic, now)
        .await
        .unwrap();
    assert_eq!(
        world.told_since(before).await,
        [
            line(
                "calendar.set",
                &[
                    "holds_chats: . -> true",
                    "time_zone: . -> Europe/Kyiv",
                    "weekly[0].hours[0].end: . -> 24:00",
                    "weekly[0].hours[0].start: . -> 00:00",
                    "weekly[0].weekday: . -> WEEKDAY_MONDAY",
                ]
            ),
            line(
                "calendar.set",
                &[
                    "holds_chats: true -> false",
                    "time_zone: Europe/Kyiv -> UTC"
                ]
            ),
            line(
                "calendar.delete",
                &[
                    "time_zone: UTC -> .",
                    "weekly[0].hours[0].end: 24:00 -> .",
                    "weekly[0].hours[0].start: 00:00 -> .",
                    "weekly[0].weekday: WEEKDAY_MONDAY -> .",
                ]
            ),
            line("presence-options.set", &["follow_streams: false -> true"]),
        ]
    );
    let newest = &world.audit(&admin).await[0];
    assert_eq!(
        (&*newest.subject_kind, &newest.subject_id),
        ("agent", &anna.to_string())
    );
}

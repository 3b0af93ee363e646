//! Roles and groups.

use chassis::access::{ChatAccess, View};
use chassis::id::AgentId;
use chassis::testing::request;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use switchboard_proto::assignment::v1::group_service_server::GroupService as _;
use switchboard_proto::assignment::v1::role_service_server::RoleService as _;
use tonic::Code;
use uuid::Uuid;

use crate::world::{World, field, reason};

fn kind(create: bool, view: pb::View) -> pb::KindAccess {
    pb::KindAccess {
        create,
        view: view.into(),
    }
}

async fn role(world: &World, name: &str, view: pb::View) -> pb::Role {
    let create = pb::CreateRoleRequest {
        name: name.into(),
        leads: Some(kind(false, view)),
        contacts: Some(kind(false, view)),
        ..Default::default()
    };
    let answer = world
        .api
        .create_role(request(&world.admin(), create))
        .await
        .unwrap();
    answer.into_inner().role.unwrap()
}

async fn agent_in(world: &World, name: &str, role: &pb::Role) -> AgentId {
    let id: AgentId = chassis::id::v5("agent", &[name]).into();
    let create = pb::CreateAgentRequest {
        agent_id: id.to_string(),
        name: name.into(),
        role_id: role.role_id.clone(),
        ..Default::default()
    };
    world
        .api
        .create_agent(request(&world.admin(), create))
        .await
        .unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn f179_changing_a_role_changes_what_its_agents_may_do_and_nobody_elses() {
    let world = World::new().await;
    let admin = world.admin();
    let sales = role(&world, "Sales", pb::View::All).await;
    let anna = agent_in(&world, "Anna", &sales).await;
    let boris = agent_in(&world, "Boris", &sales).await;
    let other = world.agent_with("Clara", 0, None).await;
    let before = world.record(anna).await;
    assert_eq!(before.chats, ChatAccess::Full);
    let clara = world.record(other).await;

    let events = world.events().await;
    let update = pb::UpdateRoleRequest {
        role_id: sales.role_id.clone(),
        leads: Some(kind(false, pb::View::None)),
        contacts: Some(kind(true, pb::View::None)),
        expected_revision: Some(1),
        ..Default::default()
    };
    let changed = world
        .api
        .update_role(request(&admin, update.clone()))
        .await
        .unwrap()
        .into_inner()
        .role
        .unwrap();
    assert_eq!((changed.revision, changed.agent_count), (2, 2));
    for agent in [anna, boris] {
        let record = world.record(agent).await;
        assert_eq!(record.chats, ChatAccess::Limited, "F176");
        assert_eq!(record.leads.view, View::None);
        assert_eq!(record.version, before.version + 1);
    }
    assert_eq!(world.record(other).await, clara);
    // The role's, and of each of two agents who they are and what they may do.
    assert_eq!(world.events().await, events + 5);

    let stale = world.api.update_role(request(&admin, update)).await;
    let stale = stale.unwrap_err();
    assert_eq!(
        (stale.code(), reason(&stale).0.as_str()),
        (Code::Aborted, "CHANGED_MEANWHILE")
    );
    // A name alone changes nobody's rights.
    let rename = pb::UpdateRoleRequest {
        role_id: sales.role_id.clone(),
        name: Some("Shop".into()),
        ..Default::default()
    };
    world
        .api
        .update_role(request(&admin, rename))
        .await
        .unwrap();
    assert_eq!(world.record(anna).await.version, before.version + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f179_who_loses_access_by_their_role_loses_their_chats_to_who_has_it() {
    let world = World::new().await;
    let sales = role(&world, "Sales", pb::View::All).await;
    let anna = agent_in(&world, "Anna", &sales).await;
    let boris = world.agent("Boris").await;
    world.policy(&[boris], false).await;
    let talk = world.claimed(1, anna).await;
    assert_eq!(world.responsible(&talk).await, Some(anna));
    let nothing = pb::UpdateRoleRequest {
        role_id: sales.role_id.clone(),
        leads: Some(kind(false, pb::View::None)),
        contacts: Some(kind(false, pb::View::None)),
        ..Default::default()
    };
    world
        .api
        .update_role(request(&world.admin(), nothing))
        .await
        .unwrap();
    assert_eq!(world.record(anna).await.chats, ChatAccess::None);
    assert_eq!(world.responsible(&talk).await, Some(boris));
    assert_eq!((world.load(anna).await, world.load(boris).await), (0, 1));
    world.loads_are_true().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f179_what_a_role_grants_is_not_granted_beside_it_and_stays_when_it_is_taken_away() {
    let world = World::new().await;
    let admin = world.admin();
    let sales = role(&world, "Sales", pb::View::Own).await;
    let anna = agent_in(&world, "Anna", &sales).await;
    let grants = |leads| pb::Grants {
        channels: Some(pb::ChannelGrant {
            all: false,
            channel_ids: vec![world.channel.to_string()],
        }),
        leads,
        ..Default::default()
    };
    let update = |grants, role_id: Option<&str>| pb::UpdateAgentRequest {
        agent_id: anna.to_string(),
        grants,
        role_id: role_id.map(str::to_owned),
        ..Default::default()
    };
    let both = update(Some(grants(Some(kind(true, pb::View::All)))), None);
    let refused = world.api.update_agent(request(&admin, both)).await;
    assert_eq!(field(&refused.unwrap_err()), "grants");

    // Channels are the agent's own (D21).
    let channels = update(Some(grants(None)), None);
    let agent = world.api.update_agent(request(&admin, channels)).await;
    assert_eq!(
        agent.unwrap().into_inner().agent.unwrap().role_id,
        sales.role_id
    );
    let record = world.record(anna).await;
    assert!(record.may_see_channel(world.channel) && !record.may_see_channel(Uuid::nil()));
    assert_eq!(record.leads.view, View::Own);

    let nobody = update(None, Some(&Uuid::from_u128(7).to_string()));
    let refused = world.api.update_agent(request(&admin, nobody)).await;
    assert_eq!(field(&refused.unwrap_err()), "role_id");

    let delete = pb::DeleteRoleRequest {
        role_id: sales.role_id.clone(),
    };
    let used = world.api.delete_role(request(&admin, delete.clone())).await;
    let used = used.unwrap_err();
    assert_eq!(
        (used.code(), reason(&used).0.as_str()),
        (Code::FailedPrecondition, "ROLE_IN_USE")
    );
    let free = update(None, Some(""));
    world.api.update_agent(request(&admin, free)).await.unwrap();
    assert_eq!(world.record(anna).await.leads.view, View::Own);
    world
        .api
        .delete_role(request(&admin, delete))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_listed_by_name_and_are_their_accounts_alone() {
    let world = World::new().await;
    let admin = world.admin();
    for name in ["Sales", "Back office", "Managers"] {
        role(&world, name, pb::View::All).await;
    }
    let twice = pb::CreateRoleRequest {
        name: "Sales".into(),
        ..Default::default()
    };
    let twice = world.api.create_role(request(&admin, twice)).await;
    assert_eq!(reason(&twice.unwrap_err()).0, "NAME_TAKEN");
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let list = pb::ListRolesRequest {
            page_size: 2,
            page_token: token,
        };
        let page = world
            .api
            .list_roles(request(&admin, list))
            .await
            .unwrap()
            .into_inner();
        names.extend(page.roles.into_iter().map(|role| role.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["Back office", "Managers", "Sales"]);

    world.open_account("globex").await;
    let globex = chassis::testing::account("globex");
    let other = chassis::testing::service_caller(Some(&globex), "shop", &["agents:admin"], None);
    let list = world
        .api
        .list_roles(request(&other, pb::ListRolesRequest::default()))
        .await
        .unwrap();
    assert!(list.into_inner().roles.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_a_group_names_agents_of_its_account_each_once() {
    let world = World::new().await;
    let admin = world.admin();
    let anna = world.agent_with("Anna", 0, None).await.to_string();
    let boris = world.agent_with("Boris", 0, None).await.to_string();
    let create = pb::CreateGroupRequest {
        name: "Kyiv".into(),
        agent_ids: vec![anna.clone(), boris.clone(), anna.clone()],
        ..Default::default()
    };
    let group = world.api.create_group(request(&admin, create)).await;
    let group = group.unwrap().into_inner().group.unwrap();
    assert_eq!(group.agent_ids.len(), 2);

    let update = |agents: &[&str], expected| pb::UpdateGroupRequest {
        group_id: group.group_id.clone(),
        members: Some(pb::GroupMembers {
            agent_ids: agents.iter().map(|&id| id.to_owned()).collect(),
        }),
        expected_revision: expected,
        ..Default::default()
    };
    let stranger = Uuid::from_u128(5).to_string();
    let unknown = update(&[&anna, &stranger], None);
    let unknown = world.api.update_group(request(&admin, unknown)).await;
    assert_eq!(field(&unknown.unwrap_err()), "members.agent_ids");
    let fewer = update(&[&boris], Some(1));
    let fewer = world.api.update_group(request(&admin, fewer)).await;
    let fewer = fewer.unwrap().into_inner().group.unwrap();
    assert_eq!((fewer.agent_ids, fewer.revision), (vec![boris], 2));
    let stale = world
        .api
        .update_group(request(&admin, update(&[], Some(1))))
        .await;
    assert_eq!(reason(&stale.unwrap_err()).0, "CHANGED_MEANWHILE");

    let id = group.group_id.clone();
    let delete = pb::DeleteGroupRequest {
        group_id: id.clone(),
    };
    world
        .api
        .delete_group(request(&admin, delete))
        .await
        .unwrap();
    let get = pb::GetGroupRequest { group_id: id };
    let gone = world.api.get_group(request(&admin, get)).await;
    assert_eq!(gone.unwrap_err().code(), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_services_are_told_which_groups_an_agent_is_in() {
    let world = World::new().await;
    let admin = world.admin();
    let anna = world.agent_with("Anna", 0, None).await.to_string();
    let boris = world.agent_with("Boris", 0, None).await.to_string();
    let mut of_anna = Vec::new();
    for (name, agents) in [
        ("Kyiv", vec![anna.clone(), boris]),
        ("Lviv", vec![anna.clone()]),
        ("Odesa", vec![]),
    ] {
        let create = pb::CreateGroupRequest {
            name: name.into(),
            agent_ids: agents.clone(),
            ..Default::default()
        };
        let group = world.api.create_group(request(&admin, create)).await;
        let group = group.unwrap().into_inner().group.unwrap();
        if agents.contains(&anna) {
            of_anna.push(group.group_id);
        }
    }
    of_anna.sort_unstable();
    let own = chassis::testing::account("acme");
    let other = chassis::testing::account("globex");
    for (account, agent, expected) in [
        (&own, anna.clone(), of_anna),
        (&own, Uuid::from_u128(5).to_string(), vec![]),
        (&other, anna, vec![]),
    ] {
        let service = chassis::testing::service_caller(Some(account), "x", &["internal"], None);
        let ask = pb::ListAgentGroupsRequest { agent_id: agent };
        let told = world.api.list_agent_groups(request(&service, ask)).await;
        assert_eq!(told.unwrap().into_inner().group_ids, expected);
    }
}

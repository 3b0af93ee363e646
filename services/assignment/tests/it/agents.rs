//! Accounts, agents, presence.

use chassis::testing::{request, service_caller};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use tonic::Code;

use crate::world::{World, field, reason};

#[tokio::test(flavor = "multi_thread")]
async fn creating_an_account_twice_answers_the_first_and_other_content_is_refused() {
    let world = World::new().await;
    let ops = service_caller(None, "ops", &["ops"], None);
    let create = |name: &str| pb::CreateAccountRequest {
        slug: "globex".into(),
        name: name.into(),
        language: "uk".into(),
    };
    let first = world
        .api
        .create_account(request(&ops, create("Globex")))
        .await
        .unwrap()
        .into_inner();
    let again = world
        .api
        .create_account(request(&ops, create("Globex")))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    let other = world
        .api
        .create_account(request(&ops, create("Initech")))
        .await
        .unwrap_err();
    assert_eq!(
        (other.code(), reason(&other).0.as_str()),
        (Code::AlreadyExists, "ACCOUNT_EXISTS")
    );
    let bad = pb::CreateAccountRequest {
        slug: "No Slug".into(),
        ..Default::default()
    };
    assert_eq!(
        field(
            &world
                .api
                .create_account(request(&ops, bad))
                .await
                .unwrap_err()
        ),
        "slug"
    );
    let list = pb::ListAccountsRequest {
        page_size: 1,
        page_token: String::new(),
    };
    let page = world
        .api
        .list_accounts(request(&ops, list))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.accounts[0].slug, "acme");
    let next = pb::ListAccountsRequest {
        page_size: 1,
        page_token: page.next_page_token,
    };
    let page = world
        .api
        .list_accounts(request(&ops, next))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            page.accounts[0].slug.as_str(),
            page.next_page_token.as_str()
        ),
        ("globex", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn f179_changing_what_is_granted_changes_what_an_agent_may_do_under_a_new_version() {
    let world = World::new().await;
    let admin = world.admin();
    let create = pb::CreateAgentRequest {
        request_id: "one".into(),
        name: "Anna".into(),
        ..Default::default()
    };
    let first = world
        .api
        .create_agent(request(&admin, create.clone()))
        .await
        .unwrap()
        .into_inner();
    let again = world
        .api
        .create_agent(request(&admin, create))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first, again);
    let anna = first.agent.unwrap();
    assert_eq!(anna.presence, i32::from(pb::Presence::Offline));
    let access = anna.access.unwrap();
    assert_eq!(
        (access.version, access.chats),
        (1, i32::from(pb::ChatAccess::Full))
    );
    let events = world.events().await;
    let update = async |update: pb::UpdateAgentRequest| {
        let update = pb::UpdateAgentRequest {
            agent_id: anna.agent_id.clone(),
            ..update
        };
        let answer = world
            .api
            .update_agent(request(&admin, update))
            .await
            .unwrap();
        answer.into_inner().agent.unwrap().access.unwrap()
    };
    // A name is no right.
    let named = update(pb::UpdateAgentRequest {
        name: Some("Hanna".into()),
        ..Default::default()
    })
    .await;
    assert_eq!((named.version, world.events().await), (1, events + 1));
    let create_only = pb::KindAccess {
        create: true,
        view: pb::View::None.into(),
    };
    let grants = pb::Grants {
        leads: Some(create_only),
        ..Default::default()
    };
    let limited = pb::UpdateAgentRequest {
        grants: Some(grants),
        ..Default::default()
    };
    let access = update(limited.clone()).await;
    assert_eq!(
        (access.version, access.chats),
        (2, i32::from(pb::ChatAccess::Limited))
    );
    assert_eq!(world.events().await, events + 3);
    // The same again is no change.
    assert_eq!(update(limited).await.version, 2);
    assert_eq!(world.events().await, events + 3);
    let gone = update(pb::UpdateAgentRequest {
        active: Some(false),
        ..Default::default()
    })
    .await;
    assert!(!gone.active && gone.version == 3);
    let list = pb::ListAgentAccessRequest::default();
    let listed = world
        .api
        .list_agent_access(request(&world.internal(), list))
        .await
        .unwrap();
    assert_eq!(listed.into_inner().access, [gone]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_sets_their_own_presence_and_nobody_elses() {
    let world = World::new().await;
    let (anna, boris) = (world.agent("Anna").await, world.agent("Boris").await);
    let caller = world.as_agent(anna).await;
    let away = |agent_id: String| pb::SetPresenceRequest {
        agent_id,
        presence: pb::Presence::Away.into(),
        ..Default::default()
    };
    let own = world
        .api
        .set_presence(request(&caller, away(String::new())))
        .await
        .unwrap();
    assert_eq!(
        own.into_inner().agent.unwrap().presence,
        i32::from(pb::Presence::Away)
    );
    let other = world
        .api
        .set_presence(request(&caller, away(boris.to_string())))
        .await
        .unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied);
    let unset = pb::SetPresenceRequest {
        agent_id: String::new(),
        presence: 0,
        ..Default::default()
    };
    assert_eq!(
        field(
            &world
                .api
                .set_presence(request(&caller, unset))
                .await
                .unwrap_err()
        ),
        "presence"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_listed_by_name_in_pages() {
    let world = World::new().await;
    for name in ["Vera", "Anna", "Boris"] {
        world.agent(name).await;
    }
    let mut names = Vec::new();
    let mut page_token = String::new();
    loop {
        let list = pb::ListAgentsRequest {
            page_size: 2,
            page_token,
        };
        let page = world
            .api
            .list_agents(request(&world.admin(), list))
            .await
            .unwrap()
            .into_inner();
        names.extend(page.agents.into_iter().map(|agent| agent.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(names, ["Anna", "Boris", "Vera"]);
}

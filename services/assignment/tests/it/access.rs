//! What is beyond the account or the record does not exist.

use chassis::testing::{request, service_caller};
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::assignment_service_server::AssignmentService as _;
use tonic::Code;

use crate::world::{Talk, World, field, reason};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one RPC after the other")]
async fn another_account_sees_nothing() {
    let world = World::new().await;
    world.open_account("globex").await;
    let anna = world.agent("Anna").await;
    world.policy(&[anna], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    let globex = chassis::testing::account("globex");
    let other = service_caller(
        Some(&globex),
        "shop",
        &["agents:admin", "chats:*", "internal"],
        None,
    );
    let (chat_id, agent_id) = (talk.chat.to_string(), anna.to_string());

    let get = pb::GetChatAssignmentRequest {
        chat_id: chat_id.clone(),
    };
    let refused = world
        .api
        .get_chat_assignment(request(&other, get))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let explain = pb::ExplainAssignmentRequest {
        chat_id: chat_id.clone(),
        ..Default::default()
    };
    let refused = world
        .api
        .explain_assignment(request(&other, explain))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let assign = pb::AssignChatRequest {
        chat_id: chat_id.clone(),
        agent_id: agent_id.clone(),
        ..Default::default()
    };
    let refused = world
        .api
        .assign_chat(request(&other, assign))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let admit = talk.admission(anna, (9, false));
    let refused = world
        .api
        .admit_reply(request(&other, admit))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused).0, "AGENT_UNKNOWN");
    let get = pb::GetAgentRequest {
        agent_id: agent_id.clone(),
    };
    let refused = world.api.get_agent(request(&other, get)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let update = pb::UpdateAgentRequest {
        agent_id: agent_id.clone(),
        active: Some(false),
        ..Default::default()
    };
    let refused = world
        .api
        .update_agent(request(&other, update))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let get = pb::GetAgentAccessRequest { agent_id };
    let refused = world
        .api
        .get_agent_access(request(&other, get))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let agents = world
        .api
        .list_agents(request(&other, pb::ListAgentsRequest::default()))
        .await
        .unwrap();
    assert_eq!(agents.into_inner().agents, []);
    let list = pb::ListChatAssignmentsRequest::default();
    let chats = world
        .api
        .list_chat_assignments(request(&other, list))
        .await
        .unwrap();
    assert_eq!(chats.into_inner().assignments, []);
    let get = pb::GetDistributionPolicyRequest {
        channel_id: world.channel.to_string(),
    };
    let policy = world
        .api
        .get_distribution_policy(request(&other, get))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        policy.policy.unwrap().distribution,
        i32::from(pb::Distribution::Off)
    );
    // Nor does its word on a chat of ours change anything.
    let forged = Talk {
        account: globex,
        ..talk.clone()
    };
    world.handle(&[forged.closed(5)]).await;
    assert_eq!(world.load(anna).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn f062_chats_of_channels_that_are_not_granted_do_not_exist() {
    let world = World::new().await;
    let elsewhere = pb::Grants {
        channels: Some(pb::ChannelGrant {
            all: false,
            channel_ids: vec![uuid::Uuid::from_u128(1).to_string()],
        }),
        leads: Some(pb::KindAccess {
            create: true,
            view: pb::View::All.into(),
        }),
        contacts: None,
        settings: false,
    };
    let anna = world.agent("Anna").await;
    let stranger = world
        .agent_with("Stranger", 0, Some(elsewhere.clone()))
        .await;
    let no_chats = pb::Grants {
        channels: Some(pb::ChannelGrant {
            all: true,
            channel_ids: vec![],
        }),
        ..Default::default()
    };
    let clerk = world.agent_with("Clerk", 0, Some(no_chats)).await;
    world.presence(stranger, pb::Presence::Online).await;
    world.presence(clerk, pb::Presence::Online).await;
    world.policy(&[stranger, clerk], false).await;
    let talk = Talk::new(&world, 1);
    world.handle(&[talk.opened(), talk.decided()]).await;
    assert_eq!(world.responsible(&talk).await, None, "neither may have it");

    let get = || pb::GetChatAssignmentRequest {
        chat_id: talk.chat.to_string(),
    };
    for (agent, code) in [
        (anna, Code::Ok),
        (stranger, Code::NotFound),
        (clerk, Code::PermissionDenied),
    ] {
        let caller = world.as_agent(agent).await;
        let answer = world.api.get_chat_assignment(request(&caller, get())).await;
        assert_eq!(answer.err().map_or(Code::Ok, |status| status.code()), code);
    }
    assert_eq!(
        world.claim(stranger, &talk).await.unwrap_err().code(),
        Code::NotFound
    );
    let refused = world.claim(clerk, &talk).await.unwrap_err();
    assert_eq!(reason(&refused).0, "CHAT_ACCESS_MISSING");
    let refused = world.admit(stranger, &talk, (1, true)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).0.as_str()),
        (Code::PermissionDenied, "CHANNEL_NOT_GRANTED")
    );
    let assign = pb::AssignChatRequest {
        chat_id: talk.chat.to_string(),
        agent_id: stranger.to_string(),
        ..Default::default()
    };
    let refused = world
        .api
        .assign_chat(request(&world.admin(), assign))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).0.as_str()),
        (Code::FailedPrecondition, "CHANNEL_NOT_GRANTED")
    );
    // D21: the right to change settings is asked of agents, whatever their token says.
    let caller = world.as_agent(stranger).await;
    let update = pb::UpdateAgentRequest {
        agent_id: stranger.to_string(),
        ..Default::default()
    };
    let refused = world
        .api
        .update_agent(request(&caller, update))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused).0, "SETTINGS_ACCESS_MISSING");
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_name_agents_of_the_account_only() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let nobody = uuid::Uuid::from_u128(404).into();
    let refused = world.try_policy(&[anna, nobody], false).await.unwrap_err();
    assert_eq!(
        (refused.code(), field(&refused).as_str()),
        (Code::InvalidArgument, "policy.agent_ids[1]")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d21_settings_alone_set_no_policy_of_a_channel() {
    let world = World::new().await;
    let nowhere = pb::Grants {
        channels: None,
        settings: true,
        ..Default::default()
    };
    let boss = world.agent_with("Boss", 0, Some(nowhere)).await;
    let set = pb::SetDistributionPolicyRequest {
        policy: Some(pb::DistributionPolicy {
            channel_id: world.channel.to_string(),
            distribution: pb::Distribution::Off.into(),
            ..Default::default()
        }),
    };
    let caller = world.as_agent(boss).await;
    let refused = world
        .api
        .set_distribution_policy(request(&caller, set.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).0.as_str()),
        (Code::NotFound, "CHANNEL_NOT_FOUND")
    );
    let by_service = world
        .api
        .set_distribution_policy(request(&world.admin(), set))
        .await;
    assert!(by_service.is_ok(), "{by_service:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn f060_an_agent_asks_for_themselves_without_knowing_their_id() {
    let world = World::new().await;
    let anna = world.agent("Anna").await;
    let caller = world.as_agent(anna).await;
    let me = pb::GetAgentRequest::default();
    let answer = world.api.get_agent(request(&caller, me.clone())).await;
    let agent = answer.unwrap().into_inner().agent.unwrap();
    assert_eq!(agent.agent_id, anna.to_string());
    assert_eq!(agent.access.unwrap().chats(), pb::ChatAccess::Full);
    let refused = world.api.get_agent(request(&world.admin(), me)).await;
    assert_eq!(field(&refused.unwrap_err()), "agent_id");
}

//! Opening the window of a chat's connections (F178).

use chassis::access::{AccessRecord, KindAccess, View};
use chassis::testing;
use switchboard_proto::crm_cards::v1::card_service_server::CardService as _;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::Status;
use uuid::Uuid;

use crate::world::{Chat, Tenant, World, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const ANNA: Uuid = Uuid::from_u128(100);
const BOB: Uuid = Uuid::from_u128(101);

fn record(agent: Uuid, view: View) -> AccessRecord {
    let rights = KindAccess { create: true, view };
    AccessRecord {
        leads: rights,
        contacts: rights,
        ..testing::full_access(agent.into())
    }
}

async fn open(
    world: &World,
    caller: &Tenant,
    chat: &str,
) -> Result<OpenChatConnectionsResponse, Status> {
    let request = OpenChatConnectionsRequest {
        chat_id: chat.into(),
    };
    let answer = world.api.open_chat_connections(caller.ask(request)).await?;
    Ok(answer.into_inner())
}

/// A chat with a card that is Anna's; two pipelines, of which the channel makes cards in the second.
async fn prepared() -> (World, Tenant, String, Pipeline) {
    let (world, tenant) = (world().await, tenant());
    world.pipeline(&tenant).await;
    let second = world.pipeline(&tenant).await;
    let rule = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: second.pipeline_id.clone(),
        ..PipelineConnection::default()
    };
    let request = SetPipelineConnectionRequest {
        connection: Some(rule),
    };
    let set = world.api.set_pipeline_connection(tenant.ask(request));
    set.await.unwrap();
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    let opening = tenant.opening(chat, 1).created_at(chassis::clock::now());
    world.handle(&[opening.delivery()]).await.unwrap();
    let card = world.cards(&tenant).await.remove(0);
    let request = UpdateCardRequest {
        card_id: card.card_id,
        responsible_agent_id: Some(ANNA.to_string()),
        ..UpdateCardRequest::default()
    };
    world.update_card(&tenant, request).await.unwrap();
    (world, tenant, opening.chat(), second)
}

/// F178, D28: who has not worked with the client gets a lead of his own by opening the window, once, and takes nothing away.
#[tokio::test]
async fn f178_a_manager_of_own_leads_gets_one_by_opening_the_window_once() {
    let (world, tenant, chat, pipeline) = prepared().await;
    let bob = tenant.agent(record(BOB, View::Own));
    let before = world.names(&tenant.account).await.len();
    let opened = open(&world, &bob, &chat).await.unwrap();
    let [lead] = opened.connections.unwrap().cards.try_into().unwrap();
    assert_eq!(lead.card_id, opened.created_card_id);
    let status = lead.status.clone().unwrap();
    assert_eq!(
        (
            lead.responsible_agent_id,
            lead.pipeline_id,
            status.kind(),
            lead.chat_id
        ),
        (
            BOB.to_string(),
            pipeline.pipeline_id,
            StatusKind::New,
            chat.clone()
        )
    );
    // Nobody is told of another responsible: a window that is opened moves no dialog.
    let told = world.names(&tenant.account).await.split_off(before);
    assert_eq!(told, ["card.created", "chat.linked"]);

    let again = open(&world, &bob, &chat).await.unwrap();
    assert_eq!(again.created_card_id, "");
    assert_eq!(again.connections.unwrap().cards.len(), 1);
    let delete = DeleteCardRequest {
        card_id: lead.card_id,
        expected_revision: None,
    };
    world.api.delete_card(tenant.ask(delete)).await.unwrap();
    assert_eq!(open(&world, &bob, &chat).await.unwrap().created_card_id, "");
}

/// Where there is no pipeline no lead can be made: the window opens as it does for everybody else.
#[tokio::test]
async fn f178_d28_without_a_pipeline_the_window_opens_and_no_lead_is_made() {
    let (world, tenant) = (world().await, tenant());
    let chat = Chat {
        channel: CHANNEL,
        user: "1",
    };
    let opening = tenant.opening(chat, 1).created_at(chassis::clock::now());
    world.handle(&[opening.delivery()]).await.unwrap();
    let bob = tenant.agent(record(BOB, View::Own));
    let opened = open(&world, &bob, &opening.chat()).await.unwrap();
    assert_eq!(opened.created_card_id, "");
    let shown = opened.connections.unwrap();
    assert!(shown.cards.is_empty(), "{shown:?}");
    // As soon as there is one, he gets his lead.
    let pipeline = world.pipeline(&tenant).await;
    let opened = open(&world, &bob, &opening.chat()).await.unwrap();
    let [lead] = opened.connections.unwrap().cards.try_into().unwrap();
    assert_eq!(lead.card_id, opened.created_card_id);
    assert_eq!(lead.pipeline_id, pipeline.pipeline_id);
}

#[tokio::test]
async fn f178_nobody_else_gets_a_lead_by_opening_the_window() {
    let (world, tenant, chat, _) = prepared().await;
    let blind = AccessRecord {
        leads: KindAccess {
            create: false,
            view: View::Own,
        },
        ..record(BOB, View::Own)
    };
    for (name, caller) in [
        ("a service", tenant.clone()),
        (
            "who works with the lead",
            tenant.agent(record(ANNA, View::Own)),
        ),
        ("who sees all", tenant.agent(record(BOB, View::All))),
        ("who may not create leads", tenant.agent(blind)),
    ] {
        let opened = open(&world, &caller, &chat).await.unwrap();
        assert_eq!(opened.created_card_id, "", "{name}");
    }
    let unknown = Uuid::from_u128(7).to_string();
    let bob = tenant.agent(record(BOB, View::Own));
    assert_eq!(
        open(&world, &bob, &unknown).await.unwrap().created_card_id,
        ""
    );
    assert_eq!(world.cards(&tenant).await.len(), 1);
}

/// Two windows of one manager at the same moment make one lead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f178_windows_opened_at_once_make_one_lead() {
    let (world, tenant, chat, _) = prepared().await;
    let bob = tenant.agent(record(BOB, View::Own));
    let opened = futures::future::join_all((0..8).map(|_| open(&world, &bob, &chat))).await;
    let made = opened
        .into_iter()
        .filter(|opened| !opened.as_ref().unwrap().created_card_id.is_empty());
    assert_eq!(made.count(), 1);
    assert_eq!(world.cards(&tenant).await.len(), 2);
}

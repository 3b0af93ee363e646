//! No row of another account, and none beyond the agent's record, is reached by any request (§9).

mod changes;

use chassis::access::{AccessRecord, ChannelGrant, ChatAccess, KindAccess, View};
use chassis::testing;
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService as _;
use switchboard_proto::crm_cards::v1::pipeline_connection::Mode;
use switchboard_proto::crm_cards::v1::*;
use tonic::{Code, Response, Status};
use uuid::Uuid;

use crate::world::{Chat, Opening, Tenant, World, tenant, world};

const CHANNEL: Uuid = Uuid::from_u128(1);
const AGENT: Uuid = Uuid::from_u128(50);

struct Shop {
    world: World,
    owner: Tenant,
    pipeline: Pipeline,
    opening: Opening,
    card: Card,
    contact: String,
    order: Order,
}

async fn shop() -> Shop {
    let (world, owner) = (world().await, tenant());
    let pipeline = world.pipeline(&owner).await;
    world.set_mode(&owner, CHANNEL, Mode::Repeat).await;
    let opening = owner.opening(
        Chat {
            channel: CHANNEL,
            user: "1",
        },
        1,
    );
    world.handle(&[opening.delivery()]).await.unwrap();
    let card = world.cards(&owner).await.remove(0);
    let contact = card.contact_id.clone();
    world.save_buyer(&owner, &contact).await;
    let order = world.create_order(&owner, &contact).await.unwrap();
    Shop {
        world,
        owner,
        pipeline,
        opening,
        card,
        contact,
        order,
    }
}

#[expect(clippy::too_many_lines, reason = "a list of all requests")]
/// What each request answered: its code, or how much it found.
async fn all_requests(shop: &Shop, tenant: &Tenant) -> Vec<(&'static str, Result<usize, Code>)> {
    let api = &shop.world.api;
    let code = |status: Status| status.code();
    let by_conversation = ExplainCardRequest {
        about: Some(explain_card_request::About::ConversationId(
            shop.opening.event.conversation_id.clone(),
        )),
    };
    let by_card = ExplainCardRequest {
        about: Some(explain_card_request::About::CardId(
            shop.card.card_id.clone(),
        )),
    };
    let chat_id = shop.opening.chat();
    let in_chat = ListCardsRequest {
        chat_id: chat_id.clone(),
        ..ListCardsRequest::default()
    };
    let of_pipeline = ListCardsRequest {
        pipeline_id: shop.pipeline.pipeline_id.clone(),
        ..ListCardsRequest::default()
    };
    let of_chat = ListDecisionsRequest {
        chat_id: chat_id.clone(),
        ..ListDecisionsRequest::default()
    };
    let card_id = shop.card.card_id.clone();
    let contact_id = shop.contact.clone();
    let status_id = shop.pipeline.statuses[0].status_id.clone();
    let new_card = CreateCardRequest {
        chat_id: chat_id.clone(),
        ..CreateCardRequest::default()
    };
    vec![
        (
            "GetCard",
            api.get_card(tenant.ask(GetCardRequest {
                card_id: card_id.clone(),
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "ListCards",
            api.list_cards(tenant.ask(ListCardsRequest::default()))
                .await
                .map(|a| a.get_ref().cards.len())
                .map_err(code),
        ),
        (
            "ListCards of a chat",
            api.list_cards(tenant.ask(in_chat))
                .await
                .map(|a| a.get_ref().cards.len())
                .map_err(code),
        ),
        (
            "ListCards of a pipeline",
            api.list_cards(tenant.ask(of_pipeline))
                .await
                .map(|a| a.get_ref().cards.len())
                .map_err(code),
        ),
        (
            "MoveCard",
            api.move_card(tenant.ask(MoveCardRequest {
                card_id,
                status_id,
                ..MoveCardRequest::default()
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "GetContact",
            api.get_contact(tenant.ask(GetContactRequest {
                contact_id: contact_id.clone(),
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "ListContacts",
            api.list_contacts(tenant.ask(ListContactsRequest::default()))
                .await
                .map(|a| a.get_ref().contacts.len())
                .map_err(code),
        ),
        (
            "SaveBuyer",
            api.save_buyer(tenant.ask(SaveBuyerRequest {
                contact_id: contact_id.clone(),
                ..SaveBuyerRequest::default()
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "CreateOrder",
            api.create_order(tenant.ask(CreateOrderRequest {
                contact_id,
                ..CreateOrderRequest::default()
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "MoveOrder",
            api.move_order(tenant.ask(MoveOrderRequest {
                order_id: shop.order.order_id.clone(),
                status: 1,
                ..MoveOrderRequest::default()
            }))
            .await
            .map(|_| 1)
            .map_err(code),
        ),
        (
            "GetChatConnections",
            api.get_chat_connections(tenant.ask(GetChatConnectionsRequest { chat_id }))
                .await
                .map(|a| a.get_ref().cards.len() + usize::from(a.get_ref().contact.is_some()))
                .map_err(code),
        ),
        (
            "ExplainCard by conversation",
            api.explain_card(tenant.ask(by_conversation))
                .await
                .map(|_| 1)
                .map_err(code),
        ),
        (
            "ExplainCard by card",
            api.explain_card(tenant.ask(by_card))
                .await
                .map(|_| 1)
                .map_err(code),
        ),
        (
            "ListDecisions",
            api.list_decisions(tenant.ask(ListDecisionsRequest::default()))
                .await
                .map(|a| a.get_ref().decisions.len())
                .map_err(code),
        ),
        (
            "ListDecisions of a chat",
            api.list_decisions(tenant.ask(of_chat))
                .await
                .map(|a| a.get_ref().decisions.len())
                .map_err(code),
        ),
        (
            "CreateCard",
            api.create_card(tenant.ask(new_card))
                .await
                .map(|_| 1)
                .map_err(code),
        ),
    ]
    .into_iter()
    .chain(changes::changes(shop, tenant).await)
    .collect()
}

#[tokio::test]
async fn another_account_sees_nothing_by_any_request() {
    let shop = shop().await;
    let other = tenant();
    for (request, answer) in all_requests(&shop, &other).await {
        assert!(
            matches!(answer, Ok(0) | Err(Code::NotFound)),
            "{request}: {answer:?}"
        );
    }
    let request = ListPipelinesRequest::default();
    let pipelines = shop
        .world
        .api
        .list_pipelines(other.ask(request))
        .await
        .unwrap();
    assert!(pipelines.get_ref().pipelines.is_empty());
    let request = GetPipelineConnectionRequest {
        channel_id: CHANNEL.to_string(),
    };
    let rule = shop
        .world
        .api
        .get_pipeline_connection(other.ask(request))
        .await
        .unwrap();
    assert_eq!(rule.into_inner().connection.unwrap().mode(), Mode::None);
    let foreign = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: Mode::Repeat.into(),
        pipeline_id: shop.pipeline.pipeline_id.clone(),
        ..PipelineConnection::default()
    };
    let refused = shop.world.connect(&other, foreign).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    // The same ids in another account are other rows.
    shop.world.pipeline(&other).await;
    shop.world.set_mode(&other, CHANNEL, Mode::Repeat).await;
    let mut same = shop.opening.clone().created_at(chassis::clock::now());
    same.account = other.account.clone();
    shop.world.handle(&[same.delivery()]).await.unwrap();
    assert_eq!(shop.world.cards(&other).await.len(), 1);
    assert_eq!(shop.world.cards(&shop.owner).await.len(), 1);
}

fn record(leads: View, contacts: View) -> AccessRecord {
    AccessRecord {
        leads: KindAccess {
            create: leads != View::None,
            view: leads,
        },
        contacts: KindAccess {
            create: contacts != View::None,
            view: contacts,
        },
        ..testing::full_access(AGENT.into())
    }
}

#[tokio::test]
async fn f174_f177_views_of_leads_and_contacts_open_none_own_or_all() {
    let shop = shop().await;
    let none = shop.owner.agent(record(View::None, View::None));
    for (request, answer) in all_requests(&shop, &none).await {
        assert_eq!(answer, Err(Code::PermissionDenied), "{request}");
    }
    // Nothing of the shop is the agent's own.
    let own = shop.owner.agent(record(View::Own, View::Own));
    for (request, answer) in all_requests(&shop, &own).await {
        // Who sees only their own keeps what they make: it stands on their board (F135).
        let own = matches!(request, "CreateCard" | "GetBoard");
        let expected = if own {
            answer == Ok(1)
        } else {
            matches!(answer, Ok(0) | Err(Code::NotFound))
        };
        assert!(expected, "{request}: {answer:?}");
    }
    for table in ["card", "contact"] {
        let make_own = sqlx::AssertSqlSafe(format!("update {table} set responsible = $1"));
        sqlx::query(make_own)
            .bind(AGENT)
            .execute(&shop.world.database.pool)
            .await
            .unwrap();
    }
    for (name, tenant) in [
        ("own", own),
        ("all", shop.owner.agent(record(View::All, View::All))),
    ] {
        for (request, answer) in all_requests(&shop, &tenant).await {
            assert!(
                matches!(answer, Ok(found) if found > 0),
                "{name} {request}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn f062_chats_of_channels_that_are_not_granted_do_not_exist() {
    let shop = shop().await;
    let mut record = testing::full_access(AGENT.into());
    record.channels = ChannelGrant::Some([Uuid::from_u128(2)].into());
    let elsewhere = shop.owner.agent(record.clone());
    for (request, answer) in all_requests(&shop, &elsewhere).await {
        let bound_to_chat = matches!(
            request,
            "ExplainCard by conversation" | "ExplainCard by card" | "CreateCard"
        );
        let of_chats = matches!(
            request,
            "ListCards of a chat"
                | "GetChatConnections"
                | "ListDecisions of a chat"
                | "ListDecisions"
        );
        if bound_to_chat {
            assert_eq!(answer, Err(Code::NotFound), "{request}");
        } else if of_chats {
            assert_eq!(answer, Ok(0), "{request}");
        } else {
            assert!(answer.is_ok(), "{request}: {answer:?}");
        }
    }
    let connection = GetPipelineConnectionRequest {
        channel_id: CHANNEL.to_string(),
    };
    let refused = shop
        .world
        .api
        .get_pipeline_connection(elsewhere.ask(connection))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    record.channels = ChannelGrant::Some([CHANNEL].into());
    for (request, answer) in all_requests(&shop, &shop.owner.agent(record)).await {
        assert!(
            matches!(answer, Ok(found) if found > 0),
            "{request}: {answer:?}"
        );
    }
}

/// What an agent is told about a chat, by each request that names one.
async fn told_of(shop: &Shop, tenant: &Tenant, chat_id: &str) -> Vec<String> {
    let (api, chat_id) = (&shop.world.api, chat_id.to_owned());
    let connections = GetChatConnectionsRequest {
        chat_id: chat_id.clone(),
    };
    let cards = ListCardsRequest {
        chat_id: chat_id.clone(),
        ..ListCardsRequest::default()
    };
    let decisions = ListDecisionsRequest {
        chat_id: chat_id.clone(),
        ..ListDecisionsRequest::default()
    };
    let card = CreateCardRequest {
        chat_id: chat_id.clone(),
        ..CreateCardRequest::default()
    };
    let told = [
        format!(
            "{:?}",
            api.get_chat_connections(tenant.ask(connections))
                .await
                .map(Response::into_inner)
        ),
        format!(
            "{:?}",
            api.list_cards(tenant.ask(cards))
                .await
                .map(Response::into_inner)
        ),
        format!(
            "{:?}",
            api.list_decisions(tenant.ask(decisions))
                .await
                .map(Response::into_inner)
        ),
        format!(
            "{:?}",
            api.create_card(tenant.ask(card))
                .await
                .map_err(|refused| (refused.code(), refused.message().to_owned()))
        ),
    ];
    told.map(|told| told.replace(&chat_id, "")).to_vec()
}

#[tokio::test]
async fn f062_a_chat_out_of_reach_is_answered_as_one_that_is_not_there() {
    let shop = shop().await;
    let mut record = testing::full_access(AGENT.into());
    record.channels = ChannelGrant::Some([Uuid::from_u128(2)].into());
    let elsewhere = shop.owner.agent(record);
    let there = shop.opening.chat();
    let hidden = told_of(&shop, &elsewhere, &there).await;
    let unknown = told_of(&shop, &elsewhere, &Uuid::from_u128(0x404).to_string()).await;
    assert_eq!(hidden, unknown);
    let granted = shop.owner.agent(testing::full_access(AGENT.into()));
    assert_ne!(told_of(&shop, &granted, &there).await, unknown);
}

#[tokio::test]
async fn f175_f176_limited_chats_hide_connections_and_settings_need_their_right() {
    let shop = shop().await;
    let mut record = testing::full_access(AGENT.into());
    record.chats = ChatAccess::Limited;
    record.settings = false;
    let limited = shop.owner.agent(record);
    let request = GetChatConnectionsRequest {
        chat_id: shop.opening.chat(),
    };
    let refused = shop
        .world
        .api
        .get_chat_connections(limited.ask(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // D11: may create a lead, though.
    let request = CreateCardRequest {
        chat_id: shop.opening.chat(),
        ..CreateCardRequest::default()
    };
    shop.world
        .api
        .create_card(limited.ask(request))
        .await
        .unwrap();
    let request = CreatePipelineRequest {
        name: "x".into(),
        ..CreatePipelineRequest::default()
    };
    let refused = shop
        .world
        .api
        .create_pipeline(limited.ask(request))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let connection = PipelineConnection {
        channel_id: CHANNEL.to_string(),
        mode: 1,
        ..PipelineConnection::default()
    };
    let refused = shop.world.connect(&limited, connection).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn x11_a_repeat_is_answered_only_who_may_still_see_what_it_is_about() {
    let shop = shop().await;
    let full = testing::full_access(AGENT.into());
    let agent = shop.owner.agent(full.clone());
    let card = CreateCardRequest {
        request_id: "once".into(),
        chat_id: shop.opening.chat(),
        ..CreateCardRequest::default()
    };
    let order = CreateOrderRequest {
        request_id: "once".into(),
        contact_id: shop.contact.clone(),
        ..CreateOrderRequest::default()
    };
    let api = &shop.world.api;
    let first = api.create_card(agent.ask(card.clone())).await.unwrap();
    let repeat = api.create_card(agent.ask(card.clone())).await.unwrap();
    assert_eq!(repeat.into_inner(), first.into_inner());
    api.create_order(agent.ask(order.clone())).await.unwrap();
    // The channel is taken away, and the buyer is a colleague's for who sees own contacts.
    let elsewhere = shop.owner.agent(AccessRecord {
        channels: ChannelGrant::Some([].into()),
        ..full
    });
    let refused = api.create_card(elsewhere.ask(card)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let own = shop.owner.agent(record(View::Own, View::Own));
    let refused = api.create_order(own.ask(order)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn d11_a_card_made_with_limited_access_does_not_name_its_contact() {
    let shop = shop().await;
    let mut may_create = AccessRecord {
        chats: ChatAccess::Limited,
        ..record(View::None, View::None)
    };
    may_create.leads.create = true;
    let request = CreateCardRequest {
        chat_id: shop.opening.chat(),
        ..CreateCardRequest::default()
    };
    let api = &shop.world.api;
    let limited = shop.owner.agent(may_create);
    let made = api.create_card(limited.ask(request)).await.unwrap();
    let made = made.into_inner().card.unwrap();
    assert_eq!(made.contact_id, "");
    let seen = GetCardRequest {
        card_id: made.card_id,
    };
    let seen = api.get_card(shop.owner.ask(seen)).await.unwrap();
    assert_eq!(seen.into_inner().card.unwrap().contact_id, shop.contact);
}

//! Lists: order, pages, filters, rights.

mod plans;
mod whole;

use std::collections::BTreeSet;

use chassis::access::{ChannelGrant, ChatAccess};
use chassis::auth::Caller;
use chassis::testing::{caller, full_access, request, service_caller};
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::world::{World, agent, at, reason, text_of};

async fn list(
    world: &World,
    by: &Caller,
    list: pb::ListChatsRequest,
) -> Result<Vec<pb::Chat>, Status> {
    let mut chats = Vec::new();
    let mut ask = list;
    loop {
        let answer = world
            .api
            .list_chats(request(by, ask.clone()))
            .await?
            .into_inner();
        chats.extend(answer.chats);
        if answer.next_page_token.is_empty() {
            return Ok(chats);
        }
        ask.page_token = answer.next_page_token;
    }
}

fn clients(chats: &[pb::Chat]) -> Vec<String> {
    chats
        .iter()
        .map(|chat| chat.client.as_ref().unwrap().user_id.clone())
        .collect()
}

#[tokio::test]
async fn d07_chats_are_listed_by_last_client_message_over_pages() {
    let world = World::new().await;
    for n in 0..7 {
        // Two and two have the same time: the page must not lose one of them.
        world
            .receive(&[world.message(&n.to_string(), "1", at(n / 2), "x")])
            .await;
    }
    world
        .receive(&[world.message("0", "2", at(100), "again")])
        .await;
    let ask = pb::ListChatsRequest {
        page_size: 2,
        ..Default::default()
    };
    let chats = list(&world, &world.as_service(), ask).await.unwrap();
    let found = clients(&chats);
    assert_eq!(found.len(), 7);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 7, "each once");
    assert_eq!(found[0], "0");
    let times: Vec<i64> = chats
        .iter()
        .map(|chat| chat.last_client_message_time.unwrap().seconds)
        .collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
}

#[tokio::test]
async fn f074_f076_f077_f078_chats_are_filtered() {
    let world = World::new().await;
    for (n, key) in ["a", "b", "c"].into_iter().enumerate() {
        let time = at(i64::try_from(n).unwrap());
        world.receive(&[world.message(key, "1", time, "x")]).await;
    }
    let ann = world.as_agent("ann");
    world.close(&ann, "b").await.unwrap();
    sqlx::query("update chat set responsible = $1, assignment_number = number, state = 'active', unanswered = 0, waiting = false where chat_key = 'c'")
        .bind(agent("ann").uuid())
        .execute(&world.db.pool)
        .await
        .unwrap();
    let ask = pb::ListChatsRequest::default;
    for (name, ask, expected) in [
        ("all", ask(), vec!["c", "b", "a"]),
        (
            "open",
            pb::ListChatsRequest {
                states: vec![
                    pb::chat::State::Unassigned.into(),
                    pb::chat::State::Active.into(),
                ],
                ..ask()
            },
            vec!["c", "a"],
        ),
        (
            "mine",
            pb::ListChatsRequest {
                responsible: "me".into(),
                ..ask()
            },
            vec!["c"],
        ),
        (
            "an agent's",
            pb::ListChatsRequest {
                responsible: agent("bob").to_string(),
                ..ask()
            },
            vec![],
        ),
        (
            "nobody's",
            pb::ListChatsRequest {
                responsible: "none".into(),
                ..ask()
            },
            vec!["b", "a"],
        ),
        (
            "unanswered",
            pb::ListChatsRequest {
                unanswered_only: true,
                ..ask()
            },
            vec!["b", "a"],
        ),
        (
            "channel",
            pb::ListChatsRequest {
                channel_id: world.channel.to_string(),
                ..ask()
            },
            vec!["c", "b", "a"],
        ),
        (
            "other channel",
            pb::ListChatsRequest {
                channel_id: Uuid::from_u128(5).to_string(),
                ..ask()
            },
            vec![],
        ),
    ] {
        let chats = list(&world, &ann, ask).await.unwrap();
        assert_eq!(clients(&chats), expected, "{name}");
    }
    for wrong in [
        pb::ListChatsRequest {
            responsible: "everybody".into(),
            ..ask()
        },
        pb::ListChatsRequest {
            states: vec![99],
            ..ask()
        },
        pb::ListChatsRequest {
            page_token: "x".into(),
            ..ask()
        },
        pb::ListChatsRequest {
            page_size: -1,
            ..ask()
        },
    ] {
        let refused = list(&world, &ann, wrong).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn messages_are_paged_newest_first_by_time_then_number() {
    let world = World::new().await;
    let batch: Vec<_> = (0..9)
        .map(|n| world.message("7", &n.to_string(), at(n / 3), &n.to_string()))
        .collect();
    world.receive(&batch).await;
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let ask = pb::ListMessagesRequest {
            chat_id: world.chat("7").to_string(),
            page_size: 4,
            page_token: token,
            full_text: false,
            ..Default::default()
        };
        let answer = world
            .api
            .list_messages(request(&world.as_service(), ask))
            .await
            .unwrap()
            .into_inner();
        found.extend(answer.messages);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let texts: Vec<_> = found
        .iter()
        .filter(|m| m.system.is_none())
        .map(text_of)
        .collect();
    assert_eq!(texts, ["8", "7", "6", "5", "4", "3", "2", "1", "0"]);
    assert_eq!(
        found.last().unwrap().system.as_ref().unwrap().kind,
        "conversation.opened"
    );
}

#[tokio::test]
async fn another_account_and_ungranted_channels_see_nothing() {
    let world = World::new().await;
    world.receive(&[world.message("7", "1", at(0), "x")]).await;
    let agent = agent("ann");
    let mut elsewhere = full_access(agent);
    elsewhere.channels = ChannelGrant::Some([Uuid::from_u128(5)].into());
    let other = chassis::testing::account("other");
    for by in [
        service_caller(Some(&other), "shop", &["chats:*"], None),
        caller(&other, agent, &["chats:*"], full_access(agent)),
        caller(&world.account, agent, &["chats:*"], elsewhere),
    ] {
        assert!(
            list(&world, &by, pb::ListChatsRequest::default())
                .await
                .unwrap()
                .is_empty()
        );
        let chat_id = world.chat("7").to_string();
        let statuses = [
            world.get_chat(&by, "7").await.unwrap_err(),
            world.close(&by, "7").await.unwrap_err(),
            world
                .api
                .list_messages(request(
                    &by,
                    pb::ListMessagesRequest {
                        chat_id: chat_id.clone(),
                        ..Default::default()
                    },
                ))
                .await
                .unwrap_err(),
            world
                .api
                .list_conversations(request(
                    &by,
                    pb::ListConversationsRequest {
                        chat_id,
                        ..Default::default()
                    },
                ))
                .await
                .unwrap_err(),
        ];
        for status in statuses {
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::NotFound, "CHAT_NOT_FOUND")
            );
        }
        if by.agent().is_some() {
            let refused = world.send(&by, "7", "r", "hi").await.unwrap_err();
            assert_eq!(refused.code(), Code::NotFound);
        }
    }
    let mut none = full_access(agent);
    none.chats = ChatAccess::None;
    let none = caller(&world.account, agent, &["chats:*"], none);
    let refused = world.get_chat(&none, "7").await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "CHAT_ACCESS_MISSING")
    );
    assert_eq!(
        list(&world, &none, pb::ListChatsRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::PermissionDenied
    );
    assert_eq!(world.assignment.times_asked(), 0);
}

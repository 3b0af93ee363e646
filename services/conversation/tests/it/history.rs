//! The history of a chat, towards both ends, and what was stored after a place.

use chassis::testing::request;
use switchboard_proto::conversation::v1::{
    self as pb, conversation_service_server::ConversationService as _,
};
use tonic::{Code, Status};

use crate::world::{World, at, reason, text_of};

impl World {
    async fn messages(
        &self,
        ask: pb::ListMessagesRequest,
    ) -> Result<pb::ListMessagesResponse, Status> {
        let answer = self.api.list_messages(request(&self.as_service(), ask));
        Ok(answer.await?.into_inner())
    }
}

fn texts(page: &pb::ListMessagesResponse) -> Vec<String> {
    page.messages.iter().map(text_of).collect()
}

/// A chat with ten messages, `m1` the oldest, beside the one that tells of the opening.
async fn ten() -> (World, pb::ListMessagesRequest) {
    let world = World::new().await;
    for n in 1..=10 {
        let message = world.message("7", &n.to_string(), at(n), &format!("m{n}"));
        world.receive(&[message]).await;
    }
    let ask = pb::ListMessagesRequest {
        chat_id: world.chat("7").to_string(),
        page_size: 3,
        ..Default::default()
    };
    (world, ask)
}

#[tokio::test]
async fn history_is_read_around_a_message_and_towards_both_ends() {
    let (world, ask) = ten().await;
    let middle = world.client_messages("7").await[5].message_id.clone();
    let around = pb::ListMessagesRequest {
        around_message_id: middle,
        ..ask.clone()
    };
    let page = world.messages(around).await.unwrap();
    assert_eq!(texts(&page), ["m7", "m6", "m5"]);
    let follow = |token: &str| pb::ListMessagesRequest {
        page_token: token.into(),
        ..ask.clone()
    };
    let newer = world
        .messages(follow(&page.newer_page_token))
        .await
        .unwrap();
    assert_eq!(texts(&newer), ["m10", "m9", "m8"]);
    assert!(newer.newer_page_token.is_empty(), "there are none");
    let back = world
        .messages(follow(&newer.next_page_token))
        .await
        .unwrap();
    assert_eq!(texts(&back), ["m7", "m6", "m5"]);
    let older = world.messages(follow(&page.next_page_token)).await.unwrap();
    assert_eq!(texts(&older), ["m4", "m3", "m2"]);
    let forth = world
        .messages(follow(&older.newer_page_token))
        .await
        .unwrap();
    assert_eq!(texts(&forth), ["m7", "m6", "m5"]);
    let last = world
        .messages(follow(&older.next_page_token))
        .await
        .unwrap();
    assert_eq!(texts(&last), ["m1", ""], "and the opening");
    assert!(last.next_page_token.is_empty());
    let first = world.messages(ask.clone()).await.unwrap();
    assert_eq!(texts(&first), ["m10", "m9", "m8"]);
    assert!(first.newer_page_token.is_empty());

    // At both ends there are fewer on one side.
    for (n, size, expected) in [
        (9, 4, vec!["m10", "m9", "m8", "m7"]),
        (0, 5, vec!["m3", "m2", "m1", ""]),
        (4, 1, vec!["m5"]),
    ] {
        let message = world.client_messages("7").await[n].message_id.clone();
        let ask = pb::ListMessagesRequest {
            around_message_id: message,
            page_size: size,
            ..ask.clone()
        };
        let page = world.messages(ask).await.unwrap();
        assert_eq!(texts(&page), expected);
        let more = expected.first() != Some(&"m10") && expected.first() != Some(&"m9");
        assert_eq!(!page.newer_page_token.is_empty(), more, "{expected:?}");
    }
}

#[tokio::test]
async fn what_was_stored_after_a_place_comes_in_that_order() {
    let (world, ask) = ten().await;
    // An old message that comes late is new to who has read to the end.
    let seen = world.history("7").await.iter().map(|m| m.sequence).max();
    world
        .receive(&[world.message("7", "0", at(-5), "late")])
        .await;
    let after = |sequence| pb::ListMessagesRequest {
        after_sequence: sequence,
        ..ask.clone()
    };
    let page = world.messages(after(seen)).await.unwrap();
    assert_eq!(texts(&page), ["late"]);
    let (mut all, mut ask) = (Vec::new(), after(Some(0)));
    loop {
        let page = world.messages(ask.clone()).await.unwrap();
        all.extend(texts(&page));
        if page.next_page_token.is_empty() {
            break;
        }
        (ask.after_sequence, ask.page_token) = (None, page.next_page_token);
    }
    assert_eq!(all.len(), 12);
    assert_eq!((all[1].as_str(), all[11].as_str()), ("m1", "late"));
}

#[tokio::test]
async fn of_the_ways_to_name_a_page_one_is_used() {
    let (world, ask) = ten().await;
    let token = world.messages(ask.clone()).await.unwrap().next_page_token;
    let around = world.client_messages("7").await[0].message_id.clone();
    for (token, around, after) in [
        (&*token, &*around, None),
        (&*token, "", Some(1)),
        ("", &*around, Some(1)),
        ("", "", Some(-1)),
        ("nonsense", "", None),
    ] {
        let ask = pb::ListMessagesRequest {
            page_token: token.into(),
            around_message_id: around.into(),
            after_sequence: after,
            ..ask.clone()
        };
        let refused = world.messages(ask).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    let elsewhere = pb::ListMessagesRequest {
        around_message_id: world.chat("7").to_string(),
        ..ask
    };
    let refused = world.messages(elsewhere).await.unwrap_err();
    assert_eq!(reason(&refused), "MESSAGE_NOT_FOUND");
}

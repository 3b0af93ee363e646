//! What clients answer: scores, comments, and what is neither (F203).

use conversation::grpc::notifications;
use switchboard_proto::common::v1::ButtonPress;
use switchboard_proto::conversation::v1::chat_service_server::ChatService as _;
use switchboard_proto::conversation::v1::notification_service_server::NotificationService as _;

use super::*;

#[tokio::test]
async fn f203_words_in_time_are_the_comment_and_open_nothing_and_later_ones_are_a_message() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    sqlx::query("update channel_rule set greeting = 'Welcome!'")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut begins = bot(vec![say("Good day")]);
    begins.trigger = pb::bot::Trigger::ConversationOpened.into();
    for key in ["7", "8"] {
        world.scored(&others, key).await;
    }
    world.bot(begins).await.unwrap();
    sqlx::query("delete from auto_reply")
        .execute(&world.db.pool)
        .await
        .unwrap();
    let words = [
        world.says("7", "3", 10, "you are fast"),
        world.says("8", "3", 16 * 60, "where is my parcel?"),
    ];
    world.receive(&words).await;
    world.go_on(&others, now()).await;

    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.open_conversation.is_none(), "a comment opens none");
    assert_eq!(chat.unanswered, 1, "nobody has to answer it");
    assert_eq!(world.kept("7").await, (Some(9), "you are fast".to_owned()));
    assert_eq!(world.said("7").await.len(), 3, "the thanks is the last");
    // Agents see the words, and that they are the comment.
    let messages = world.client_messages("7").await;
    assert_eq!(text_of(messages.last().unwrap()), "you are fast");
    assert_eq!(
        world.sentences("7", "nps.answered").await,
        [
            "The client answered NPS: 9",
            "The client answered NPS: 9, \"you are fast\""
        ]
    );
    let told = world.events_of::<pb::NpsAnswered>().await;
    let told = told.iter().map(|it| &*it.comment);
    assert_eq!(told.collect::<Vec<_>>(), ["", "", "you are fast"]);

    let chat = world.get_chat(&ann, "8").await.unwrap();
    assert!(chat.open_conversation.is_some(), "too late for a comment");
    assert_eq!(world.kept("8").await, (Some(9), String::new()));
    assert_eq!(world.said("8").await.last().unwrap(), "Good day, Ada");
    let greeted: Vec<Uuid> = sqlx::query_scalar("select chat_id from auto_reply")
        .fetch_all(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(greeted, [world.chat("8")]);
    // Its end asks anew.
    let refused = world.close(&ann, "8").await.unwrap_err();
    assert_eq!(reason(&refused), "NPS_NOT_SENT");
    let what_to_do = format!("switchboardctl bot nps {}", world.chat("8"));
    assert!(refused.message().contains(&what_to_do), "{refused}");
}

#[tokio::test]
async fn f203_a_comment_in_an_open_conversation_is_answered_by_agents_as_well() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world.receive(&[world.says("7", "2", 0, "9 👍")]).await;
    world.go_on(&others, now()).await;
    world.receive(&[world.says("7", "3", 0, "fast")]).await;
    world.go_on(&others, now()).await;
    let chat = world.get_chat(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!(chat.unanswered, 2, "the score is for the bot alone");
    assert_eq!(world.kept("7").await, (Some(9), "fast".to_owned()));
}

#[tokio::test]
async fn f203_what_stands_beside_a_score_begins_the_comment_and_opens_nothing() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    for key in ["7", "8"] {
        world.hello(key).await;
        world.nps(key).await.unwrap();
        world.go_on(&others, now()).await;
        world.close(&ann, key).await.unwrap();
    }
    // In one message, and in two before the bot has gone on.
    let words = [
        world.says("7", "2", 0, "10, thanks"),
        world.says("8", "2", 0, "10"),
        world.says("8", "3", 1, "thanks"),
    ];
    world.receive(&words).await;
    world.go_on(&others, now()).await;
    for key in ["7", "8"] {
        let chat = world.get_chat(&ann, key).await.unwrap();
        assert!(chat.open_conversation.is_none(), "{key}");
        assert_eq!(world.kept(key).await, (Some(10), "thanks".to_owned()));
    }
    world.receive(&[world.says("7", "3", 1, "fast")]).await;
    world.go_on(&others, now()).await;
    assert_eq!(world.kept("7").await, (Some(10), "thanks\nfast".to_owned()));
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!(told.last().unwrap().comment, "thanks\nfast");
}

#[tokio::test]
async fn f203_an_answer_is_about_who_was_responsible_when_the_client_was_asked() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    let (first, other) = (crate::world::agent("ann"), crate::world::agent("petro"));
    let responsible = async |agent: chassis::id::AgentId| {
        sqlx::query("update chat set responsible = $1, state = 'active'")
            .bind(agent)
            .execute(&world.db.pool)
            .await
            .unwrap();
    };
    responsible(first).await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    responsible(other).await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    for (number, words) in [("2", "9"), ("3", "fast")] {
        world.receive(&[world.says("7", number, 0, words)]).await;
        world.go_on(&others, now()).await;
    }
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!(told.len(), 2);
    for told in told {
        assert_eq!(told.responsible_agent_id, first.to_string());
    }
}

#[tokio::test]
async fn f203_words_instead_of_a_score_open_a_conversation_and_silence_the_bot() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[world.says("7", "2", 0, "where is my parcel?")])
        .await;
    world.go_on(&others, now()).await;
    let chat = world.get_chat(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 2);
    assert_eq!(
        (
            world.said("7").await.len(),
            world.runs("7").await[0].state()
        ),
        (1, State::Finished)
    );
    assert!(world.events_of::<pb::NpsAnswered>().await.is_empty());
}

#[tokio::test]
async fn f203_a_picture_for_a_comment_holds_up_nobody_and_words_at_once_with_the_score_are_kept() {
    let (world, _) = with_nps().await;
    let others = Others::default();
    for key in ["7", "8"] {
        world.hello(key).await;
        world.nps(key).await.unwrap();
    }
    world.go_on(&others, now()).await;
    let score = [
        world.says("7", "2", 0, "10"),
        world.says("8", "2", 0, "9"),
        world.says("8", "3", 0, "slow answers"),
    ];
    world.receive(&score).await;
    world.go_on(&others, now()).await;
    // Words of a picture: none.
    let picture = [world.says("7", "3", 0, "")];
    world.receive(&picture).await;
    world.go_on(&others, now()).await;
    for (key, comment) in [("7", ""), ("8", "slow answers")] {
        let kept: (Option<i16>, String) =
            sqlx::query_as("select score, comment from nps_answer where chat_id = $1")
                .bind(world.chat(key))
                .fetch_one(&world.db.pool)
                .await
                .unwrap();
        let score = if key == "7" { 10 } else { 9 };
        assert_eq!(kept, (Some(score), comment.to_owned()), "{key}");
    }
    let runs = world.runs("7").await;
    assert_eq!(runs[0].state(), State::Finished, "{runs:?}");
    let again = world.nps("7").await.unwrap_err();
    assert_eq!(reason(&again), "NPS_SENT");
}

impl World {
    /// An agent's notifications: whether each tells of a comment, and whether it is read; and how many are not.
    async fn notified(&self, name: &str) -> (Vec<(String, bool, bool)>, i32) {
        let api = notifications::Api {
            pool: self.db.pool.clone(),
            watch: self.watch.clone(),
        };
        let list = pb::ListNotificationsRequest::default();
        let page = api.list_notifications(request(&self.as_agent(name), list));
        let page = page.await.unwrap().into_inner();
        let all = page.notifications.into_iter().map(|one| {
            let chat = one.chat.unwrap();
            (chat.last_message.unwrap().text, one.nps_comment, one.read)
        });
        (all.collect(), page.unread.unwrap().count)
    }
}

#[tokio::test]
async fn f203_f207_a_comment_that_opens_nothing_notifies_who_was_responsible_until_it_is_read() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    world.hello("7").await;
    sqlx::query("update chat set responsible = $1, assignment_number = number, state = 'active'")
        .bind(crate::world::agent("ann"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.hello("8").await;
    for key in ["7", "8"] {
        world.nps(key).await.unwrap();
        world.go_on(&others, now()).await;
        world.close(&ann, key).await.unwrap();
        world.receive(&[world.says(key, "2", 0, "3")]).await;
        world.go_on(&others, now()).await;
    }
    let nothing = (vec![], 0);
    assert_eq!(
        world.notified("ann").await,
        nothing,
        "a score alone is for the bot"
    );
    world
        .receive(&[world.says("7", "3", 1, "the courier was rude")])
        .await;
    world.go_on(&others, now()).await;
    let rude = ("the courier was rude".to_owned(), true, false);
    assert_eq!(world.notified("ann").await, (vec![rude], 1));
    assert_eq!(world.notified("bob").await, nothing, "it is Ann's");
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.open_conversation.is_none());

    // Nobody's is everybody's, as of those who wait.
    world.receive(&[world.says("8", "3", 2, "slow")]).await;
    assert_eq!(
        world.notified("bob").await,
        (vec![("slow".into(), true, false)], 1)
    );
    assert_eq!(world.notified("ann").await.1, 2);
    // A mark is each agent's own; who reads the chat has read it for all.
    let mark = pb::MarkNotificationsRequest {
        all: true,
        ..Default::default()
    };
    let api = notifications::Api {
        pool: world.db.pool.clone(),
        watch: world.watch.clone(),
    };
    api.mark_notifications(request(&ann, mark)).await.unwrap();
    assert_eq!(world.notified("ann").await.1, 0);
    assert_eq!(world.notified("ann").await.0.len(), 2);
    assert_eq!(world.notified("bob").await.1, 1);
    for key in ["7", "8"] {
        let read = pb::MarkReadRequest {
            chat_id: world.chat(key).to_string(),
            ..Default::default()
        };
        world.api.mark_read(request(&ann, read)).await.unwrap();
    }
    assert_eq!(world.notified("ann").await, nothing);
    assert_eq!(world.notified("bob").await, nothing);
}

#[tokio::test]
async fn f203_f207_the_next_conversation_stands_for_a_comment_that_nobody_has_read() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.scored(&others, "7").await;
    world.receive(&[world.says("7", "3", 1, "slow")]).await;
    world.go_on(&others, now()).await;
    assert!(world.notified("ann").await.0[0].1);
    world
        .receive(&[world.says("7", "4", 20 * 60, "hello again")])
        .await;
    let waits = ("hello again".to_owned(), false, false);
    assert_eq!(world.notified("ann").await, (vec![waits], 1));
}

#[tokio::test]
async fn f203_a_press_of_a_button_is_a_score_by_its_words_or_by_what_it_sends() {
    let ((world, _), others) = (with_nps().await, Others::default());
    for (key, title, data) in [
        ("7", "10", "score_10"),
        ("8", "", "10"),
        ("9", "10 🔥", "x"),
    ] {
        world.hello(key).await;
        world.nps(key).await.unwrap();
        world.go_on(&others, now()).await;
        world.close(&world.as_agent("ann"), key).await.unwrap();
        let mut press = world.says(key, "2", 0, "");
        if let Some(gateway::inbound_event::Kind::Message(message)) = &mut press.kind {
            let button = ButtonPress {
                title: title.into(),
                data: data.into(),
            };
            message.parts = vec![common::ContentPart {
                content: Some(Content::Button(button)),
            }];
        }
        world.receive(&[press]).await;
        world.go_on(&others, now()).await;
        assert_eq!(
            world.kept(key).await,
            (Some(10), String::new()),
            "{title} {data}"
        );
        let chat = world.get_chat(&world.as_agent("ann"), key).await.unwrap();
        assert!(chat.open_conversation.is_none(), "{title} {data}");
    }
}

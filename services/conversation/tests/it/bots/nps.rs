//! NPS (F202, F203, D15).

use switchboard_proto::common::v1::{self as common, content_part::Content};

use super::*;

/// A chat of a channel whose rule asks for NPS.
async fn with_nps() -> (World, pb::Bot) {
    let world = World::new().await;
    let nps = pb::Bot {
        name: "NPS".into(),
        nps: true,
        enabled: true,
        ..Default::default()
    };
    let bot = world.bot(nps).await.unwrap();
    sqlx::query("insert into channel_rule (account, channel_id, continue_minutes, nps_bot) values ($1, $2, 0, $3)")
        .bind(world.account.as_str())
        .bind(world.channel)
        .bind(bot.bot_id.parse::<Uuid>().unwrap())
        .execute(&world.db.pool)
        .await
        .unwrap();
    (world, bot)
}

#[tokio::test]
async fn f202_f203_nps_is_sent_before_the_end_and_answered_after_it() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    world.hello("7").await;
    let refused = world.close(&ann, "7").await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "NPS_NOT_SENT")
    );
    world.nps("7").await.unwrap();
    assert_eq!(reason(&world.nps("7").await.unwrap_err()), "NPS_SENT");
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await.len(), 1);
    // Without waiting for its end (F203).
    world.close(&ann, "7").await.unwrap();
    assert_eq!(world.runs("7").await[0].state(), State::Waiting);

    // A score opens nothing, and nobody has to answer it.
    world.receive(&[world.says("7", "2", 0, "9")]).await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.open_conversation.is_none());
    assert_eq!(chat.unanswered, 1, "what was there before");
    world.go_on(&others, now()).await;
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!((told.len(), told[0].score, &*told[0].comment), (1, 9, ""));
    assert_eq!(
        world.said("7").await.len(),
        2,
        "the question, the question why"
    );
    assert_eq!(
        world.totals().await,
        (1, 1, 1, 0),
        "asked, answered, promoters, skipped"
    );
}

impl World {
    /// Clients who were asked, who answered, who promote, and conversations of which nobody was asked.
    async fn totals(&self) -> (i64, i64, i64, i64) {
        let totals = pb::GetNpsTotalsRequest {
            from_time: Some(chassis::grpc::timestamp(now() - Duration::DAY)),
            to_time: Some(chassis::grpc::timestamp(now() + Duration::DAY)),
            ..Default::default()
        };
        let api = self.bots();
        let totals = api.get_nps_totals(request(&self.as_agent("ann"), totals));
        let total = totals.await.unwrap().into_inner().totals.remove(0);
        (total.asked, total.answered, total.promoters, total.skipped)
    }

    /// A chat whose conversation was ended, and whose client has given a score and is asked why.
    async fn scored(&self, others: &Others, key: &str) {
        self.hello(key).await;
        self.nps(key).await.unwrap();
        self.go_on(others, now()).await;
        self.close(&self.as_agent("ann"), key).await.unwrap();
        self.receive(&[self.says(key, "2", 0, "9")]).await;
        self.go_on(others, now()).await;
    }

    /// Sentences of system messages of a kind.
    async fn sentences(&self, key: &str, kind: &str) -> Vec<String> {
        let history = self.history(key).await.into_iter();
        let notices = history.filter_map(|message| message.system);
        notices
            .filter(|notice| notice.kind == kind)
            .map(|notice| notice.text)
            .collect()
    }

    async fn kept(&self, key: &str) -> (Option<i16>, String) {
        sqlx::query_as("select score, comment from nps_answer where chat_id = $1 and skipped = ''")
            .bind(self.chat(key))
            .fetch_one(&self.db.pool)
            .await
            .unwrap()
    }
}

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
async fn d15_who_blocked_the_channel_and_whose_channel_is_off_are_not_asked() {
    let (world, _) = with_nps().await;
    let ann = world.as_agent("ann");
    let channel_id = world.channel.to_string();
    let time = Some(chassis::grpc::timestamp(at(60)));
    let blocked = |chat_key: &str| gateway::ClientBlocked {
        channel_id: channel_id.clone(),
        chat_key: chat_key.into(),
        time,
    };
    for key in ["7", "8", "9"] {
        world.hello(key).await;
        let subject = world.chat(key);
        let event = world.event(1, subject, &blocked(key));
        world.hear(&[event.clone(), event]).await;
    }
    // Who writes again, or is said to, has unblocked it.
    world
        .receive(&[world.message("8", "2", at(90), "hm")])
        .await;
    let unblocked = gateway::ClientUnblocked {
        channel_id: channel_id.clone(),
        chat_key: "9".into(),
        time: Some(chassis::grpc::timestamp(at(90))),
    };
    world
        .hear(&[world.event(2, world.chat("9"), &unblocked)])
        .await;
    for key in ["8", "9"] {
        let refused = world.close(&ann, key).await.unwrap_err();
        assert_eq!(reason(&refused), "NPS_NOT_SENT", "{key}");
    }
    let refused = world.nps("7").await.unwrap_err();
    assert_eq!(reason(&refused), "CHANNEL_CANNOT");
    world.close(&ann, "7").await.unwrap();
    // Now the channel is lost.
    let lost = gateway::ChannelDisconnected {
        channel_id: channel_id.clone(),
        reason: "TOKEN_REFUSED".into(),
    };
    world.hear(&[world.event(3, world.channel, &lost)]).await;
    world.close(&ann, "8").await.unwrap();
    let told = world.events_of::<pb::NpsSkipped>().await;
    let reasons: Vec<&str> = told.iter().map(|it| &*it.reason).collect();
    assert_eq!(reasons, ["client-blocked", "channel-off"]);
    assert_eq!(
        world.sentences("7", "nps.skipped").await,
        ["NPS was not sent: the client has blocked the channel"]
    );
    let enabled = gateway::ChannelEnabled {
        channel_id,
        ..Default::default()
    };
    world.hear(&[world.event(4, world.channel, &enabled)]).await;
    let refused = world.close(&ann, "9").await.unwrap_err();
    assert_eq!(reason(&refused), "NPS_NOT_SENT");
}

#[tokio::test]
async fn d15_a_question_that_did_not_reach_the_client_counts_as_not_asked() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    let queued = world.events_of::<pb::MessageQueued>().await;
    let command = queued[0].command.clone().unwrap();
    let part = |attempt: i32| {
        Some(gateway::DeliveryRef {
            channel_id: command.channel_id.clone(),
            chat_id: command.chat_id.clone(),
            message_id: command.message_id.clone(),
            out_seq: command.out_seq,
            attempt,
            part: 0,
            parts: 1,
        })
    };
    let failed = gateway::DeliveryFailed {
        delivery: part(1),
        reason: "CLIENT_BLOCKED_CHANNEL".into(),
        ..Default::default()
    };
    assert_eq!(world.totals().await, (1, 0, 0, 0));
    for id in [1, 2] {
        world
            .hear(&[world.event(id, world.chat("7"), &failed)])
            .await;
        assert_eq!(world.totals().await, (0, 0, 0, 1));
    }
    let told = world.events_of::<pb::NpsSkipped>().await;
    assert_eq!((told.len(), &*told[0].reason), (1, "not-delivered"));
    assert_eq!(
        world.sentences("7", "nps.skipped").await,
        ["NPS did not reach the client"]
    );
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    // A later attempt reached them after all.
    let sent = gateway::DeliverySent {
        delivery: part(2),
        provider_key: "900".into(),
        ..Default::default()
    };
    world.hear(&[world.event(3, world.chat("7"), &sent)]).await;
    assert_eq!(world.totals().await, (1, 0, 0, 0));
}

#[tokio::test]
async fn f199_the_deletion_of_a_bot_is_told_as_the_change_of_each_rule_that_named_it() {
    let (world, bot) = with_nps().await;
    let delete = pb::DeleteBotRequest {
        bot_id: bot.bot_id.clone(),
    };
    world
        .bots()
        .delete_bot(request(&world.as_service(), delete))
        .await
        .unwrap();
    let told: Vec<(String, String, serde_json::Value)> = sqlx::query_as(
        "select action, subject_id, changes from chassis.audit_entry where action <> 'bot.create'",
    )
    .fetch_all(&world.db.pool)
    .await
    .unwrap();
    let actions: BTreeSet<(&str, &str)> = told
        .iter()
        .map(|(action, subject, _)| (&**action, &**subject))
        .collect();
    let channel = world.channel.to_string();
    assert_eq!(
        actions,
        BTreeSet::from([
            ("bot.delete", &*bot.bot_id),
            ("channel-rule.set", &*channel)
        ])
    );
    let (.., changes) = told
        .iter()
        .find(|(action, ..)| action == "channel-rule.set")
        .unwrap();
    assert!(changes.to_string().contains(&bot.bot_id), "{changes}");
    let revision: i64 = sqlx::query_scalar("select revision from channel_rule")
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(revision, 2);
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
async fn d15_a_channel_that_cannot_take_nps_lets_the_conversation_be_closed_and_that_is_noted() {
    let (world, _) = with_nps().await;
    world.hello("7").await;
    sqlx::query("update chat set channel_kind = 'instagram', last_client_message_at = now() - interval '25 hours'")
        .execute(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(reason(&world.nps("7").await.unwrap_err()), "CHANNEL_CANNOT");
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    let told = world.events_of::<pb::NpsSkipped>().await;
    assert_eq!((told.len(), &*told[0].reason), (1, "window-closed"));
    let kept: serde_json::Value = sqlx::query_scalar("select to_jsonb(n) from nps_answer n")
        .fetch_one(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(
        (&kept["skipped"], &kept["score"]),
        (&json!("window-closed"), &json!(null))
    );
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

#[tokio::test]
async fn f202_a_bot_that_ends_a_conversation_notes_that_nps_was_not_sent() {
    let (world, _) = with_nps().await;
    let others = Others::default();
    world.hello("7").await;
    let close = step("close", pb::bot_step::Act::Close(pb::bot_step::Close {}));
    let closes = world.bot(bot(vec![close])).await.unwrap();
    world.start_bot("7", &closes).await.unwrap();
    world.go_on(&others, now()).await;
    let skipped: Vec<String> = sqlx::query_scalar("select skipped from nps_answer")
        .fetch_all(&world.db.pool)
        .await
        .unwrap();
    assert_eq!(skipped, ["closed-by-bot"]);
    let chat = world.get_chat(&world.as_agent("ann"), "7").await.unwrap();
    assert_eq!(chat.state(), pb::chat::State::Inactive);
}

#[tokio::test]
async fn f202_a_question_that_was_stopped_before_it_was_sent_is_sent_again() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    world.hello("7").await;
    world.nps("7").await.unwrap();
    let stop = pb::StopBotRequest {
        chat_id: world.chat("7").to_string(),
    };
    world.bots().stop_bot(request(&ann, stop)).await.unwrap();
    assert!(world.said("7").await.is_empty());
    assert_eq!(world.count("select count(*) from nps_answer").await, 0);
    let refused = world.close(&ann, "7").await.unwrap_err();
    assert_eq!(reason(&refused), "NPS_NOT_SENT");
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await.len(), 1);
    world.close(&ann, "7").await.unwrap();
    assert_eq!(world.count("select count(*) from bot_wait").await, 1);

    // A file is for agents to look at, whatever is written under it.
    let mut broken = world.says("7", "2", 0, "1");
    if let Some(gateway::inbound_event::Kind::Message(message)) = &mut broken.kind {
        message.parts.push(common::ContentPart {
            content: Some(Content::Attachment(common::Attachment {
                kind: common::attachment::Kind::Photo.into(),
                ..Default::default()
            })),
        });
    }
    world.receive(&[broken]).await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 2);
    assert_eq!(world.count("select count(*) from bot_wait").await, 0);
}

#[tokio::test]
async fn f203_who_says_goodbye_before_the_end_does_not_take_the_question_back() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world
        .send(&ann, "7", "", "How many of them? Bye!")
        .await
        .unwrap();
    assert_eq!(world.runs("7").await[0].state(), State::Waiting);
    // This is the agent's.
    world.receive(&[world.says("7", "2", 0, "2")]).await;
    world.go_on(&others, now()).await;
    assert!(world.events_of::<pb::NpsAnswered>().await.is_empty());
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.unanswered > 0);
    world.close(&ann, "7").await.unwrap();
    world.receive(&[world.says("7", "3", 1, "9")]).await;
    world.go_on(&others, now()).await;
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!((told.len(), told[0].score), (1, 9));
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.open_conversation.is_none());

    // In a conversation of its own an agent takes over.
    world.send(&ann, "7", "", "Thank you").await.unwrap();
    assert_eq!(world.runs("7").await[0].state(), State::Answered);
}

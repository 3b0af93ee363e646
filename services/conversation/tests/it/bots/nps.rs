//! NPS (F202, F203, D15).

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
    world.receive(&[world.message("7", "2", at(20), "9")]).await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert!(chat.open_conversation.is_none());
    assert_eq!(chat.unanswered, 1, "what was there before");
    world.go_on(&others, now()).await;
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!((told.len(), told[0].score, &*told[0].comment), (1, 9, ""));
    // Words are for agents to read, as always, and are kept as the comment, too.
    world
        .receive(&[world.message("7", "3", at(30), "you are fast")])
        .await;
    world.go_on(&others, now()).await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 2);
    let told = world.events_of::<pb::NpsAnswered>().await;
    assert_eq!(
        (told.len(), told[1].score, &*told[1].comment),
        (2, 9, "you are fast")
    );
    assert_eq!(
        world.said("7").await.len(),
        3,
        "the question, the question why, the thanks"
    );

    let totals = pb::GetNpsTotalsRequest {
        from_time: Some(chassis::grpc::timestamp(now() - Duration::DAY)),
        to_time: Some(chassis::grpc::timestamp(now() + Duration::DAY)),
        ..Default::default()
    };
    let totals = world.bots().get_nps_totals(request(&ann, totals)).await;
    let total = totals.unwrap().into_inner().totals.remove(0);
    assert_eq!(
        (total.asked, total.answered, total.promoters, total.skipped),
        (1, 1, 1, 0)
    );
    assert!((total.score.unwrap() - 100.0).abs() < 1e-9);
    // Who said this is not asked again; the next conversation is asked anew.
    world.close(&ann, "7").await.unwrap();
    world
        .receive(&[world.message("7", "4", at(40), "hello again")])
        .await;
    world.go_on(&others, now()).await;
    assert_eq!(
        reason(&world.close(&ann, "7").await.unwrap_err()),
        "NPS_NOT_SENT"
    );
}

#[tokio::test]
async fn f203_words_instead_of_a_score_open_a_conversation_and_silence_the_bot() {
    let ((world, _), others) = (with_nps().await, Others::default());
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world.close(&world.as_agent("ann"), "7").await.unwrap();
    world
        .receive(&[world.message("7", "2", at(20), "where is my parcel?")])
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
        world.message("7", "2", at(2), "10"),
        world.message("8", "2", at(2), "9"),
        world.message("8", "3", at(3), "slow answers"),
    ];
    world.receive(&score).await;
    world.go_on(&others, now()).await;
    // Words of a picture: none.
    let picture = [world.message("7", "3", at(4), "")];
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
async fn f202_f203_what_is_said_to_a_score_after_the_end_is_read_by_agents_and_asks_nobody_again() {
    let (world, _) = with_nps().await;
    let (others, ann) = (Others::default(), world.as_agent("ann"));
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world.close(&ann, "7").await.unwrap();
    for (number, words) in [("2", "9"), ("3", "Help, my order is broken!")] {
        let said = world.message("7", number, at(2 + number.parse::<i64>().unwrap()), words);
        world.receive(&[said]).await;
        world.go_on(&others, now()).await;
    }
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_ne!(chat.state(), pb::chat::State::Inactive, "agents read it");
    assert_eq!(world.runs("7").await[0].state(), State::Finished);
    let (score, comment): (Option<i16>, String) =
        sqlx::query_as("select score, comment from nps_answer where skipped = ''")
            .fetch_one(&world.db.pool)
            .await
            .unwrap();
    assert_eq!((score, &*comment), (Some(9), "Help, my order is broken!"));
    world.close(&ann, "7").await.unwrap();
}

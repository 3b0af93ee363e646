//! NPS (F202, F203, D15): asked before the end, and what is kept of it.

mod comments;
mod reach;

use switchboard_proto::common::v1::{self as common, content_part::Content};

use super::*;

/// A chat of a channel whose rule asks for NPS.
pub(super) async fn with_nps() -> (World, pb::Bot) {
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

impl World {
    /// Clients who were asked, who answered, who promote, and conversations of which nobody was asked.
    pub(super) async fn totals(&self) -> (i64, i64, i64, i64) {
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

#[tokio::test]
async fn f202_f210_a_conversation_that_goes_on_after_its_end_is_asked_of_again_until_it_is_scored()
{
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    sqlx::query("update channel_rule set continue_minutes = 60")
        .execute(&world.db.pool)
        .await
        .unwrap();
    world.hello("7").await;
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    world.close(&ann, "7").await.unwrap();
    // Words that are no score: the conversation goes on, and comes to an end once more.
    world
        .receive(&[world.says("7", "2", 0, "where is my parcel?")])
        .await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 1);
    assert_eq!(
        reason(&world.close(&ann, "7").await.unwrap_err()),
        "NPS_NOT_SENT"
    );
    // Stopped before it asked: the first question counts, and was of the first end.
    world.nps("7").await.unwrap();
    let stop = pb::StopBotRequest {
        chat_id: world.chat("7").to_string(),
    };
    world.bots().stop_bot(request(&ann, stop)).await.unwrap();
    assert_eq!(
        reason(&world.close(&ann, "7").await.unwrap_err()),
        "NPS_NOT_SENT"
    );
    world.nps("7").await.unwrap();
    world.go_on(&others, now()).await;
    assert_eq!(reason(&world.nps("7").await.unwrap_err()), "NPS_SENT");
    assert_eq!(world.said("7").await.len(), 2);
    world.close(&ann, "7").await.unwrap();
    world.receive(&[world.says("7", "3", 0, "9")]).await;
    world.go_on(&others, now()).await;
    assert_eq!(
        world.totals().await,
        (1, 1, 1, 0),
        "asked once, scored once"
    );

    // It goes on again: who has given a score is not asked for one more, and holds up nobody.
    world
        .receive(&[world.says("7", "4", 16 * 60, "one more question")])
        .await;
    let chat = world.get_chat(&ann, "7").await.unwrap();
    assert_eq!(chat.open_conversation.unwrap().number, 1);
    assert_eq!(reason(&world.nps("7").await.unwrap_err()), "NPS_SENT");
    world.close(&ann, "7").await.unwrap();
    assert_eq!(world.totals().await, (1, 1, 1, 0));
}

#[tokio::test]
async fn f202_a_question_whose_bot_failed_before_it_asked_is_not_counted_and_sent_again() {
    let (world, others) = (World::new().await, Others::default());
    let ann = world.as_agent("ann");
    let assign = pb::bot_step::Assign {
        agent_id: Uuid::from_u128(5).to_string(),
    };
    let mut score = ask("score");
    if let Some(pb::bot_step::Act::Ask(ask)) = &mut score.act {
        ask.expects = pb::bot_step::ask::Expects::Score.into();
    }
    let steps = vec![step("give", pb::bot_step::Act::Assign(assign)), score];
    let mut asks = bot(steps);
    asks.nps = true;
    let asks = world.bot(asks).await.unwrap();
    sqlx::query("insert into channel_rule (account, channel_id, continue_minutes, nps_bot) values ($1, $2, 0, $3)")
        .bind(world.account.as_str())
        .bind(world.channel)
        .bind(asks.bot_id.parse::<Uuid>().unwrap())
        .execute(&world.db.pool)
        .await
        .unwrap();
    let asked = "select count(*) from nps_answer";
    for key in ["7", "8"] {
        world.hello(key).await;
        world.nps(key).await.unwrap();
    }
    assert_eq!(world.count(asked).await, 2);
    // One is refused what it asks for, one cannot even be read.
    let refusal = Status::failed_precondition("the agent is inactive");
    others.refusals.lock().unwrap().push(refusal);
    sqlx::query("update bot_run set body = '\\xff' where chat_id = $1")
        .bind(world.chat("8"))
        .execute(&world.db.pool)
        .await
        .unwrap();
    let mut later = now();
    for _ in 0..10 {
        world.go_on(&others, later).await;
        later += Duration::HOUR;
    }
    assert_eq!(world.count(asked).await, 0);
    for key in ["7", "8"] {
        let state: String = sqlx::query_scalar("select state from bot_run where chat_id = $1")
            .bind(world.chat(key))
            .fetch_one(&world.db.pool)
            .await
            .unwrap();
        assert_eq!(state, "failed", "{key}");
        let refused = world.close(&ann, key).await.unwrap_err();
        assert_eq!(reason(&refused), "NPS_NOT_SENT", "{key}");
    }
    world.nps("7").await.unwrap();
    world.go_on(&others, later).await;
    assert_eq!(world.said("7").await, ["score"]);
    world.close(&ann, "7").await.unwrap();
    assert_eq!(world.totals().await, (1, 0, 0, 0));
}

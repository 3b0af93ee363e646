//! When words are an answer, and whom calls to other services hold up.

use super::*;

#[tokio::test]
async fn f187_nobody_runs_out_of_time_while_what_they_wrote_waits_to_be_read() {
    let (world, others) = (World::new().await, Others::default());
    let mut question = ask("which");
    if let Some(pb::bot_step::Act::Ask(ask)) = &mut question.act {
        ask.on_timeout = "late".into();
    }
    let mut thanks = say("Thanks");
    thanks.last = true;
    let bot = world
        .bot(bot(vec![question, thanks, say("late")]))
        .await
        .unwrap();
    for key in ["7", "8"] {
        world.hello(key).await;
        world.start_bot(key, &bot).await.unwrap();
    }
    world.go_on(&others, now()).await;
    // The service was away for two hours. What came then is read bit by bit.
    let later = now() + Duration::hours(2);
    *others.heard.lock().unwrap() = Some(now() + Duration::minutes(30));
    world.go_on(&others, later).await;
    assert_eq!(world.said("7").await, ["which"]);
    world
        .receive(&[world.says("7", "2", 59 * 60, "the red one")])
        .await;
    world
        .receive(&[world.says("8", "2", 61 * 60, "the red one")])
        .await;
    *others.heard.lock().unwrap() = None;
    world.go_on(&others, later).await;
    assert_eq!(world.said("7").await, ["which", "Thanks, Ada"]);
    assert_eq!(
        world.said("8").await,
        ["which", "late, Ada"],
        "a minute late"
    );
}

#[tokio::test]
async fn f187_what_was_written_before_the_question_is_not_its_answer() {
    let (world, others) = (World::new().await, Others::default());
    let bot = world
        .bot(bot(vec![ask("which"), say("Thanks")]))
        .await
        .unwrap();
    world.hello("7").await;
    world.start_bot("7", &bot).await.unwrap();
    world.go_on(&others, now()).await;
    // One that was accepted before, and one that the provider brings late.
    let mut late = world.says("7", "3", 1, "and who are you?");
    late.provider_time = Some(chassis::grpc::timestamp(now() - Duration::minutes(5)));
    let old = [world.says("7", "2", -60, "what do you sell?"), late];
    world.receive(&old).await;
    world.go_on(&others, now()).await;
    assert_eq!(world.said("7").await, ["which"]);
    assert_eq!(world.runs("7").await[0].state(), State::Waiting);
    world.receive(&[world.says("7", "4", 0, "red")]).await;
    world.go_on(&others, now()).await;
    assert_eq!(world.runs("7").await[0].answers["which"], "red");
}

#[tokio::test]
async fn f187_a_service_that_does_not_answer_holds_up_nobody_else() {
    let world = World::new().await;
    let others = Others {
        hangs: "city",
        ..Others::default()
    };
    let set = |field: &str| {
        let set = pb::bot_step::SetField {
            field: field.into(),
            text: "x".into(),
            ..Default::default()
        };
        step("set", pb::bot_step::Act::SetField(set))
    };
    let hangs = world.bot(bot(vec![set("city"), say("never")])).await;
    let hello = world.bot(bot(vec![say("hello")])).await.unwrap();
    let answers = world.bot(bot(vec![set("size"), say("hello")])).await;
    for (key, bot) in [("7", hangs), ("9", answers)] {
        world.hello(key).await;
        world.start_bot(key, &bot.unwrap()).await.unwrap();
    }
    let (pool, waker) = (&world.db.pool, Waker::new());
    round::round(pool, &waker, &others, now()).await.unwrap();
    assert!(others.asked.lock().unwrap().is_empty(), "not by the round");
    let calls = round::calls(pool, &waker, &others, now());
    let meanwhile = async {
        world.hello("8").await;
        world.start_bot("8", &hello).await.unwrap();
        // Neither who asks nobody, nor who asked somebody else at the same time.
        while world.said("8").await.is_empty() || world.said("9").await.is_empty() {
            round::round(pool, &waker, &others, now()).await.unwrap();
        }
    };
    tokio::select! {
        _ = calls => panic!("it waits for the hanging service"),
        () = meanwhile => {}
    }
    let asked: BTreeSet<String> = others.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked, ["city = x", "size = x"].map(str::to_owned).into());
    assert!(world.said("7").await.is_empty());
}

#[tokio::test]
async fn f199_a_run_that_has_ended_keeps_no_scenario() {
    let (world, others) = (World::new().await, Others::default());
    let bot = world
        .bot(bot(vec![ask("which"), say("Thanks")]))
        .await
        .unwrap();
    world.hello("7").await;
    world.start_bot("7", &bot).await.unwrap();
    let size = async || -> i32 {
        sqlx::query_scalar("select length(body) from bot_run")
            .fetch_one(&world.db.pool)
            .await
            .unwrap()
    };
    let begun = size().await;
    world.go_on(&others, now()).await;
    assert_eq!((begun > 0, size().await), (true, begun));
    world.receive(&[world.says("7", "2", 0, "red")]).await;
    world.go_on(&others, now()).await;
    assert_eq!(size().await, 0);
    let run = world.runs("7").await.remove(0);
    assert_eq!(
        (run.state(), &*run.answers["which"]),
        (State::Finished, "red")
    );
}

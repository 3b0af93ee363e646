//! How long it is kept what bots have done.

use conversation::app::bots::keep;

use super::nps::with_nps;
use super::*;

const YEAR: std::time::Duration = std::time::Duration::from_hours(365 * 24);

#[tokio::test]
async fn f197_f203_old_runs_and_questions_are_forgotten_and_what_was_answered_is_counted_on() {
    let ((world, _), others) = (with_nps().await, Others::default());
    let ann = world.as_agent("ann");
    let waits = world.bot(bot(vec![ask("which")])).await.unwrap();
    // Ended and answered; asked and open still; one that runs.
    for key in ["7", "8", "9"] {
        world.hello(key).await;
    }
    for key in ["7", "8"] {
        world.nps(key).await.unwrap();
    }
    world.start_bot("9", &waits).await.unwrap();
    world.go_on(&others, now()).await;
    world.close(&ann, "7").await.unwrap();
    let answers = [
        world.says("7", "2", 0, "9"),
        world.says("8", "2", 0, "where is my parcel?"),
    ];
    world.receive(&answers).await;
    world.go_on(&others, now()).await;
    world.receive(&[world.says("7", "3", 1, "fast")]).await;
    world.go_on(&others, now()).await;
    let counts = async || {
        let runs = world.runs("7").await.len() + world.runs("8").await.len();
        (runs, world.count("select count(*) from nps_question").await)
    };
    assert_eq!(counts().await, (2, 2));
    let totals = world.totals().await;
    assert_eq!(totals, (2, 1, 1, 0));

    let pool = &world.db.pool;
    // What ends with a client's words ends at the time of the test's batches.
    sqlx::query("update bot_run set ended_at = now() where ended_at is not null")
        .execute(pool)
        .await
        .unwrap();
    let almost = now() + Duration::days(364);
    assert_eq!(keep::sweep(pool, YEAR, almost).await.unwrap(), 0);
    let later = now() + Duration::days(366);
    assert_eq!(
        keep::sweep(pool, std::time::Duration::MAX, later)
            .await
            .unwrap(),
        0
    );
    assert_eq!(keep::sweep(pool, YEAR, later).await.unwrap(), 3);
    assert_eq!(counts().await, (0, 1));
    assert_eq!(world.totals().await, totals);
    assert_eq!(world.runs("9").await[0].state(), State::Waiting);
    // Who was asked in a conversation that is open still is not asked again.
    assert_eq!(reason(&world.nps("8").await.unwrap_err()), "NPS_SENT");
    world.close(&ann, "8").await.unwrap();
    assert_eq!(keep::sweep(pool, YEAR, later).await.unwrap(), 1);
}

//! Clients that ask for a file, or send one, and read nothing of what is answered.

use std::time::Duration;

use crm_cards::grpc::Handlers;
use futures::{StreamExt as _, stream};
use switchboard_proto::crm_cards::v1::transfer_service_server::TransferService as _;
use switchboard_proto::crm_cards::v1::*;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::{SOON, parts, plan};
use crate::world::{World, reason, tenant, world};

/// Longer than any of this takes.
const LONG: Duration = Duration::from_mins(10);
/// Reading nothing for so long ends a call here.
const SHORT: Duration = Duration::from_secs(1);

/// A world in which a call of which nothing is read ends after `silence`, and what stops its replica.
async fn impatient(silence: Duration) -> (World, CancellationToken) {
    let mut world = world().await;
    let stop = CancellationToken::new();
    world.api = Handlers::new(world.app.clone(), stop.clone()).with_silence(silence);
    (world, stop)
}

/// A file of more contacts than pages and answers are written ahead of the reader.
fn file(rows: usize) -> String {
    let rows = (0..rows).map(|row| format!("Contact {row}\n"));
    std::iter::once("name\n".to_owned()).chain(rows).collect()
}

fn wanted() -> ExportRecordsRequest {
    ExportRecordsRequest {
        kind: RecordKind::Contact.into(),
        ..ExportRecordsRequest::default()
    }
}

/// Waits until no connection to the database is in use, and no transaction is open.
async fn nothing_held(world: &World) {
    let pool = &world.database.pool;
    let idle = async {
        while u32::try_from(pool.num_idle()).unwrap() < pool.size() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let idle = tokio::time::timeout(SOON, idle).await;
    assert!(idle.is_ok(), "no connection is held");
}

/// Reads what is left of answers: the status with which they end.
async fn end<T>(answers: impl futures::Stream<Item = Result<T, Status>>) -> Option<Status> {
    let answers = answers.filter_map(|answer| async { answer.err() });
    let mut answers = std::pin::pin!(answers);
    answers.next().await
}

#[tokio::test]
async fn i28_an_export_that_is_not_read_holds_no_connection_and_ends_by_itself() {
    let (world, _stop) = impatient(SHORT).await;
    let tenant = tenant();
    let made = world
        .import(&tenant, plan(RecordKind::Contact), file(2_000))
        .await;
    assert_eq!(made.unwrap().counts(), [2_000, 0, 0, 0]);
    let mut held = Vec::new();
    for _ in 0..2 {
        let answer = world.api.export_records(tenant.ask(wanted())).await;
        let mut answers = answer.unwrap().into_inner();
        // As the wire's own code does: it asks for the next part before the client has taken the first.
        let first = answers.next().await.unwrap().unwrap();
        assert!(!first.done);
        let _ = futures::poll!(answers.next());
        held.push(answers);
    }
    nothing_held(&world).await;
    world.free_again(&tenant, 2).await;
    for answers in held {
        let over = end(answers).await.expect("the file is not whole");
        assert_eq!(over.code(), Code::DeadlineExceeded);
        assert_eq!(reason(&over), "TRANSFER_OVER");
    }
}

#[tokio::test]
async fn i28_an_import_whose_answers_are_not_read_holds_no_connection_and_ends_by_itself() {
    let (world, _stop) = impatient(SHORT).await;
    let tenant = tenant();
    let mut held = Vec::new();
    for id in ["one", "other"] {
        let asked = ImportPlan {
            import_id: id.into(),
            ..plan(RecordKind::Contact)
        };
        let sent = stream::iter(parts(asked, file(3_000).as_bytes()));
        let mut answers = world.open_import(&tenant, sent).await.unwrap();
        let first = answers.message().await.unwrap().unwrap();
        assert_eq!(first.progress.unwrap().rows, 500);
        let _ = futures::poll!(answers.next());
        held.push(answers);
    }
    nothing_held(&world).await;
    world.free_again(&tenant, 2).await;
    for answers in held {
        let over = end(answers).await.expect("the file is not read to its end");
        assert_eq!(reason(&over), "TRANSFER_OVER");
    }
}

#[tokio::test]
async fn i28_a_replica_that_stops_waits_for_no_reader_of_files() {
    let (world, stop) = impatient(LONG).await;
    let tenant = tenant();
    let made = world
        .import(&tenant, plan(RecordKind::Contact), file(2_000))
        .await;
    made.unwrap();
    let answer = world.api.export_records(tenant.ask(wanted())).await;
    let mut exported = answer.unwrap().into_inner();
    exported.next().await.unwrap().unwrap();
    let sent = stream::iter(parts(plan(RecordKind::Contact), file(3_000).as_bytes()));
    let mut imported = world.open_import(&tenant, sent).await.unwrap();
    imported.message().await.unwrap().unwrap();
    stop.cancel();
    nothing_held(&world).await;
    // Both have ended, though nothing was read of either: what comes now is told that this replica stops.
    let stopped = async {
        loop {
            match world.export(&tenant, RecordKind::Company).await {
                Err(refused) if reason(&refused) == "TOO_MANY_TRANSFERS" => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                other => break other.unwrap_err(),
            }
        }
    };
    let stopped = tokio::time::timeout(SOON, stopped).await;
    assert_eq!(stopped.expect("both have ended").code(), Code::Unavailable);
    assert_eq!(end(exported).await.unwrap().code(), Code::Unavailable);
    assert_eq!(end(imported).await.unwrap().code(), Code::Unavailable);
}

#[tokio::test]
async fn i28_a_client_that_goes_away_frees_its_place() {
    let (world, _stop) = impatient(LONG).await;
    let tenant = tenant();
    let made = world
        .import(&tenant, plan(RecordKind::Contact), file(2_000))
        .await;
    made.unwrap();
    let (sender, sent) = futures::channel::mpsc::unbounded();
    let first = parts(plan(RecordKind::Contact), b"").remove(0);
    sender.unbounded_send(first).unwrap();
    let imported = world.open_import(&tenant, sent).await.unwrap();
    let answer = world.api.export_records(tenant.ask(wanted())).await;
    let mut exported = answer.unwrap().into_inner();
    exported.next().await.unwrap().unwrap();
    drop((imported, exported));
    world.free_again(&tenant, 2).await;
    drop(sender);
}

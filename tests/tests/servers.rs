//! The harness itself: private servers start, survive being killed, and keep what they acknowledged.

use sqlx::{Connection, PgConnection};
use switchboard_tests::servers::{NatsServer, PostgresServer};

#[tokio::test]
async fn postgres_keeps_what_was_committed_when_killed() {
    let mut server = PostgresServer::start().unwrap();
    let url = server.create_database("kept").await.unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("create table kept (n int); insert into kept values (7)")
        .execute(&mut connection)
        .await
        .unwrap();
    let before = server.process().unwrap().pid();
    server.restart().unwrap();
    assert_ne!(before, server.process().unwrap().pid());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let kept: i32 = sqlx::query_scalar("select n from kept")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 7);
}

#[tokio::test]
async fn nats_keeps_what_was_acknowledged_when_killed() {
    let mut server = NatsServer::start().unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = async_nats::jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept.>".into()],
        ..Default::default()
    };
    jetstream.create_stream(stream).await.unwrap();
    jetstream
        .publish("kept.one", "1".into())
        .await
        .unwrap()
        .await
        .unwrap();
    server.restart().unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream.get_stream("KEPT").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
}

//! Following: nothing lost, nothing twice, whatever happens to the mailbox, its server or its holder.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::Query;
use axum::routing::get;
use channel_gateway::domain::mailbox::{Cursor, Folder};
use channel_gateway::store::mailboxes::{self, Free, Held};
use serde_json::json;
use switchboard_tests::servers::Dovecot;

use crate::world::{eventually, mail, password, session, token, world, world_of};

#[tokio::test]
async fn what_comes_in_wakes_us_and_is_handed_over_once_and_stays_unread() {
    let world = world().await;
    world.deliver("before");
    let replica = world.followed().await;
    for subject in ["one", "two", "three"] {
        world.deliver(subject);
    }
    world.sink.until(&["one", "two", "three"]).await;
    let began = Instant::now();
    world.deliver("four");
    world.sink.until(&["one", "two", "three", "four"]).await;
    assert!(began.elapsed() < Duration::from_secs(10), "IDLE wakes");
    replica.stop().await;
    let replica = world.followed().await;
    world.deliver("five");
    world
        .sink
        .until(&["one", "two", "three", "four", "five"])
        .await;
    replica.stop().await;
    {
        let mails = world.sink.mails.lock().unwrap();
        let first = mails.first().unwrap();
        assert!(first.internal_date.is_some() && first.size > 100 && first.cut.is_none());
        assert!(String::from_utf8_lossy(&first.raw).ends_with("Do you have size 42?\r\n"));
    }
    let mut looking = session(&world.dovecot, "shop").await;
    let opened = looking.examine("INBOX").await.unwrap();
    let all = Cursor {
        uidvalidity: opened.uidvalidity,
        last_uid: 0,
        since: None,
    };
    let all = looking.new_since(all, 10).await.unwrap();
    assert_eq!(all.len(), 6);
    let seen = |envelope: &_| -> bool {
        let envelope: &channel_gateway::provider::imap::Envelope = envelope;
        envelope.flags.iter().any(|flag| flag == "\\Seen")
    };
    assert!(!all.iter().any(seen), "nothing is marked as read");
    looking.logout().await;
}

#[tokio::test]
async fn while_nothing_can_be_stored_the_cursor_stays() {
    let world = world().await;
    let replica = world.followed().await;
    let before = world.cursor("inbox").await;
    world.sink.away.store(true, Ordering::SeqCst);
    world.deliver("one");
    eventually("it was offered twice", async || {
        world.sink.asked.load(Ordering::SeqCst) >= 2
    })
    .await;
    assert_eq!(world.cursor("inbox").await, before);
    world.sink.away.store(false, Ordering::SeqCst);
    world.sink.until(&["one"]).await;
    replica.stop().await;
}

// pitfall 34: a fresh session reads nothing twice
#[tokio::test]
async fn a_folder_whose_uids_changed_is_read_again() {
    let mut world = world().await;
    let replica = world.followed().await;
    world.deliver("one");
    world.deliver("two");
    world.sink.until(&["one", "two"]).await;
    replica.stop().await;
    let before = world.cursor("inbox").await.unwrap();
    world.deliver("three");
    world.dovecot.forget_uids("shop").unwrap();
    let replica = world.follow();
    eventually("all three came again", async || {
        let mut all = world.sink.subjects(Folder::Inbox);
        all.sort();
        all == ["one", "one", "three", "two", "two"]
    })
    .await;
    eventually("it is settled", async || {
        world
            .cursor("inbox")
            .await
            .is_some_and(|(life, last, again)| life != before.0 && last == 3 && !again)
    })
    .await;
    world.deliver("four");
    eventually("it goes on", async || {
        world
            .sink
            .subjects(Folder::Inbox)
            .last()
            .map(String::as_str)
            == Some("four")
    })
    .await;
    assert_eq!(world.sink.subjects(Folder::Inbox).len(), 6);
    replica.stop().await;
}

// pitfall 23: one mail stops no mailbox
#[tokio::test]
async fn a_mail_that_cannot_be_fetched_is_set_aside_and_the_mailbox_goes_on() {
    let world = world().await;
    world.followed().await.stop().await;
    for subject in ["one", "poison", "three"] {
        world.deliver(subject);
    }
    world.dovecot.lock("shop", "Subject: poison", true).unwrap();
    let replica = world.follow();
    world.sink.until(&["one", "three"]).await;
    {
        let poison = world.sink.poison.lock().unwrap();
        assert_eq!(poison.len(), 1);
        assert_eq!(poison[0].uid, 2);
        assert!(!poison[0].problem.is_empty());
    }
    let (tries, set_aside): (i32, bool) =
        sqlx::query_as("select tries, quarantined_at is not null from mailbox_failure")
            .fetch_one(&world.database.pool)
            .await
            .unwrap();
    assert!(tries >= 3 && set_aside, "{tries}");
    world.deliver("four");
    world.sink.until(&["one", "three", "four"]).await;
    replica.stop().await;
}

// pitfall 26: one owner, one session
#[tokio::test]
async fn when_its_holder_dies_another_replica_takes_over_after_the_lease() {
    let world = world().await;
    let first = world.followed().await;
    let second = world.follow();
    world.deliver("one");
    world.sink.until(&["one"]).await;
    assert_eq!(world.fence().await, 1, "one holds it");
    let died = Instant::now();
    first.kill();
    world.deliver("two");
    world.sink.until(&["one", "two"]).await;
    // 3 s of lease, 0.3 s between looks, and time for a slow machine: as 20 s and 6 s are to the 30 s that are promised.
    assert!(
        died.elapsed() < Duration::from_secs(10),
        "{:?}",
        died.elapsed()
    );
    assert_eq!(world.fence().await, 2);
    second.stop().await;
    let began = Instant::now();
    let third = world.follow();
    eventually("a mailbox given back is taken at once", async || {
        world.fence().await == 3
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2));
    third.stop().await;
}

#[tokio::test]
async fn under_an_older_number_nothing_is_written() {
    let world = world().await;
    let mut connection = world.database.pool.acquire().await.unwrap();
    let owner = uuid::Uuid::from_u128(1);
    let free = [Free {
        channel_id: world.channel,
        account: "acme".to_owned(),
        credentials: 1,
    }];
    let mut claim = async |seconds: f64| -> Vec<Held> {
        let claimed = mailboxes::claim(&mut connection, owner, &free, seconds, 9);
        claimed.await.unwrap()
    };
    let old = claim(0.0).await;
    let new = claim(60.0).await;
    assert_eq!((old.len(), new.len(), claim(60.0).await.len()), (1, 1, 0));
    let (old, new) = (old[0], new[0]);
    let cursor = Cursor {
        uidvalidity: u32::MAX,
        last_uid: u32::MAX,
        since: None,
    };
    for (held, expected) in [(old, false), (new, true)] {
        let written = mailboxes::advance(&mut connection, held, Folder::Inbox, cursor, None).await;
        assert_eq!(written.unwrap(), expected);
        let kept = mailboxes::renew(&mut connection, &[held], 60.0)
            .await
            .unwrap();
        assert_eq!(!kept.is_empty(), expected);
    }
    let remembered = mailboxes::remembered(&mut connection, world.channel, Folder::Inbox).await;
    assert_eq!(remembered.unwrap().unwrap().cursor, cursor);
}

// pitfall 30: the Sent folder is followed
#[tokio::test]
async fn what_was_sent_elsewhere_is_followed_too() {
    let world = world().await;
    let replica = world.followed().await;
    let mut writing = session(&world.dovecot, "shop").await;
    assert_eq!(
        writing.sent_folder().await.unwrap().as_deref(),
        Some("Gesendet")
    );
    assert!(
        writing
            .append_sent(mail("answer").as_bytes())
            .await
            .unwrap()
    );
    writing.logout().await;
    // The inbox is what wakes us.
    world.deliver("question");
    eventually("the answer is there", async || {
        world.sink.subjects(Folder::Sent) == ["answer"]
    })
    .await;
    world.sink.until(&["question"]).await;
    replica.stop().await;
    let mails = world.sink.mails.lock().unwrap();
    let mut sent = mails.iter().filter(|mail| mail.folder == Folder::Sent);
    let answer = sent.next().unwrap();
    assert!(answer.flags.iter().any(|flag| flag == "\\Seen"));
    assert!(answer.event_key().starts_with("sent:"));
}

// pitfall 33: only refusals disconnect
#[tokio::test]
async fn a_server_that_was_away_disconnects_nothing() {
    let mut world = world().await;
    let replica = world.followed().await;
    world.dovecot.stop().unwrap();
    world.dovecot.restart().unwrap();
    world.deliver("one");
    world.sink.until(&["one"]).await;
    assert!(world.sink.refused.lock().unwrap().is_empty());
    replica.stop().await;
}

// pitfall 33: only the third refusal disconnects
#[tokio::test]
async fn b10_a_server_that_is_away_is_noted_until_the_mailbox_is_read_again() {
    let mut world = world().await;
    let replica = world.followed().await;
    let noted = async |world: &crate::world::World| -> (bool, String) {
        sqlx::query_as("select failing_since is not null, problem from mailbox")
            .fetch_one(&world.database.pool)
            .await
            .unwrap()
    };
    assert_eq!(noted(&world).await, (false, String::new()));
    world.dovecot.stop().unwrap();
    eventually("it is noted", async || noted(&world).await.0).await;
    assert!(!noted(&world).await.1.is_empty());
    world.dovecot.restart().unwrap();
    eventually("it is well", async || !noted(&world).await.0).await;
    replica.stop().await;
}

#[tokio::test]
async fn only_the_third_refusal_of_the_credentials_disconnects() {
    let mut world = world().await;
    world.login = password("shop", "wrong");
    let replica = world.follow();
    eventually("it is told", async || {
        !world.sink.refused.lock().unwrap().is_empty()
    })
    .await;
    eventually("and given back", async || {
        let free: bool = sqlx::query_scalar("select lease_until <= now() from mailbox")
            .fetch_one(&world.database.pool)
            .await
            .unwrap();
        free
    })
    .await;
    replica.stop().await;
    assert_eq!(
        world.sink.refused.lock().unwrap().len(),
        1,
        "it is not tried again"
    );
    assert_eq!(world.fence().await, 1);
    // Nor by another process, until the credentials are proven again.
    let before = world.looked.load(Ordering::SeqCst);
    let another = world.follow();
    eventually(
        "it looked for mailboxes, and did so to the end",
        async || world.looked.load(Ordering::SeqCst) >= before + 2,
    )
    .await;
    another.stop().await;
    assert_eq!(world.fence().await, 1);
    world.login = password("shop", "secret");
    let mut connection = world.database.pool.acquire().await.unwrap();
    mailboxes::proven(&mut connection, world.channel)
        .await
        .unwrap();
    world.followed().await.stop().await;
}

#[tokio::test]
async fn an_access_token_that_ran_out_is_replaced_without_a_wait() {
    // Answers as an introspection endpoint does (RFC 7662); Dovecot appends the token to the address.
    let answer = async |Query(asked): Query<HashMap<String, String>>| {
        let good = asked.get("token").is_some_and(|token| token == "new");
        Json(json!({ "active": good, "username": "shop" }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/introspect", get(answer));
    let tokens = tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/introspect?token=");
    let dovecot = tokio::task::spawn_blocking(move || Dovecot::start(Some(&url)));
    let mut world = world_of(dovecot.await.unwrap().unwrap()).await;
    world.terms.after_refusal = Duration::from_mins(5);
    world.login = token("shop", "old");
    world.renewed = Some(token("shop", "new"));
    let replica = world.followed().await;
    world.deliver("one");
    world.sink.until(&["one"]).await;
    assert!(world.sink.refused.lock().unwrap().is_empty());
    replica.stop().await;
    tokens.abort();
}

//! Sessions: how they are secured, and mails too large to be fetched whole.

use std::time::Duration;

use channel_gateway::app::sent_copy;
use channel_gateway::domain::mailbox::Cursor;
use channel_gateway::provider::imap::{ImapError, Mailbox, Woke};
use channel_gateway::provider::wire::{Rules, Security, Wires};
use switchboard_tests::servers::{Certificate, Dovecot};
use tokio_util::sync::CancellationToken;

use crate::world::{RULES, endpoint, mail, password, session, wires};

const LIMIT: u32 = 10_000;

#[tokio::test]
async fn a_session_is_secured_as_asked_and_never_less() {
    let dovecot = Dovecot::start(None).unwrap();
    let trusting = wires(dovecot.certificate());
    let strange = wires(&Certificate::new().unwrap());
    let strict = |rules| Wires::new(rules, []).unwrap();
    let no_plain = strict(Rules {
        plain: false,
        ..RULES
    });
    let no_private = strict(Rules {
        private: false,
        ..RULES
    });
    let (imap, imaps) = (dovecot.imap(), dovecot.imaps());
    let login = password("shop", "secret");
    for (what, wires, port, security, works) in [
        ("TLS", &trusting, imaps, Security::Tls, true),
        ("STARTTLS", &trusting, imap, Security::StartTls, true),
        ("plain", &trusting, imap, Security::Plain, true),
        ("TLS, strange", &strange, imaps, Security::Tls, false),
        (
            "STARTTLS, strange",
            &strange,
            imap,
            Security::StartTls,
            false,
        ),
        (
            "plain, not allowed",
            &no_plain,
            imap,
            Security::Plain,
            false,
        ),
        (
            "inside, not allowed",
            &no_private,
            imap,
            Security::Plain,
            false,
        ),
        (
            "TLS where there is none",
            &trusting,
            imap,
            Security::Tls,
            false,
        ),
    ] {
        let opened = Mailbox::open(wires, &endpoint(port, security), &login, LIMIT).await;
        match opened {
            Ok(mailbox) => {
                assert!(works, "{what}");
                assert!(mailbox.can_idle(), "{what}");
                mailbox.logout().await;
            }
            Err(error) => {
                assert!(!works, "{what}: {error}");
                assert!(
                    !matches!(error, ImapError::Credentials(_)),
                    "{what}: {error}"
                );
            }
        }
    }
    let wrong = password("shop", "wrong \"quoted\" \\ пароль");
    let refused = Mailbox::open(&trusting, &endpoint(imaps, Security::Tls), &wrong, LIMIT).await;
    assert!(
        matches!(refused, Err(ImapError::Credentials(_))),
        "{refused:?}"
    );
}

// pitfall 23: a size gate
#[tokio::test]
async fn a_large_mail_is_cut_to_its_header_and_first_text() {
    let dovecot = Dovecot::start(None).unwrap();
    let mut session = session(&dovecot, "shop").await;
    let opened = session.examine("INBOX").await.unwrap();
    let attached = "QUJD\r\n".repeat(20_000);
    let long = "line of text\r\n".repeat(10_000);
    dovecot
        .deliver(
            "shop",
            &format!(
                "From: anna@example.com\r\nSubject: large\r\nMIME-Version: 1.0\r\n\
                 Content-Type: multipart/mixed; boundary=b\r\n\r\n\
                 --b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{attached}\
                 --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{long}\r\n--b--\r\n"
            ),
        )
        .unwrap();
    dovecot
        .deliver("shop", &format!("Subject: only text\r\n\r\n{long}"))
        .unwrap();
    dovecot.deliver("shop", &mail("small")).unwrap();
    let cursor = Cursor {
        uidvalidity: opened.uidvalidity,
        last_uid: opened.uidnext - 1,
        since: None,
    };
    // A session sees what came since it opened the folder only when it looks again.
    session.examine("INBOX").await.unwrap();
    let all = session.new_since(cursor, 10).await.unwrap();
    let mut fetched = Vec::new();
    for envelope in &all {
        fetched.push(session.fetch(envelope, LIMIT, true).await.unwrap().unwrap());
    }
    let text = |index: usize| String::from_utf8_lossy(&fetched[index].raw).into_owned();
    let cut = fetched[0].cut.as_ref().unwrap();
    assert!(cut.size > 200_000);
    assert_eq!(cut.files.len(), 1);
    assert_eq!(
        (cut.files[0].name.as_str(), cut.files[0].mime.as_str()),
        ("a.pdf", "application/pdf")
    );
    assert!(text(0).contains("Subject: large\r\n"));
    assert!(text(0).contains("Content-Type: text/plain; charset=utf-8\r\n"));
    assert!(!text(0).contains("multipart/mixed") && text(0).contains("\r\n\r\nline of text\r\n"));
    assert!((60_000..70_000).contains(&fetched[0].raw.len()));
    assert!(fetched[1].cut.is_some() && text(1).contains("Subject: only text"));
    assert!(fetched[2].cut.is_none());
    // Without asking for the structure there is still a mail.
    let bare = session.fetch(&all[0], LIMIT, false).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&bare.raw).contains("Subject: large"));
    session.logout().await;
}

// pitfall 34: IDLE is begun anew, and ends
#[tokio::test]
async fn waiting_ends_by_news_by_time_and_by_being_asked_to() {
    let dovecot = Dovecot::start(None).unwrap();
    let mut session = session(&dovecot, "shop").await;
    session.examine("INBOX").await.unwrap();
    let stop = CancellationToken::new();
    let short = Duration::from_millis(300);
    assert_eq!(session.idle(short, &stop).await.unwrap(), Woke::Time);
    dovecot.deliver("shop", &mail("one")).unwrap();
    let long = Duration::from_secs(20);
    assert_eq!(session.idle(long, &stop).await.unwrap(), Woke::News);
    stop.cancel();
    assert_eq!(session.idle(long, &stop).await.unwrap(), Woke::Stopped);
    session.examine("INBOX").await.unwrap();
    session.logout().await;
}

#[tokio::test]
async fn what_a_server_took_stands_once_among_what_was_sent() {
    let dovecot = Dovecot::start(None).unwrap();
    let raw = mail("answer");
    for expected in ["kept", "there"] {
        let session = session(&dovecot, "shop").await;
        let done = sent_copy::copy(session, "<answer@example.com>", raw.as_bytes()).await;
        assert_eq!(done.unwrap(), expected);
    }
    let mut session = session(&dovecot, "shop").await;
    assert!(session.sent_holds("<answer@example.com>").await.unwrap());
    assert!(!session.sent_holds("<other@example.com>").await.unwrap());
    assert!(session.sent_holds("<a\r\nb@x>").await.is_err());
    let all = session
        .new_since(
            Cursor {
                uidvalidity: 0,
                last_uid: 0,
                since: None,
            },
            10,
        )
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
    assert!(
        all[0].flags.iter().any(|flag| flag == "\\Seen"),
        "{:?}",
        all[0].flags
    );
    session.logout().await;
}

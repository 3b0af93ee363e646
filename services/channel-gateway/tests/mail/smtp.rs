//! Submission: what a server took, refused, or left open.

use std::time::Duration;

use channel_gateway::domain::refusal::Class;
use channel_gateway::domain::smtp::Stage;
use channel_gateway::provider::smtp::{Envelope, SendError, Server, Submission};
use channel_gateway::provider::wire::Security;
use serde_json::json;
use switchboard_tests::servers::{SmtpServer, SmtpTls};

use crate::world::{endpoint, mail, password, token, wires};

fn submission(server: &SmtpServer) -> Submission {
    let wires = wires(server.certificate());
    Submission::new(wires, "gw.example", Duration::from_secs(20))
}

fn plain(server: &SmtpServer) -> Server {
    Server {
        endpoint: endpoint(server.port(), Security::Plain),
        login: None,
    }
}

fn to(addresses: &[&str]) -> Envelope {
    Envelope {
        from: Some("shop@example.com".into()),
        to: addresses
            .iter()
            .map(|&address| address.to_owned())
            .collect(),
    }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_with_its_queue_id() {
    let server = SmtpServer::start(SmtpTls::None).unwrap();
    let raw = format!("{}.\r\n..dots\r\nlone\nfeed\r\n\u{43f}\r\n", mail("one"));
    let anna = to(&["anna@example.com"]);
    let accepted = submission(&server)
        .send(&plain(&server), &anna, raw.as_bytes())
        .await
        .unwrap();
    assert_eq!(accepted.queue_id.as_deref(), Some("Q0"));
    assert!(accepted.refused.is_empty());
    let bounces = Envelope { from: None, ..anna };
    submission(&server)
        .send(&plain(&server), &bounces, raw.as_bytes())
        .await
        .unwrap();
    let received = server.received().unwrap();
    let text = String::from_utf8_lossy(&received[0].raw).into_owned();
    assert_eq!(text, raw.replace("lone\nfeed", "lone\r\nfeed"));
    assert_eq!(
        (received[0].from.as_str(), received[1].from.as_str()),
        ("shop@example.com", "")
    );
    assert_eq!(received[0].to, ["anna@example.com"]);
}

#[tokio::test]
async fn a_refusal_is_told_with_its_stage_and_means_what_the_table_says() {
    let server = SmtpServer::start(SmtpTls::None).unwrap();
    let anna = "anna@example.com";
    for (behaviour, expected, class) in [
        (
            json!({ "mail": "550 5.7.1 not yours" }),
            (Stage::Sender, 550),
            "REJECTED_BY_POLICY",
        ),
        (
            json!({ "rcpt": { anna: "550 5.1.1 unknown" } }),
            (Stage::Recipient, 550),
            "ADDRESS_UNKNOWN",
        ),
        (
            json!({ "rcpt": { anna: "450 4.2.0 greylisted" } }),
            (Stage::Recipient, 450),
            "OUTAGE",
        ),
        (
            json!({ "data": "554 5.7.1 spam" }),
            (Stage::Content, 554),
            "REJECTED_BY_POLICY",
        ),
        (
            json!({ "data": "451 4.3.0 try later" }),
            (Stage::Content, 451),
            "OUTAGE",
        ),
        (
            json!({ "users": { "shop": "secret" } }),
            (Stage::Sender, 530),
            "DISCONNECTED",
        ),
    ] {
        server.behave(&behaviour).unwrap();
        let error = submission(&server)
            .send(&plain(&server), &to(&[anna]), mail("one").as_bytes())
            .await
            .unwrap_err();
        let SendError::Refused { stage, ref reply } = error else {
            panic!("{behaviour}: {error}");
        };
        assert_eq!((stage, reply.code), expected, "{behaviour}");
        let found = match error.class() {
            Class::Outage => "OUTAGE",
            Class::Refused(refusal) => refusal.reason,
            Class::Disconnected(_) => "DISCONNECTED",
            _ => "OTHER",
        };
        assert_eq!(found, class, "{behaviour}");
    }
    assert!(server.received().unwrap().is_empty());
}

#[tokio::test]
async fn recipients_that_are_refused_do_not_keep_it_from_the_others() {
    let server = SmtpServer::start(SmtpTls::None).unwrap();
    server
        .behave(&json!({ "rcpt": { "gone@example.com": "550 5.1.1 unknown" } }))
        .unwrap();
    let both = to(&["gone@example.com", "anna@example.com"]);
    let accepted = submission(&server)
        .send(&plain(&server), &both, mail("one").as_bytes())
        .await
        .unwrap();
    assert_eq!(accepted.refused.len(), 1);
    assert_eq!(accepted.refused[0].0, "gone@example.com");
    assert_eq!(server.received().unwrap()[0].to, ["anna@example.com"]);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_content_leaves_it_open_and_the_same_mail_goes_again() {
    let server = SmtpServer::start(SmtpTls::None).unwrap();
    server.behave(&json!({ "drop": true })).unwrap();
    let (anna, raw) = (to(&["anna@example.com"]), mail("once"));
    let error = submission(&server)
        .send(&plain(&server), &anna, raw.as_bytes())
        .await
        .unwrap_err();
    assert!(matches!(error, SendError::Unknown(_)), "{error}");
    assert_eq!(error.class(), Class::Outage);
    server.behave(&json!({})).unwrap();
    submission(&server)
        .send(&plain(&server), &anna, raw.as_bytes())
        .await
        .unwrap();
    let received = server.received().unwrap();
    assert_eq!(received.len(), 2);
    assert_eq!(
        received[0].raw, received[1].raw,
        "whoever gets both tells by the Message-ID"
    );
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_begun() {
    let server = SmtpServer::start(SmtpTls::None).unwrap();
    server.behave(&json!({ "size": 100 })).unwrap();
    let large = submission(&server)
        .send(
            &plain(&server),
            &to(&["anna@example.com"]),
            mail("one").as_bytes(),
        )
        .await;
    assert_eq!(large, Err(SendError::TooLarge(100)));
    for address in [
        "",
        "anna",
        "anna@",
        "a b@example.com",
        "a@x>\r\nRCPT TO:<b@x",
        "<a@x>",
    ] {
        server.behave(&json!({})).unwrap();
        let sent = submission(&server)
            .send(&plain(&server), &to(&[address]), mail("one").as_bytes())
            .await;
        assert_eq!(sent, Err(SendError::Address(address.into())));
    }
    let nobody = Server {
        endpoint: endpoint(1, Security::Plain),
        login: None,
    };
    let away = submission(&server)
        .send(&nobody, &to(&["anna@example.com"]), b"x")
        .await;
    assert!(matches!(away, Err(SendError::NotReached(_))), "{away:?}");
    assert!(server.received().unwrap().is_empty());
}

#[tokio::test]
async fn submission_is_secured_and_logs_in_as_asked() {
    for (tls, security) in [
        (SmtpTls::Implicit, Security::Tls),
        (SmtpTls::StartTls, Security::StartTls),
    ] {
        let server = SmtpServer::start(tls).unwrap();
        server
            .behave(&json!({ "users": { "shop": "secret" }, "tokens": { "shop": "good" } }))
            .unwrap();
        for (login, works) in [
            (password("shop", "secret"), true),
            (token("shop", "good"), true),
            (password("shop", "wrong"), false),
            (token("shop", "ran-out"), false),
        ] {
            let target = Server {
                endpoint: endpoint(server.port(), security),
                login: Some(login.clone()),
            };
            let sent = submission(&server)
                .send(&target, &to(&["anna@example.com"]), mail("one").as_bytes())
                .await;
            match sent {
                Ok(_) => assert!(works, "{tls:?} {login:?}"),
                Err(error) => {
                    assert!(!works, "{tls:?} {login:?}: {error}");
                    assert!(
                        matches!(error.class(), Class::Disconnected(_)),
                        "{tls:?} {login:?}: {error}"
                    );
                }
            }
        }
        let received = server.received().unwrap();
        assert!(received.len() == 2 && received.iter().all(|mail| mail.tls));
    }
    let bare = SmtpServer::start(SmtpTls::None).unwrap();
    let target = Server {
        endpoint: endpoint(bare.port(), Security::StartTls),
        login: None,
    };
    let sent = submission(&bare)
        .send(&target, &to(&["anna@example.com"]), b"x")
        .await;
    assert!(
        matches!(sent, Err(SendError::NotReached(_))),
        "STARTTLS is required: {sent:?}"
    );
}

use super::*;

fn server(host: &str, security: pb::email_credentials::Security) -> pb::email_credentials::Server {
    pb::email_credentials::Server {
        host: host.into(),
        port: 0,
        security: security.into(),
    }
}

fn mailbox() -> pb::EmailCredentials {
    pb::EmailCredentials {
        address: " Sales@Shop.Example ".into(),
        imap: Some(server(
            "imap.shop.example",
            pb::email_credentials::Security::Tls,
        )),
        smtp: Some(server(
            "smtp.shop.example",
            pb::email_credentials::Security::Starttls,
        )),
        secret: Some(pb::email_credentials::Secret::Password("hunter2".into())),
        ..pb::EmailCredentials::default()
    }
}

fn profile() -> pb::InstagramCredentials {
    pb::InstagramCredentials {
        login: pb::instagram_credentials::Login::Facebook.into(),
        account_id: "17841400008460056".into(),
        page_id: "1001".into(),
        access_token: "hunter2".into(),
        human_agent: true,
    }
}

#[test]
fn what_is_sealed_reads_back_and_is_never_shown() {
    let bot = pb::ViberBotCredentials {
        token: "hunter2".into(),
        sender_name: "Shop".into(),
        sender_avatar_url: "https://cdn.example/a.png".into(),
    };
    let oauth = pb::EmailCredentials {
        secret: Some(pb::email_credentials::Secret::Oauth(
            pb::email_credentials::OAuth {
                client_id: "id".into(),
                client_secret: "hunter2".into(),
                refresh_token: "hunter2".into(),
                token_url: "https://login.example/token".into(),
            },
        )),
        ..mailbox()
    };
    let telegram_bot = pb::TelegramBotCredentials {
        token: "7001:hunter2".into(),
    };
    for credentials in [
        telegram(&telegram_bot).unwrap(),
        viber(&bot).unwrap(),
        instagram(&profile()).unwrap(),
        email(&mailbox(), false).unwrap(),
        email(&oauth, false).unwrap(),
    ] {
        let text = credentials.to_text();
        assert!(text.contains("hunter2"));
        let again = Credentials::from_text(credentials.kind(), &text).unwrap();
        assert_eq!(again.to_text(), text);
        assert_eq!(again.provider_account(), credentials.provider_account());
        assert!(!format!("{again:?}").contains("hunter2"), "{again:?}");
    }
    assert!(Credentials::from_text(ChannelKind::Email, "{}").is_err());
}

#[test]
fn a_mailbox_is_known_by_its_folded_address_and_usual_ports() {
    let Credentials::Email(mailbox) = email(&mailbox(), false).unwrap() else {
        panic!("no mailbox")
    };
    assert_eq!(mailbox.address, "sales@shop.example");
    assert_eq!(mailbox.username, "sales@shop.example");
    assert_eq!((mailbox.imap.port, mailbox.smtp.port), (993, 587));
}

#[test]
fn what_does_not_fit_names_its_field() {
    let plain = pb::EmailCredentials {
        imap: Some(server("127.0.0.1", pb::email_credentials::Security::None)),
        ..mailbox()
    };
    let two = pb::EmailCredentials {
        address: "a@b.example, c@d.example".into(),
        ..mailbox()
    };
    let nobody = pb::EmailCredentials {
        secret: None,
        ..mailbox()
    };
    let odd_port = pb::EmailCredentials {
        smtp: Some(pb::email_credentials::Server {
            host: "smtp.shop.example".into(),
            port: 70_000,
            security: 0,
        }),
        ..mailbox()
    };
    for (mailbox, field) in [
        (&plain, "email.imap"),
        (&two, "email.address"),
        (&nobody, "email.password"),
        (&odd_port, "email.smtp"),
    ] {
        assert_eq!(email(mailbox, false).unwrap_err().field, field);
    }
    assert!(email(&plain, true).is_ok());

    let no_login = pb::InstagramCredentials {
        login: 0,
        ..profile()
    };
    let no_page = pb::InstagramCredentials {
        page_id: "x/../me".into(),
        ..profile()
    };
    for (profile, field) in [
        (no_login, "instagram.login"),
        (no_page, "instagram.page_id"),
    ] {
        assert_eq!(instagram(&profile).unwrap_err().field, field);
    }
    let line_break = pb::ViberBotCredentials {
        token: "a\nb".into(),
        ..pb::ViberBotCredentials::default()
    };
    assert_eq!(viber(&line_break).unwrap_err().field, "viber_bot.token");
}

#[test]
fn only_what_is_one_address_is_taken_as_a_mailboxs() {
    for (address, fits) in [
        ("sales@shop.example", true),
        ("sales+web@sub.shop.example", true),
        ("o'neil@shop.example", true),
        ("shop@localhost", true),
        ("@localhost", false),
        ("@shop.example", false),
        ("sales@", false),
        ("sales", false),
        ("", false),
        ("a@b@c.d", false),
        ("a@localhost@localhost", false),
        ("x@x..y", false),
        ("x@.y.example", false),
        ("x@y.example.", false),
        ("x@-y.example", false),
        ("x@shop", false),
        ("x y@shop.example", false),
        ("<x@shop.example>", false),
        ("a@x.example,b@x.example", false),
        ("x..y@shop.example", false),
        ("x@[127.0.0.1]", false),
    ] {
        let given = pb::EmailCredentials {
            address: address.into(),
            ..mailbox()
        };
        match email(&given, false) {
            Ok(_) => assert!(fits, "{address:?} was taken"),
            Err(wrong) => {
                assert!(!fits, "{address:?}: {wrong}");
                assert_eq!(wrong.field, "email.address");
            }
        }
    }
}

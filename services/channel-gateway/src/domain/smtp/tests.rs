use super::*;

fn word(class: &Class) -> &'static str {
    match class {
        Class::Flood(_) => "FLOOD",
        Class::Outage => "OUTAGE",
        Class::Refused(refusal) => refusal.reason,
        Class::Disconnected(_) => "DISCONNECTED",
        _ => "OTHER",
    }
}

#[test]
fn replies_mean_what_the_table_says() {
    use Stage::{Auth, Content, Greeting, Recipient, Sender};
    for (code, text, stage, expected) in [
        (421, "4.3.2 shutting down", Greeting, "OUTAGE"),
        (450, "4.2.0 greylisted", Recipient, "OUTAGE"),
        (451, "local error", Content, "OUTAGE"),
        (452, "4.2.2 mailbox full", Recipient, "OUTAGE"),
        (
            454,
            "4.7.0 temporary authentication failure",
            Auth,
            "OUTAGE",
        ),
        (454, "TLS not available", Greeting, "OUTAGE"),
        (432, "4.7.12 transition needed", Auth, "DISCONNECTED"),
        (530, "5.7.0 authentication required", Sender, "DISCONNECTED"),
        (
            534,
            "5.7.9 application-specific password required",
            Auth,
            "DISCONNECTED",
        ),
        (535, "5.7.8 bad credentials", Auth, "DISCONNECTED"),
        (535, "5.7.139 disabled for the tenant", Auth, "DISCONNECTED"),
        (504, "5.5.4 unrecognised mechanism", Auth, "DISCONNECTED"),
        (550, "5.1.1 no such user", Recipient, "ADDRESS_UNKNOWN"),
        (550, "no such user here", Recipient, "ADDRESS_UNKNOWN"),
        (551, "user not local", Recipient, "ADDRESS_UNKNOWN"),
        (
            553,
            "5.1.3 bad address syntax",
            Recipient,
            "ADDRESS_UNKNOWN",
        ),
        (550, "5.1.1 no such user", Content, "ADDRESS_UNKNOWN"),
        (
            553,
            "5.7.1 sender not owned by user",
            Sender,
            "REJECTED_BY_POLICY",
        ),
        (550, "5.1.8 bad sender", Sender, "SENDER_REFUSED"),
        (552, "5.2.2 over quota", Recipient, "OUTAGE"),
        (552, "mailbox exceeded storage", Recipient, "OUTAGE"),
        (552, "5.3.4 too big", Sender, "MESSAGE_TOO_LARGE"),
        (
            552,
            "message size exceeds fixed limit",
            Content,
            "MESSAGE_TOO_LARGE",
        ),
        (554, "5.3.4 too big", Content, "MESSAGE_TOO_LARGE"),
        (550, "5.7.1 looks like spam", Content, "REJECTED_BY_POLICY"),
        (554, "5.7.26 unauthenticated", Content, "REJECTED_BY_POLICY"),
        (554, "rejected", Content, "REJECTED_BY_POLICY"),
        (
            550,
            "blocked, see our policy",
            Recipient,
            "REJECTED_BY_POLICY",
        ),
        (
            550,
            "5.4.5 daily sending quota exceeded",
            Recipient,
            "FLOOD",
        ),
        (500, "what?", Content, "MESSAGE_REFUSED"),
    ] {
        let class = classify(&SmtpReply::read(code, text), stage);
        assert_eq!(word(&class), expected, "{code} {text} {stage:?}");
    }
}

#[test]
fn a_reply_is_read_with_its_enhanced_code() {
    for (text, enhanced, rest) in [
        (
            "5.1.1 no such user",
            Some(Enhanced(5, 1, 1)),
            "no such user",
        ),
        (
            "5.7.26 first\n5.7.26 second",
            Some(Enhanced(5, 7, 26)),
            "first second",
        ),
        ("no such user", None, "no such user"),
        ("127.0.0.1 is listed", None, "127.0.0.1 is listed"),
        ("9.1.1 odd", None, "9.1.1 odd"),
        ("5.1.1", Some(Enhanced(5, 1, 1)), ""),
        ("", None, ""),
        ("tab\there", None, "tab here"),
    ] {
        let reply = SmtpReply::read(550, text);
        assert_eq!(
            (reply.enhanced, reply.text.as_str()),
            (enhanced, rest),
            "{text}"
        );
    }
    assert_eq!(
        SmtpReply::read(550, &"x".repeat(9_000)).text.len(),
        TEXT_MAX
    );
}

#[test]
fn no_line_end_can_be_taken_for_another() {
    for (raw, expected) in [
        ("", ""),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("a\nb", "a\r\nb"),
        ("a\n.\nb", "a\r\n.\r\nb"),
        ("a\r.\rb", "a\r\n.\r\nb"),
        ("a\r\n\n.\r\r\n", "a\r\n\r\n.\r\n\r\n"),
        ("\n", "\r\n"),
        ("\r", "\r\n"),
    ] {
        assert_eq!(with_crlf(raw.as_bytes()), expected.as_bytes(), "{raw:?}");
    }
    assert!(matches!(with_crlf(b"a\r\n"), Cow::Borrowed(_)));
}

#[test]
fn tries_are_put_off_longer_and_longer() {
    let minutes = |tries| wait(tries).as_secs() / 60;
    assert_eq!([0, 1, 2, 3, 4, 99].map(minutes), [1, 1, 5, 15, 60, 60]);
}

#[test]
fn the_queue_id_is_found_where_servers_write_it() {
    for (text, expected) in [
        ("Ok: queued as 4F1A2B3C", Some("4F1A2B3C")),
        ("OK id=1rXabc-0004Zq-2K", Some("1rXabc-0004Zq-2K")),
        ("2.0.0 Ok: queued as 12345.", Some("12345")),
        ("OK 1700000000 d9443c01a7336-20b99 - gsmtp", None),
        ("message accepted", None),
        ("queued for delivery", None),
    ] {
        assert_eq!(queue_id(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn copies_are_left_to_those_who_keep_them_themselves() {
    for (host, expected) in [
        ("smtp.gmail.com", true),
        ("SMTP.Office365.com.", true),
        ("outlook.office365.com", true),
        ("gmail.com", true),
        ("mail.shop.example", false),
        ("notgmail.com", false),
        ("gmail.com.evil.example", false),
        ("", false),
    ] {
        assert_eq!(stores_copies(host), expected, "{host}");
    }
}

use super::*;
use crate::domain::email::read::{Ours, read};
use time::macros::datetime;

const OURS: Ours<'static> = Ours {
    address: "sales@shop.example",
    domain: "gw.shop.example",
    aliases: &[],
    gateway_id: "gw-1",
};

fn outgoing(to: &[String]) -> Outgoing<'_> {
    Outgoing {
        from: "sales@shop.example",
        from_name: "Олена, магазин",
        to,
        subject: "Re: AW: замовлення 551",
        in_reply_to: "<CAF7x9@mail.client.example>",
        message_id: "m018f77.1@gw.shop.example",
        text: Text {
            text: "Дякую!\nДо завтра.".into(),
            entities: vec![],
        },
        date: Some(datetime!(2026-11-24 10:00 UTC)),
        gateway_id: "gw-1",
        ..Outgoing::default()
    }
}

#[test]
fn what_is_written_reads_as_it_was_meant() {
    let to = ["olena@client.example".to_owned()];
    let files = [OutgoingFile {
        name: "рахунок № 1.pdf".into(),
        media_type: "application/pdf".into(),
        bytes: Bytes::from_static(b"%PDF-1.4\n"),
    }];
    let references: Vec<String> = (0..60).map(|n| format!("<r{n}@client.example>")).collect();
    let mail = Outgoing {
        references: &references,
        files: &files,
        ..outgoing(&to)
    };
    let bytes = compose(&mail).unwrap();
    assert_eq!(
        bytes,
        compose(&mail).unwrap(),
        "every attempt sends the same"
    );
    assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() < 998));
    let read = read(&Bytes::from(bytes), &OURS);
    assert_eq!(read.message_id, "<m018f77.1@gw.shop.example>");
    assert_eq!(read.subject, "Re: замовлення 551");
    assert_eq!(read.from.name, "Олена, магазин");
    assert_eq!(read.customer.email, "olena@client.example");
    assert_eq!(read.date, mail.date);
    assert_eq!(read.references.len(), 22);
    assert_eq!(read.references[0], "<CAF7x9@mail.client.example>");
    assert_eq!(read.references[1], "<r59@client.example>");
    assert_eq!(read.references[21], "<r0@client.example>");
    assert_eq!(
        read.plain.as_deref().map(str::trim),
        Some("Дякую!\nДо завтра.")
    );
    assert!(read.html.unwrap().contains("Дякую!<br>"));
    assert_eq!(read.attachments[0].name, "рахунок № 1.pdf");
    assert_eq!(&read.attachments[0].bytes[..], b"%PDF-1.4\n");
    assert!(read.own_gateway && read.outgoing);
}

#[test]
fn nothing_that_came_in_becomes_a_field() {
    let to = ["olena@client.example".to_owned()];
    let mail = Outgoing {
        subject: "order\r\nBcc: victim@x.example\r\n\r\nbody",
        from_name: "Shop\r\nBcc: victim@x.example",
        ..outgoing(&to)
    };
    let files = [OutgoingFile {
        name: "a\r\nBcc: victim@x.example".into(),
        media_type: "text/plain\r\nBcc: victim@x.example".into(),
        bytes: Bytes::new(),
    }];
    let mail = Outgoing {
        files: &files,
        ..mail
    };
    let text = String::from_utf8(compose(&mail).unwrap()).unwrap();
    assert!(
        !text.contains("\r\nBcc") && !text.contains("\nBcc"),
        "{text}"
    );
    for bad in [
        "a@b.example\r\nBcc: c@d.example",
        "a b@c.example",
        "nobody",
        "",
    ] {
        let to = [bad.to_owned()];
        assert!(
            matches!(compose(&outgoing(&to)), Err(Unfit::Address(_))),
            "{bad}"
        );
    }
    for bad in ["<a@b>\r\nBcc: c@d.example", "a b", ""] {
        let mail = Outgoing {
            message_id: bad,
            ..outgoing(&to)
        };
        assert!(matches!(compose(&mail), Err(Unfit::MessageId(_))), "{bad}");
    }
    let gateway = Outgoing {
        gateway_id: "a\r\nBcc: b",
        ..outgoing(&to)
    };
    assert_eq!(compose(&gateway), Err(Unfit::Field(GATEWAY_FIELD)));
    assert_eq!(compose(&outgoing(&[])), Err(Unfit::NoRecipient));
}

#[test]
fn b15_what_a_machine_writes_says_so() {
    let to = ["olena@client.example".to_owned()];
    let mail = Outgoing {
        automatic: true,
        ..outgoing(&to)
    };
    let text = String::from_utf8(compose(&mail).unwrap()).unwrap();
    for field in [
        "Auto-Submitted: auto-replied",
        "X-Auto-Response-Suppress: All",
        "Precedence: bulk",
    ] {
        assert!(text.contains(field), "{field}");
    }
    let plain = String::from_utf8(compose(&outgoing(&to)).unwrap()).unwrap();
    assert!(!plain.contains("Auto-Submitted"));
}

#[test]
fn subjects_carry_one_re() {
    for (last, answers, expected) in [
        ("order 551", true, "Re: order 551"),
        ("Re: RE[2]: Aw: order", true, "Re: order"),
        ("Fwd: order", true, "Re: Fwd: order"),
        ("order: 551", true, "Re: order: 551"),
        ("", true, "Re:"),
        ("order", false, "order"),
    ] {
        assert_eq!(subject(last, answers), expected, "{last}");
    }
}

#[test]
fn files_arrive_byte_for_byte() {
    let to = ["olena@client.example".to_owned()];
    for (name, media_type, bytes) in [
        ("lines.txt", "text/plain", b"one\ntwo\nthree\n".as_slice()),
        ("old.txt", "text/plain", b"one\rtwo\r"),
        ("dos.txt", "text/plain", b"one\r\ntwo\r\n"),
        ("mixed.txt", "text/plain", b"a\nb\r\nc\rd"),
        ("open.txt", "text/plain", b"no line end"),
        ("dots.txt", "text/plain", b".\n..\n.hidden\r\n.\r\n"),
        ("space.txt", "text/plain", b"trailing   \n\t\n\n\n"),
        ("order.json", "application/json", b"{\n  \"a\": 1\n}\n"),
        ("a.csv", "text/csv", b"a;b\n1;2"),
        (
            "a.pdf",
            "application/pdf",
            b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\r\n\0\nEOF\r",
        ),
        (
            "mail.eml",
            "Message/RFC822",
            b"From: a@x.example\nSubject: a\n\nx\n",
        ),
        ("empty", "", b""),
    ] {
        let files = [OutgoingFile {
            name: name.into(),
            media_type: media_type.into(),
            bytes: Bytes::from_static(bytes),
        }];
        let mail = Outgoing {
            files: &files,
            ..outgoing(&to)
        };
        let raw = compose(&mail).unwrap();
        // As it is handed over.
        let raw = crate::domain::smtp::with_crlf(&raw).into_owned();
        let text = String::from_utf8_lossy(&raw);
        let part = text.split(&format!("filename=\"{name}\"")).nth(1);
        let head = part.unwrap().split("\r\n\r\n").next().unwrap();
        assert!(
            head.contains("Content-Transfer-Encoding: base64"),
            "{name}: {head}"
        );
        let read = read(&Bytes::from(raw), &OURS);
        assert_eq!(read.attachments.len(), 1, "{name}");
        assert_eq!(read.attachments[0].bytes.as_ref(), bytes, "{name}");
        assert_eq!(read.attachments[0].name, name);
    }
}

//! Pure parts of the way in: what one webhook and one mail cost (`scripts/bench --pure`). Aims: signature and
//! normalisation of a typical webhook within 20 µs, 1,000 typical mails a second and core.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on must fail"
)]

use std::hint::black_box;

use bytes::Bytes;
use channel_gateway::domain::email::{self, Fetched, Folder, Ours};
use channel_gateway::domain::inbound::Line;
use channel_gateway::domain::{instagram, telegram, viber};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hmac::{Hmac, KeyInit as _, Mac as _};
use prost::Message as _;
use serde_json::json;
use sha2::Sha256;
use time::OffsetDateTime;
use uuid::Uuid;

const LINE: Line<'static> = Line {
    account: "acme",
    channel: Uuid::from_u128(7),
    provider_account: "17841400000000017",
};

fn received() -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::days(20_000)
}

fn hash(key: &[u8], raw: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(raw);
    hex::encode(mac.finalize().into_bytes())
}

fn body(value: &serde_json::Value) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

const TEXT: &str = "Good day! Do you still have the blue one in size 42, and would it be here by Friday? \
    See https://shop.example/blue";

fn webhooks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("webhook");
    group.throughput(Throughput::Elements(1));

    let update = body(&json!({ "update_id": 100_001, "message": {
        "message_id": 11, "date": 1_728_000_000,
        "from": { "id": 77, "is_bot": false, "first_name": "Olena", "username": "olena", "language_code": "uk" },
        "chat": { "id": 77, "type": "private", "first_name": "Olena", "username": "olena" },
        "text": TEXT, "entities": [{ "type": "url", "offset": 91, "length": 25 }] } }));
    group.bench_function("telegram: normalise, encode", |bencher| {
        bencher
            .iter(|| telegram::normalise(LINE, black_box(&update), received())[0].encode_to_vec());
    });

    let token = b"4453b6ac12345678-e02c5f12174805f9";
    let callback = body(
        &json!({ "event": "message", "timestamp": 1_728_000_000_000_u64,
        "message_token": 4_912_661_846_655_238_145_u64,
        "sender": { "id": "01234567890A=", "name": "Olena", "avatar": "https://a.example/a.png", "language": "uk" },
        "message": { "type": "text", "text": TEXT } }),
    );
    let signature = hash(token, &callback);
    group.bench_function("viber: signature, normalise, encode", |bencher| {
        bencher.iter(|| {
            assert!(viber::signature::verify(
                token,
                black_box(&callback),
                signature.as_bytes()
            ));
            viber::normalise(LINE, &callback, received())[0].encode_to_vec()
        });
    });

    let message = body(
        &json!({ "object": "instagram", "entry": [{ "id": "17841400000000017",
        "time": 1_728_000_000_000_u64, "messaging": [{ "sender": { "id": "77" },
        "recipient": { "id": "17841400000000017" }, "timestamp": 1_728_000_000_000_u64,
        "message": { "mid": "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3", "text": TEXT } }] }] }),
    );
    let signature = format!("sha256={}", hash(b"secret", &message));
    group.bench_function(
        "instagram: signature, take apart, normalise, encode",
        |bencher| {
            bencher.iter(|| {
                assert!(instagram::signature::verify(
                    &[b"secret"],
                    black_box(&message),
                    &signature
                ));
                let items = instagram::items(&message);
                instagram::normalise(LINE, &items[0].raw, received())[0].encode_to_vec()
            });
        },
    );
    group.finish();
}

/// Text and page with a quoted answer and a signature, as a mail program writes them.
fn typical_mail() -> Bytes {
    let mut quoted = String::new();
    let mut page = String::new();
    for number in 0..20 {
        let line = format!("line {number} of what you wrote to me last week");
        quoted.extend(["> ", &line, "\r\n"]);
        page.extend(["<div>", &line, "</div>\r\n"]);
    }
    format!(
        "From: Olena <olena@customer.example>\r\nTo: sales@shop.example\r\nSubject: Re: your offer\r\n\
         Message-ID: <a1@customer.example>\r\nIn-Reply-To: <m1@gw.shop.example>\r\n\
         References: <m0@gw.shop.example> <m1@gw.shop.example>\r\nDate: Tue, 24 Nov 2026 10:00:00 +0200\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"B\"\r\n\r\n\
         --B\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{TEXT}\r\n\r\nOn Mon, 23 Nov 2026 at 09:00, Shop \
         <sales@shop.example> wrote:\r\n{quoted}-- \r\nOlena\r\n+380 44 000 00 00\r\n\
         --B\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>{TEXT}</p><div class=\"gmail_quote\">\
         <blockquote>{page}</blockquote></div></body></html>\r\n--B--\r\n"
    )
    .into()
}

fn mails(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mail");
    group.throughput(Throughput::Elements(1));
    let ours = Ours {
        address: "sales@shop.example",
        domain: "gw.shop.example",
        aliases: &[],
        gateway_id: "gw-1",
    };
    let raw = typical_mail();
    let meta = Fetched {
        raw_ref: "raw/1",
        size: raw.len() as u64,
        internal_date: received(),
        folder: Folder::Inbox,
        uid_key: "sales@shop.example:1:2",
    };
    group.bench_function("typical: read, normalise, encode", |bencher| {
        bencher.iter(|| {
            let (events, _) = email::normalise(LINE, &ours, &meta, black_box(&raw), received());
            events[0].encode_to_vec()
        });
    });
    group.finish();
}

criterion_group!(pure, webhooks, mails);
criterion_main!(pure);

//! What servers and providers answer us, as far as we read it ourselves.

use std::time::Duration;

use channel_gateway::domain::email::bounce::{RECIPIENTS_MAX, reason, status};
use channel_gateway::domain::email::report::Action;
use channel_gateway::domain::mailbox::cut::{FILES_MAX, Text, stub};
use channel_gateway::domain::refusal::{Class, Refusal};
use channel_gateway::domain::smtp::{Enhanced, SmtpReply, Stage, classify, queue_id, with_crlf};
use channel_gateway::domain::{instagram, telegram, viber};
use channel_gateway::provider::imap::answer;
use serde_json::Value;

/// Literals of so many bytes pass.
const LITERAL_MAX: usize = 10_000;

/// Nothing is waited for longer: a command that waits for ever blocks its chat.
const LONGEST: Duration = Duration::from_hours(24);

/// Answers of an IMAP server: what they may cost is decided before they are parsed, however they come in; what is read of
/// them is bounded.
pub fn imap_answer(data: &[u8]) {
    let whole = answer::admitted(&[data], LITERAL_MAX);
    let (first, second) = data.split_at(data.len() / 2);
    assert_eq!(
        whole,
        answer::admitted(&[first, second], LITERAL_MAX),
        "it depends on how it came in"
    );
    if whole {
        for told in answer::read(data) {
            assert!(told.envelope.flags.len() <= 50, "flags without end");
            let (text, files) = (told.outline.text, told.outline.files);
            assert!(files.len() <= FILES_MAX, "files without end");
            for file in files {
                let bounded =
                    |text: &str| text.chars().count() <= 255 && !text.contains(char::is_control);
                assert!(bounded(&file.name) && bounded(&file.mime), "{file:?}");
            }
            let path = text.unwrap_or_default();
            assert!(path.len() <= 20 && !path.contains(&0), "{path:?}");
        }
    }
    // The header and the text of a mail that is cut.
    for header in [None, Some(first)] {
        let mail = stub(
            first,
            Some(Text {
                header,
                body: second,
            }),
        );
        assert!(mail.ends_with(second), "the text is lost");
    }
}

/// What a class tells to do can be done, and what it tells an agent can be read.
fn can_be_told(class: &Class) {
    match class {
        Class::Flood(wait) | Class::ChatFlood(wait) => {
            assert!(!wait.is_zero() && *wait <= LONGEST, "waits {wait:?}");
        }
        Class::Moved(chat) => assert!(!chat.is_empty(), "moved nowhere"),
        Class::Refused(refusal) | Class::Paused(refusal) | Class::Disconnected(refusal) => {
            worded(*refusal);
        }
        Class::WithoutReply
        | Class::Plain
        | Class::AsDocument
        | Class::AlreadySo
        | Class::Outage => {}
    }
}

fn worded(refusal: Refusal) {
    assert!(is_word(refusal.reason), "{refusal:?}");
    assert!(refusal.detail.ends_with('.'), "{refusal:?}");
}

fn is_word(reason: &str) -> bool {
    !reason.is_empty() && reason.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

/// A reply of a mail server, as `550-5.1.1 no such user`: what is put off is never given up, and what is refused says why.
pub fn smtp_reply(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let code = text.get(..3).and_then(|digits| digits.parse().ok());
    let code: u16 = code.filter(|code| (400..600).contains(code)).unwrap_or(550);
    // Behind the code of each line.
    let said: Vec<&str> = text
        .lines()
        .map(|line| line.get(4..).unwrap_or_default())
        .collect();
    let reply = SmtpReply::read(code, &said.join("\n"));
    assert!(reply.text.chars().count() <= 500, "a text without end");
    assert!(!reply.text.contains(char::is_control), "{:?}", reply.text);
    if let Some(Enhanced(class, subject, detail)) = reply.enhanced {
        assert!(matches!(class, 2 | 4 | 5) && subject < 1_000 && detail < 1_000);
    }
    for stage in [
        Stage::Greeting,
        Stage::Auth,
        Stage::Sender,
        Stage::Recipient,
        Stage::Content,
    ] {
        let class = classify(&reply, stage);
        can_be_told(&class);
        if code < 500 && code != 432 {
            assert_eq!(class, Class::Outage, "{code} is put off only");
        }
    }
    if let Some(id) = queue_id(&text) {
        assert!(id.len() <= 100 && id.bytes().any(|byte| byte.is_ascii_digit()));
    }
    let mended = with_crlf(data);
    assert_eq!(with_crlf(&mended), mended, "mended once is mended");
}

/// The codes in a server's words, and what they mean for a mail that was sent.
pub fn status_code(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let codes = status::codes(&text);
    assert!(
        codes.reply == 0 || (400..600).contains(&codes.reply),
        "{codes:?}"
    );
    let bad = codes.status.is_empty() || codes.status.starts_with(['4', '5']);
    assert!(bad, "{codes:?} is no failure");
    assert!(is_word(reason::of(&codes.status, codes.reply, &text)));
    let told = status::recipients(&text);
    assert!(told.len() <= RECIPIENTS_MAX, "recipients without end");
    let alone = status::recipient("a@b.example".to_owned(), None, &codes.status, &text);
    for recipient in told.iter().chain([&alone]) {
        let failed = matches!(recipient.action, Action::Failed | Action::Delayed);
        assert_eq!(is_word(recipient.reason), failed, "{recipient:?}");
        assert!(!recipient.permanent || recipient.action == Action::Failed);
        assert!(recipient.detail.len() <= 500, "words without end");
    }
}

/// What a provider answers in place of success, whatever status and header it comes under.
pub fn provider_error(data: &[u8]) {
    let body = serde_json::from_slice::<Value>(data).ok();
    let body = body.filter(Value::is_object);
    for status in [200, 302, 400, 401, 403, 404, 413, 429, 500, 503] {
        for after in [None, Some(0), Some(7), Some(u64::MAX)] {
            if let Some(body) = &body {
                let telegram = telegram::errors::ApiError::read(status, body, after);
                can_be_told(&telegram::errors::classify(&telegram));
                let viber = viber::errors::ApiError::read(body, after);
                can_be_told(&viber::errors::classify(&viber));
                let meta = instagram::errors::ApiError::read(status, body, after);
                can_be_told(&instagram::errors::classify(&meta));
                // What Meta repeats of a token is left out.
                let token = |word: &str| {
                    word.len() > 32 && word.bytes().any(|byte| byte.is_ascii_alphanumeric())
                };
                assert!(!meta.message.split(' ').any(token), "{}", meta.message);
            }
            let telegram = telegram::errors::ApiError::between(status, after);
            let viber = viber::errors::ApiError::between(status, after);
            let meta = instagram::errors::ApiError::between(status, after);
            for class in [
                telegram::errors::classify(&telegram),
                viber::errors::classify(&viber),
                instagram::errors::classify(&meta),
            ] {
                can_be_told(&class);
                let passes = matches!(class, Class::Outage | Class::Flood(_));
                assert!(passes, "{class:?} by something between");
            }
        }
    }
}

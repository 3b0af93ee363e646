//! Dead letters in which something stands.

use switchboard_proto::conversation::v1::Message;
use switchboard_proto::operator::v1::{DeadLetter, GetDeadLetterRequest};

use crate::connect::{SERVICES, Session};
use crate::error::CliError;
use crate::output::json;
use crate::verbs::deadletter;

/// Letters of one service that are opened at most, the newest first: each is a call.
const OPENED: usize = 200;

/// Returns the newest letters of all services in whose headers, payload or raw item the text stands.
pub(super) async fn about(session: &Session, text: &str) -> Result<Vec<DeadLetter>, CliError> {
    let mut found = Vec::new();
    for service in SERVICES {
        let mut letters = deadletter::all(session, service).await?;
        let account = session.settings.account.as_deref().unwrap_or_default();
        // What is nobody's may be this account's; what is another's is not.
        letters.retain(|letter| letter.account.is_empty() || letter.account == account);
        let mut client = session.operator(service).await?;
        for letter in letters.into_iter().rev().take(OPENED) {
            let sequence = letter.sequence;
            let opened = client
                .get_dead_letter(GetDeadLetterRequest { sequence })
                .await;
            // Replayed meanwhile: then it is no dead letter any more.
            let Ok(opened) = opened else { continue };
            let opened = opened.into_inner().dead_letter;
            found.extend(opened.filter(|letter| holds(letter, text)));
        }
    }
    Ok(found)
}

/// Whether a text stands in a letter: in an id, a header, the decoded payload, or the bytes as they are.
fn holds(letter: &DeadLetter, text: &str) -> bool {
    let wanted = text.to_lowercase();
    let has = |text: &str| text.to_lowercase().contains(&wanted);
    let decoded = json::decode(&letter.event_type, &letter.payload);
    has(&letter.event_id)
        || letter.headers.values().any(|value| has(value))
        || decoded.is_some_and(|value| has(&value.to_string()))
        || has(&String::from_utf8_lossy(&letter.payload))
}

/// Whether a letter is of a message, or of its conversation or chat.
pub(super) fn is_of(letter: &DeadLetter, message: &Message) -> bool {
    let ids = [
        &message.message_id,
        &message.conversation_id,
        &message.chat_id,
        &message.provider_key,
    ];
    ids.into_iter()
        .filter(|id| !id.is_empty())
        .any(|id| holds(letter, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o303_a_letter_is_found_by_what_stands_in_it() {
        let letter = DeadLetter {
            event_id: "0197e7a4-0000-7000-8000-000000000000".into(),
            headers: [("ce-subject".to_owned(), "chat-7".to_owned())].into(),
            payload: "{\"text\":\"Добрий день\"}".as_bytes().to_vec().into(),
            ..DeadLetter::default()
        };
        for (text, found) in [
            ("добрий", true),
            ("chat-7", true),
            ("0197e7a4", true),
            ("chat-8", false),
        ] {
            assert_eq!(holds(&letter, text), found, "{text}");
        }
        let message = Message {
            chat_id: "chat-7".into(),
            ..Message::default()
        };
        assert!(is_of(&letter, &message));
        assert!(
            !is_of(&letter, &Message::default()),
            "an empty id is in everything"
        );
    }
}

//! The External Lines field: how messengers know the client of an entity (F157).

use super::entity::messenger;
use super::ids::ChatId;

/// Chats of an entity's lines at most, of all together.
pub const CHATS_MAX: usize = 20;

/// A chat of an entity with the identity that writes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The chat.
    pub chat: ChatId,
    /// Kind of the messenger, as the chat keeps it.
    pub messenger: String,
    /// Where the user id is unique.
    pub scope: String,
    /// The messenger's id of the client; empty for chats whose identity was not kept.
    pub user_id: String,
    /// Name to show.
    pub name: String,
    /// Nick, or empty.
    pub username: String,
    /// Phone, or empty.
    pub phone: String,
    /// E-mail address, or empty.
    pub email: String,
}

/// How a messenger knows the client of an entity, and the chats with them there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalLine {
    /// Kind of the messenger.
    pub messenger: String,
    /// The client's account there.
    pub account: String,
    /// Name that the client goes by there.
    pub name: String,
    /// The chats, the newest first.
    pub chats: Vec<ChatId>,
}

/// Gathers chats, the newest first, by the identity that writes there: one line for each account of the client.
pub fn lines(written: impl IntoIterator<Item = Written>) -> Vec<ExternalLine> {
    let mut lines: Vec<((String, String), ExternalLine)> = Vec::new();
    for chat in written.into_iter().take(CHATS_MAX) {
        let kind = if chat.messenger.is_empty() {
            messenger(&chat.scope).to_owned()
        } else {
            chat.messenger.clone()
        };
        // One bot's user and another's are one account where the messenger says so: then they share a scope (D27).
        let key = match chat.scope.as_str() {
            "" => (kind.clone(), chat.chat.to_string()),
            scope => (scope.to_owned(), chat.user_id.clone()),
        };
        match lines.iter_mut().find(|(known, _)| *known == key) {
            Some((_, line)) => line.chats.push(chat.chat),
            None => lines.push((
                key,
                ExternalLine {
                    messenger: kind,
                    account: account(&chat),
                    name: chat.name,
                    chats: vec![chat.chat],
                },
            )),
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// The client's account, as a person writes it: the nick with an @, else the address, the phone, or the messenger's own id.
fn account(chat: &Written) -> String {
    if !chat.username.is_empty() {
        return format!("@{}", chat.username.trim_start_matches('@'));
    }
    let known = [&chat.email, &chat.phone, &chat.user_id].into_iter();
    let mut known = known.filter(|text| !text.is_empty());
    known.next().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn written(chat: u128, scope: &str, user: &str) -> Written {
        Written {
            chat: Uuid::from_u128(chat).into(),
            messenger: messenger(scope).to_owned(),
            scope: scope.into(),
            user_id: user.into(),
            name: format!("Client {user}"),
            username: String::new(),
            phone: String::new(),
            email: String::new(),
        }
    }

    #[test]
    fn f157_an_external_line_names_the_clients_account_and_the_messenger() {
        for (username, email, phone, expected) in [
            ("olena", "o@kava.ua", "+380501112233", "@olena"),
            ("@olena", "", "", "@olena"),
            ("", "o@kava.ua", "+380501112233", "o@kava.ua"),
            ("", "", "+380501112233", "+380501112233"),
            ("", "", "", "7"),
        ] {
            let chat = Written {
                username: username.into(),
                email: email.into(),
                phone: phone.into(),
                ..written(1, "telegram", "7")
            };
            let found = lines([chat]);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].account, expected);
            assert_eq!(found[0].messenger, "telegram");
            assert_eq!(found[0].name, "Client 7");
        }
    }

    #[test]
    fn f153_two_chats_of_one_account_are_one_line_and_of_two_accounts_two() {
        let found = lines([
            written(3, "telegram", "7"),
            written(2, "viber:bot-a", "7"),
            written(1, "telegram", "7"),
        ]);
        let seen: Vec<_> = found
            .iter()
            .map(|line| (line.messenger.as_str(), line.chats.len()))
            .collect();
        assert_eq!(seen, [("telegram", 2), ("viber", 1)]);
        assert_eq!(found[0].chats[0], Uuid::from_u128(3).into());
    }

    #[test]
    fn chats_whose_identity_was_not_kept_are_lines_of_their_own_and_lines_are_bounded() {
        let unknown = |chat| Written {
            messenger: "telegram".into(),
            ..written(chat, "", "")
        };
        assert_eq!(lines([unknown(1), unknown(2)]).len(), 2);
        let many = lines((1..100).map(|chat| written(chat, "telegram", "7")));
        assert_eq!(many[0].chats.len(), CHATS_MAX);
    }
}

//! The sentences of system messages (D33): a kind and parameters, worded in the account's language. Kind and parameters are
//! stored beside an English text, so that a reader's answer words them anew.

mod english;
mod ukrainian;

use switchboard_proto::conversation::v1::SystemNotice;
use uuid::Uuid;

use crate::domain::words::Language;

/// What a notice says, to be worded.
#[derive(Clone, Copy)]
struct Facts<'n>(&'n SystemNotice);

impl<'n> Facts<'n> {
    fn kind(self) -> &'n str {
        &self.0.kind
    }

    /// Returns a parameter that says something.
    fn value(self, key: &str) -> Option<&'n str> {
        let value = self.0.parameters.get(key).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

/// Words a notice. A kind that a language does not know stands for itself.
pub fn sentence(language: Language, notice: &SystemNotice) -> String {
    match language {
        Language::English => english::sentence(Facts(notice)),
        Language::Ukrainian => ukrainian::sentence(Facts(notice)),
    }
}

/// Words a notice for its readers.
pub fn worded(language: Language, mut notice: SystemNotice) -> SystemNotice {
    notice.text = sentence(language, &notice);
    notice
}

/// Returns the entity that a notice names under a key.
pub fn entity(notice: &SystemNotice, key: &str) -> Option<Uuid> {
    notice.parameters.get(key)?.parse().ok()
}

/// Returns the cards and contacts that a notice names.
pub fn entities(notice: &SystemNotice) -> impl Iterator<Item = Uuid> + '_ {
    ["card_id", "contact_id"]
        .into_iter()
        .filter_map(|key| entity(notice, key))
}

/// Leaves of a notice about a card or an order only that there is one, for agents who may not see cards (F176).
pub fn without_card(mut notice: SystemNotice) -> SystemNotice {
    let kinds = ["card.created", "card.converted", "order.created"];
    if kinds.contains(&notice.kind.as_str()) {
        notice.parameters.clear();
        notice.text = sentence(Language::English, &notice);
    }
    notice
}

/// Leaves of a notice about a converted lead what belongs to cards, for agents who may not see contacts and companies.
pub fn without_people(mut notice: SystemNotice) -> SystemNotice {
    if notice.kind == "card.converted" {
        let of_people = |key: &str| key.starts_with("contact_") || key.starts_with("company_");
        notice.parameters.retain(|key, _| !of_people(key));
        notice.text = sentence(Language::English, &notice);
    }
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: &str, parameters: &[(&str, &str)]) -> SystemNotice {
        let parameters = parameters.iter();
        let mut notice = SystemNotice {
            kind: kind.to_owned(),
            parameters: parameters
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..SystemNotice::default()
        };
        notice.text = sentence(Language::English, &notice);
        notice
    }

    /// Every kind that a chat's history may hold, with parameters that its sentences tell apart.
    const KINDS: [(&str, &[(&str, &str)]); 38] = [
        ("conversation.opened", &[("number", "7")]),
        ("conversation.continued", &[("number", "7")]),
        ("conversation.closed", &[("number", "7")]),
        ("chat.spam", &[]),
        ("chat.restored", &[]),
        ("chat.renamed", &[]),
        ("chat.renamed", &[("name", "Kava")]),
        ("chat.image-changed", &[]),
        ("chat.reply-waived", &[]),
        ("chat.labelled", &[("added", "VIP")]),
        ("chat.labelled", &[("removed", "VIP")]),
        ("chat.snoozed", &[]),
        ("chat.snoozed", &[("until", "2026-03-02T18:00:00Z")]),
        ("chat.woken", &[]),
        ("bot.started", &[("name", "Asker")]),
        ("bot.stopped", &[("name", "Asker"), ("reason", "answered")]),
        ("nps.answered", &[("score", "9")]),
        ("nps.answered", &[("score", "9"), ("comment", "fast")]),
        ("nps.skipped", &[("reason", "window-closed")]),
        ("nps.skipped", &[("reason", "closed-by-bot")]),
        ("nps.skipped", &[("reason", "client-blocked")]),
        ("nps.skipped", &[("reason", "channel-off")]),
        ("nps.skipped", &[("reason", "not-delivered")]),
        ("client.came", &[]),
        ("client.came", &[("payload", "ad")]),
        ("chat.assigned", &[]),
        ("chat.assigned", &[("previous_agent_id", "1")]),
        ("chat.unassigned", &[]),
        ("chat.unassigned", &[("reason", "agent-inactive")]),
        ("chat.unassigned", &[("reason", "channel-not-granted")]),
        ("chat.unassigned", &[("reason", "offer-passed")]),
        ("chat.joined", &[]),
        ("chat.left", &[]),
        ("chat.left", &[("reason", "redirected")]),
        ("chat.left", &[("reason", "unassigned")]),
        ("card.created", &[("title", "Olena")]),
        (
            "card.converted",
            &[("title", "Olena"), ("contact_name", "Olena K.")],
        ),
        ("order.created", &[("number", "7")]),
    ];

    #[test]
    fn d33_each_language_has_a_sentence_of_its_own_for_each_notice() {
        let mut all = std::collections::BTreeSet::new();
        for (kind, parameters) in KINDS {
            let notice = notice(kind, parameters);
            for language in [Language::English, Language::Ukrainian] {
                let text = sentence(language, &notice);
                assert_ne!(text, kind, "{language:?} has no words for it");
                assert!(
                    all.insert(text.clone()),
                    "{language:?}: {text} is said twice"
                );
            }
        }
    }

    #[test]
    fn f137_what_a_lead_became_is_told_as_far_as_the_reader_sees_it() {
        let whole = notice(
            "card.converted",
            &[
                ("card_id", "1"),
                ("title", "Olena"),
                ("contact_id", "2"),
                ("contact_name", "Olena K."),
                ("company_id", "3"),
                ("company_name", "Kava"),
            ],
        );
        let text = r#"Lead "Olena" became a deal, contact "Olena K.", company "Kava""#;
        assert_eq!(whole.text, text);
        let cards = without_people(whole.clone());
        assert_eq!(cards.text, r#"Lead "Olena" became a deal"#);
        let keys: Vec<&String> = cards.parameters.keys().collect();
        assert_eq!(keys.len(), 2, "{keys:?}");
        let nothing = without_card(whole);
        assert_eq!(nothing.text, "A lead became a deal");
        assert!(nothing.parameters.is_empty());
    }

    #[test]
    fn x10_an_order_is_told_with_its_number_to_who_may_see_it() {
        let order = notice("order.created", &[("order_id", "1"), ("number", "7")]);
        assert_eq!(order.text, "Order 7 was created");
        assert_eq!(without_people(order.clone()).text, "Order 7 was created");
        assert_eq!(without_card(order).text, "An order was created");
    }
}

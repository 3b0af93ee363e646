//! The sentences of system messages (D33): a kind and parameters, worded in English. The account's language comes
//! with its settings; kind and parameters are stored beside the text, so that it can be worded anew.

use switchboard_proto::conversation::v1::SystemNotice;

/// Words a notice.
pub fn sentence(notice: &SystemNotice) -> String {
    let value = |key: &str| {
        notice
            .parameters
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    };
    let number = value("number").unwrap_or("?");
    match notice.kind.as_str() {
        "conversation.opened" => format!("Conversation {number} was opened"),
        "conversation.continued" => format!("Conversation {number} was continued"),
        "conversation.closed" => format!("Conversation {number} was closed"),
        "client.came" => value("payload").map_or_else(
            || "The client came by a link".to_owned(),
            |payload| format!("The client came by the link \"{payload}\""),
        ),
        "chat.assigned" => match value("previous_agent_id") {
            Some(_) => "The chat has a new responsible".to_owned(),
            None => "The chat has a responsible".to_owned(),
        },
        "chat.unassigned" => match value("reason") {
            Some(reason @ ("agent-inactive" | "channel-not-granted" | "chat-access-missing")) => {
                format!("The chat has no responsible any more: {}", lost(reason))
            }
            Some("offer-passed") => {
                "The agent did not take the chat in time: it is offered to others".to_owned()
            }
            _ => "The chat has no responsible any more".to_owned(),
        },
        "chat.joined" => "An agent joined the chat".to_owned(),
        "chat.left" => match value("reason") {
            Some("redirected") => "An agent handed the chat over and left".to_owned(),
            Some("unassigned") => "An agent left the chat, which is unassigned now".to_owned(),
            Some(reason @ ("agent-inactive" | "channel-not-granted" | "chat-access-missing")) => {
                format!("An agent left the chat: {}", lost(reason))
            }
            _ => "An agent left the chat".to_owned(),
        },
        "card.created" => value("title").map_or_else(
            || "A card was created".to_owned(),
            |title| format!("Card \"{title}\" was created"),
        ),
        "card.converted" => converted(value("title"), value("contact_name"), value("company_name")),
        "order.created" => value("number").map_or_else(
            || "An order was created".to_owned(),
            |number| format!("Order {number} was created"),
        ),
        kind => kind.to_owned(),
    }
}

/// Words what a lead became (F137).
fn converted(title: Option<&str>, contact: Option<&str>, company: Option<&str>) -> String {
    let card = title.map_or_else(|| "A lead".to_owned(), |title| format!("Lead \"{title}\""));
    let contact = contact.map(|name| format!(", contact \"{name}\""));
    let company = company.map(|name| format!(", company \"{name}\""));
    let (contact, company) = (contact.unwrap_or_default(), company.unwrap_or_default());
    format!("{card} became a deal{contact}{company}")
}

/// Words why an agent had to leave a chat.
fn lost(reason: &str) -> &'static str {
    match reason {
        "channel-not-granted" => "the channel is not granted to the agent any more",
        "chat-access-missing" => "the agent has no access to chats any more",
        _ => "the agent is inactive",
    }
}

/// Leaves of a notice about a card or an order only that there is one, for agents who may not see cards (F176).
pub fn without_card(mut notice: SystemNotice) -> SystemNotice {
    let kinds = ["card.created", "card.converted", "order.created"];
    if kinds.contains(&notice.kind.as_str()) {
        notice.parameters.clear();
        notice.text = sentence(&notice);
    }
    notice
}

/// Leaves of a notice about a converted lead what belongs to cards, for agents who may not see contacts and companies.
pub fn without_people(mut notice: SystemNotice) -> SystemNotice {
    if notice.kind == "card.converted" {
        let of_people = |key: &str| key.starts_with("contact_") || key.starts_with("company_");
        notice.parameters.retain(|key, _| !of_people(key));
        notice.text = sentence(&notice);
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
        notice.text = sentence(&notice);
        notice
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

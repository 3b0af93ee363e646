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
        kind => kind.to_owned(),
    }
}

/// Words why an agent had to leave a chat.
fn lost(reason: &str) -> &'static str {
    match reason {
        "channel-not-granted" => "the channel is not granted to the agent any more",
        "chat-access-missing" => "the agent has no access to chats any more",
        _ => "the agent is inactive",
    }
}

/// Leaves of a notice about a card only that there is one, for agents who may not see cards (F176).
pub fn without_card(mut notice: SystemNotice) -> SystemNotice {
    if notice.kind == "card.created" {
        notice.parameters.clear();
        notice.text = sentence(&notice);
    }
    notice
}

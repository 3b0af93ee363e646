//! The sentences in English.

use super::Facts;

/// Words a notice.
pub(super) fn sentence(facts: Facts<'_>) -> String {
    let value = |key| facts.value(key);
    let number = value("number").unwrap_or("?");
    match facts.kind() {
        "conversation.opened" => format!("Conversation {number} was opened"),
        "conversation.continued" => format!("Conversation {number} was continued"),
        "conversation.closed" => format!("Conversation {number} was closed"),
        "chat.spam" => "The chat was marked as spam".to_owned(),
        "chat.restored" => "The chat is spam no more".to_owned(),
        "chat.renamed" => value("name").map_or_else(
            || "The chat has lost its name".to_owned(),
            |name| format!("The chat is called \"{name}\" now"),
        ),
        "chat.image-changed" => "The chat has another image".to_owned(),
        "chat.labelled" => labelled(value("added"), value("removed")),
        "chat.snoozed" if value("woken").is_none() => value("until").map_or_else(
            || "The chat is put off until the client writes".to_owned(),
            |until| format!("The chat is put off until {until}"),
        ),
        "chat.snoozed" | "chat.woken" => "The chat is taken up again".to_owned(),
        "bot.started" => format!(
            "Bot \"{name}\" was started",
            name = value("name").unwrap_or_default()
        ),
        "bot.stopped" => format!(
            "Bot \"{name}\" has ended: {}",
            ended(value("reason").unwrap_or_default()),
            name = value("name").unwrap_or_default()
        ),
        "nps.answered" => {
            let score = value("score").unwrap_or("?");
            value("comment").map_or_else(
                || format!("The client answered NPS: {score}"),
                |comment| format!("The client answered NPS: {score}, \"{comment}\""),
            )
        }
        "nps.skipped" if value("reason") == Some("closed-by-bot") => {
            "NPS was not sent: a bot ended the conversation".to_owned()
        }
        "nps.skipped" => match value("reason") {
            Some("client-blocked") => "NPS was not sent: the client has blocked the channel",
            Some("channel-off") => "NPS was not sent: the channel is switched off",
            Some("not-delivered") => "NPS did not reach the client",
            _ => "NPS was not sent: the channel could not take it",
        }
        .to_owned(),
        "chat.reply-waived" => "No reply is needed".to_owned(),
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

/// Words which labels came and went.
fn labelled(added: Option<&str>, removed: Option<&str>) -> String {
    let added = added.map(|names| format!("labelled {names}"));
    let removed = removed.map(|names| format!("no longer labelled {names}"));
    let changes: Vec<String> = [added, removed].into_iter().flatten().collect();
    format!("The chat is {}", changes.join(" and "))
}

/// Words why a bot's run ended.
fn ended(reason: &str) -> &'static str {
    match reason {
        "stopped" => "it was stopped",
        "answered" => "an agent answered",
        "closed" => "the conversation was closed",
        "failed" => "it could not go on",
        _ => "it is done",
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

//! The sentences in Ukrainian.

use super::Facts;

/// Words a notice.
pub(super) fn sentence(facts: Facts<'_>) -> String {
    let value = |key| facts.value(key);
    let number = value("number").unwrap_or("?");
    match facts.kind() {
        "conversation.opened" => format!("Розмову {number} відкрито"),
        "conversation.continued" => format!("Розмову {number} продовжено"),
        "conversation.closed" => format!("Розмову {number} закрито"),
        "chat.spam" => "Чат позначено як спам".to_owned(),
        "chat.restored" => "Чат більше не спам".to_owned(),
        "chat.renamed" => value("name").map_or_else(
            || "Чат більше не має власної назви".to_owned(),
            |name| format!("Чат тепер називається «{name}»"),
        ),
        "chat.image-changed" => "Чат має інше зображення".to_owned(),
        "chat.labelled" => labelled(value("added"), value("removed")),
        "chat.snoozed" if value("woken").is_none() => value("until").map_or_else(
            || "Чат відкладено, доки клієнт не напише".to_owned(),
            |until| format!("Чат відкладено до {until}"),
        ),
        "chat.snoozed" | "chat.woken" => "До чату повернулися".to_owned(),
        "bot.started" => format!(
            "Бот «{name}» запущено",
            name = value("name").unwrap_or_default()
        ),
        "bot.stopped" => format!(
            "Бот «{name}» завершив роботу: {}",
            ended(value("reason").unwrap_or_default()),
            name = value("name").unwrap_or_default()
        ),
        "nps.answered" => {
            let score = value("score").unwrap_or("?");
            value("comment").map_or_else(
                || format!("Клієнт відповів на NPS: {score}"),
                |comment| format!("Клієнт відповів на NPS: {score}, «{comment}»"),
            )
        }
        "nps.skipped" if value("reason") == Some("closed-by-bot") => {
            "NPS не надіслано: розмову завершив бот".to_owned()
        }
        "nps.skipped" => match value("reason") {
            Some("client-blocked") => "NPS не надіслано: клієнт заблокував канал",
            Some("channel-off") => "NPS не надіслано: канал вимкнено",
            Some("not-delivered") => "NPS не дійшло до клієнта",
            _ => "NPS не надіслано: канал не зміг його прийняти",
        }
        .to_owned(),
        "chat.reply-waived" => "Відповідь не потрібна".to_owned(),
        "client.came" => value("payload").map_or_else(
            || "Клієнт прийшов за посиланням".to_owned(),
            |payload| format!("Клієнт прийшов за посиланням «{payload}»"),
        ),
        "chat.assigned" => match value("previous_agent_id") {
            Some(_) => "У чату новий відповідальний".to_owned(),
            None => "У чату є відповідальний".to_owned(),
        },
        "chat.unassigned" => match value("reason") {
            Some(reason @ ("agent-inactive" | "channel-not-granted" | "chat-access-missing")) => {
                format!("Чат більше не має відповідального: {}", lost(reason))
            }
            Some("offer-passed") => "Агент не взяв чат вчасно: його пропонують іншим".to_owned(),
            _ => "Чат більше не має відповідального".to_owned(),
        },
        "chat.joined" => "До чату приєднався агент".to_owned(),
        "chat.left" => match value("reason") {
            Some("redirected") => "Агент передав чат і вийшов".to_owned(),
            Some("unassigned") => "Агент вийшов із чату, відповідального немає".to_owned(),
            Some(reason @ ("agent-inactive" | "channel-not-granted" | "chat-access-missing")) => {
                format!("Агент вийшов із чату: {}", lost(reason))
            }
            _ => "Агент вийшов із чату".to_owned(),
        },
        "card.created" => value("title").map_or_else(
            || "Створено картку".to_owned(),
            |title| format!("Створено картку «{title}»"),
        ),
        "card.converted" => converted(value("title"), value("contact_name"), value("company_name")),
        "order.created" => value("number").map_or_else(
            || "Створено замовлення".to_owned(),
            |number| format!("Створено замовлення {number}"),
        ),
        kind => kind.to_owned(),
    }
}

/// Words which labels came and went.
fn labelled(added: Option<&str>, removed: Option<&str>) -> String {
    let added = added.map(|names| format!("додано мітки: {names}"));
    let removed = removed.map(|names| format!("знято мітки: {names}"));
    let changes: Vec<String> = [added, removed].into_iter().flatten().collect();
    format!("Чат: {}", changes.join("; "))
}

/// Words why a bot's run ended.
fn ended(reason: &str) -> &'static str {
    match reason {
        "stopped" => "його зупинено",
        "answered" => "відповів агент",
        "closed" => "розмову закрито",
        "failed" => "він не зміг продовжити",
        _ => "усе виконано",
    }
}

/// Words what a lead became (F137).
fn converted(title: Option<&str>, contact: Option<&str>, company: Option<&str>) -> String {
    let card = title.map_or_else(|| "Лід".to_owned(), |title| format!("Лід «{title}»"));
    let contact = contact.map(|name| format!(", контакт «{name}»"));
    let company = company.map(|name| format!(", компанія «{name}»"));
    let (contact, company) = (contact.unwrap_or_default(), company.unwrap_or_default());
    format!("{card} став угодою{contact}{company}")
}

/// Words why an agent had to leave a chat.
fn lost(reason: &str) -> &'static str {
    match reason {
        "channel-not-granted" => "канал агентові більше не доступний",
        "chat-access-missing" => "агент більше не має доступу до чатів",
        _ => "агент неактивний",
    }
}

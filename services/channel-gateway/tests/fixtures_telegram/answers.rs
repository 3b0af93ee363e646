//! Real answers of the Bot API: results, refusals, and what the refusals mean.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use channel_gateway::domain::refusal::Class;
use channel_gateway::domain::telegram::errors::{ApiError, classify};
use channel_gateway::domain::telegram::health::{WebhookInfo, judge};
use channel_gateway::provider::CallError;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::calls::{speaking_to, token};
use crate::{fixtures, json_of};

#[tokio::test]
async fn real_answers_of_the_bot_api_are_told_apart() {
    let Some(folder) = fixtures() else { return };
    let index = json_of(&folder.join("index.json"));
    let (mut answers, mut webhooks) = (0, 0);
    for record in index.as_array().unwrap() {
        let name = record["file"].as_str().unwrap();
        let form = record["form"].as_str().unwrap();
        if form.ends_with("TelegramResponse<WebhookInfo>") {
            let info = WebhookInfo::read(&json_of(&folder.join(name))["result"]);
            let judged = judge(
                &info,
                "https://gw.example.ua/in",
                OffsetDateTime::UNIX_EPOCH,
            );
            assert_eq!(judged.mendable[0].reason, "WEBHOOK_MISSING", "{name}");
            webhooks += 1;
        }
        if form != "bot-api-response" {
            continue;
        }
        answers += 1;
        let body = json_of(&folder.join(name));
        // The status equals `error_code`; where the record has none that a refusal can have, 400 is what it comes with.
        let code = body["error_code"].as_u64().filter(|code| *code >= 400);
        let code = if body["ok"] == json!(false) {
            u16::try_from(code.unwrap_or(400)).unwrap()
        } else {
            200
        };
        let status = StatusCode::from_u16(code).unwrap();
        let shown = body.clone();
        let (bots, _) =
            speaking_to(move || (status, axum::Json(shown.clone())).into_response()).await;
        let read = bots.call(&token(), "sendMessage", &json!({})).await;
        if body["ok"] == json!(true) {
            assert_eq!(read.unwrap(), body["result"], "{name}");
            continue;
        }
        if body["ok"] != json!(false) {
            assert!(matches!(read, Err(CallError::Unknown(_))), "{name}");
            continue;
        }
        let Err(CallError::Refused(error)) = read else {
            panic!("{name}: {read:?}")
        };
        assert_eq!(
            error.description,
            body["description"].as_str().unwrap(),
            "{name}"
        );
        let class = classify(&error);
        if let Some(seconds) = body
            .pointer("/parameters/retry_after")
            .and_then(Value::as_u64)
        {
            let longest = Duration::from_hours(24);
            assert_eq!(
                class,
                Class::Flood(Duration::from_secs(seconds).min(longest)),
                "{name}"
            );
        } else if let Some(chat) = body.pointer("/parameters/migrate_to_chat_id") {
            assert_eq!(class, Class::Moved(chat.to_string()), "{name}");
        } else if error.description.contains("blocked") {
            assert!(
                matches!(class, Class::Refused(refusal) if refusal.retryable),
                "{name}"
            );
        } else {
            assert!(matches!(class, Class::Refused(_)), "{name}: {class:?}");
        }
    }
    assert!(answers > 0 && webhooks > 0, "the index has other names now");
}

#[test]
fn refusals_that_the_real_bot_api_words_are_told_apart() {
    let Some(folder) = fixtures() else { return };
    let list = json_of(&folder.join("teloxide-core/bot-api-error-descriptions.json"));
    for entry in list.as_array().unwrap() {
        let (meaning, description) = (
            entry["meaning"].as_str().unwrap(),
            entry["description"].as_str().unwrap(),
        );
        let code = if description.starts_with("Forbidden") {
            403
        } else if description.starts_with("Unauthorized") {
            401
        } else if description.starts_with("Request Entity") {
            413
        } else {
            400
        };
        let class = classify(&ApiError {
            code,
            description: description.into(),
            ..ApiError::default()
        });
        let reason = match &class {
            Class::Refused(refusal) | Class::Disconnected(refusal) => refusal.reason,
            Class::WithoutReply => "without reply",
            Class::AlreadySo => "already so",
            Class::AsDocument => "as document",
            other => panic!("{description}: {other:?}"),
        };
        let expected = match meaning {
            "BotBlocked" => "CLIENT_BLOCKED_CHANNEL",
            "InvalidToken" => "CREDENTIALS_REFUSED",
            "MessageToReplyNotFound" => "without reply",
            "ChatDescriptionIsNotModified" | "MessageToDeleteNotFound" => "already so",
            "ChatNotFound" | "UserNotFound" => "CHAT_NOT_FOUND",
            "UserDeactivated" => "CLIENT_DELETED",
            "CantInitiateConversation" => "CLIENT_NEVER_STARTED",
            "CantTalkWithBots" => "CLIENT_IS_BOT",
            "BotKicked" | "BotKickedFromSupergroup" | "BotKickedFromChannel" => "CHAT_LEFT",
            "GroupDeactivated" => "CHAT_GONE",
            "MessageIsTooLong" | "EditedMessageIsTooLong" => "MESSAGE_TOO_LONG",
            "MessageTextIsEmpty" => "MESSAGE_EMPTY",
            "MessageCantBeEdited" => "MESSAGE_NOT_EDITABLE",
            "MessageCantBeDeleted" => "MESSAGE_NOT_DELETABLE",
            "MessageToEditNotFound" | "MessageIdInvalid" | "MessageIdentifierNotSpecified" => {
                "MESSAGE_NOT_FOUND"
            }
            "RequestEntityTooLarge" => "FILE_TOO_LARGE",
            "ImageProcessFailed" => "as document",
            "WrongFileId" | "WrongFileIdOrUrl" | "FileIdInvalid" => "FILE_UNAVAILABLE",
            "WrongHttpUrl" | "FailedToGetUrlContent" => "FILE_UNREACHABLE",
            "InvalidQueryId" => "PRESS_EXPIRED",
            "WebhookRequireHttps" | "BadWebhookPort" | "UnknownHost" => "WEBHOOK_REFUSED",
            meaning if meaning.starts_with("NotEnoughRights") => "RIGHTS_MISSING",
            _ => "MESSAGE_REFUSED",
        };
        assert_eq!(reason, expected, "{meaning}: {description}");
    }
}

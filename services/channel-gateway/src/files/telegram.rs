//! Files of Telegram: `getFile` tells a path that is good for an hour, and the path leads to the bytes (channels.md
//! §2.4). The address holds the bot's token: it never leaves this module.

use futures::StreamExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::source::{GONE, NotOpened, REFUSED, TOO_LARGE_FOR_BOTS};
use super::store::{Broken, Bytestream};
use crate::app::book::Known;
use crate::domain::refusal::Class;
use crate::domain::telegram::errors::{ApiError, classify};
use crate::provider::CallError;
use crate::provider::telegram::BotApi;

/// Fetches files of bots.
pub struct FromTelegram {
    bots: BotApi,
    http: reqwest::Client,
    base: String,
}

impl FromTelegram {
    /// Makes a source that asks the same server as the calls do. `http` has no time-out of its own.
    pub fn new(bots: BotApi, http: reqwest::Client, api_url: &str) -> Self {
        Self {
            bots,
            http,
            base: api_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Opens a file by its id.
    pub async fn open(&self, channel: &Known, file_id: &str) -> Result<Bytestream, NotOpened> {
        let asked = json!({ "file_id": file_id });
        let file = self.bots.call(&channel.token, "getFile", &asked).await;
        let file = file.map_err(|error| not_told(&error))?;
        let path = file.get("file_path").and_then(Value::as_str);
        let path = path
            .filter(|path| is_plain(path))
            .ok_or(NotOpened::Never(GONE))?;
        let token = channel.token.expose_secret();
        let url = format!("{}/file/bot{token}/{path}", self.base);
        let answer = self.http.get(url).send().await;
        // What the error holds of the request is the token.
        let answer = answer.map_err(|_| NotOpened::Later(None))?;
        match answer.status().as_u16() {
            200 => Ok(answer
                .bytes_stream()
                .map(|piece| {
                    piece.map_err(|_| Broken("Telegram broke off within the file.".to_owned()))
                })
                .boxed()),
            // The path has expired meanwhile: the next try asks for another.
            404 => Err(NotOpened::Later(None)),
            status @ 400..=499 if status != 429 => Err(NotOpened::Never(REFUSED)),
            _ => Err(NotOpened::Later(None)),
        }
    }
}

/// A path that stays below the bot's folder.
fn is_plain(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|segment| {
            !segment.is_empty()
                && segment != "."
                && segment != ".."
                && segment
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        })
}

fn not_told(error: &CallError<ApiError>) -> NotOpened {
    let CallError::Refused(refused) = error else {
        return NotOpened::Later(None);
    };
    if refused.description.contains("file is too big") {
        return NotOpened::Never(TOO_LARGE_FOR_BOTS);
    }
    match classify(refused) {
        Class::Refused(_) => NotOpened::Never(REFUSED),
        Class::Flood(wait) => NotOpened::Later(Some(wait)),
        _ => NotOpened::Later(None),
    }
}

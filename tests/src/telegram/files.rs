//! Files of the stand-in: what was uploaded or put there, given back by id and path.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::answer::{Answer, Refusal, respond};
use super::faults::FaultKind;
use super::params::Params;
use super::state::{Bot, State};

/// Largest file that `getFile` gives: 20 MiB.
const DOWNLOAD_LIMIT: usize = 20 * 1024 * 1024;
/// Largest picture that is taken as such.
const PHOTO_LIMIT: usize = 10 * 1024 * 1024;
/// Largest file of any other kind.
const UPLOAD_LIMIT: usize = 50 * 1024 * 1024;

/// A file that a call names.
pub(super) struct Named {
    pub file_id: String,
    pub size: Option<usize>,
    pub name: Option<String>,
    pub mime: Option<String>,
    /// Width and height, where they were seen in the content.
    pub measures: Option<(u32, u32)>,
}

impl Named {
    /// The fields that every kind of file has.
    pub fn object(&self) -> Value {
        let mut object =
            json!({ "file_id": self.file_id, "file_unique_id": unique_of(&self.file_id) });
        if let Some(size) = self.size {
            object["file_size"] = json!(size);
        }
        object
    }
}

/// The file that a call wants to send: uploaded, known by its id, or at an address (which nobody asks here).
pub(super) fn named(
    bot: &Bot,
    params: &Params,
    kind: &str,
    field: &str,
    value: Option<&str>,
) -> Result<Named, Refusal> {
    let value = value.filter(|value| !value.is_empty());
    if let Some(uploaded) = params.file(field, value) {
        let (name, size) = (&uploaded.file.name, uploaded.content.len());
        if size == 0 {
            return Err(Refusal::bad("file must be non-empty"));
        }
        if kind == "photo" && size > PHOTO_LIMIT {
            return Err(Refusal::bad(&format!(
                "file \"{name}\" of size {size} bytes is too big for a photo"
            )));
        }
        if size > UPLOAD_LIMIT {
            return Err(Refusal::new(413, "Request Entity Too Large"));
        }
        let measures = png_measures(&uploaded.content);
        if kind == "photo" && measures.is_some_and(|measures| !fits_as_photo(measures)) {
            return Err(Refusal::bad("PHOTO_INVALID_DIMENSIONS"));
        }
        let file_id = new_id(bot, prefix_of(kind));
        let ending = name.rsplit_once('.').map_or("bin", |(_, ending)| ending);
        let ending: String = ending.chars().filter(char::is_ascii_alphanumeric).collect();
        let path = format!("{kind}s/file_{}.{ending}", bot.next_file_number());
        bot.put_file(&file_id, &path, uploaded.content.clone(), None);
        return Ok(Named {
            file_id,
            size: Some(size),
            name: Some(name.clone()),
            mime: uploaded.file.mime.clone(),
            measures,
        });
    }
    let value = value.ok_or_else(|| Refusal::bad(&format!("there is no {kind} in the request")))?;
    let known = bot.file(value);
    let fetched = value.starts_with("http://") || value.starts_with("https://");
    match known {
        Some(file) => Ok(Named {
            file_id: value.to_owned(),
            size: Some(file.size),
            name: None,
            mime: None,
            measures: None,
        }),
        None if fetched => Ok(Named {
            file_id: new_id(bot, prefix_of(kind)),
            size: None,
            name: None,
            mime: None,
            measures: None,
        }),
        None => Err(Refusal::bad("wrong file identifier/HTTP URL specified")),
    }
}

fn prefix_of(kind: &str) -> &'static str {
    match kind {
        "photo" => "AgAC",
        "video" => "BAAC",
        "voice" => "AwAC",
        "audio" => "CQAC",
        "video_note" => "DQAC",
        "animation" => "CgAC",
        "sticker" => "CAAC",
        _ => "BQAC",
    }
}

fn new_id(bot: &Bot, prefix: &str) -> String {
    format!("{prefix}{}-{}", bot.id, uuid::Uuid::new_v4().simple())
}

pub(super) fn unique_of(file_id: &str) -> String {
    file_id.chars().rev().take(12).collect()
}

/// Width and height of a PNG, whose header begins with them.
fn png_measures(content: &[u8]) -> Option<(u32, u32)> {
    let header = content.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |from: usize| {
        let bytes = header.get(from..from + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    Some((number(8)?, number(12)?))
}

fn fits_as_photo((width, height): (u32, u32)) -> bool {
    let (short, long) = (width.min(height), width.max(height));
    width.saturating_add(height) <= 10_000 && short > 0 && long / short <= 20
}

pub(super) fn get_file(bot: &Bot, params: &Params) -> Answer {
    let file_id = params.text("file_id").unwrap_or_default();
    let file = bot
        .file(file_id)
        .ok_or_else(|| Refusal::bad("invalid file_id"))?;
    if file.size > DOWNLOAD_LIMIT {
        return Err(Refusal::bad("file is too big"));
    }
    Ok(json!({
        "file_id": file_id, "file_unique_id": unique_of(file_id), "file_size": file.size, "file_path": file.path,
    }))
}

/// Has a customer show a photo; an empty one takes it away.
pub(super) fn put_photo(bot: &Bot, customer: i64, content: bytes::Bytes) {
    let photo = (!content.is_empty()).then(|| {
        let file_id = new_id(bot, "AgAC");
        let path = format!("profile_photos/file_{}.jpg", bot.next_file_number());
        bot.put_file(&file_id, &path, content, None);
        file_id
    });
    bot.change_customer(customer, |customer| customer.photo = photo);
}

/// The photo that a person shows, in two sizes; who has none, or was never met, is told of as Telegram does.
pub(super) fn profile_photos(bot: &Bot, params: &Params) -> Answer {
    let user = params
        .integer("user_id")
        .ok_or_else(|| Refusal::bad("invalid user_id specified"))?;
    let photo = bot.known_customer(user).and_then(|known| known.photo);
    let photos: Vec<Value> = photo
        .and_then(|file_id| Some((bot.file(&file_id)?.size, file_id)))
        .map(|(size, file_id)| {
            // The small one is no file here: nobody shall take it.
            json!([
                { "file_id": format!("{file_id}-s"), "file_unique_id": "small", "width": 160, "height": 160, "file_size": 9 },
                { "file_id": file_id, "file_unique_id": unique_of(&file_id), "width": 640, "height": 640, "file_size": size },
            ])
        })
        .into_iter()
        .collect();
    Ok(json!({ "total_count": photos.len(), "photos": photos }))
}

/// Gives a file's content. Faults of the method `download` spoil it.
pub(super) async fn download(
    Extract(state): Extract<Arc<State>>,
    Path((bot, path)): Path<(String, String)>,
) -> Response {
    let bot = bot
        .strip_prefix("bot")
        .and_then(|token| state.known_bot(token));
    let Some((bot, content)) = bot.and_then(|bot| {
        let content = bot.file_at(&path)?;
        Some((bot, content))
    }) else {
        return respond(Err(Refusal::new(404, "Not Found")));
    };
    let whole = content.len();
    match bot.meet_fault("download", None, false) {
        Some(FaultKind::Delay { ms }) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(FaultKind::AnswerHangs { ms }) => {
            return cut_off(content.slice(..whole / 2), whole, Duration::from_millis(ms));
        }
        Some(FaultKind::AnswerLost) => {
            return cut_off(content.slice(..whole / 2), whole, Duration::ZERO);
        }
        Some(fault) => {
            if let Some(refusal) = fault.refusal() {
                return respond(Err(refusal));
            }
        }
        None => {}
    }
    (
        [(header::CONTENT_TYPE, "application/octet-stream")],
        content,
    )
        .into_response()
}

/// Half a file, though the whole was promised; the connection breaks some time after it.
fn cut_off(half: bytes::Bytes, whole: usize, after: Duration) -> Response {
    let cut = async move {
        // What came before is sent once there is nothing more for the moment.
        tokio::task::yield_now().await;
        tokio::time::sleep(after).await;
        Err(std::io::Error::other("connection cut on purpose"))
    };
    let chunks = futures::stream::once(async { Ok(half) }).chain(futures::stream::once(cut));
    (
        [(header::CONTENT_LENGTH, whole.to_string())],
        Body::from_stream(chunks),
    )
        .into_response()
}

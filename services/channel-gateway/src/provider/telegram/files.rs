//! Files over the Bot API: along with a call, and back from Telegram's store (channels.md §2.4).

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use futures::stream::{self, BoxStream};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{BotApi, judged};
use crate::domain::telegram::errors::ApiError;
use crate::domain::telegram::upload::safe_name;
use crate::domain::value;
use crate::provider::{CallError, answer};

/// Bytes a second of an upload at least: what is slower is given up.
const SLOWEST: u64 = 256 * 1024;

/// How long a download takes at most.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_mins(5);

/// How long a download may stand still.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A refusal to a download is read up to this size.
const REFUSAL_MAX: usize = 4 * 1024;

/// A file that goes along with a call.
#[derive(Debug)]
pub struct Upload {
    /// The field of the form, as the call's `attach://` names it.
    pub field: String,
    /// File name as the client shall see it.
    pub name: String,
    /// Media type; empty where unknown.
    pub media_type: String,
    /// The content: bytes, or `Body::wrap_stream` of a stream.
    pub body: Body,
    /// Its length.
    pub length: u64,
}

/// Where a file lies at Telegram, for an hour at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath {
    /// The path that a download asks for.
    pub path: String,
    /// Bytes, where Telegram tells.
    pub size: Option<u64>,
}

/// A file on its way from Telegram.
pub struct Download {
    /// Bytes, where Telegram tells.
    pub length: Option<u64>,
    /// The content; never more than the limit that was given.
    pub content: BoxStream<'static, Result<Bytes, DownloadError>>,
}

/// Why a download broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// There is more of it than the limit that was given.
    #[error("the file is larger than allowed")]
    TooLarge,
    /// The connection broke or stood still.
    #[error("the download broke off")]
    Broken,
}

impl BotApi {
    /// Returns how long a call takes at most with files of so many bytes.
    pub fn upload_timeout(&self, length: u64) -> Duration {
        self.call_timeout + Duration::from_secs(length / SLOWEST)
    }

    /// Calls a method with files, which its parameters name as `attach://{field}`, and returns its result.
    pub async fn call_with_files(
        &self,
        token: &SecretString,
        method: &str,
        params: &Value,
        files: Vec<Upload>,
    ) -> Result<Value, CallError<ApiError>> {
        let timeout = self.upload_timeout(files.iter().map(|file| file.length).sum());
        // Telegram reads field names as they are.
        let mut form = Form::new().percent_encode_noop();
        for (name, value) in params.as_object().into_iter().flatten() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            form = form.text(name.clone(), text);
        }
        for file in files {
            let field = file.field.clone();
            form = form.part(field, part(file));
        }
        let request = self.http.post(self.method_url(token, method));
        judged(answer("Telegram", request.multipart(form).timeout(timeout)).await?)
    }

    /// Asks where a file lies.
    pub async fn get_file(
        &self,
        token: &SecretString,
        file_id: &str,
    ) -> Result<FilePath, CallError<ApiError>> {
        let file = self
            .call(token, "getFile", &json!({ "file_id": file_id }))
            .await?;
        let path = value::filled(&file, "file_path")
            .ok_or_else(|| CallError::Unknown("Telegram named no path of the file.".to_owned()))?;
        let size = value::int(&file, "file_size").and_then(|size| u64::try_from(size).ok());
        Ok(FilePath { path, size })
    }

    /// Fetches a file, of which at most `limit` bytes are read.
    pub async fn download(
        &self,
        token: &SecretString,
        path: &str,
        limit: u64,
    ) -> Result<Download, CallError<ApiError>> {
        let url = self
            .file_url(token, path)
            .ok_or_else(|| refused(400, "file not found"))?;
        let sent = self.http.get(url).timeout(DOWNLOAD_TIMEOUT).send().await;
        // Nothing is changed by a download: whatever broke, it was not carried out.
        let response = sent.map_err(|_| CallError::NotReached)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(response).await);
        }
        let length = response.content_length();
        if length.is_some_and(|length| length > limit) {
            return Err(refused(413, "file is too big"));
        }
        let content = stream::try_unfold((response, limit), async |(mut response, left)| {
            let read = tokio::time::timeout(IDLE_TIMEOUT, response.chunk()).await;
            let Ok(Ok(chunk)) = read else {
                return Err(DownloadError::Broken);
            };
            let Some(chunk) = chunk else {
                return Ok(None);
            };
            let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let left = left.checked_sub(size).ok_or(DownloadError::TooLarge)?;
            Ok(Some((chunk, (response, left))))
        });
        Ok(Download {
            length,
            content: Box::pin(content.into_stream()),
        })
    }

    /// Builds a file's address. A path that would lead elsewhere on the server has none.
    fn file_url(&self, token: &SecretString, path: &str) -> Option<Url> {
        let mut url = Url::parse(&self.base).ok()?;
        let mut segments = url.path_segments_mut().ok()?;
        segments.pop_if_empty();
        segments.push("file");
        segments.push(&format!("bot{}", token.expose_secret()));
        for segment in path.split('/') {
            if segment.is_empty() || segment == "." || segment == ".." {
                return None;
            }
            segments.push(segment);
        }
        drop(segments);
        Some(url)
    }
}

fn part(file: Upload) -> Part {
    let mut headers = HeaderMap::new();
    // A media type that cannot be written down says nothing: Telegram looks at the file itself.
    if let Ok(media_type) = HeaderValue::from_str(&file.media_type)
        && !media_type.is_empty()
    {
        headers.insert(CONTENT_TYPE, media_type);
    }
    Part::stream_with_length(file.body, file.length)
        .file_name(safe_name(&file.name))
        .headers(headers)
}

/// What the server says of a file that it does not give away. 404 means the file here, never the token.
async fn refusal(mut response: reqwest::Response) -> CallError<ApiError> {
    let status = response.status().as_u16();
    if status == 404 {
        return refused(400, "file not found");
    }
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > REFUSAL_MAX {
            break;
        }
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(body) if body.get("ok") == Some(&Value::Bool(false)) => {
            CallError::Refused(ApiError::read(status, &body, None))
        }
        _ => CallError::Refused(ApiError::between(status, None)),
    }
}

fn refused(code: u16, description: &str) -> CallError<ApiError> {
    CallError::Refused(ApiError {
        code,
        description: description.to_owned(),
        ..ApiError::default()
    })
}

//! Reads a method's parameters the way the Bot API does: query, form, JSON or multipart, in any mixture of
//! strings and typed values.

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::answer::Refusal;
use super::kept::SentFile;

/// Largest request taken: 50 MiB of file beside its form.
const BODY_LIMIT: usize = 52 * 1024 * 1024;

/// An uploaded file with its content.
#[derive(Debug)]
pub struct Uploaded {
    pub file: SentFile,
    pub content: Bytes,
}

/// A method's parameters and uploaded files.
#[derive(Debug, Default)]
pub struct Params {
    pub values: Map<String, Value>,
    pub files: Vec<Uploaded>,
}

impl Params {
    /// Reads all parameters of a request.
    pub async fn read(request: Request) -> Result<Self, Refusal> {
        let mut params = Self::default();
        if let Some(query) = request.uri().query() {
            params.add_form(query.as_bytes());
        }
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if kind.starts_with("multipart/form-data") {
            let form = Multipart::from_request(request, &())
                .await
                .map_err(|e| Refusal::bad(&e.to_string()))?;
            params.add_multipart(form).await?;
            return Ok(params);
        }
        let body = axum::body::to_bytes(request.into_body(), BODY_LIMIT)
            .await
            .map_err(|_| Refusal::new(413, "Request Entity Too Large"))?;
        if kind.starts_with("application/json") && !body.is_empty() {
            match serde_json::from_slice(&body) {
                Ok(Value::Object(values)) => params.values.extend(values),
                _ => return Err(Refusal::bad("can't parse JSON object")),
            }
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            params.add_form(&body);
        }
        Ok(params)
    }

    fn add_form(&mut self, encoded: &[u8]) {
        let encoded = String::from_utf8_lossy(encoded);
        if let Ok(uri) = format!("http://x/?{encoded}").parse::<axum::http::Uri>()
            && let Ok(axum::extract::Query(pairs)) =
                axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&uri)
        {
            self.values.extend(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key, Value::String(value))),
            );
        }
    }

    async fn add_multipart(&mut self, mut form: Multipart) -> Result<(), Refusal> {
        let unreadable = |e: axum::extract::multipart::MultipartError| Refusal::bad(&e.to_string());
        while let Some(part) = form.next_field().await.map_err(unreadable)? {
            let field = part.name().unwrap_or_default().to_owned();
            let name = part.file_name().map(ToOwned::to_owned);
            let mime = part.content_type().map(ToOwned::to_owned);
            let content = part.bytes().await.map_err(unreadable)?;
            match name {
                Some(name) => {
                    let file = SentFile {
                        field,
                        name,
                        mime,
                        size: content.len(),
                        sha256: hex::encode(Sha256::digest(&content)),
                    };
                    self.files.push(Uploaded { file, content });
                }
                None => {
                    self.values.insert(
                        field,
                        Value::String(String::from_utf8_lossy(&content).into_owned()),
                    );
                }
            }
        }
        Ok(())
    }

    /// A number, given as such or as digits.
    pub fn integer(&self, key: &str) -> Option<i64> {
        match self.values.get(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A list of numbers.
    pub fn integers(&self, key: &str) -> Vec<i64> {
        let list = self.structured(key);
        let numbers = list.as_ref().and_then(Value::as_array);
        numbers
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .collect()
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str()
    }

    /// An object or array, given as such or as JSON in a string (forms do that).
    pub fn structured(&self, key: &str) -> Option<Value> {
        match self.values.get(key)? {
            Value::String(text) => serde_json::from_str(text).ok(),
            value => Some(value.clone()),
        }
    }

    /// The uploaded file in a field, or the one that an `attach://name` as its value refers to.
    pub fn file(&self, field: &str, value: Option<&str>) -> Option<&Uploaded> {
        let attached = value.and_then(|text| text.strip_prefix("attach://"));
        self.files
            .iter()
            .find(|file| file.file.field == attached.unwrap_or(field))
    }
}

//! The control API that all local stand-ins for providers have: `/control/…` by HTTP.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::CliError;

/// Delivering may take a stand-in a few repeats while a service starts.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The control API of one stand-in.
pub(crate) struct Control {
    provider: &'static str,
    section: &'static str,
    base: Url,
    http: reqwest::Client,
}

/// How something got through to the webhook.
#[derive(Debug, Deserialize)]
pub(crate) struct Delivered {
    /// Telegram's id of the message inside, when there is one.
    pub message_id: Option<i64>,
    /// Meta's ids of what was inside.
    #[serde(default)]
    pub keys: Vec<String>,
    /// HTTP statuses of all attempts in order; 0 where there was no answer.
    pub statuses: Vec<u16>,
    /// Time of the last attempt's answer, milliseconds.
    pub answer_ms: f64,
}

impl Delivered {
    /// How the webhook answered, for a transcript.
    pub fn told(&self) -> String {
        let last = self.statuses.last().copied().unwrap_or_default();
        match self.statuses.len() {
            0 | 1 => format!("webhook answered {last} in {:.1} ms", self.answer_ms),
            tries => format!(
                "webhook answered {last} in {:.1} ms, at attempt {tries}",
                self.answer_ms
            ),
        }
    }
}

impl Control {
    /// Speaks to the stand-in for a provider. `section` of the context names its address.
    pub fn new(
        provider: &'static str,
        section: &'static str,
        address: &str,
    ) -> Result<Self, CliError> {
        // Already installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(3))
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| CliError::failed(format!("cannot prepare HTTP: {error}"), ""))?;
        let base = Url::parse(address)
            .ok()
            .filter(|url| !url.cannot_be_a_base());
        let base = base.ok_or_else(|| {
            CliError::usage(
                &format!("{section}.control in the context is no address"),
                "it looks like http://127.0.0.1:17402",
            )
        })?;
        Ok(Self {
            provider,
            section,
            base,
            http,
        })
    }

    /// Reads something.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, u64)],
    ) -> Result<T, CliError> {
        let mut url = self.url(path);
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, &value.to_string());
        }
        self.json(self.http.get(url)).await
    }

    /// Has something happen, and reads what came of it.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, CliError> {
        self.json(self.http.post(self.url(path)).json(body)).await
    }

    /// Sets something.
    pub async fn put(&self, path: &[&str], body: &Value) -> Result<(), CliError> {
        let request = self.http.put(self.url(path)).json(body);
        self.answer(request).await.map(drop)
    }

    /// The address of a path, whose parts may hold any character.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("control").extend(path);
        }
        url
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let text = self.answer(request).await?;
        serde_json::from_str(&text).map_err(|error| {
            CliError::failed(
                format!(
                    "the stand-in for {} answered something else: {error}",
                    self.provider
                ),
                format!("is {}.control right?", self.section),
            )
        })
    }

    async fn answer(&self, request: RequestBuilder) -> Result<String, CliError> {
        let provider = self.provider;
        let away = |error: reqwest::Error| {
            // The address holds a bot's token: it stays out of the text.
            let error = error.without_url();
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            CliError::failed(
                format!("the stand-in for {provider} cannot be reached: {error} {cause}")
                    .trim_end()
                    .to_owned(),
                "start the local system with scripts/start",
            )
        };
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let text = response.text().await.map_err(away)?;
        if status.is_success() {
            return Ok(text);
        }
        let reason = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
        Err(CliError::failed(
            format!(
                "the stand-in for {provider} refused: {}",
                reason.unwrap_or_else(|| status.to_string())
            ),
            format!(
                "is the channel enabled? `{} channel list`",
                crate::context::program()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_any_character_stay_one_part_of_the_path() {
        for (base, before) in [
            ("http://127.0.0.1:1", ""),
            ("http://127.0.0.1:1/", ""),
            ("http://127.0.0.1:1/viber/", "/viber"),
        ] {
            let control = Control::new("Viber", "viber", base).unwrap();
            let url = control.url(&["customers", "a/b+c==", "say"]);
            let path = format!("{before}/control/customers/a%2Fb+c==/say");
            assert_eq!(url.path(), path);
        }
        assert!(Control::new("Viber", "viber", "127.0.0.1:1").is_err());
    }
}

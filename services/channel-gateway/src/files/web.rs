//! Files behind addresses that a stranger's message named: only the public internet is called, only over https.
//!
//! What is checked is what is connected to (`provider::outward`). Redirects are followed by hand, each as if it were the
//! first.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::{Response, Url};

use super::source::{ADDRESS, GONE, NotOpened, REFUSED};
use super::store::{Broken, Bytestream};
use crate::provider::outward::{Limits, NotPublic, Public};

/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A longer address is none of a file.
const URL_MAX: usize = 8 * 1024;

/// How long a provider may make us wait.
const WAIT_MAX: Duration = Duration::from_hours(1);

/// Fetches from the internet.
pub struct Web {
    http: reqwest::Client,
    allow_private: bool,
}

impl Web {
    /// Makes a source. `allow_private` is for a local start and tests: it lifts the limits of address and scheme.
    pub fn new(allow_private: bool, idle: Duration) -> anyhow::Result<Self> {
        let builder = plain(idle);
        let builder = if allow_private {
            builder
        } else {
            builder.https_only(true).dns_resolver(Arc::new(Public))
        };
        Ok(Self {
            http: builder.build().context("HTTP client")?,
            allow_private,
        })
    }

    /// Opens a file by its address.
    pub async fn open(&self, url: &str) -> Result<Bytestream, NotOpened> {
        if url.len() > URL_MAX {
            return Err(NotOpened::Never(ADDRESS));
        }
        let mut url = Url::parse(url).map_err(|_| NotOpened::Never(ADDRESS))?;
        for _ in 0..=REDIRECTS {
            self.check(&url)?;
            let answer = self.http.get(url.clone()).send().await;
            let answer = answer.map_err(|error| refused(&error))?;
            match answer.status().as_u16() {
                200 => return Ok(bytes(answer)),
                301 | 302 | 303 | 307 | 308 => url = next(&url, &answer)?,
                status => return Err(not_had(status, &answer)),
            }
        }
        Err(NotOpened::Never(REFUSED))
    }

    fn check(&self, url: &Url) -> Result<(), NotOpened> {
        let limits = Limits {
            plain: self.allow_private,
            private: self.allow_private,
        };
        if limits.allow(url) {
            Ok(())
        } else {
            Err(NotOpened::Never(ADDRESS))
        }
    }
}

/// A client that goes where it is told and nowhere else, and waits so long for a piece.
fn plain(idle: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(idle)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
}

fn bytes(answer: Response) -> Bytestream {
    let pieces = answer.bytes_stream();
    // The error names the address.
    pieces
        .map(|piece| {
            piece.map_err(|_| Broken("The provider broke off within the file.".to_owned()))
        })
        .boxed()
}

fn next(from: &Url, answer: &Response) -> Result<Url, NotOpened> {
    let location = answer.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    location
        .filter(|location| location.len() <= URL_MAX)
        .and_then(|location| from.join(location).ok())
        .ok_or(NotOpened::Never(REFUSED))
}

fn not_had(status: u16, answer: &Response) -> NotOpened {
    match status {
        // Signed addresses that have expired are answered so too.
        403 | 404 | 410 => NotOpened::Never(GONE),
        408 | 425 | 429 | 500..=599 => {
            let wait = answer.headers().get(RETRY_AFTER);
            let wait = wait.and_then(|wait| wait.to_str().ok()?.parse().ok());
            NotOpened::Later(wait.map(|wait| Duration::from_secs(wait).min(WAIT_MAX)))
        }
        _ => NotOpened::Never(REFUSED),
    }
}

fn refused(error: &reqwest::Error) -> NotOpened {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return NotOpened::Never(ADDRESS);
        }
        source = cause.source();
    }
    if error.is_builder() {
        return NotOpened::Never(ADDRESS);
    }
    NotOpened::Later(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict() -> Web {
        let _ = rustls_provider();
        Web::new(false, Duration::from_secs(5)).unwrap()
    }

    /// The HTTP client asks for the process's TLS provider, which a service installs.
    fn rustls_provider() -> impl Sized {
        let config = crate::config::Config::EMBEDDED;
        let config: crate::config::Config =
            chassis::config::load_from(config, None, std::collections::HashMap::new()).unwrap();
        chassis::testing::service("channel-gateway", &config)
    }

    #[tokio::test]
    async fn addresses_of_our_own_network_are_refused_however_they_are_written() {
        let web = strict();
        for url in [
            "https://127.0.0.1/x",
            "https://127.1/x",
            "https://2130706433/x",
            "https://0x7f.1/x",
            "https://[::1]/x",
            "https://[::ffff:169.254.169.254]/x",
            "https://10.0.0.1:8443/x",
            "https://169.254.169.254/latest/meta-data",
            "https://user:word@1.1.1.1/x",
            "http://1.1.1.1/x",
            "ftp://1.1.1.1/x",
            "file:///etc/passwd",
            "https://localhost/x",
            "nonsense",
            "",
        ] {
            let opened = web.open(url).await;
            assert_eq!(opened.err(), Some(NotOpened::Never(ADDRESS)), "{url}");
        }
    }
}

//! Calls to addresses that somebody entered or wrote: only the public internet is called.
//!
//! What is checked is what is connected to: names are resolved here, private addresses sorted out, and the connection
//! made to one of those left. An address written out as such reaches no resolver and is checked before.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{RequestBuilder, Url};

use crate::domain::address::is_public;

/// Why a name was not resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no public address")]
pub struct NotPublic;

/// Resolves names to public addresses only.
pub struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            let addresses: Addrs = Box::new(public.into_iter());
            Ok(addresses)
        })
    }
}

/// What calls are held to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls without TLS are allowed.
    pub plain: bool,
    /// Loopback and private networks are allowed.
    pub private: bool,
}

impl Limits {
    /// Tells whether an address may be called, as far as it shows: what a name leads to shows when it is resolved.
    pub fn allow(self, url: &Url) -> bool {
        let scheme = url.scheme() == "https" || (self.plain && url.scheme() == "http");
        // In brackets it is an IPv6 address.
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        let public = self.private || address.is_none_or(is_public);
        let nameless = url.username().is_empty() && url.password().is_none();
        scheme && public && nameless && !host.is_empty()
    }
}

/// The address may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address may not be called")]
pub struct NotAllowed;

/// A client for addresses that administrators enter. It follows nobody elsewhere: a redirect could lead inside.
#[derive(Debug, Clone)]
pub struct Outward {
    http: reqwest::Client,
    limits: Limits,
}

impl Outward {
    /// Makes it.
    pub fn new(limits: Limits, connect: Duration, call: Duration) -> anyhow::Result<Self> {
        let builder = super::builder(connect, call).https_only(!limits.plain);
        let builder = if limits.private {
            builder
        } else {
            builder.dns_resolver(Arc::new(Public))
        };
        Ok(Self {
            http: builder.build().context("HTTP client")?,
            limits,
        })
    }

    /// Begins a `POST`.
    ///
    /// # Errors
    /// Refuses addresses that may not be called.
    pub fn post(&self, url: &str) -> Result<RequestBuilder, NotAllowed> {
        let url = Url::parse(url).map_err(|_| NotAllowed)?;
        if self.limits.allow(&url) {
            Ok(self.http.post(url))
        } else {
            Err(NotAllowed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_resolved_to_public_addresses_only() {
        let resolved = Public.resolve("localhost".parse().unwrap()).await;
        assert!(resolved.err().unwrap().is::<NotPublic>());
    }

    #[test]
    fn addresses_are_allowed_by_scheme_and_network() {
        for (url, strict, plain, private, both) in [
            ("https://login.example/token", true, true, true, true),
            ("http://login.example/token", false, true, false, true),
            ("https://1.1.1.1/token", true, true, true, true),
            ("https://10.0.0.1/token", false, false, true, true),
            ("https://127.0.0.1:8443/token", false, false, true, true),
            ("http://127.0.0.1:8080/token", false, false, false, true),
            ("https://2130706433/token", false, false, true, true),
            ("https://[::1]/token", false, false, true, true),
            ("https://[::ffff:10.0.0.1]/", false, false, true, true),
            ("https://169.254.169.254/latest", false, false, true, true),
            (
                "https://user:word@login.example/",
                false,
                false,
                false,
                false,
            ),
            ("ftp://login.example/token", false, false, false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            for (plain, private, expected) in [
                (false, false, strict),
                (true, false, plain),
                (false, true, private),
                (true, true, both),
            ] {
                let limits = Limits { plain, private };
                assert_eq!(limits.allow(&parsed), expected, "{url}: {limits:?}");
            }
        }
    }
}

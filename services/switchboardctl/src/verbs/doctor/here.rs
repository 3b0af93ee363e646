//! What is examined from the machine on which the command runs.

use std::time::Duration;

use reqwest::header::ALLOW;
use serde_json::Value;
use switchboard_proto::operator::v1::{Finding, Level};

use super::of;
use super::report::Found;
use crate::connect::Session;
use crate::error::CliError;

/// How long one look may take.
const LOOK: Duration = Duration::from_secs(5);

/// The broker as it is seen from here: for people who watch events, and what only its monitoring tells.
pub(super) async fn broker(session: &Session, monitor: Option<&str>) -> Vec<Found> {
    let reached = tokio::time::timeout(LOOK, crate::verbs::events::connect(session)).await;
    let reached = reached.unwrap_or_else(|_| Err(CliError::failed("no answer in time", "")));
    let named = session.settings.nats_named;
    let finding = match reached {
        Ok(client) => {
            let server = client.server_info();
            of(
                "nats",
                Level::Ok,
                &format!("{} of {}", server.version, server.server_name),
                "",
            )
        }
        // Nobody said where it is: that it is not on this machine is nothing wrong.
        Err(_) if !named => of(
            "nats",
            Level::Unspecified,
            "not looked at from here: no address is named",
            "name it by --nats or in the context",
        ),
        Err(error) => of(
            "nats",
            Level::Warn,
            &error.to_string(),
            "`events watch` needs it from here; the services have connections of their own",
        ),
    };
    vec![
        Found::new("here", finding),
        Found::new("here", syncing(monitor).await),
    ]
}

/// Whether the broker syncs every message before it acknowledges it, as all that Switchboard promises needs.
async fn syncing(monitor: Option<&str>) -> Finding {
    let Some(monitor) = monitor else {
        return of(
            "sync_interval",
            Level::Unspecified,
            "not looked at: only the broker's monitoring tells",
            "name it: --nats-monitor http://HOST:8222",
        );
    };
    let url = format!("{}/varz", monitor.trim_end_matches('/'));
    let asked = async {
        let answer = client()?.get(&url).send().await?.error_for_status()?;
        answer.json::<Value>().await
    };
    match asked.await {
        Ok(varz) => synced(&varz),
        Err(error) => of(
            "sync_interval",
            Level::Warn,
            &format!("{url} does not tell: {}", innermost(&error)),
            "name the monitoring address of the broker: --nats-monitor http://HOST:8222",
        ),
    }
}

/// What a server's variables tell of how it stores.
fn synced(varz: &Value) -> Finding {
    let config = varz.pointer("/jetstream/config");
    let Some(config) = config.filter(|config| config.is_object()) else {
        return of(
            "sync_interval",
            Level::Fail,
            "the broker runs without JetStream",
            "start it with a `jetstream` section",
        );
    };
    if config.get("sync_always").and_then(Value::as_bool) == Some(true) {
        return of("sync_interval", Level::Ok, "always", "");
    }
    let seconds = config
        .get("sync_interval")
        .and_then(Value::as_u64)
        .unwrap_or(0)
        / 1_000_000_000;
    of(
        "sync_interval",
        Level::Fail,
        &format!(
            "{seconds} s: the broker acknowledges before the disk has a message, and a crash loses it"
        ),
        "set `sync_interval: always` in the `jetstream` section, as deploy/nats/nats.conf does",
    )
}

/// Whether the address that providers call leads to the gateway from here.
pub(super) async fn webhook(address: &str) -> Found {
    let asked = async {
        let answer = client()?.get(address).send().await?;
        let allowed = answer.headers().get(ALLOW);
        let posts = allowed.and_then(|allow| allow.to_str().ok());
        let posts = posts.is_some_and(|allow| allow.contains("POST"));
        Ok::<_, reqwest::Error>((answer.status().as_u16(), posts))
    };
    let host = address.split("/in/").next().unwrap_or(address);
    let finding = match asked.await {
        Ok((405, true)) => of(
            "webhook address",
            Level::Ok,
            &format!("{host} leads to the gateway"),
            "",
        ),
        Ok((status, _)) => of(
            "webhook address",
            Level::Fail,
            &format!("{host} leads elsewhere: {status} and not the gateway's answer"),
            "have the proxy pass /in, /files, /f and /l on to the gateway, or correct http.public_url",
        ),
        Err(error) => of(
            "webhook address",
            Level::Fail,
            &format!("{host} cannot be reached from here: {}", innermost(&error)),
            "providers come from outside as this machine does: look at DNS, the certificate and the proxy",
        ),
    };
    Found::new("here", finding)
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    // One TLS provider for the process; an earlier one is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(LOOK)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    crate::error::plain(innermost)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn o106_a_broker_that_does_not_sync_fails() {
        for (varz, level) in [
            (
                json!({"jetstream": {"config": {"sync_always": true, "sync_interval": 120_000_000_000_u64}}}),
                Level::Ok,
            ),
            (
                json!({"jetstream": {"config": {"sync_interval": 120_000_000_000_u64}}}),
                Level::Fail,
            ),
            (
                json!({"jetstream": {"config": {"sync_always": false}}}),
                Level::Fail,
            ),
            (json!({"jetstream": {}}), Level::Fail),
            (json!({}), Level::Fail),
        ] {
            assert_eq!(synced(&varz).level(), level, "{varz}");
        }
        let told =
            synced(&json!({"jetstream": {"config": {"sync_interval": 120_000_000_000_u64}}}));
        assert!(told.text.starts_with("120 s"), "{}", told.text);
    }
}

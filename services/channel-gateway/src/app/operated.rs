//! What operators are told of the gateway's own subject: channels of all accounts, and when it is diagnosed the object
//! store and the public address that providers call.

use std::time::Duration;

use chassis::grpc::timestamp;
use chassis::id::AccountSlug;
use chassis::operator::subject::{broken, doubtful, fine};
use chassis::operator::{Pausable, Subject};
use chassis::pauses::PauseKind;
use reqwest::header::ALLOW;
use reqwest::redirect::Policy;
use sqlx::PgPool;
use switchboard_proto::operator::v1::{Finding, Level};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use crate::files::store::Store;
use crate::store::channels;
use crate::store::problems::{self, Counted, Trouble};

/// Problems told of at most.
const TOLD: i64 = 20;

/// How long the store and the public address may take.
const TRIED: Duration = Duration::from_secs(3);

/// A place at the public address that only the gateway answers so: webhooks are posted there, by no channel of this id.
const WEBHOOK: &str = "/in/telegram/00000000-0000-0000-0000-000000000000";

/// What is told of and tried.
pub struct Operated {
    /// The database.
    pub pool: PgPool,
    /// The object store.
    pub store: Store,
    /// Where providers call, without a slash at its end.
    pub public_url: String,
}

#[tonic::async_trait]
impl Subject for Operated {
    async fn told(&self, _now: OffsetDateTime) -> Result<Vec<Finding>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let counted = problems::count(&mut connection).await?;
        let troubles = problems::newest(&mut connection, TOLD).await?;
        let mut found = vec![summed(counted)];
        found.extend(troubles.into_iter().map(troubled));
        Ok(found)
    }

    async fn tried(&self, _now: OffsetDateTime) -> Vec<Finding> {
        let (store, address) = tokio::join!(self.object_store(), self.public_address());
        vec![store, address]
    }

    async fn pausable(
        &self,
        kind: PauseKind,
        subject: &str,
    ) -> Result<Option<Pausable>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        match (kind, Uuid::parse_str(subject), AccountSlug::parse(subject)) {
            (PauseKind::Channel, Ok(id), _) => {
                let found = channels::load(&mut connection, &[id]).await?;
                found.first().map_or(Ok(None), |row| {
                    Ok(Some(Pausable {
                        name: row.name.clone(),
                        account: Some(row.account()?),
                    }))
                })
            }
            // An account without channels has no deliveries that could wait.
            (PauseKind::Deliveries, _, Ok(account)) => {
                let some = channels::page(&mut connection, &account, None, None, 1).await?;
                Ok((!some.is_empty()).then(|| Pausable {
                    name: account.to_string(),
                    account: Some(account),
                }))
            }
            _ => Ok(None),
        }
    }
}

impl Operated {
    /// Takes what the use cases work with.
    pub fn of(app: &App) -> Self {
        Self {
            pool: app.pool.clone(),
            store: app.files.store.clone(),
            public_url: app.public_url.to_string(),
        }
    }

    async fn object_store(&self) -> Finding {
        const SUBJECT: &str = "object store";
        let next = "see [files] of the gateway's configuration: `channel-gateway config dump`; until it is back, files wait";
        match tokio::time::timeout(TRIED, self.store.round_trip()).await {
            Ok(Ok(())) => fine(SUBJECT, "an object was put, read and deleted"),
            Ok(Err(error)) => broken(SUBJECT, error.to_string(), next),
            Err(_) => broken(
                SUBJECT,
                format!("no answer within {} s", TRIED.as_secs()),
                next,
            ),
        }
    }

    async fn public_address(&self) -> Finding {
        let asked = async {
            let client = reqwest::Client::builder()
                .redirect(Policy::none())
                .timeout(TRIED)
                .build()?;
            let answer = client
                .get(format!("{}{WEBHOOK}", self.public_url))
                .send()
                .await?;
            let allowed = answer.headers().get(ALLOW);
            let posts = allowed.and_then(|allow| allow.to_str().ok());
            let posts = posts.is_some_and(|allow| allow.contains("POST"));
            Ok::<_, reqwest::Error>((answer.status().as_u16(), posts))
        };
        let found = match asked.await {
            Ok(answer) => led(&self.public_url, answer),
            Err(error) => doubtful(
                "webhook address",
                format!(
                    "{} cannot be reached from inside: {}",
                    self.public_url,
                    plain(&error)
                ),
                "try it from outside; where only the way back in is closed, providers get through all the same",
            ),
        };
        Finding {
            address: format!("{}{WEBHOOK}", self.public_url),
            ..found
        }
    }
}

/// Whether an address leads to the gateway: it takes webhooks by POST alone, and says so.
fn led(url: &str, (status, posts): (u16, bool)) -> Finding {
    const SUBJECT: &str = "webhook address";
    if status == 405 && posts {
        return fine(SUBJECT, format!("{url} leads to the gateway"));
    }
    broken(
        SUBJECT,
        format!("{url} leads elsewhere: {status} and not the gateway's answer"),
        "have the proxy pass /in, /files, /f and /l on to the gateway, or correct http.public_url",
    )
}

/// An error of a call without the address, which is told beside it.
fn plain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    innermost.to_string()
}

fn summed(counted: Counted) -> Finding {
    let Counted {
        enabled,
        degraded,
        refused,
        off,
    } = counted;
    let text = format!(
        "{} well, {degraded} degraded, {refused} refused by their providers, {off} off",
        enabled - degraded
    );
    let found = if degraded + refused > 0 {
        doubtful(
            "channels",
            text,
            "`switchboardctl channel show CHANNEL` tells what to do",
        )
    } else {
        fine("channels", text)
    };
    Finding {
        count: u64::try_from(enabled).unwrap_or(0),
        ..found
    }
}

fn troubled(trouble: Trouble) -> Finding {
    let level = if trouble.refused {
        Level::Fail
    } else {
        Level::Warn
    };
    Finding {
        subject: "channel".to_owned(),
        level: level.into(),
        text: format!("{}: {} ({})", trouble.name, trouble.detail, trouble.reason),
        next_step: format!(
            "`switchboardctl --account {} channel show {}`",
            trouble.account, trouble.channel_id
        ),
        since_time: Some(timestamp(trouble.since)),
        account: trouble.account,
        subject_id: trouble.channel_id.to_string(),
        ..Finding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o106_only_the_gateways_own_answer_says_that_the_address_leads_to_it() {
        for (answer, level) in [
            ((405, true), Level::Ok),
            ((405, false), Level::Fail),
            ((404, false), Level::Fail),
            ((200, true), Level::Fail),
            ((301, false), Level::Fail),
        ] {
            assert_eq!(led("https://x", answer).level(), level, "{answer:?}");
        }
    }

    #[test]
    fn o201_channels_are_summed_and_warned_of() {
        for ((enabled, degraded, refused, off), level, text) in [
            (
                (3, 0, 0, 1),
                Level::Ok,
                "3 well, 0 degraded, 0 refused by their providers, 1 off",
            ),
            (
                (3, 1, 0, 0),
                Level::Warn,
                "2 well, 1 degraded, 0 refused by their providers, 0 off",
            ),
            (
                (0, 0, 1, 0),
                Level::Warn,
                "0 well, 0 degraded, 1 refused by their providers, 0 off",
            ),
        ] {
            let found = summed(Counted {
                enabled,
                degraded,
                refused,
                off,
            });
            assert_eq!((found.level(), found.text.as_str()), (level, text));
        }
    }
}

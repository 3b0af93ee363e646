//! What Telegram's own view of a webhook says of a channel's health (channels.md §2.1, B10).

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::call::ALLOWED_UPDATES;
use crate::domain::value::{filled, int, list, text, time};

/// Updates that may wait at Telegram before somebody should look.
pub const PENDING_MAX: i64 = 100;

/// How long after a failed delivery the webhook is called failing; the state is asked for every minute.
pub const FAILING_FOR: Duration = Duration::minutes(3);

/// Updates of this kind come only to those who ask for them.
const NOT_BY_DEFAULT: &str = "message_reaction";

/// Characters of Telegram's own words that are passed on.
const WORDS_MAX: usize = 200;

/// What `getWebhookInfo` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookInfo {
    /// Where updates go; empty where there is no webhook.
    pub url: String,
    /// Updates that wait to be delivered.
    pub pending: i64,
    /// When a delivery failed last.
    pub last_error_date: Option<OffsetDateTime>,
    /// How.
    pub last_error_message: String,
    /// The kinds that are delivered; empty for Telegram's default.
    pub allowed_updates: Vec<String>,
}

impl WebhookInfo {
    /// Reads an answer.
    pub fn read(result: &Value) -> Self {
        let allowed = list(result, "allowed_updates").iter();
        Self {
            url: text(result, "url").unwrap_or_default(),
            pending: int(result, "pending_update_count").unwrap_or(0),
            last_error_date: time(result, "last_error_date"),
            last_error_message: filled(result, "last_error_message").unwrap_or_default(),
            allowed_updates: allowed
                .filter_map(|kind| kind.as_str().map(ToOwned::to_owned))
                .collect(),
        }
    }
}

/// Something that an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `UPPER_SNAKE_CASE`.
    pub reason: &'static str,
    /// What happened and what to do. Holds no secret.
    pub detail: String,
}

/// Judges a webhook that should lead to `our_url`; nothing where all is well.
pub fn judge(info: &WebhookInfo, our_url: &str, now: OffsetDateTime) -> Vec<Problem> {
    let problem = |reason, detail: String| Problem { reason, detail };
    // Whatever else is told then is told of somebody else's webhook, or of none.
    if info.url.is_empty() {
        let detail = "Telegram has no webhook for this bot, so nothing arrives: somebody took it away. Enable the channel \
                      again.";
        return vec![problem("WEBHOOK_MISSING", detail.to_owned())];
    }
    if info.url.trim_end_matches('/') != our_url.trim_end_matches('/') {
        let host = host(&info.url);
        let detail = format!(
            "Another program ({host}) gets what clients write to this bot. Take the bot's token away from it, then enable \
             the channel again."
        );
        return vec![problem("WEBHOOK_FOREIGN", detail)];
    }
    let mut problems = Vec::new();
    let recent = |at: OffsetDateTime| at > now - FAILING_FOR;
    if info.last_error_date.is_some_and(recent) {
        let words: String = info.last_error_message.chars().take(WORDS_MAX).collect();
        let detail = format!(
            "Telegram could not deliver: {words}. Check that the gateway's public address is reachable."
        );
        problems.push(problem("WEBHOOK_FAILING", detail));
    }
    if info.pending > PENDING_MAX {
        let pending = info.pending;
        let detail = format!("{pending} updates wait at Telegram: clients' messages are late.");
        problems.push(problem("WEBHOOK_BACKLOG", detail));
    }
    let missing = missing(&info.allowed_updates);
    if !missing.is_empty() {
        let kinds = missing.join(", ");
        let detail =
            format!("Telegram does not deliver {kinds} to this bot. Enable the channel again.");
        problems.push(problem("WEBHOOK_INCOMPLETE", detail));
    }
    problems
}

fn missing(allowed: &[String]) -> Vec<&'static str> {
    let delivered = |kind: &str| match allowed {
        [] => kind != NOT_BY_DEFAULT,
        allowed => allowed.iter().any(|allowed| allowed == kind),
    };
    let missing = ALLOWED_UPDATES.into_iter().filter(|kind| !delivered(kind));
    missing.collect()
}

/// Names who has the webhook, without the address's path, which may be a secret.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    host.chars()
        .filter(|c| !c.is_control())
        .take(WORDS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OURS: &str = "https://gw.example.ua/in/telegram/9f2c61d0";

    // pitfall 02: a growing queue is told
    #[test]
    fn b10_a_webhook_is_judged_by_what_telegram_tells_of_it() {
        let now = OffsetDateTime::from_unix_timestamp(1_790_765_000).unwrap();
        let ago = |seconds: i64| json!(1_790_765_000 - seconds);
        let some = &ALLOWED_UPDATES[..3];
        for (name, change, expected) in [
            ("well", json!({}), vec![]),
            ("with a slash", json!({"url": format!("{OURS}/")}), vec![]),
            (
                "gone",
                json!({"url": "", "pending_update_count": 5_000}),
                vec!["WEBHOOK_MISSING"],
            ),
            (
                "taken over",
                json!({"url": "https://u:p@other.example/hook/secret", "pending_update_count": 5_000}),
                vec!["WEBHOOK_FOREIGN"],
            ),
            (
                "a few wait",
                json!({"pending_update_count": PENDING_MAX}),
                vec![],
            ),
            (
                "many wait",
                json!({"pending_update_count": PENDING_MAX + 1}),
                vec!["WEBHOOK_BACKLOG"],
            ),
            (
                "failed long ago",
                json!({"last_error_date": ago(180)}),
                vec![],
            ),
            (
                "failed just now",
                json!({"last_error_date": ago(179)}),
                vec!["WEBHOOK_FAILING"],
            ),
            (
                "by a clock ahead",
                json!({"last_error_date": ago(-60)}),
                vec!["WEBHOOK_FAILING"],
            ),
            (
                "kinds left out",
                json!({"allowed_updates": some}),
                vec!["WEBHOOK_INCOMPLETE"],
            ),
            (
                "the default",
                json!({"allowed_updates": []}),
                vec!["WEBHOOK_INCOMPLETE"],
            ),
            (
                "everything",
                json!({"allowed_updates": some, "pending_update_count": 101, "last_error_date": ago(1)}),
                vec!["WEBHOOK_FAILING", "WEBHOOK_BACKLOG", "WEBHOOK_INCOMPLETE"],
            ),
        ] {
            let mut info = json!({
                "url": OURS, "has_custom_certificate": false, "pending_update_count": 0,
                "allowed_updates": ALLOWED_UPDATES,
                "last_error_message": "Wrong response from the webhook: 503 Service Unavailable",
            });
            for (key, value) in change.as_object().unwrap() {
                info[key] = value.clone();
            }
            let problems = judge(&WebhookInfo::read(&info), OURS, now);
            let reasons: Vec<&str> = problems.iter().map(|problem| problem.reason).collect();
            assert_eq!(reasons, expected, "{name}");
            assert!(
                problems
                    .iter()
                    .all(|problem| !problem.detail.contains("secret")),
                "{name}"
            );
        }
    }

    #[test]
    fn the_one_who_has_the_webhook_is_named_without_path_and_password() {
        for (url, expected) in [
            ("https://other.example/hook/secret", "other.example"),
            ("https://u:p@other.example:8443?x", "other.example:8443"),
            ("other.example#x", "other.example"),
            ("", ""),
        ] {
            assert_eq!(host(url), expected);
        }
    }

    #[test]
    fn by_default_only_reactions_are_missing() {
        assert_eq!(missing(&[]), ["message_reaction"]);
    }
}

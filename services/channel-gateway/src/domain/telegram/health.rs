//! What Telegram's own view of a webhook says of a channel's health (channels.md §2.1, B10).

use serde_json::Value;
use time::{Duration, OffsetDateTime};

use super::call::ALLOWED_UPDATES;
use crate::domain::health::{Judgement, Problem, Webhook, host, same_address};
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

/// Judges a webhook that should lead to `our_url`. One that is lost or incomplete is ours to set again; one that leads
/// elsewhere is somebody's, and told.
pub fn judge(info: &WebhookInfo, our_url: &str, now: OffsetDateTime) -> Judgement {
    // Whatever else is told then is told of somebody else's webhook, or of none.
    if info.url.is_empty() {
        let detail = "Telegram has no webhook for this bot, so nothing arrives: somebody takes it away. Give the bot a new \
                      token, and connect the channel with it.";
        return Judgement {
            webhook: Webhook::Missing,
            mendable: vec![Problem::new("WEBHOOK_MISSING", detail)],
            ..Judgement::default()
        };
    }
    if !same_address(&info.url, our_url) {
        let host = host(&info.url);
        let detail = format!(
            "Another program ({host}) gets what clients write to this bot. Take the bot's token away from it, then enable \
             the channel again."
        );
        return Judgement {
            webhook: Webhook::Foreign,
            problems: vec![Problem::new("WEBHOOK_FOREIGN", detail)],
            ..Judgement::default()
        };
    }
    let mut judgement = Judgement {
        webhook: Webhook::Set,
        ..Judgement::default()
    };
    let recent = |at: OffsetDateTime| at > now - FAILING_FOR;
    if info.last_error_date.is_some_and(recent) {
        let words: String = info.last_error_message.chars().take(WORDS_MAX).collect();
        let detail = format!(
            "Telegram could not deliver: {words}. Check that the gateway's public address is reachable."
        );
        judgement.webhook = Webhook::Failing;
        let problem = Problem::new("WEBHOOK_FAILING", detail);
        judgement.problems.push(problem);
    }
    if info.pending > PENDING_MAX {
        // Without their number: a problem that is told anew each minute is read by nobody.
        let detail = format!(
            "More than {PENDING_MAX} updates wait at Telegram: clients' messages are late. Check that the gateway keeps up."
        );
        let problem = Problem::new("WEBHOOK_BACKLOG", detail);
        judgement.problems.push(problem);
    }
    let missing = missing(&info.allowed_updates);
    if !missing.is_empty() {
        let kinds = missing.join(", ");
        let detail =
            format!("Telegram does not deliver {kinds} to this bot. Enable the channel again.");
        let problem = Problem::new("WEBHOOK_INCOMPLETE", detail);
        judgement.mendable.push(problem);
    }
    judgement
}

fn missing(allowed: &[String]) -> Vec<&'static str> {
    let delivered = |kind: &str| match allowed {
        [] => kind != NOT_BY_DEFAULT,
        allowed => allowed.iter().any(|allowed| allowed == kind),
    };
    let missing = ALLOWED_UPDATES.into_iter().filter(|kind| !delivered(kind));
    missing.collect()
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
            let judged = judge(&WebhookInfo::read(&info), OURS, now);
            let problems = [judged.problems, judged.mendable].concat();
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
    fn b10_what_is_lost_may_be_set_again_and_what_is_somebody_elses_may_not() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (url, webhook, mendable) in [
            ("", Webhook::Missing, 1),
            ("https://other.example/x", Webhook::Foreign, 0),
            (OURS, Webhook::Set, 1),
        ] {
            let info = WebhookInfo {
                url: url.to_owned(),
                ..WebhookInfo::default()
            };
            let judged = judge(&info, OURS, now);
            assert_eq!(
                (judged.webhook, judged.mendable.len()),
                (webhook, mendable),
                "{url}"
            );
        }
    }

    #[test]
    fn by_default_only_reactions_are_missing() {
        assert_eq!(missing(&[]), ["message_reaction"]);
    }
}

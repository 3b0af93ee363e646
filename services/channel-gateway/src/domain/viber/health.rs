//! What Viber's view of a bot says of a channel's health (channels.md §3.1, §7.10, B10).

use crate::domain::health::{Judgement, Problem, Webhook, host, same_address};

/// Judges a webhook that should lead to `our_url` and carry these events. HTTP 200 to `set_webhook` proves nothing, so
/// it is looked at again and again.
pub fn judge(
    webhook: &str,
    event_types: &[String],
    wanted: &[&'static str],
    our_url: &str,
) -> Judgement {
    if webhook.is_empty() {
        let detail = "Viber has no webhook for this bot, so nothing arrives and nothing can be sent: somebody takes it \
                      away. Give the bot a new token, and connect the channel with it.";
        return Judgement {
            webhook: Webhook::Missing,
            mendable: vec![Problem::new("WEBHOOK_MISSING", detail)],
            ..Judgement::default()
        };
    }
    if !same_address(webhook, our_url) {
        let host = host(webhook);
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
    let comes = |wanted: &str| event_types.iter().any(|event| event == wanted);
    let missing: Vec<&str> = wanted.iter().copied().filter(|kind| !comes(kind)).collect();
    let mut mendable = Vec::new();
    if !missing.is_empty() {
        let kinds = missing.join(", ");
        let detail =
            format!("Viber does not tell of {kinds} of this bot. Enable the channel again.");
        mendable.push(Problem::new("WEBHOOK_INCOMPLETE", detail));
    }
    Judgement {
        webhook: Webhook::Set,
        mendable,
        ..Judgement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_a_viber_webhook_is_judged_by_where_it_leads_and_what_it_carries() {
        const OURS: &str = "https://gw.example/in/viber/6b1f90";
        let wanted = ["seen", "failed"];
        let reasons = |url: &str, events: &[&str]| -> (Webhook, Vec<&str>, Vec<&str>) {
            let events: Vec<String> = events.iter().map(|&event| event.to_owned()).collect();
            let judged = judge(url, &events, &wanted, OURS);
            let of = |problems: Vec<Problem>| problems.into_iter().map(|p| p.reason).collect();
            (judged.webhook, of(judged.problems), of(judged.mendable))
        };
        for (url, events, webhook, problems, mendable) in [
            (
                OURS,
                &["failed", "seen", "more"][..],
                Webhook::Set,
                &[][..],
                &[][..],
            ),
            (OURS, &["seen"], Webhook::Set, &[], &["WEBHOOK_INCOMPLETE"]),
            ("", &[], Webhook::Missing, &[], &["WEBHOOK_MISSING"]),
            (
                "https://b.example/x",
                &[],
                Webhook::Foreign,
                &["WEBHOOK_FOREIGN"],
                &[],
            ),
        ] {
            let expected = (webhook, problems.to_vec(), mendable.to_vec());
            assert_eq!(reasons(url, events), expected, "{url}");
        }
    }
}

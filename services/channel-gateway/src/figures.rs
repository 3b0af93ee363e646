//! What channel-gateway measures.

use crate::domain::channel::ChannelKind;

chassis::figures! {
    /// Calls of providers' webhooks, by the HTTP status that they were answered with.
    WEBHOOKS: Counter["provider", "status"] = "webhook_requests_total";
    /// How long calls of webhooks took that were accepted.
    WEBHOOK_SECONDS: Histogram["provider"] = "webhook_accept_seconds";
    /// Accounts named in webhooks that are not connected here.
    UNKNOWN_ACCOUNTS: Counter["provider"] = "webhook_unknown_accounts_total";
    /// Accounts in batches that were beyond their rate and rode along.
    BEYOND_RATE: Counter["provider"] = "webhook_beyond_rate_total";
    /// Webhooks that a provider had lost and that were set again.
    MENDED: Counter["kind"] = "webhooks_mended_total";
    /// Mails that were read, by folder.
    MAILS: Counter["folder"] = "mailbox_mails_total";
    /// Mails that were set aside because they could not be read.
    QUARANTINED: Counter[] = "mailbox_quarantined_total";
    /// Bounces that speak of mails of others.
    FOREIGN_BOUNCES: Counter[] = "bounces_of_others_total";

    /// Attempts to deliver a message, by what became of them (`sent`, `failed`, `uncertain`, `further`: a piece of several, `again`:
    /// tried again later) and why, as agents read it.
    DELIVERIES: Counter["outcome", "cause"] = "deliveries_total";
    /// Deliveries that ended: `delivered`; `missed`, where it is uncertain or failed for what the installation, its channel or the
    /// provider is to blame; `impossible`, where the customer, the channel's rules or the message itself left no way.
    ENDED: Counter["result"] = "deliveries_ended_total";
    /// Deliveries that wait, ten thousand at most.
    QUEUED: Gauge[] = "deliveries_queued";
    /// How long the delivery has been waiting that waits longest.
    OLDEST_QUEUED: Gauge[] = "delivery_oldest_queued_seconds";
    /// Commands that did not come and were asked for.
    GAPS: Counter[] = "delivery_gaps_total";
    /// Uncertain deliveries that the provider's echo settled.
    SETTLED_BY_ECHO: Counter[] = "deliveries_settled_by_echo_total";
    /// Messages from the provider's own app for which no chat was found.
    WITHOUT_CHAT: Counter[] = "own_app_messages_without_chat_total";
    /// Copies of mails for the Sent folder, by what became of them.
    SENT_COPIES: Counter["outcome"] = "sent_copies_total";
    /// Pressed buttons whose press was not confirmed to the provider, as too many were at once.
    PRESSES_LEFT: Counter[] = "presses_not_answered_total";

    /// How long calls to providers took, by how they ended: `ok`; `refused` (4xx); `limited` (429); `failed` (5xx); `unreached`;
    /// `timed-out`; `broken`, where the connection ended before the answer.
    PROVIDER_SECONDS: Histogram["provider", "class"] = "provider_call_seconds";
    /// Enabled channels of which something needs an administrator, by their kind.
    DEGRADED: Gauge["kind"] = "channels_degraded";
    /// Enabled channels, by their kind.
    ENABLED: Gauge["kind"] = "channels_enabled";

    /// Files of providers that were fetched, by what became of them.
    FILES: Counter["outcome"] = "files_fetched_total";
    /// Photos of clients, by what became of them.
    PHOTOS: Counter["outcome"] = "client_photos_total";
    /// Uploads that were refused.
    UPLOADS_REFUSED: Counter["reason"] = "uploads_refused_total";
    /// Bytes that uploads take in the store.
    UPLOADS: Gauge[] = "uploads_bytes";
    /// Which part of its quota the account has used that has used most.
    UPLOADS_FULLEST: Gauge[] = "uploads_fullest_account_ratio";
    /// Visitors of short links that were not counted as persons, as too many came from one place.
    VISITORS_REFUSED: Counter[] = "link_visitors_refused_total";
}

/// Has what the objectives count begin at nothing: the first webhook that is refused, or delivery that fails, is a growth then, and
/// not a series that was never seen before.
pub fn begin() {
    for provider in [
        ChannelKind::TelegramBot,
        ChannelKind::ViberBot,
        ChannelKind::Instagram,
    ] {
        for status in ["200", "503"] {
            WEBHOOKS.of([provider.as_str(), status]).increment(0);
        }
    }
    for result in ["delivered", "missed", "impossible"] {
        ENDED.of([result]).increment(0);
    }
}

/// Of channel-gateway, and of the streams that it looks after.
pub fn all() -> &'static [chassis::meter::Described] {
    static EVERYTHING: std::sync::LazyLock<Vec<chassis::meter::Described>> =
        std::sync::LazyLock::new(|| [ALL, chassis::figures::inbound::ALL].concat());
    &EVERYTHING
}

//! What conversation measures.

chassis::figures! {
    /// Messages that were stored: of the `client`, of an `agent`, written in the provider's `own-app`, or a `note`.
    STORED: Counter["kind"] = "conversation_messages_stored_total";
    /// How long ago the oldest item of the last batch of `INBOUND` had been accepted, when it was stored.
    INBOUND_AGE: Gauge[] = "conversation_inbound_oldest_age_seconds";
    /// Starts by link or button, by what became of them.
    STARTS: Counter["outcome"] = "conversation_starts_total";
    /// Edits, deletions and reactions that came before their message and were parked.
    PARKED: Counter[] = "conversation_parked_total";
    /// Edits, deletions and reactions that wait for their message.
    PARKED_WAITING: Gauge[] = "conversation_parked";
    /// Reactions that were dropped because their message never came.
    REACTIONS_DROPPED: Counter[] = "conversation_parked_reactions_dropped_total";
    /// Parked edits that could not be stored as the messages that they carry, by whether they are `dropped` or `left`.
    EDITS_FAILED: Counter["outcome"] = "conversation_parked_edits_failed_total";
    /// What the gateway reported of deliveries of messages that are not here.
    UNMATCHED: Counter[] = "conversation_delivery_reports_unmatched_total";
    /// Answers that were sent by themselves, by the rule.
    AUTO_REPLIES: Counter["rule"] = "conversation_auto_replies_total";
    /// Waits of clients that exceeded their channel's limit.
    EXCEEDED: Counter[] = "conversation_response_time_exceeded_total";
    /// Messages among agents.
    INTERNAL_POSTED: Counter[] = "conversation_internal_messages_posted_total";
}

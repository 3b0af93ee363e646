//! What every service measures.

crate::figures! {
    /// Whether this replica is ready for calls: 1 or 0.
    READY: Gauge[] = "service_ready";
    /// What keeps this replica from being ready, by the name of the condition: 1 while it does, else 0.
    HELD: Gauge["latch"] = "service_latch_held";
    /// Connections to the database: `used` by requests and looks, `idle`, and how many there may be (`most`).
    DATABASE_CONNECTIONS: Gauge["state"] = "database_connections";

    /// How long calls took until their answer began, by method and outcome; its `_count` is how many there were.
    GRPC_SECONDS: Histogram["method", "code"] = "grpc_server_seconds";
    /// Calls that were refused because their account asked too much at once.
    GRPC_LIMITED: Counter[] = "grpc_rate_limited_total";

    /// Messages of a stream that a consumer has not acknowledged, whether it was given them or not. Looked at every ten seconds by
    /// each replica, so that it is true while nothing is consumed: the highest counts. One message of `INBOUND` is a pack of items
    /// that were accepted together.
    CONSUMER_PENDING: Gauge["consumer", "stream"] = "consumer_pending";
    /// How long the oldest message that a consumer has not acknowledged has been in the stream; 0 where there is none. It goes on
    /// growing while the broker cannot be asked.
    CONSUMER_OLDEST: Gauge["consumer", "stream"] = "consumer_oldest_seconds";
    /// Events and items that were handled, repeats too.
    CONSUMER_HANDLED: Counter["consumer"] = "consumer_handled_total";
    /// Batches that failed and are taken apart.
    CONSUMER_FAILURES: Counter["consumer"] = "consumer_failures_total";
    /// Events and items of one batch.
    BATCH_ITEMS: Histogram["consumer"] = "consumer_batch_items";
    /// How long a batch was in its handler.
    BATCH_SECONDS: Histogram["consumer"] = "consumer_batch_seconds";
    /// Dead letters that were written. `reason`: `unsupported`, where nobody here understands it yet; `failed`, where handling
    /// failed for good; `unclaimed`, where it is for no account here.
    DEAD_LETTERS: Counter["consumer", "reason"] = "dead_letters_total";

    /// How long the oldest event has been waiting in the outbox, looked at every five seconds; it goes on growing while the
    /// database cannot be asked. The highest of all replicas counts.
    OUTBOX_OLDEST: Gauge[] = "outbox_oldest_seconds";
    /// Events that wait in the outbox; those of ten thousand rows at most.
    OUTBOX_EVENTS: Gauge[] = "outbox_events";
    /// Events that were published.
    OUTBOX_PUBLISHED: Counter[] = "outbox_published_total";

    /// Whether the broker has an `INBOUND` stream that this service does not read: 1 where `nats.inbound_shards` is too low here.
    STREAMS_UNREAD: Gauge[] = "inbound_streams_unread";

    /// Log lines of level `warn` and `error` that were written.
    LOG_LINES: Counter["level"] = "log_lines_total";
    /// Log lines that were left out because the same had been written often just before.
    LOG_LEFT_OUT: Counter[] = "log_lines_left_out_total";
}

/// What is measured where webhooks are packed and streams are looked after: by channel-gateway.
pub mod inbound {
    crate::figures! {
        /// Packs that the broker acknowledged.
        PACKS: Counter[] = "packs_published_total";
        /// Items in them: what was accepted.
        ITEMS: Counter[] = "packs_items_total";
        /// Items of one pack.
        PACK_ITEMS: Histogram[] = "pack_items";
        /// How long a pack was on its way until the broker had it on disk.
        PACK_SECONDS: Histogram[] = "pack_seconds";
        /// Packs that the broker did not take; their senders were told so.
        FAILED: Counter[] = "packs_failed_total";

        /// Which part of its bound a stream takes.
        STREAM_FILL: Gauge["stream"] = "stream_fill_ratio";
        /// How far back a stream reaches.
        STREAM_REACH: Gauge["stream"] = "stream_replay_reach_seconds";
        /// Messages of a stream.
        STREAM_MESSAGES: Gauge["stream"] = "stream_messages";
        /// Messages that the janitor purged because all our consumers had acknowledged them.
        STREAM_PURGED: Counter["stream"] = "stream_purged_total";
        /// Whether an `INBOUND` stream was found in the last 24 hours to end before where it had ended already: 1 means that the
        /// broker lost messages that were accepted, as after a restore.
        REGRESSED: Gauge["stream"] = "inbound_sequence_regressed";
    }
}

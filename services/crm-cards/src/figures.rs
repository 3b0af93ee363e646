//! What crm-cards measures.

chassis::figures! {
    /// Decisions of pipeline connections, by the rule that took them, skips too.
    DECISIONS: Counter["rule"] = "crm_decisions_total";
    /// Cards that were made: by a `rule`, by `hand`, by `import` or by `opening-connections`.
    CARDS: Counter["by"] = "crm_cards_created_total";
    /// Leads that became contacts with an order.
    CONVERTED: Counter[] = "crm_cards_converted_total";
    /// Responsibles that were not passed on to chats, by why not.
    SYNC_SKIPPED: Counter["reason"] = "crm_sync_skipped_total";
    /// Responsibles that an external CRM named, by what became of them.
    EXTERNAL: Counter["outcome"] = "crm_external_responsibles_total";
    /// Responsibles that were dropped because the conversation that they are for never came.
    PARKED_DROPPED: Counter[] = "crm_parked_responsibles_dropped_total";
}

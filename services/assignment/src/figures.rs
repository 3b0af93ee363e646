//! What assignment measures.

chassis::figures! {
    /// Chats that were given to somebody, or to nobody, by the rule that decided (architecture §7).
    CHOICES: Counter["rule"] = "assignment_choices_total";
    /// Chats that wait for an agent; ten thousand at most are counted.
    WAITING: Gauge[] = "assignment_waiting_chats";
    /// How long the chat has been waiting that waits longest; 0 where none does.
    WAITING_OLDEST: Gauge[] = "assignment_waiting_oldest_seconds";
    /// Calls that were refused because another agent was faster or answers for the chat, by the method.
    REFUSALS: Counter["method"] = "assignment_refusals_total";
    /// Conversations that were given to somebody before crm-cards had decided, because that took too long.
    OVERDUE: Counter[] = "assignment_decisions_overdue_total";
    /// Chats that conversation was asked for, because an agent wrote before the event of their opening came.
    ASKED_FOR: Counter[] = "assignment_chats_asked_for_total";
    /// Responsibles that were not taken over from CRM, by why not.
    SYNC_SKIPPED: Counter["reason"] = "assignment_sync_skipped_total";
}

"""Grafana's dashboards, written as what they show: rows of panels, each a title, a unit and queries."""

import json

SERVICES = ("channel-gateway", "conversation", "crm-cards", "assignment")
SERVER_FAULTS = "internal|unknown|unavailable|data_loss|deadline_exceeded"
SOURCE = {"type": "prometheus", "uid": "${source}"}
# A panel's place: a row has 24 columns.
COLUMNS, HEIGHT, STAT_HEIGHT = 24, 8, 4


class Panel:
    def __init__(self, title, about, unit, *queries, stat=False, width=8, red=None):
        self.title, self.about, self.unit, self.queries = title, about, unit, queries
        self.stat, self.width, self.red = stat, width, red

    def json(self, number, x, y):
        steps = [{"color": "green", "value": None}]
        if self.red is not None:
            steps.append({"color": "red", "value": self.red})
        return {
            "id": number,
            "type": "stat" if self.stat else "timeseries",
            "title": self.title,
            "description": self.about,
            "datasource": SOURCE,
            "gridPos": {"h": STAT_HEIGHT if self.stat else HEIGHT, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}, "overrides": []},
            "targets": [
                {"refId": chr(65 + place), "datasource": SOURCE, "expr": query, "legendFormat": legend}
                for place, (query, legend) in enumerate(self.queries)
            ],
        }  # fmt: skip


def stat(title, about, unit, query, red=None, width=4):
    return Panel(title, about, unit, (query, ""), stat=True, red=red, width=width)


def quantiles(metric, labels="", by=""):
    """Three quantiles of a histogram, of each value of `by`."""
    more, legend = (f"{by}, ", f"{{{{{by}}}}} ") if by else ("", "")
    return [
        (f"histogram_quantile({share}, sum by ({more}le) (rate({metric}_bucket{labels}[$__rate_interval])))", f"{legend}{name}")
        for share, name in ((0.5, "half"), (0.99, "99 %"))
    ]


def overview():
    return [
        ("What is promised", [
            stat("Accepted − stored", "Packs of accepted items that are not stored yet. What is accepted is on disk: it is stored later, never lost.", "short", 'sum(max by (stream) (consumer_pending{consumer="conversation-inbound"}))', red=1000),
            stat("Waiting since", "Since when the oldest accepted item waits to be stored.", "s", 'max(consumer_oldest_seconds{consumer="conversation-inbound"})', red=60),
            stat("Oldest event", "Since when the oldest event waits for any of our consumers.", "s", "max(consumer_oldest_seconds)", red=60),
            stat("Webhooks accepted", "Of the providers' well-formed calls in the last hour.", "percentunit", "1 - switchboard:webhooks_refused:ratio_1h"),
            stat("Deliveries that succeed", "Of those in the last hour that could.", "percentunit", "1 - switchboard:deliveries_failed:ratio_1h"),
            stat("Streams that lost messages", "INBOUND streams that end before where they had ended, in the last 24 hours.", "short", "sum(max by (stream) (inbound_sequence_regressed))", red=1),
        ]),
        ("Traffic", [
            Panel("Webhooks", "Calls of providers a second.", "reqps", ("sum by (provider) (rate(webhook_requests_total[$__rate_interval]))", "{{provider}}")),
            Panel("Accepted and stored", "Items accepted and handled a second, repeats too: the two follow each other.", "short", ("sum(rate(packs_items_total[$__rate_interval]))", "accepted"), ('sum(rate(consumer_handled_total{consumer="conversation-inbound"}[$__rate_interval]))', "handled by conversation")),
            Panel("Calls", "gRPC calls a second.", "reqps", ("sum by (component) (rate(grpc_server_seconds_count[$__rate_interval]))", "{{component}}")),
        ]),
        ("Latency", [
            Panel("Webhooks", "Until a provider has our answer.", "s", *quantiles("webhook_accept_seconds", by="provider")),
            Panel("Calls", "Until the answer begins.", "s", *quantiles("grpc_server_seconds", by="component")),
            Panel("Batches", "How long a batch of events is in its handler.", "s", *quantiles("consumer_batch_seconds", by="consumer")),
        ]),
        ("Errors", [
            Panel("Webhooks that were not accepted", "By status: 4xx are strangers' and ill-formed ones, 5xx are ours.", "reqps", ('sum by (status) (rate(webhook_requests_total{status!~"2.."}[$__rate_interval]))', "{{status}}")),
            Panel("Calls that failed for our reasons", "", "reqps", (f'sum by (component, code) (rate(grpc_server_seconds_count{{code=~"{SERVER_FAULTS}"}}[$__rate_interval]))', "{{component}} {{code}}")),
            Panel("Dead letters", "An hour, by consumer and reason.", "short", ("sum by (consumer, reason) (increase(dead_letters_total[1h]))", "{{consumer}} {{reason}}")),
        ]),
        ("Saturation", [
            Panel("What waits for consumers", "Messages that are not acknowledged.", "short", ("max by (consumer, stream) (consumer_pending)", "{{consumer}} {{stream}}")),
            Panel("Outboxes", "Since when the oldest event waits to be published.", "s", ("max by (component) (outbox_oldest_seconds)", "{{component}}")),
            Panel("Streams", "Which part of their bounds they take; above 0.8 the janitor purges what all have read.", "percentunit", ("max by (stream) (stream_fill_ratio)", "{{stream}}")),
        ]),
        ("Replicas", [
            Panel("Ready", "Replicas that are ready.", "short", ("sum by (component) (service_ready)", "{{component}}")),
            Panel("Memory", "Of the fullest replica.", "bytes", ("max by (component) (process_resident_memory_bytes)", "{{component}}")),
            Panel("CPU", "Of all replicas.", "short", ("sum by (component) (rate(process_cpu_seconds_total[$__rate_interval]))", "{{component}}")),
        ]),
    ]  # fmt: skip


def common(service):
    own = f'{{component="{service}"}}'
    inner = f'component="{service}"'
    return [
        ("Calls", [
            Panel("Calls", "A second, by method.", "reqps", (f"sum by (method) (rate(grpc_server_seconds_count{own}[$__rate_interval]))", "{{method}}"), width=12),
            Panel("Until the answer begins", "", "s", *quantiles("grpc_server_seconds", own), width=6),
            Panel("Outcomes", "A second, but for `ok`.", "reqps", (f'sum by (code) (rate(grpc_server_seconds_count{{{inner},code!="ok"}}[$__rate_interval]))', "{{code}}"), (f"sum(rate(grpc_rate_limited_total{own}[$__rate_interval]))", "beyond the account's rate"), width=6),
        ]),
        ("Events", [
            Panel("What waits", "Messages that are not acknowledged.", "short", (f"max by (consumer, stream) (consumer_pending{own})", "{{consumer}} {{stream}}"), width=6),
            Panel("Since when", "", "s", (f"max by (consumer, stream) (consumer_oldest_seconds{own})", "{{consumer}} {{stream}}"), width=6),
            Panel("Handled", "A second.", "short", (f"sum by (consumer) (rate(consumer_handled_total{own}[$__rate_interval]))", "{{consumer}}"), (f"sum by (consumer) (rate(consumer_failures_total{own}[$__rate_interval]))", "{{consumer}} batches that failed"), width=6),
            Panel("Batches", "How many events one has.", "short", (f"sum by (consumer) (rate(consumer_batch_items_sum{own}[$__rate_interval])) / sum by (consumer) (rate(consumer_batch_items_count{own}[$__rate_interval]))", "{{consumer}}"), width=6),
        ]),
        ("What it rests on", [
            Panel("Outbox", "Events that wait, and since when.", "short", (f"max(outbox_events{own})", "events"), (f"max(outbox_oldest_seconds{own})", "seconds"), (f"sum(rate(outbox_published_total{own}[$__rate_interval]))", "published a second"), width=6),
            Panel("Connections to the database", "Of the replica that has most in use.", "short", (f"max by (state) (database_connections{own})", "{{state}}"), width=6),
            Panel("What keeps it from being ready", "", "short", (f"sum by (latch) (service_latch_held{own}) > 0", "{{latch}}"), width=6),
            Panel("Warnings and errors", "Log lines a second.", "short", (f"sum by (level) (rate(log_lines_total{own}[$__rate_interval]))", "{{level}}"), (f"sum(rate(log_lines_left_out_total{own}[$__rate_interval]))", "left out"), width=6),
        ]),
    ]  # fmt: skip


def gateway():
    return [
        ("In", [
            Panel("Webhooks", "Calls a second by status.", "reqps", ("sum by (provider, status) (rate(webhook_requests_total[$__rate_interval]))", "{{provider}} {{status}}")),
            Panel("Packs", "Items of one.", "short", ("sum(rate(pack_items_sum[$__rate_interval])) / sum(rate(pack_items_count[$__rate_interval]))", "items"), ("sum(rate(packs_failed_total[$__rate_interval]))", "not taken, a second")),
            Panel("On their way to disk", "How long packs are.", "s", *quantiles("pack_seconds")),
        ]),
        ("Out", [
            Panel("Attempts", "A second by outcome and cause.", "short", ("sum by (outcome, cause) (rate(deliveries_total[$__rate_interval]))", "{{outcome}} {{cause}}")),
            Panel("Waiting", "Deliveries, and since when the oldest.", "short", ("max(deliveries_queued)", "deliveries"), ("max(delivery_oldest_queued_seconds)", "seconds")),
            Panel("Providers", "How long calls take.", "s", *quantiles("provider_call_seconds", by="provider")),
        ]),
        ("Providers and channels", [
            Panel("Calls to providers", "A second by how they ended.", "reqps", ("sum by (provider, class) (rate(provider_call_seconds_count[$__rate_interval]))", "{{provider}} {{class}}")),
            Panel("Channels", "Enabled, and those that need an administrator.", "short", ("max by (kind) (channels_enabled)", "{{kind}}"), ("max by (kind) (channels_degraded) > 0", "{{kind}} degraded")),
            Panel("Uploads", "Bytes in the store, and the fullest account's share of its quota.", "bytes", ("max(uploads_bytes)", "bytes"), ("max(uploads_fullest_account_ratio)", "fullest account")),
        ]),
    ]  # fmt: skip


def conversation():
    return [
        ("Messages", [
            Panel("Stored", "A second by who wrote.", "short", ("sum by (kind) (rate(conversation_messages_stored_total[$__rate_interval]))", "{{kind}}")),
            Panel("Accepted until stored", "Age of the oldest item of the last batch.", "s", ("max(conversation_inbound_oldest_age_seconds)", "")),
            Panel("Ahead of their messages", "Edits, deletions and reactions that are parked.", "short", ("max(conversation_parked)", "parked"), ("sum(rate(conversation_parked_total[$__rate_interval]))", "parked a second")),
        ]),
    ]  # fmt: skip


def crm_cards():
    return [
        ("Cards", [
            Panel("Decisions", "A second by rule, skips too.", "short", ("sum by (rule) (rate(crm_decisions_total[$__rate_interval]))", "{{rule}}"), width=12),
            Panel("Cards", "A second by what made them.", "short", ("sum by (by) (rate(crm_cards_created_total[$__rate_interval]))", "{{by}}"), width=12),
        ]),
    ]  # fmt: skip


def assignment():
    return [
        ("Chats", [
            Panel("Waiting", "Chats without an agent.", "short", ("max(assignment_waiting_chats)", "chats")),
            Panel("Waiting longest", "", "s", ("max(assignment_waiting_oldest_seconds)", "")),
            Panel("Decisions", "A second by rule.", "short", ("sum by (rule) (rate(assignment_choices_total[$__rate_interval]))", "{{rule}}"), ("sum(rate(assignment_decisions_overdue_total[$__rate_interval]))", "before crm-cards had decided")),
        ]),
    ]  # fmt: skip


def business():
    return [
        ("Today", [
            stat("Messages of customers", "In the time shown.", "short", 'sum(increase(conversation_messages_stored_total{kind="client"}[$__range]))', width=6),
            stat("Answers", "Of agents, in the time shown.", "short", 'sum(increase(conversation_messages_stored_total{kind="agent"}[$__range]))', width=6),
            stat("Cards", "Made in the time shown.", "short", "sum(increase(crm_cards_created_total[$__range]))", width=6),
            stat("Chats that wait for an agent", "At this moment.", "short", "max(assignment_waiting_chats)", width=6),
        ]),
        ("Conversations", [
            Panel("Messages", "A minute.", "short", ("60 * sum by (kind) (rate(conversation_messages_stored_total[$__rate_interval]))", "{{kind}}")),
            Panel("Waits beyond their limit", "An hour, by the channels' own limits.", "short", ("sum(increase(conversation_response_time_exceeded_total[1h]))", "waits")),
            Panel("Who gets chats", "An hour, by rule.", "short", ("sum by (rule) (increase(assignment_choices_total[1h]))", "{{rule}}")),
        ]),
        ("Sales", [
            Panel("Why there is a card, or none", "An hour, by rule.", "short", ("sum by (rule) (increase(crm_decisions_total[1h]))", "{{rule}}")),
            Panel("Cards", "An hour, by what made them.", "short", ("sum by (by) (increase(crm_cards_created_total[1h]))", "{{by}}")),
            Panel("Answers that reached customers", "An hour, by what became of them.", "short", ("sum by (result) (increase(deliveries_ended_total[1h]))", "{{result}}")),
        ]),
    ]  # fmt: skip


BOARDS = {
    "overview": ("Switchboard: overview", overview()),
    "channel-gateway": ("Switchboard: channel-gateway", gateway() + common("channel-gateway")),
    "conversation": ("Switchboard: conversation", conversation() + common("conversation")),
    "crm-cards": ("Switchboard: crm-cards", crm_cards() + common("crm-cards")),
    "assignment": ("Switchboard: assignment", assignment() + common("assignment")),
    "business": ("Switchboard: business", business()),
}


def board(name):
    title, rows = BOARDS[name]
    panels, y, number = [], 0, 0
    for heading, row in rows:
        number += 1
        panels.append({"id": number, "type": "row", "title": heading, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": y}})  # fmt: skip
        y, x = y + 1, 0
        for panel in row:
            number += 1
            panels.append(panel.json(number, x, y))
            x += panel.width
        assert x <= COLUMNS, f"{name}: {heading} is too wide"
        y += STAT_HEIGHT if all(panel.stat for panel in row) else HEIGHT
    return {
        "uid": f"switchboard-{name}",
        "title": title,
        "tags": ["switchboard"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": panels,
    }


def texts():
    """{name: JSON}."""
    return {name: json.dumps(board(name), indent=1, ensure_ascii=False) + "\n" for name in BOARDS}


def queries():
    """All queries: (dashboard, panel, query)."""
    for name, (_, rows) in BOARDS.items():
        for _, row in rows:
            for panel in row:
                for query, _ in panel.queries:
                    yield name, panel.title, query

"""Checks the alerts: each is complete and tested both ways, and every metric that alerts and dashboards name is one that the
services declare (`deploy/metrics`)."""

import copy
import re
import subprocess

import yaml

from .. import machine
from . import dashboards, generate

RULES = generate.CHART / "alerts" / "rules.yaml"
TESTS = generate.DEPLOY / "alerts" / "tests.yaml"
RUNBOOKS = generate.DEPLOY / "runbooks"
MOST = 15
# What an expression consists of beside metrics and labels.
WORDS = set(
    "sum max min avg count rate increase histogram_quantile avg_over_time absent vector and or unless bool".split()
)
# Labels that every series has here, and those by which rules tell replicas apart.
COMMON_LABELS = {"component", "le"}
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>\w+) \| [^|]* \| (?P<labels>[^|]*) \|")
SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)?\{(?P<labels>[^}]*)\}")


def declared():
    """What `/metrics` of the services tells: {series: labels}."""
    known = {name: set() for name in PROCESS}
    for service in generate.SERVICES:
        for line in (generate.DEPLOY / "metrics" / f"{service}.md").read_text().splitlines():
            if row := ROW.match(line):
                labels = set(re.findall(r"`(\w+)`", row["labels"]))
                ends = ("_bucket", "_sum", "_count") if row["kind"] == "histogram" else ("",)
                known.update({row["name"] + end: labels for end in ends})
    return known


def load(file=RULES):
    return yaml.safe_load(file.read_text())


def rules_of(loaded, key):
    return [rule for group in loaded["groups"] for rule in group["rules"] if key in rule]


def unknown(expression, known):
    """What an expression names that nobody tells."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    for found in SELECTOR.finditer(bare):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", found["labels"]))
        if not found["name"]:
            yield "a selector without a metric"
        for label in labels - known.get(found["name"], labels) - COMMON_LABELS:
            yield f"{found['name']} has no label {label}"
    bare = re.sub(r"\{[^}]*\}", "", bare)
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", bare)
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", bare)
    names = set(re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*", bare)) - WORDS
    for name in sorted(names - known.keys()):
        yield f"no metric {name}"
    labels = {label.strip() for group in grouped for label in group.split(",") if label.strip()}
    there = set().union(*(known[name] for name in names & known.keys())) | COMMON_LABELS
    recorded = any(":" in name for name in names)
    for label in sorted(labels - there):
        if not recorded:
            yield f"no label {label}"


def unknown_metrics(loaded, queries):
    known = declared()
    known.update({rule["record"]: set() for rule in rules_of(loaded, "record")})
    for rule in [*rules_of(loaded, "record"), *rules_of(loaded, "alert")]:
        for found in unknown(rule["expr"], known):
            yield f"{rule.get('alert') or rule['record']}: {found}"
    for board, panel, query in queries:
        for found in unknown(query, known):
            yield f"dashboard {board}: {panel}: {found}"


def incomplete(loaded, tests):
    alerts = rules_of(loaded, "alert")
    names = [alert["alert"] for alert in alerts]
    if len(alerts) > MOST:
        yield f"{len(alerts)} alerts: {MOST} at most, or nobody looks at them"
    for alert in alerts:
        name, annotations = alert["alert"], alert.get("annotations", {})
        for wanted in ("summary", "impact", "runbook_url"):
            if not annotations.get(wanted):
                yield f"{name}: no {wanted}"
        if annotations.get("runbook_url") != f"runbooks/{name}.md":
            yield f"{name}: its runbook is deploy/runbooks/{name}.md"
        if not (RUNBOOKS / f"{name}.md").exists():
            yield f"{name}: no deploy/runbooks/{name}.md"
        if alert.get("labels", {}).get("severity") not in ("page", "ticket"):
            yield f"{name}: severity is page or ticket"
        for case in ("fires", "silent"):
            if case not in tests.get(name, {}):
                yield f"{name}: deploy/alerts/tests.yaml has no case in which it {case if case == 'fires' else 'stays silent'}"
    for name in tests.keys() - set(names):
        yield f"deploy/alerts/tests.yaml: {name} is no alert"


def filled(text, labels):
    return re.sub(r"\{\{ *\$labels\.(\w+) *\}\}", lambda found: labels.get(found[1], ""), text)


def as_promtool(loaded, tests, rules_file):
    """The tests as promtool reads them."""
    by_name = {alert["alert"]: alert for alert in rules_of(loaded, "alert")}
    written = []
    for name, cases in tests.items():
        alert = by_name.get(name)
        for case, told in cases.items():
            expected = [
                {
                    "exp_labels": {**alert["labels"], **labels},
                    "exp_annotations": {key: filled(text, labels) for key, text in alert["annotations"].items()},
                }
                for labels in told.get("labels", [])
                if alert and case == "fires"
            ]
            written.append(
                {
                    "name": f"{name}: {case}",
                    "interval": "1m",
                    "input_series": [
                        {"series": series, "values": str(values)} for series, values in told["series"].items()
                    ],
                    "alert_rule_test": [{"eval_time": told["at"], "alertname": name, "exp_alerts": expected}],
                }
            )
    return {"rule_files": [str(rules_file)], "evaluation_interval": "1m", "tests": written}


def promtool(folder, loaded, tests):
    """What promtool finds wrong."""
    rules_file, tests_file = folder / "rules.yaml", folder / "tests.yaml"
    rules_file.write_text(yaml.safe_dump(loaded))
    tests_file.write_text(yaml.safe_dump(as_promtool(loaded, tests, rules_file)))
    for command in (["check", "rules", rules_file], ["test", "rules", tests_file]):
        done = subprocess.run([machine.promtool(), *command], capture_output=True, text=True, check=False)
        if done.returncode:
            return (done.stdout + done.stderr).strip().splitlines()
    return []


def wrong(folder):
    loaded, tests = load(), yaml.safe_load(TESTS.read_text())
    yield from incomplete(loaded, tests)
    yield from promtool(folder, loaded, tests)


def unnoticed(folder):
    """Each alert is broken in turn: one that never fires, and one that always does, must be noticed by its cases; so must a
    missing case, a missing runbook and a metric that is none."""
    loaded, tests = load(), yaml.safe_load(TESTS.read_text())
    for place, alert in enumerate(rules_of(loaded, "alert")):
        name = alert["alert"]
        own = {name: tests.get(name, {})}
        for spoilt, expression in (("never fires", "vector(0) > 1"), ("always fires", "vector(1)")):
            broken = copy.deepcopy(loaded)
            victim = rules_of(broken, "alert")[place]
            victim["expr"] = expression
            victim.pop("for", None)
            if not promtool(folder, broken, own):
                yield f"{name}: that it {spoilt} is not noticed"
        for case in ("fires", "silent"):
            fewer = copy.deepcopy(tests)
            fewer.get(name, {}).pop(case, None)
            if not list(incomplete(loaded, fewer)):
                yield f"{name}: that the case {case} is missing is not noticed"
    broken = copy.deepcopy(loaded)
    rules_of(broken, "alert")[0]["annotations"].pop("impact")
    if not list(incomplete(broken, tests)):
        yield "an alert without impact is not noticed"
    for query in ("sum(rate(webhook_request_total[5m]))", 'max(consumer_pending{durable="x"})', "sum by (account) (deliveries_queued)"):  # fmt: skip
        if not list(unknown_metrics(loaded, [("x", "y", query)])):
            yield f"{query} is not noticed"


def strangers():
    return list(unknown_metrics(load(), dashboards.queries()))

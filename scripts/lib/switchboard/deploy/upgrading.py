"""UPGRADING.md tells what is tested, which minors get fixes, and of each version what an upgrade does: held against what is pinned,
what services refuse, and the migrations themselves."""

import re

from kubernetes_validate.utils import major_minor

from .. import machine
from ..ui import Refusal
from . import generate

FILE = generate.DEPLOY / "UPGRADING.md"
# Each version tells these, in this order.
PARTS = ("**By itself**", "**By hand**", "**Going back**")
# What a migration does to rows that are there, or takes away.
CHANGES = re.compile(r"^\s*(update\s|delete\s+from|truncate\s|(alter table .*)?drop\s+(constraint|column|table))", re.I | re.M)


def constant(pattern):
    """What a constant of the chassis is, wherever it stands."""
    for file in sorted((machine.ROOT / "services" / "chassis" / "src").rglob("*.rs")):
        if found := re.search(pattern, file.read_text()):
            return found
    raise Refusal(f"no constant of the chassis is {pattern}", "Say in upgrading.py how it is called now.")


def tested(kubernetes):
    """The rows of what is tested, out of what is pinned and what services refuse."""
    postgres = int(constant(r"\bPOSTGRES_MIN: i32 = ([\d_]+)")[1].replace("_", "")) // 10_000
    version = r"\b%s: \(i64, i64, i64\) = \((\d+), (\d+), (\d+)\)"
    oldest = ".".join(constant(version % "OLDEST").groups())
    batches = ".".join(constant(version % "BATCHES_SINCE").groups())
    shown = ", ".join(major_minor(one) for one in kubernetes)
    return [
        f"| PostgreSQL | {machine.POSTGRES_TESTED} | older than {postgres} |",
        f"| NATS | {machine.NATS_PACKAGE[1]} | older than {oldest}; from {batches} on events go in batches |",
        f"| Kubernetes | {shown}: objects are held against their schemas, no cluster runs them | older than {kubernetes[0]} |",
    ]


def table(text, mark):
    found = re.search(rf"<!-- {mark} -->\n\|.*\n\|---.*\n((?:\|.*\n)+)", text)
    return found[1].splitlines() if found else []


def migrations():
    """(service, number) of the migrations that change what is there."""
    for file in sorted(machine.ROOT.glob("services/*/migrations/*.sql")):
        # A folder's first makes the tables.
        lines = re.sub(r"--.*", "", file.read_text())
        if CHANGES.search(lines):
            yield file.parts[-3], file.name.split("_")[0]


def wrong(kubernetes, text=None):
    text = text or FILE.read_text()
    expected = tested(kubernetes)
    for row in expected:
        if row not in table(text, "tested"):
            yield f"what is tested: there should be: {row}"
    if len(table(text, "tested")) != len(expected):
        yield "what is tested: there are other rows"
    version = re.search(r'^version = "(\S+)"', (machine.ROOT / "Cargo.toml").read_text(), re.M)[1]
    chart = re.search(r"^appVersion: (\S+)", (generate.CHART / "Chart.yaml").read_text(), re.M)[1]
    if version != chart:
        yield f"the workspace is {version}, the chart is of {chart}"
    minors = [row.split("|")[1].strip() for row in table(text, "supported")]
    if not minors or minors[0] != ".".join(version.split(".")[:2]):
        yield f"the minors that get fixes do not begin with that of {version}"
    if len(minors) > 3:
        yield "more than three minors get fixes"
    sections = dict(re.findall(r"^## (\d+\.\d+\.\d+)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    if version not in sections:
        yield f"nothing is told of {version}"
    for name, section in sections.items():
        if tuple(re.findall(r"^\*\*.+\*\*$", section, re.M)) != PARTS:
            yield f"{name} does not tell, in this order: {', '.join(PARTS)}"
    for service, number in migrations():
        if not re.search(rf"^ *\| {service} \| {number} \| \S", text, re.M):
            yield f"{service} {number} changes what is there and is not told of"


def unprinted(text=None):
    """Figures of CAPACITY.md that do not stand in README.md as scripts/bench printed them."""
    text = text or (generate.DEPLOY / "CAPACITY.md").read_text()
    printed = (machine.ROOT / "README.md").read_text()
    names = {"NATS": "nats-server", "PostgreSQL": "postgres (shared memory counted per backend)"}
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    )
    for rate, *cells in rows:
        if f"webhooks, {rate}/s" not in printed:
            yield f"{rate} webhooks a second: nothing was printed of them"
        for name, cell in zip(head[1:], cells, strict=True):
            figures = re.match(r"([\d.]+) %, (\d+) MiB", cell)
            line = rf"^ +{re.escape(names.get(name, name))} +{figures[1]} % of a core +{figures[2]} MiB" if figures else "^$"
            if not figures or not re.search(line, printed, re.M):
                yield f"{name} at {rate}/s: {cell} was not printed"


def unnoticed(kubernetes):
    """What must be found and is not."""
    text = FILE.read_text()
    for before, after in (
        (machine.NATS_PACKAGE[1], "2.14.0"),
        ("| PostgreSQL | 15", "| PostgreSQL | 14"),
        ("1.30, ", ""),
        ("| 0.1 |", "| 0.0 |"),
        ("## 0.1.0", "## 0.0.9"),
        ("**By hand**", "**Manually**"),
        ("| conversation | 0039 |", "| conversation | 0038 |"),
    ):
        if before not in text:
            yield f"nothing to break: {before}"
        elif not list(wrong(kubernetes, text.replace(before, after))):
            yield f"not noticed: {after} in place of {before}"
    capacity = (generate.DEPLOY / "CAPACITY.md").read_text()
    for before, after in (("14.6 %", "4.6 %"), ("162 MiB", "62 MiB"), ("| 1000 |", "| 5000 |")):
        if before not in capacity or not list(unprinted(capacity.replace(before, after))):
            yield f"not noticed in CAPACITY.md: {after} in place of {before}"

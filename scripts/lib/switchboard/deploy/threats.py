"""deploy/THREATS.md names tests: each must be one, and each threat must have one."""

import re

from .. import machine
from . import generate

FILE = generate.DEPLOY / "THREATS.md"


def tests():
    """Names of all tests: functions whose attribute says so."""
    found = set()
    for folder in ("services", "tests"):
        for file in (machine.ROOT / folder).rglob("*.rs"):
            found.update(re.findall(r"#\[(?:tokio::)?test\b[^\]]*\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)", file.read_text()))
    return found


def wrong(text=None):
    known, rows = tests(), re.findall(r"^\|(?! what somebody|---)(.*)\|$", text or FILE.read_text(), re.MULTILINE)
    if not rows:
        yield "there is no threat"
    for row in rows:
        threat, _, covered = (part.strip() for part in row.split("|"))
        names = re.findall(r"`(\w+)`", covered)
        if not names:
            yield f"no test for: {threat}"
        for name in names:
            if name not in known:
                yield f"{name} is no test ({threat})"


def unnoticed():
    """What must be found and is not."""
    for broken in ("| a | b | |", "| a | b | `there_is_no_such_test` |", ""):
        text = f"| what somebody tries | what | tests |\n{broken}\n"
        if not list(wrong(text)):
            yield f"not noticed: {broken!r}"

"""deploy/RECOVERY.md is written out of scripts/recover: its text, and below each step what the step does."""

import re

from .. import machine

SCRIPT = machine.ROOT / "scripts" / "recover"


def page(text=None):
    text = text or SCRIPT.read_text()
    steps = dict(re.findall(r"^(\w+)\(\) \{\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL))
    lines = []
    for line in re.findall(r"^#:(.*)$", text, re.MULTILINE):
        line = line.removeprefix(" ")
        if line.startswith("@"):
            body = [each.removeprefix("  ") for each in steps[line[1:]].splitlines()]
            lines += ["```sh", *body, "```"]
        else:
            # Parts of the text that stand apart in the script stand apart here.
            if line.startswith("## ") and lines and lines[-1]:
                lines.append("")
            lines.append(line)
    return "\n".join(lines) + "\n"

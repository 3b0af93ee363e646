"""The crates that are built in, held against deny.toml by cargo-deny, without the internet: licences, bans and doubles, sources."""

import os
import subprocess

from .. import machine
from . import generate

FILE = generate.DEPLOY / "deny.toml"
CHECKS = ("bans", "licenses", "sources")


def asked(file):
    """What cargo-deny says against a file's rules."""
    command = [machine.cargo_deny(), "--locked", "--offline", "--color", "never", "--config", file]
    return subprocess.run(
        [*command, "check", "--hide-inclusion-graph", *CHECKS], cwd=machine.ROOT, stdin=subprocess.DEVNULL,
        env={**os.environ, "CARGO_NET_OFFLINE": "true"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def wrong():
    # Licences are read out of the crates themselves, of which a new machine has none yet.
    fetched = subprocess.run(
        ["cargo", "fetch", "--locked"], cwd=machine.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if fetched.returncode:
        yield f"crates cannot be fetched: {fetched.stderr.strip()}"
        return
    done = asked(FILE)
    if done.returncode:
        yield from (done.stdout + done.stderr).strip().splitlines()


# What is changed in deny.toml, and what must then be complained about.
BROKEN = (
    ('    "ISC",\n', "", "rejected"),
    ('"Zlib",', '"Zlib", "GPL-3.0",', "license-not-encountered"),
    ('{ crate = "openssl", reason', '{ crate = "ring", reason', "banned"),
    ('{ crate = "ring", deny-multiple', '{ crate = "rand", deny-multiple', "duplicate"),
    ("https://github.com/rust-lang/crates.io-index", "https://crates.example.com/index", "source-not-allowed"),
)


def unnoticed(folder):
    text, file = FILE.read_text(), folder / "deny.toml"
    for before, after, complaint in BROKEN:
        if before not in text:
            yield f"nothing to break: {before.strip()}"
            continue
        file.write_text(text.replace(before, after))
        done = asked(file)
        if done.returncode == 0 or f"error[{complaint}]" not in done.stdout + done.stderr:
            yield f"{before.strip()} in place of {after.strip() or 'nothing'} is not complained about as {complaint}"

"""Runs cargo, in as few modes as possible: each mode builds the dependencies once more."""

import os
import subprocess
from pathlib import Path

from . import machine
from .ui import Refusal


def target():
    """Where cargo builds: CARGO_TARGET_DIR, else the user's cache folder, where it survives fresh clones."""
    named = os.environ.get("CARGO_TARGET_DIR")
    return Path(named) if named else machine.cache() / "target"


def environment(**more):
    """The environment of a cargo process."""
    return {**os.environ, "CARGO_TARGET_DIR": str(target()), **{name: str(value) for name, value in more.items()}}


def cargo(*args, quiet=False, **variables):
    """Runs cargo from the workspace; its progress goes to the terminal. True when it succeeded."""
    out = subprocess.DEVNULL if quiet else None
    done = subprocess.run(
        ["cargo", *args], cwd=machine.ROOT, env=environment(**variables), stdin=subprocess.DEVNULL, stderr=out, check=False
    )
    return done.returncode == 0


def must(what, do, *args, **variables):
    """Runs cargo and refuses if it fails."""
    if not cargo(*args, **variables):
        raise Refusal(what, do)


def binaries():
    """The folder of the built programs."""
    return target() / "debug"

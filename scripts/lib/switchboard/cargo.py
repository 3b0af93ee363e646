"""Runs cargo, in as few modes as possible: each mode builds the dependencies once more."""

import functools
import json
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


@functools.cache
def take_over():
    """Makes the folder this checkout's. Clones share it, and cargo takes another clone's crates for this one's where
    the sources here are older than its build: those are removed, what they depend on stays."""
    owner = target() / "checkout"
    here = str(machine.ROOT)
    if owner.exists() and owner.read_text() == here:
        return
    if owner.exists() or (target() / "debug").exists() or (target() / "release").exists():
        described = subprocess.run(
            ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"],
            cwd=machine.ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )
        if described.returncode != 0:
            raise Refusal("cargo does not know the workspace", described.stderr.decode(errors="replace").strip())
        crates = [flag for package in json.loads(described.stdout)["packages"] for flag in ("-p", package["name"])]
        for profile in ("dev", "release"):
            cleaned = subprocess.run(
                ["cargo", "clean", "--quiet", "--profile", profile, *crates],
                cwd=machine.ROOT, env=environment(), stdin=subprocess.DEVNULL, check=False,
            )
            if cleaned.returncode != 0:
                raise Refusal(f"{target()} holds another checkout's build and cannot be cleaned", "Remove the folder.")
    target().mkdir(parents=True, exist_ok=True)
    owner.write_text(here)


def cargo(*args, quiet=False, **variables):
    """Runs cargo from the workspace; its progress goes to the terminal. True when it succeeded."""
    take_over()
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

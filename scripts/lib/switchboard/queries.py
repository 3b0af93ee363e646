"""The checked queries (`services/<crate>/.sqlx`).

The macros of sqlx write what a live database tells of a query into SQLX_OFFLINE_DIR. That folder is one per process, and
cargo compiles all crates in one run, so each compiler gets its own crate's folder from a wrapper (`rustc-queries`). One run
of clippy thus lints, compiles against migrated databases, and gathers the queries, without building anything twice.
"""

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import machine

WRAPPER = machine.ROOT / "scripts" / "lib" / "rustc-queries"
SERVICES = machine.ROOT / "services"


def crates():
    """Crates with checked queries: they say which variable names their database. chassis first: others stand on it."""
    found = sorted(path.parent.name for path in SERVICES.glob("*/sqlx.toml"))
    return sorted(found, key=lambda crate: crate != "chassis")


def variable(crate):
    return f"{crate.replace('-', '_').upper()}_DATABASE_URL"


def migrate(postgres, prefix):
    """Makes one freshly migrated database a crate; returns {variable: address}."""
    urls = {}
    for crate in crates():
        name = f"{prefix}{crate.replace('-', '_')}"
        postgres.sql(f"drop database if exists {name} with (force)")
        urls[variable(crate)] = postgres.create_database(name)
        postgres.sql("create schema if not exists chassis", name)
        for owner in dict.fromkeys(["chassis", crate]):
            for file in sorted((SERVICES / owner / "migrations").glob("*.sql")):
                postgres.apply(name, file)
    return urls


@contextmanager
def gathering(urls):
    """Within it, a cargo run with the yielded variables compiles online and gathers every crate's queries into
    `<folder>/<crate>`; yields (folder, variables)."""
    folder = Path(tempfile.mkdtemp(prefix="switchboard-queries-"))
    for crate in crates():
        (folder / crate).mkdir()
    variables = {**urls, "SQLX_OFFLINE": "false", "RUSTC_WRAPPER": WRAPPER, "SWITCHBOARD_QUERIES_DIR": folder}
    restore = touch_sources()
    try:
        yield folder, variables
    finally:
        restore()
        shutil.rmtree(folder, ignore_errors=True)


def touch_sources():
    """Cargo does not see that a database changed: sources with queries are made to look new, so that the macros run
    again. Afterwards they get their former times back, so that the test build, which reads .sqlx, is not repeated."""
    touched = []
    for crate in crates():
        for source in [SERVICES / crate / "src" / "lib.rs", *(SERVICES / crate / "tests").glob("*.rs")]:
            if source.exists():
                before = source.stat()
                os.utime(source)
                touched.append((source, before, source.stat().st_mtime_ns))

    def restore():
        for source, before, ours in touched:
            # Edited meanwhile: then its new time is the right one.
            if source.stat().st_mtime_ns == ours:
                os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    return restore


def differences(folder):
    """How the committed files differ from the gathered ones, in lines for the reader."""
    found = []
    for crate in crates():
        committed = {path.name: path.read_bytes() for path in (SERVICES / crate / ".sqlx").glob("query-*.json")}
        fresh = {path.name: path.read_bytes() for path in (folder / crate).glob("query-*.json")}
        for name in sorted(committed.keys() | fresh.keys()):
            where = f"services/{crate}/.sqlx/{name}"
            if name not in committed:
                found.append(f"{where} is missing")
            elif name not in fresh:
                found.append(f"{where} belongs to no query")
            elif committed[name] != fresh[name]:
                found.append(f"{where} is out of date")
    return found


def commit_files(folder):
    """Replaces the committed files by the gathered ones; returns how many there are."""
    count = 0
    for crate in crates():
        place = SERVICES / crate / ".sqlx"
        shutil.rmtree(place, ignore_errors=True)
        fresh = sorted((folder / crate).glob("query-*.json"))
        count += len(fresh)
        # Cargo does not see these files: a build from them must read them anew.
        os.utime(SERVICES / crate / "src" / "lib.rs")
        if fresh:
            place.mkdir()
            for file in fresh:
                shutil.copyfile(file, place / file.name)
    return count

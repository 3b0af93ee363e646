"""Every check of the repository: format, lints, contracts, queries, documentation, unit, integration and end-to-end tests,
against private PostgreSQL and NATS servers on free ports, which are gone afterwards."""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from . import cargo, machine, queries, servers, ui
from .processes import Children, free_port

PROTO = machine.ROOT / "proto"


class Run:
    """The steps of one run with their results. A failed step does not keep the later ones from running, so that one
    run shows all there is to mend."""

    def __init__(self):
        self.steps = []

    def step(self, name, check):
        ui.say(f"\n{ui.paint('==', '36')} {ui.bold(name)}")
        begun = time.monotonic()
        try:
            result = check()
        except ui.Refusal as refusal:
            ui.complain(refusal)
            result = False
        result = "ok" if result is None or result is True else result if isinstance(result, str) else "FAILED"
        self.steps.append((name, result, time.monotonic() - begun))
        return result != "FAILED"

    def summary(self):
        ui.say(f"\n{ui.bold('summary')}")
        for name, result, took in self.steps:
            colour = {"ok": "32", "FAILED": "31"}.get(result, "33")
            ui.say(f"  {name:<46} {ui.seconds(took):>13}  {ui.paint(result, colour)}")
        failed = any(result == "FAILED" for _, result, _ in self.steps)
        total = ui.seconds(sum(took for *_, took in self.steps))
        ui.say(f"  {'':<46} {total:>13}  {'some checks failed' if failed else 'all is well'}")
        return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(prog="scripts/test", description=__doc__)
    parser.add_argument("filter", nargs="*", help="only run tests, and only those whose name contains this")
    names = parser.parse_args().filter
    machine.need_rust()
    machine.install_packages(mail=True, prometheus=True)
    for tool in ("rustfmt", "clippy"):
        if not machine.output("cargo", "fmt" if tool == "rustfmt" else "clippy", "--version"):
            raise ui.Refusal(f"{tool} is not installed", f"rustup component add {tool}")
    fixtures = Path(os.environ.get("SWITCHBOARD_FIXTURES") or machine.ROOT.parent / "shared" / "fixtures").absolute()
    run = Run()
    folder = Path(tempfile.mkdtemp(prefix="switchboard-test-"))
    try:
        # User postgres must be able to pass.
        folder.chmod(0o755)
        with Children() as children:
            everything(run, children, folder, fixtures, names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not fixtures.is_dir():
        ui.say(f"\n{fixtures} is absent: the tests that read real provider payloads were skipped (SWITCHBOARD_FIXTURES)")
    return run.summary()


def everything(run, children, folder, fixtures, names):
    if not names:
        run.step("format", lambda: cargo.cargo("fmt", "--all", "--check"))
        run.step("contracts: lint", lambda: buf("lint"))
        run.step("contracts: nothing broken", breaking)
        run.step("migrations: each has its number", numbered)
    surroundings = {}
    begun = run.step("start PostgreSQL and NATS", lambda: start_servers(children, folder, surroundings))
    if not begun:
        return
    if not names:
        run.step("lints and queries against migrated databases", lambda: lint(surroundings["postgres"]))
        run.step("documentation", document)
    run.step("S3 server", lambda: s3_server(surroundings))
    if run.step("build", build):
        run.step("tests", lambda: test(surroundings, fixtures, names))


def start_servers(children, folder, surroundings):
    # Tests of durability start servers of their own; these two need not survive anything.
    surroundings["postgres"] = servers.Postgres(children, folder / "postgres", free_port(), synced=False)
    found = int((surroundings["postgres"].data / "PG_VERSION").read_text())
    # deploy/UPGRADING.md says what all is tested with.
    if found != machine.POSTGRES_TESTED and os.environ.get("CI"):
        raise ui.Refusal(
            f"this is PostgreSQL {found}, and {machine.POSTGRES_TESTED} is what the checks are meant to run on",
            "Install that one, or change POSTGRES_TESTED and the table in deploy/UPGRADING.md.",
        )
    surroundings["nats"] = servers.start_nats(children, folder / "nats", free_port())
    ui.say(f"  {surroundings['postgres'].url}\n  {surroundings['nats']}")


def s3_server(surroundings):
    """Names the tests their S3 server. Where it cannot be had, a person's run goes on without those tests; CI's fails."""
    surroundings["s3"] = {"SWITCHBOARD_WITHOUT_S3": "true"}
    try:
        surroundings["s3"] = {"SWITCHBOARD_MOTO_PYTHON": machine.moto_python()}
    except ui.Refusal as refusal:
        if os.environ.get("CI"):
            raise
        ui.complain(refusal)
        return "SKIPPED: no S3 server, the tests of S3 do not run"


def lint(postgres):
    urls = queries.migrate(postgres, "check_")
    with queries.gathering(urls) as (gathered, variables):
        clean = cargo.cargo("clippy", "--workspace", "--all-targets", "--", "-D", "warnings", **variables)
        if not clean:
            return False
        found = queries.differences(gathered)
    for line in found:
        ui.say(f"  {line}")
    if found:
        ui.say("  run scripts/sqlx-prepare and commit what it writes")
    return not found


def document():
    return cargo.cargo("doc", "--workspace", "--no-deps", SQLX_OFFLINE="true", RUSTDOCFLAGS="-D warnings")


def buf(*args):
    if not (PROTO / "buf.yaml").exists():
        return "skipped: no proto/buf.yaml"
    command = [str(machine.buf()), *args]
    environment = {**os.environ, "BUF_CACHE_DIR": str(machine.cache() / "buf")}
    return subprocess.run(command, cwd=PROTO, env=environment, stdin=subprocess.DEVNULL, check=False).returncode == 0


def git(*args):
    return machine.output("git", "-C", str(machine.ROOT), *args).strip()


def breaking():
    """Compares the contracts with main; standing on main, with what was there before the newest change."""
    if not git("rev-parse", "HEAD"):
        return "skipped: no git history"
    main = next((ref for ref in ("main", "origin/main") if git("rev-parse", "--verify", "--quiet", ref)), "HEAD")
    if git("rev-parse", main) == git("rev-parse", "HEAD"):
        main = "HEAD" if git("status", "--porcelain", "--", "proto") else "HEAD~1"
    before = git("rev-parse", "--verify", "--quiet", main)
    if not before or not git("ls-tree", before, "proto/buf.yaml"):
        return "skipped: nothing to compare with"
    # A copy of those files: no assumption about how this clone is stored.
    with tempfile.TemporaryDirectory(prefix="switchboard-contracts-") as copy:
        archive = subprocess.Popen(
            ["git", "-C", str(machine.ROOT), "archive", before, "proto"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        unpacked = subprocess.run(["tar", "-x", "-C", copy], stdin=archive.stdout, check=False)
        if archive.wait() or unpacked.returncode:
            raise ui.Refusal(f"could not unpack the contracts of {before}")
        return buf("breaking", "--against", str(Path(copy) / "proto"))


def numbered():
    """Two migrations of one number come together where two changes are merged: the second would be refused by every database."""
    clean = True
    for folder in sorted(machine.ROOT.glob("services/*/migrations")):
        seen = {}
        for file in sorted(folder.glob("*.sql")):
            other = seen.setdefault(file.name.split("_")[0], file)
            if other != file:
                ui.say(f"  {file.relative_to(machine.ROOT)} has the number of {other.name}")
                clean = False
    return clean


def build():
    # Programs and tests in one run: cargo then builds the crates once, with the same features for both.
    return cargo.cargo("build", "--workspace", "--lib", "--bins", "--tests", SQLX_OFFLINE="true")


def test(surroundings, fixtures, names):
    variables = {
        "SQLX_OFFLINE": "true",
        "CI": "true",
        "SWITCHBOARD_TEST_POSTGRES_URL": surroundings["postgres"].url,
        "SWITCHBOARD_TEST_NATS_URL": surroundings["nats"],
        "SWITCHBOARD_NATS_SERVER_BIN": machine.nats_server(),
        "SWITCHBOARD_DOVECOT_BIN": machine.dovecot(),
        "SWITCHBOARD_AIOSMTPD_PYTHON": machine.aiosmtpd_python(),
        "SWITCHBOARD_EXTERNAL_CRM_PYTHON": machine.external_crm_python(),
        "SWITCHBOARD_PG_BIN": surroundings["postgres"].bin,
        **surroundings["s3"],
    }
    if fixtures.is_dir():
        variables["SWITCHBOARD_FIXTURES"] = fixtures
    return cargo.cargo("test", "--workspace", "--no-fail-fast", "--", *names, **variables)


if __name__ == "__main__":
    ui.run_main(main)

"""Writes services/<crate>/.sqlx from freshly migrated databases, or compares with `--check`.

It starts a private PostgreSQL of its own, and needs no cargo plugin.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from . import cargo, machine, queries, servers, ui
from .processes import Children, free_port


def main():
    arguments = argparse.ArgumentParser(prog="scripts/sqlx-prepare", description=__doc__)
    arguments.add_argument("--check", action="store_true", help="change nothing; exit 1 if the files are not current")
    check = arguments.parse_args().check
    machine.need_rust()
    machine.install_packages()
    folder = Path(tempfile.mkdtemp(prefix="switchboard-prepare-"))
    try:
        folder.chmod(0o755)
        with Children() as children:
            postgres = servers.Postgres(children, folder / "postgres", free_port(), synced=False)
            urls = queries.migrate(postgres, "prepare_")
            with queries.gathering(urls) as (gathered, variables):
                cargo.must(
                    "the workspace does not compile against freshly migrated databases",
                    "The errors above say which query or migration is wrong.",
                    "check", "--workspace", "--all-targets", **variables,
                )  # fmt: skip
                return report(gathered, check)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(gathered, check):
    if not check:
        ui.say(f"{queries.commit_files(gathered)} queries written")
        return 0
    found = queries.differences(gathered)
    for line in found:
        ui.say(line)
    ui.say("run scripts/sqlx-prepare and commit what it writes" if found else "all query files are current")
    return 1 if found else 0


if __name__ == "__main__":
    ui.run_main(main)

"""Private NATS and PostgreSQL servers."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import machine
from .processes import wait_until
from .ui import Refusal

NATS_CONF = """\
# Written by scripts/. Every acknowledged message is on disk: without sync_interval a crash may lose it.
listen: "127.0.0.1:{port}"
server_name: switchboard
jetstream {{ store_dir: "{store}", sync_interval: always, max_file_store: 32GB }}
"""


def start_nats(children, folder, port):
    """Starts NATS with its data under `folder`; returns its address."""
    program = machine.nats_server()
    folder.mkdir(parents=True, exist_ok=True)
    conf = folder / "nats.conf"
    conf.write_text(NATS_CONF.format(port=port, store=folder / "store"))
    child = children.start("nats", [program, "-c", conf], folder / "nats.log")
    wait_until(child, lambda: nats_greets("127.0.0.1", port), 30, "NATS")
    return f"nats://127.0.0.1:{port}"


def nats_greeting(host, port):
    """What a NATS server says of itself when connected to, or an empty text."""
    try:
        with socket.create_connection((host, port), timeout=2) as connection:
            return connection.recv(4096).decode(errors="replace")
    except OSError:
        return ""


def nats_greets(host, port):
    greeting = nats_greeting(host, port)
    return greeting.startswith("INFO ") and '"jetstream":true' in greeting


def check_nats(url):
    """Refuses an existing server that is away, too old, or without JetStream."""
    address = url.split("://", 1)[-1].split(",")[0].split("@")[-1]
    host, _, port = address.partition(":")
    greeting = nats_greeting(host, int(port or 4222))
    if not greeting.startswith("INFO "):
        raise Refusal(f"no NATS server answers at {url}", "Start it, or unset SWITCHBOARD_NATS_URL for a private one.")
    version = machine.version_in(greeting.partition('"version":')[2])
    if version < machine.NATS_OLDEST:
        shown = ".".join(map(str, version))
        raise Refusal(
            f"the NATS server at {url} is {shown}; 2.15 or newer is needed",
            "Upgrade it, or unset SWITCHBOARD_NATS_URL for a private one.",
        )
    if '"jetstream":true' not in greeting:
        raise Refusal(f"the NATS server at {url} runs without JetStream", "Add a `jetstream` block with sync_interval: always.")


class Postgres:
    """A private PostgreSQL server. As root it runs as user postgres, whom PostgreSQL insists on."""

    def __init__(self, children, wanted, port, synced=True):
        self.bin = machine.postgres_programs()
        if not self.bin:
            raise Refusal(f"no PostgreSQL {machine.POSTGRES_OLDEST} or newer was found", "Debian: apt-get install postgresql")
        self.port = port
        self.user = postgres_user() if machine.is_root() else None
        self.folder = reachable_folder(wanted, self.user)
        self.data = self.folder / "data"
        if not (self.data / "PG_VERSION").exists():
            self.make()
        self.check_version()
        settings = ["listen_addresses=127.0.0.1", "max_connections=300", "shared_buffers=256MB"]
        if not synced:
            settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        command = [self.bin / "postgres", "-D", self.data, "-p", str(port), "-k", self.socket_folder()]
        for setting in settings:
            command += ["-c", setting]
        log = self.folder.parent / "postgres.log" if wanted == self.folder else self.folder / "postgres.log"
        child = children.start("postgres", command, log, user=self.user, polite=signal.SIGINT, folder="/")
        wait_until(child, lambda: self.sql("select 1", check=False), 60, "PostgreSQL")

    def socket_folder(self):
        """A socket's path may have 107 characters: a deep clone needs another place."""
        if len(str(self.folder)) < 80:
            return self.folder
        return tempfile.gettempdir()

    def make(self):
        partly = self.folder / "making"
        shutil.rmtree(partly, ignore_errors=True)
        command = [self.bin / "initdb", "-D", partly, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
        done = self.run([str(part) for part in command])
        if done.returncode:
            raise Refusal("PostgreSQL's initdb failed", done.stderr.strip())
        partly.rename(self.data)

    def check_version(self):
        made_by = (self.data / "PG_VERSION").read_text().strip()
        found = machine.version_in(machine.output(str(self.bin / "postgres"), "--version"))
        if found and made_by != str(found[0]):
            raise Refusal(
                f"the data in {self.data} was made by PostgreSQL {made_by}, and {self.bin} is {found[0]}",
                f"Set SWITCHBOARD_PG_BIN to version {made_by}'s bin folder, or remove {self.folder} to begin anew.",
            )

    def run(self, command):
        account = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/", **account
        )

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}"

    def psql(self, database, *args):
        base = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        return subprocess.run(
            [str(psql(self.bin)), *base, "-d", database, *map(str, args)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env={**os.environ, "PGOPTIONS": "--client-min-messages=warning"},
        )  # fmt: skip

    def sql(self, text, database="postgres", check=True):
        done = self.psql(database, "-c", text)
        if check and done.returncode:
            raise Refusal(f"PostgreSQL refused: {text}", done.stderr.strip())
        return done.stdout.strip() if done.returncode == 0 else ""

    def create_database(self, name):
        """Makes a database unless it is there; returns its address."""
        if not self.sql(f"select 1 from pg_database where datname = '{name}'"):
            self.sql(f"create database {name}")
        return f"{self.url}/{name}"

    def apply(self, database, file):
        """Applies one migration file."""
        done = self.psql(database, "--single-transaction", "-f", file)
        if done.returncode:
            raise Refusal(f"the migration {file.relative_to(machine.ROOT)} fails", done.stderr.strip())


def psql(folder):
    beside = folder / "psql"
    return beside if beside.exists() else shutil.which("psql") or beside


def postgres_user():
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise Refusal("PostgreSQL refuses to run as root, and there is no user postgres", "useradd --system postgres") from None
    return "postgres"


def reachable_folder(wanted, user):
    """`wanted`, made and owned by `user`; another place if that user cannot reach it."""
    wanted.mkdir(parents=True, exist_ok=True)
    if not user:
        wanted.chmod(0o700)
        return wanted
    account = pwd.getpwnam(user)
    os.chown(wanted, account.pw_uid, account.pw_gid)
    reached = subprocess.run(
        ["test", "-w", str(wanted)], user=user, group=user, extra_groups=[], cwd="/", check=False
    )
    if reached.returncode == 0:
        return wanted
    home = Path("/var/lib/postgresql")
    base = home if home.is_dir() else Path(tempfile.gettempdir())
    # One folder for each clone, so that two of them do not share data.
    other = base / f"switchboard-{abs(hash_of(str(wanted))):x}"
    other.mkdir(mode=0o700, exist_ok=True)
    os.chown(other, account.pw_uid, account.pw_gid)
    return other


def hash_of(text):
    import zlib

    return zlib.crc32(text.encode())

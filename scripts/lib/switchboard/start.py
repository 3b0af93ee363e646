"""Makes everything ready and runs Switchboard on loopback, until Ctrl-C: a private NATS and PostgreSQL, the four services,
local stand-ins for Telegram, Viber and Instagram, a mailbox where Dovecot is installed, and a demo account."""

import argparse
import fcntl
import os
import shutil
import time
from pathlib import Path

from . import cargo, demo, machine, servers, services, stand_ins, ui
from .processes import Children, need_ports, wait_until

LOCAL = machine.ROOT / ".local"
DEFAULT_BASE = 17400


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/start",
        description=__doc__,
        epilog="SWITCHBOARD_NATS_URL and SWITCHBOARD_<SERVICE>_DATABASE_URL (for example "
        "SWITCHBOARD_CRM_CARDS_DATABASE_URL) point it at existing servers. Data is kept in .local/.",
    )
    parser.add_argument("--demo", action="store_true", help="play the story from message to answer, check it, and exit")
    parser.add_argument(
        "--port-base", type=int, default=int(os.environ.get("SWITCHBOARD_PORT_BASE") or DEFAULT_BASE), metavar="N",
        help=f"ports from N to N+30 are used ({DEFAULT_BASE})",
    )  # fmt: skip
    return parser.parse_args()


def main():
    asked = arguments()
    if not 1024 <= asked.port_base <= 65000:
        raise ui.Refusal(f"--port-base {asked.port_base} is no range of ports", "Choose a number from 1024 to 65000.")
    LOCAL.mkdir(exist_ok=True)
    with open(LOCAL / "lock", "a+") as lock:
        hold(lock)
        machine.need_rust()
        existing_nats, existing_databases = existing_servers()
        machine.install_packages(postgres=len(existing_databases) < len(services.NAMES))
        mail = stand_ins.mail_servers()
        if existing_nats:
            servers.check_nats(existing_nats)
        ports = services.ports(asked.port_base)
        wanted = dict(ports)
        if existing_nats:
            del wanted["NATS"]
        if len(existing_databases) == len(services.NAMES):
            del wanted["PostgreSQL"]
        need_ports(wanted)
        build()
        with Children() as children:
            system = bring_up(children, ports, existing_nats, existing_databases, mail)
            if asked.demo:
                return demo.story(LOCAL)
            show(system)
            return watch(children)


def hold(lock):
    """One start per clone at a time."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        pid = lock.read().strip() or "unknown"
        raise ui.Refusal(
            f"Switchboard is running from this clone already (process {pid})",
            f"Use it (addresses: {LOCAL / 'system.json'}), or stop it: Ctrl-C in its terminal, or kill {pid}",
        ) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


def existing_servers():
    named = {name: os.environ.get(services.database_variable(name)) for name in services.NAMES}
    return os.environ.get("SWITCHBOARD_NATS_URL"), {name: url for name, url in named.items() if url}


def build():
    with ui.step("building (minutes the first time, seconds later)"):
        cargo.must(
            "the workspace does not build", "The compiler's messages are above.", "build", "--workspace", "--bins",
            SQLX_OFFLINE="true",
        )  # fmt: skip


def bring_up(children, ports, nats, databases, mail):
    """Starts everything; returns what the demo and the last screen need to know."""
    if not nats:
        with ui.step("starting NATS"):
            nats = servers.start_nats(children, LOCAL / "nats", ports["NATS"])
    if missing := [name for name in services.NAMES if name not in databases]:
        with ui.step("starting PostgreSQL"):
            postgres = servers.Postgres(children, LOCAL / "postgres", ports["PostgreSQL"])
            for name in missing:
                databases[name] = postgres.create_database(services.key(name))
    check_databases(databases)
    keys = LOCAL / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    binaries = cargo.binaries()
    demo.make_keys(binaries, keys)
    with ui.step("starting the providers' stand-ins and the four services"):
        controls = stand_ins.start(children, binaries, ports, services.plain_environment(), mail, LOCAL)
        demo.introduce(controls)
        started = []
        for name in services.NAMES:
            settings = services.configuration(name, ports, nats, databases[name], keys)
            started.append(services.start(children, name, binaries, settings, LOCAL))
        for child in started:
            services.wait_ready(child, ports)
    system = {
        "nats": nats,
        "databases": databases,
        "webhooks": f"http://127.0.0.1:{ports['webhooks and files']}",
        "stand_ins": controls,
        "grpc": {name: services.grpc_url(name, ports) for name in services.NAMES},
        "admin": {name: services.admin_url(name, ports) for name in services.NAMES},
        "keys": str(keys),
        "binaries": str(binaries),
    }
    with ui.step("making the demo account"):
        system["demo"] = demo.set_up(system, ports, LOCAL)
    services.write_json(LOCAL / "system.json", {**system, "demo": {**system["demo"], "token": "in .local/demo.token"}})
    return system


def check_databases(databases):
    """Refuses databases that are away or too old, where psql is there to ask."""
    psql = shutil.which("psql") or (machine.postgres_programs() or Path("/none")) / "psql"
    if not Path(psql).exists():
        return
    for name, url in databases.items():
        asked = machine.output(str(psql), "-X", "-A", "-t", "-w", "-c", "show server_version_num", url).strip()
        variable = services.database_variable(name)
        if not asked:
            raise ui.Refusal(f"the database of {name} does not answer at {masked(url)}", f"Check {variable}.")
        if int(asked) < machine.POSTGRES_OLDEST * 10_000:
            raise ui.Refusal(
                f"the PostgreSQL server at {masked(url)} is {int(asked) // 10_000}; {machine.POSTGRES_OLDEST} or newer is needed",
                f"Upgrade it, or unset {variable} for a private one.",
            )


def masked(url):
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def show(system):
    say = ui.say
    say(f"\n{ui.bold('Switchboard runs.')} Ctrl-C stops it; its data stays in {LOCAL}")
    say()
    for name, url in system["grpc"].items():
        say(f"  {name:<16} gRPC {url}   health and metrics {system['admin'][name]}")
    say(f"  {'webhooks':<16} {system['webhooks']}")
    for kind, url in system["stand_ins"].items():
        say(f"  {kind:<16} {url} (stand-in)")
    if "mail" not in system["stand_ins"]:
        say(f"  {'mail':<16} no mailbox: it needs Dovecot (Debian: apt-get install dovecot-imapd dovecot-lmtpd)")
    say(f"  {'NATS':<16} {system['nats']}")
    for name, url in system["databases"].items():
        say(f"  {'database':<16} {name}: {masked(url)}")
    say(f"\n  account {system['demo']['account']}, token of an agent:\n  {system['demo']['token']}")
    say(f"\n{ui.bold('Try:')}")
    for command in demo.commands(LOCAL):
        say(f"  {command}")


def watch(children):
    """Waits for Ctrl-C; if anything ends by itself, says what and stops the rest."""
    try:
        while True:
            for child in children.running:
                if child.ended():
                    raise ui.Refusal(
                        f"{child.name} has ended with code {child.process.returncode}; the rest is stopped",
                        f"Its last words ({child.log}):\n{child.tail()}",
                    )
            time.sleep(0.3)
    except KeyboardInterrupt:
        ui.say()
        with ui.step("stopping"):
            children.stop()
        return 0


if __name__ == "__main__":
    ui.run_main(main)

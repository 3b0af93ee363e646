"""The four services: their ports and their configuration. The same table in another language is tests/src/services.rs."""

import json
import os
import tomllib
from pathlib import Path

from . import machine, stand_ins
from .processes import wait_until

# In the order in which they are started; offsets count from the port base.
NAMES = ["assignment", "conversation", "crm-cards", "channel-gateway"]
ISSUER, AUDIENCE = "switchboard", "switchboard"


def ports(base):
    """All ports of a local system: {what: port}."""
    found = {"NATS": base, "PostgreSQL": base + 1, "webhooks and files": base + 3}
    found |= stand_ins.ports(base)
    for number, name in enumerate(NAMES):
        found[f"{name} (gRPC)"] = base + 10 + number
        found[f"{name} (admin)"] = base + 20 + number
    return found


def key(name):
    return name.replace("-", "_")


def database_variable(name):
    """The variable that points a service at an existing database."""
    return f"SWITCHBOARD_{key(name).upper()}_DATABASE_URL"


def peers(name):
    """Whom a service calls: what the section `peers` of its own defaults names."""
    defaults = machine.ROOT / "services" / name / "config.toml"
    if not defaults.exists():
        return []
    return list(tomllib.loads(defaults.read_text()).get("peers", {}))


def configuration(name, ports, nats, database, keys):
    """A service's settings as environment variables."""
    streams = keys.parent / "nats" / "store" / "jetstream" / "$G" / "streams"
    settings = {
        "DATABASE__URL": database,
        "DATABASE__MIGRATE_ON_START": "true",
        "NATS__URL": nats,
        "NATS__REPLICAS": "1",
        # A system that began with more streams keeps them.
        "NATS__INBOUND_SHARDS": str(max(1, len(list(streams.glob("INBOUND_*"))))),
        # What a laptop can spare: the bounds of production would be refused by a small broker.
        "NATS__EVENTS_MAX_BYTES": "1GiB",
        "NATS__INBOUND_MAX_BYTES": "1GiB",
        "NATS__DEAD_LETTERS_MAX_BYTES": "256MiB",
        "GRPC__LISTEN": f"127.0.0.1:{ports[f'{name} (gRPC)']}",
        "ADMIN__LISTEN": f"127.0.0.1:{ports[f'{name} (admin)']}",
        "AUTH__JWKS": keys / "jwks.json",
        "AUTH__ISSUER": ISSUER,
        "AUTH__AUDIENCE": AUDIENCE,
        "AUTH__INTERNAL_TOKEN_FILE": keys / "internal.token",
        # Those of the stand-in for Meta stand in this repository: any other service refuses to start with them.
        "AUTH__DEMO_SECRETS": "true",
    }
    for peer in peers(name):
        settings[f"PEERS__{peer.upper()}"] = grpc_url(peer.replace("_", "-"), ports)
    if name == "channel-gateway":
        settings["HTTP__LISTEN"] = f"127.0.0.1:{ports['webhooks and files']}"
        settings["HTTP__PUBLIC_URL"] = f"http://127.0.0.1:{ports['webhooks and files']}"
        settings |= stand_ins.settings(ports)
        settings["SEAL__KEY_FILE"] = keys / "seal.key"
        settings["FILES__FOLDER"] = keys.parent / "files"
        settings["FILES__ALLOW_PRIVATE"] = "true"
    return {f"SWITCHBOARD_{name}": str(value) for name, value in settings.items()}


def grpc_url(name, ports):
    return f"http://127.0.0.1:{ports[f'{name} (gRPC)']}"


def admin_url(name, ports):
    return f"http://127.0.0.1:{ports[f'{name} (admin)']}"


def plain_environment():
    """This process's environment without our own settings: a service gets only what is given to it here. Telemetry and
    logging may be set from outside."""
    passed = ("SWITCHBOARD_TELEMETRY__",)
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SWITCHBOARD_") or name.startswith(passed)
    }


def start(children, name, binaries, settings, folder):
    address_file = folder / f"{name}.addresses.json"
    address_file.unlink(missing_ok=True)
    environment = {**plain_environment(), **settings, "SWITCHBOARD_ADDRESS_FILE": str(address_file)}
    log = folder / f"{name}.log"
    log.unlink(missing_ok=True)
    return children.start(name, [binaries / name, "serve"], log, environment=environment)


def wait_ready(child, ports, limit=60):
    url = f"{admin_url(child.name, ports)}/readyz"
    wait_until(child, lambda: stand_ins.answers(url), limit, child.name)


def write_json(file, content):
    partly = Path(f"{file}.partly")
    partly.write_text(json.dumps(content, indent=2) + "\n")
    partly.rename(file)

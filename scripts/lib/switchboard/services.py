"""The four services: their ports and their configuration. The same table in another language is tests/src/services.rs."""

import base64
import json
import os
import secrets
import urllib.error
import urllib.request
from pathlib import Path

from .processes import wait_until

# In the order in which they are started; offsets count from the port base.
NAMES = ["assignment", "conversation", "crm-cards", "channel-gateway"]
PEERS = {
    "assignment": ["conversation", "crm-cards"],
    "conversation": ["assignment", "channel-gateway"],
    "crm-cards": ["assignment", "channel-gateway"],
    "channel-gateway": ["assignment", "conversation"],
}
ISSUER, AUDIENCE = "https://switchboard.local", "switchboard"


def ports(base):
    """All ports of a local system: {what: port}."""
    found = {"NATS": base, "PostgreSQL": base + 1, "the Bot API stand-in": base + 2, "webhooks and files": base + 3}
    for number, name in enumerate(NAMES):
        found[f"{name} (gRPC)"] = base + 10 + number
        found[f"{name} (admin)"] = base + 20 + number
    return found


def key(name):
    return name.replace("-", "_")


def database_variable(name):
    """The variable that points a service at an existing database."""
    return f"SWITCHBOARD_{key(name).upper()}_DATABASE_URL"


def sealing_key(folder):
    """The key that credentials are sealed by: made once, kept."""
    file = folder / "sealing.key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return file


def configuration(name, ports, nats, database, keys):
    """A service's settings as environment variables."""
    settings = {
        "DATABASE__URL": database,
        "DATABASE__MIGRATE_ON_START": "true",
        "NATS__URL": nats,
        "NATS__REPLICAS": "1",
        "GRPC__LISTEN": f"127.0.0.1:{ports[f'{name} (gRPC)']}",
        "ADMIN__LISTEN": f"127.0.0.1:{ports[f'{name} (admin)']}",
        "AUTH__JWKS": keys / "jwks.json",
        "AUTH__ISSUER": ISSUER,
        "AUTH__AUDIENCE": AUDIENCE,
        "AUTH__INTERNAL_TOKEN_FILE": keys / "internal.token",
    }
    for peer in PEERS[name]:
        settings[f"PEERS__{key(peer).upper()}"] = grpc_url(peer, ports)
    if name == "channel-gateway":
        settings["HTTP__LISTEN"] = f"127.0.0.1:{ports['webhooks and files']}"
        settings["HTTP__PUBLIC_URL"] = f"http://127.0.0.1:{ports['webhooks and files']}"
        settings["TELEGRAM__API_URL"] = f"http://127.0.0.1:{ports['the Bot API stand-in']}"
        settings["SEALING__KEY_FILE"] = sealing_key(keys)
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
    wait_until(child, lambda: answers(url), limit, child.name)


def answers(url):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def write_json(file, content):
    partly = Path(f"{file}.partly")
    partly.write_text(json.dumps(content, indent=2) + "\n")
    partly.rename(file)

"""compose.yaml, held against the services' configuration, nats.conf and the chart, without Docker: it is read by the library that
Docker Compose reads it with, and compose-secrets is run, so that what it makes is known to fit."""

import copy
import json
import os
import re
import subprocess

import jsonschema

from .. import machine
from . import generate, nats, rules

FILE = generate.DEPLOY / "compose.yaml"
SECRETS = generate.DEPLOY / "compose-secrets"
INIT = generate.DEPLOY / "postgres" / "compose-init.sh"
MOUNTED = "/etc/switchboard/"


def read(file=FILE):
    """The file with all that is folded into it, and what the reader complains about."""
    done = subprocess.run(
        [machine.compose_reader(), "-format", "json", file.name],
        # Compose takes relative paths from the folder of its file.
        cwd=file.parent, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return (json.loads(done.stdout), "") if done.returncode == 0 else (None, done.stderr.strip())


def key(name, variable):
    return generate.keys(generate.service_schema(name)).get(rules.key_of(variable))


# --- rules: each takes what was read, and tells what is wrong


def parts(model):
    """Broker, database, and of each service what serves and what migrates: nothing else."""
    expected = {"nats", "postgres"} | {f"{name}{end}" for name in generate.SERVICES for end in ("", "-migrate")}
    for name in sorted(expected ^ set(model["services"])):
        yield f"{name} is {'not there' if name in expected else 'nothing of ours'}"


def images(model):
    version = generate.CHART / "Chart.yaml"
    version = re.search(r"^appVersion: (\S+)", version.read_text(), re.MULTILINE)[1]
    for name, each in model["services"].items():
        image, service = each["image"], name.removesuffix("-migrate")
        if service in generate.SERVICES:
            if image != f"switchboard/{service}:{version}" or each["build"]["args"] != {"SERVICE": service}:
                yield f"{name}: {image} is not what is built of {service} {version}"
    if model["services"]["nats"]["image"] != f"nats:{machine.NATS_PACKAGE[1]}-alpine":
        yield f"nats is not {machine.NATS_PACKAGE[1]}, with which everything is tested"
    if not re.fullmatch(rf"postgres:{machine.POSTGRES_TESTED}\.\d+-\w+", model["services"]["postgres"]["image"]):
        yield f"postgres is no {machine.POSTGRES_TESTED}.x, with which everything is tested"


def environment(model):
    """Every variable is a key of the service's configuration with a value of its form; no secret stands in the open."""
    for name in generate.SERVICES:
        found = model["services"][name]["environment"]
        for variable, value in found.items():
            form = key(name, variable)
            if form is None:
                yield f"{name}: {variable} is no key of its configuration"
            elif generate.is_secret(form):
                yield f"{name}: {variable} is a secret and stands in the open"
            else:
                wrong = jsonschema.Draft202012Validator(form).iter_errors(rules.typed(value, form))
                yield from (f"{name}: {variable}: {error.message}" for error in wrong)
        # What the chart sets must be set here too: its defaults are those of a process that stands alone.
        for wanted in generate.keys(generate.service_schema(name)):
            if generate.is_fixed(wanted) and f"SWITCHBOARD_{wanted.upper().replace('.', '__')}" not in found:
                yield f"{name}: {wanted} is not set"
        for section, ports in (("GRPC", rules.GRPC), ("ADMIN", rules.ADMIN)):
            if found.get(f"SWITCHBOARD_{section}__LISTEN") != f"0.0.0.0:{ports[name]}":
                yield f"{name}: {section} does not listen at {ports[name]}"
        for variable, value in found.items():
            if variable.startswith("SWITCHBOARD_PEERS__"):
                peer = variable.removeprefix("SWITCHBOARD_PEERS__").lower().replace("_", "-")
                if value != f"http://{peer}:{rules.GRPC[peer]}":
                    yield f"{name} calls {peer} at {value}, where it is not"
        if found.get("SWITCHBOARD_NATS__REPLICAS") != "1":
            yield f"{name}: one broker keeps one copy of each stream"


def hardened(model):
    for name, each in model["services"].items():
        if "no-new-privileges:true" not in each.get("security_opt", []):
            yield f"{name} may gain privileges"
        # PostgreSQL's image begins as root, and gives that up.
        if name != "postgres" and not (each.get("read_only") and each.get("cap_drop") == ["ALL"] and not each.get("cap_add")):
            yield f"{name} may write into its image, or keeps capabilities"
        if each.get("privileged") or each.get("network_mode") or each.get("pid"):
            yield f"{name} is not kept apart from the machine"
        for port in each.get("ports", []):
            if port.get("host_ip") != "127.0.0.1" or name not in generate.SERVICES:
                yield f"{name}: port {port['published']} can be reached from other machines, or is not ours to show"


def health(model):
    own = ["CMD", "/usr/local/bin/service", "healthcheck"]
    for name, each in model["services"].items():
        if name.endswith("-migrate"):
            if each["command"] != ["migrate"] or each.get("restart") != "no" or each["healthcheck"] != {"disable": True}:
                yield f"{name} is no step that migrates once"
            continue
        test = each.get("healthcheck", {}).get("test")
        if name in generate.SERVICES and (test != own or each["command"] != ["serve"]):
            yield f"{name} is not asked by its own healthcheck, or does not serve"
        if not test:
            yield f"{name} has no health check"


def order(model):
    """Broker and database first, migrations next, then what serves."""
    for name in generate.SERVICES:
        needed = {other: told["condition"] for other, told in model["services"][name].get("depends_on", {}).items()}
        if needed != {"nats": "service_healthy", f"{name}-migrate": "service_completed_successfully"}:
            yield f"{name} starts after {needed}"
        if list(model["services"][f"{name}-migrate"].get("depends_on", {})) != ["postgres"]:
            yield f"{name}-migrate does not wait for PostgreSQL"


def networks(model):
    if not model["networks"]["inside"].get("internal"):
        yield "the network of broker and databases leads outside"
    for name, each in model["services"].items():
        wanted = {"inside", "outside"} if name in generate.SERVICES else {"inside"}
        if set(each["networks"]) != wanted:
            yield f"{name} is in {sorted(each['networks'])}"


def kept(model):
    """What must outlive its container is in a volume, and the broker reads nats.conf."""
    mounts = {name: {each["target"]: each for each in part.get("volumes", [])} for name, part in model["services"].items()}
    for name, target in (("nats", "/data"), ("postgres", "/var/lib/postgresql/data"), ("channel-gateway", "/files")):
        if mounts[name].get(target, {}).get("type") != "volume":
            yield f"{name}: {target} is no volume"
    if model["services"]["nats"]["environment"].get("NATS_STORE_DIR") != "/data":
        yield "nats: its store is elsewhere than its volume"
    if model["services"]["channel-gateway"]["environment"].get("SWITCHBOARD_FILES__FOLDER") != "/files":
        yield "channel-gateway: files are elsewhere than their volume"
    for name, target, source in (
        ("nats", "/etc/nats/nats.conf", generate.DEPLOY / "nats" / "nats.conf"),
        ("postgres", "/docker-entrypoint-initdb.d/switchboard.sh", INIT),
    ):
        mount = mounts[name].get(target, {})
        if mount.get("source") != str(source) or not mount.get("read_only"):
            yield f"{name} does not get {source.relative_to(machine.ROOT)}, to read only"
    if model["services"]["nats"]["command"] != ["--config", "/etc/nats/nats.conf"]:
        yield "nats does not read nats.conf"


RULES = (parts, images, environment, hardened, health, order, networks, kept)


def broken_rules(model):
    return [f"{rule.__name__}: {line}" for rule in RULES for line in rule(model)]


def synced():
    if nats.parse((generate.DEPLOY / "nats" / "nats.conf").read_text())["jetstream"].get("sync_interval") != "always":
        yield "nats.conf: sync_interval is not always"


# --- compose-secrets


def variables(file):
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def followed(model, folder, services, stand_in):
    """compose-secrets makes all that compose.yaml asks for, readable for whom it is and for nobody else."""
    made, bin_ = folder / "compose-secrets", folder / "compose-bin"
    bin_.mkdir()
    if services:
        (bin_ / "switchboardctl").symlink_to((services / "switchboardctl").absolute())
    else:
        (bin_ / "switchboardctl").write_text(stand_in)
        (bin_ / "switchboardctl").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SWITCHBOARD")}
    environment |= {"PATH": f"{bin_}:{os.environ['PATH']}", "SWITCHBOARD_SECRETS": str(made), "HOME": str(folder)}

    def run(*arguments):
        return subprocess.run([SECRETS, *arguments], env=environment, capture_output=True, text=True, check=False)

    done = run()
    if done.returncode:
        yield f"deploy/compose-secrets fails: {done.stderr.strip()}"
        return
    if made.stat().st_mode & 0o777 != 0o700:
        yield "others of the machine may enter the folder"
    base = machine.ROOT / ".local" / "compose"
    for name, each in model["services"].items():
        for file in each.get("env_file", []):
            path = made / os.path.relpath(file["path"], base)
            if not path.exists():
                yield f"{name}: nothing makes {path.name}"
            elif path.stat().st_mode & 0o777 != 0o600:
                yield f"{path.name} can be read by others"
        for mount in each.get("volumes", []):
            if mount["target"] == MOUNTED.rstrip("/") and not (made / os.path.relpath(mount["source"], base)).is_dir():
                yield f"{name}: nothing makes the folder that is mounted"
    broker, database = variables(made / "nats.env"), variables(made / "postgres.env")
    asked = {str(user["password"]) for user in nats.users((generate.DEPLOY / "nats" / "nats.conf").read_text())}
    if set(broker) != asked:
        yield f"passwords of the broker: {sorted(set(broker) ^ asked)}"
    for name in generate.SERVICES:
        role = name.replace("-", "_")
        own = variables(made / f"{name}.env")
        password = database.get(f"SWITCHBOARD_{role.upper()}_PASSWORD")
        if own != {
            "SWITCHBOARD_DATABASE__URL": f"postgres://{role}:{password}@postgres:5432/switchboard_{role}",
            "SWITCHBOARD_NATS__URL": f"nats://{name}:{broker.get(f'NATS_{role.upper()}_PASSWORD')}@nats:4222",
        }:
            yield f"{name}.env does not fit the users and passwords of broker and database"
        for variable, value in model["services"][name]["environment"].items():
            if value.startswith(MOUNTED):
                file = made / name / value.removeprefix(MOUNTED)
                if not file.exists() or not file.stat().st_mode & 0o004:
                    yield f"{name}: {variable} names {value}, which is not made or cannot be read within"
    if not database.get("POSTGRES_PASSWORD") or not re.search(r"switchboard_\$role", INIT.read_text()):
        yield "PostgreSQL has no password, or other databases than the services ask for"
    secrets = [*broker.values(), *database.values()]
    if len(set(secrets)) != len(secrets) or any(not re.fullmatch(r"p[0-9a-f]{48}", each) for each in secrets):
        yield "passwords are not each their own"
    if run().returncode == 0:
        yield "a second run replaces what the databases know"
    if run("--renew").returncode or variables(made / "nats.env") != broker:
        yield "--renew does more, or less, than to renew the tokens"


# --- what must be noticed


def broken():
    """(what, how it is broken)."""

    def set_(*path, value):
        def change(model):
            inner = model
            for step in path[:-1]:
                inner = inner[step]
            if value is None:
                del inner[path[-1]]
            else:
                inner[path[-1]] = value

        return change

    gateway = ("services", "channel-gateway")
    told = (*gateway, "environment")
    return {
        "a strange part": set_("services", "redis", value={"image": "redis", "networks": {"inside": None}, "volumes": []}),
        "an image without a version": set_("services", "nats", "image", value="nats:latest"),
        "another PostgreSQL": set_("services", "postgres", "image", value="postgres:99.1-bookworm"),
        "another's image": set_(*gateway, "image", value="switchboard/assignment:0.1.0"),
        "no key": set_(*told, "SWITCHBOARD_HTTP__LISTN", value="0.0.0.0:1"),
        "a wrong value": set_(*told, "SWITCHBOARD_NATS__REPLICAS", value="one"),
        "a secret": set_(*told, "SWITCHBOARD_NATS__URL", value="nats://nats:4222"),
        "a key that is left out": set_(*told, "SWITCHBOARD_SEAL__KEY_FILE", value=None),
        "a wrong port": set_(*told, "SWITCHBOARD_ADMIN__LISTEN", value="0.0.0.0:1"),
        "a wrong peer": set_(*told, "SWITCHBOARD_PEERS__ASSIGNMENT", value="http://assignment:7102"),
        "an image that can be written": set_(*gateway, "read_only", value=False),
        "capabilities": set_("services", "nats", "cap_drop", value=[]),
        "an open port": set_(*gateway, "ports", value=[{"published": "7121", "target": 7121}]),
        "the broker's port": set_("services", "nats", "ports", value=[{"published": "4222", "host_ip": "127.0.0.1"}]),
        "a health check by a shell": set_(*gateway, "healthcheck", "test", value=["CMD-SHELL", "true"]),
        "no health check": set_("services", "postgres", "healthcheck", value=None),
        "no migrations before": set_(*gateway, "depends_on", value={"nats": {"condition": "service_healthy"}}),
        "a broker that is not waited for": set_(*gateway, "depends_on", "nats", "condition", value="service_started"),
        "an open network": set_("networks", "inside", "internal", value=False),
        "a database in the open": set_("services", "postgres", "networks", value={"outside": None}),
        "a store without a volume": set_("services", "nats", "volumes", value=[]),
        "another configuration of the broker": set_("services", "nats", "command", value=["--jetstream"]),
    }


def unnoticed(model):
    for what, change in broken().items():
        copied = copy.deepcopy(model)
        change(copied)
        if not broken_rules(copied):
            yield f"not noticed: {what}"

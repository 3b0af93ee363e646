"""The checks themselves; see `__main__`."""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import jsonschema
import yaml
from kubernetes_validate import SchemaNotFoundError, ValidationError, validate
from kubernetes_validate.utils import all_versions, major_minor

from .. import machine, ui
from . import alerts, breakages, compose, crates, custom, generate, guide, nats, refused, rules, threats, upgrading

FIXTURES = machine.ROOT / "tests" / "fixtures" / "deploy"
REQUIRED = FIXTURES / "required.yaml"
# What is rendered: {name: (release, values files)}.
CASES = {
    "required values": ("switchboard", [REQUIRED]),
    "production": ("switchboard", [generate.CHART / "values-production.yaml", REQUIRED, FIXTURES / "production.yaml"]),
    "minimal": ("sw", [REQUIRED, FIXTURES / "minimal.yaml"]),
    "HTTPRoute": ("a-release-whose-name-is-as-long-as-helm-allows-it-all", [REQUIRED, FIXTURES / "http-route.yaml"]),
    "S3": ("sw", [REQUIRED, FIXTURES / "s3.yaml"]),
    "everything else": ("prod", [REQUIRED, FIXTURES / "everything.yaml"]),
}
NEWEST = 3


class Check:
    """Steps with what each found. A failed step keeps no later one from running."""

    def __init__(self, helm):
        self.helm, self.failed, self.done = helm, 0, 0

    def step(self, name, found):
        begun = time.monotonic()
        found = list(found)
        self.done += 1
        self.failed += bool(found)
        ui.say(
            f"  {ui.paint('FAILED', '31') if found else ui.paint('ok', '32'):<6}  {name}  ({time.monotonic() - begun:.1f} s)"
        )
        for line in found[:40]:
            ui.say(f"          {line}")
        if len(found) > 40:
            ui.say(f"          and {len(found) - 40} more")

    def run(self, *args):
        # Nothing of the user's own: neither a cluster nor plugins.
        environment = {**os.environ, "KUBECONFIG": os.devnull, "HELM_NO_PLUGINS": "1"}
        return subprocess.run(
            [self.helm, *map(str, args)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def template(self, release, files, *more, chart=generate.CHART):
        values = [part for file in files for part in ("--values", file)]
        return self.run("template", release, chart, "--namespace", "sales", "--kube-version", versions()[-1], *values, *more)


def versions():
    """The oldest Kubernetes that the chart admits, and the newest versions whose schemas are there."""
    found = sorted(
        {major_minor(version) for version in all_versions()}, key=lambda version: [int(part) for part in version.split(".")]
    )
    return [oldest(), *(f"{version}.0" for version in found[-NEWEST:])]


def oldest():
    admitted = yaml.safe_load((generate.CHART / "Chart.yaml").read_text())["kubeVersion"]
    return re.fullmatch(r">=(\d+\.\d+\.\d+)-0", admitted)[1]


def older_refused(check):
    minor = int(oldest().split(".")[1]) - 1
    done = check.template("sw", [REQUIRED], "--kube-version", f"1.{minor}.0")
    if done.returncode == 0 or "kubeVersion" not in done.stderr:
        yield f"Kubernetes 1.{minor} is not refused: {done.stderr.strip()}"


def load(text):
    return [each for each in yaml.safe_load_all(text) if each]


def values_of(files):
    values = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    for file in files:
        values = generate.deep(values, yaml.safe_load(file.read_text()))
    return values


# --- Kubernetes' schemas


def invalid(objects, version):
    """What Kubernetes of a version would refuse."""
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        found = custom.problems(each)
        if found is not None:
            yield from (f"{name}: {problem}" for problem in found)
            continue
        try:
            used = validate(each, version, strict=True)
            # The library falls back on an older one without a word.
            if used != major_minor(version):
                yield f"{name} was held against {used}, not {version}"
        except ValidationError as error:
            yield f"{name}: {'.'.join(map(str, error.path))}: {error.message}"
        except SchemaNotFoundError as error:
            yield f"{name}: {error.message}"


def schemas_notice():
    """The schemas themselves are tried: a spoiled object must be refused by each."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "x"},
        "spec": {"podSelectr": {}},
    }
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "x"},
        "spec": {"parentRef": []},
    }
    unknown = {"apiVersion": "example.com/v1", "kind": "Nothing", "metadata": {"name": "x"}, "spec": {}}
    for version in versions():
        for each in (policy, route, unknown):
            if not list(invalid([each], version)):
                yield f"{version} takes a {each['kind']} that is none"


# --- refusals


def bare_refusal(check):
    """Without any values all that is missing is told at once."""
    done = check.template("sw", [])
    for _, name in refused.REFUSED[: refused.MISSING]:
        if done.returncode == 0 or name not in done.stderr:
            yield f"{name} is not told: {done.stderr.strip()}"


def refusals(check, folder):
    for number, (values, name) in enumerate(refused.REFUSED):
        file = folder / f"refused-{number}.yaml"
        file.write_text(yaml.safe_dump(values))
        done = check.template("sw", [REQUIRED, file])
        if done.returncode == 0:
            yield f"{json.dumps(values)} is not refused"
        elif name not in done.stderr:
            yield f"{json.dumps(values)} is refused without the name {name}: {done.stderr.strip()}"


# --- NOTES.txt


def notes(check, folder, release, files):
    """NOTES.txt as it is shown. `helm template` leaves it out, so a copy of the chart renders it into an object."""
    chart = folder / "notes"
    shutil.rmtree(chart, ignore_errors=True)
    shutil.copytree(generate.CHART, chart)
    (chart / "templates" / "NOTES.txt").rename(chart / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text(
        'kind: Notes\napiVersion: v1\nmetadata: {name: notes}\nnotes: {{ tpl (.Files.Get "notes.txt") . | toJson }}\n'
    )
    done = check.template(release, files, "--show-only", "templates/notes.yaml", chart=chart)
    return load(done.stdout)[0]["notes"] if done.returncode == 0 else f"cannot be rendered: {done.stderr}"


def wrong_notes(text, rendered):
    """Three commands, each one that a shell understands, about objects that are there."""
    commands = [
        line.strip()
        for line in text.splitlines()
        if line.startswith("   ") and re.match(r"\s+(kubectl|curl|switchboardctl)", line)
    ]
    if len(commands) != 3:
        yield f"{len(commands)} commands in place of three: {text}"
    there = {each["metadata"]["name"] for each in rendered.of("Service")}
    for command in commands:
        done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        if done.returncode:
            yield f"no command: {command}: {done.stderr.strip()}"
        for service in re.findall(r"service/(\S+)", command):
            if service not in there:
                yield f"no such Service: {command}"
        if "kubectl" in command and "--namespace sales" not in command:
            yield f"not in the release's namespace: {command}"
    is_open = rendered.values["ingress"]["enabled"] or rendered.values["httpRoute"]["enabled"]
    if is_open != (f" {rendered.values['channelGateway']['publicUrl']}/in/" in text):
        yield f"the second command does not go by ingress and httpRoute: {text}"
    if bool(rendered.values["auth"]["jwks"]["url"]) != ("ops.token" in text):
        yield f"the third command does not go by auth.jwks: {text}"


# --- NATS and PostgreSQL


def nats_values():
    values = yaml.safe_load((generate.DEPLOY / "nats" / "values.yaml").read_text())
    return generate.deep(values, yaml.safe_load((generate.DEPLOY / "nats" / "users.yaml").read_text()))


def server_config(values):
    """The server's configuration as the official chart writes it of these values, as far as they go."""
    config = values["config"]
    stream = {"max_memory_store": 0, "store_dir": config["jetstream"]["fileStore"]["dir"]}
    stream |= {"max_file_store": f"<< {config['jetstream']['fileStore']['maxSize']} >>", **config["jetstream"]["merge"]}
    whole = {"server_name": "nats-0", "port": 4222, "http_port": 8222, "jetstream": stream, **config["merge"]}
    return re.sub(r'"<<\s+(.*)\s+>>"', r"\1", json.dumps(whole, indent=2))


def nats_problems(values=None):
    values = values or nats_values()
    config = values["config"]
    if config["jetstream"]["merge"].get("sync_interval") != "always":
        yield "sync_interval is not always: what was acknowledged could be lost"
    if not (config["cluster"]["enabled"] and config["cluster"]["replicas"] >= 3):
        yield "fewer than three servers"
    conf = nats.parse((generate.DEPLOY / "nats" / "nats.conf").read_text())
    if config["merge"]["max_payload"] != f"<< {conf['max_payload']} >>":
        yield "max_payload is not that of nats.conf"
    users = config["merge"].get("authorization", {}).get("users", [])
    told = {user["user"]: user["permissions"] for user in conf["authorization"]["users"]}
    if {user["user"]: user["permissions"] for user in users} != told:
        yield "users or permissions are not those of nats.conf"
    for user in users:
        variable = re.fullmatch(r"<< \$(\w+) >>", user["password"])
        if not variable or "secretKeyRef" not in values["container"]["env"].get(variable[1], {}).get("valueFrom", {}):
            yield f"the password of {user['user']} does not come from a Secret"
    # The streams that the services declare, with two shards, must have room.
    size = {"Mi": 2**20, "MiB": 2**20, "Gi": 2**30, "GiB": 2**30}

    def bytes_of(text):
        number, unit = re.fullmatch(r"(\d+)(\w+)", text).groups()
        return int(number) * size[unit]

    defaults = generate.keys(generate.service_schema("conversation"))
    needed = sum(
        times * bytes_of(defaults[f"nats.{key}"]["default"])
        for key, times in (("events_max_bytes", 1), ("inbound_max_bytes", 2), ("dead_letters_max_bytes", 1))
    )
    store = config["jetstream"]["fileStore"]
    if bytes_of(store["maxSize"]) < needed:
        yield f"the streams' bounds need {needed >> 30} GiB"
    if bytes_of(store["pvc"]["size"]) <= bytes_of(store["maxSize"]):
        yield "the volume is no larger than maxSize"


def nats_server_takes(folder):
    """The server itself reads the configuration, with passwords in its environment."""
    file = folder / "nats.conf"
    values = nats_values()
    values["config"]["jetstream"]["fileStore"]["dir"] = str(folder / "store")
    file.write_text(server_config(values))
    environment = {
        **os.environ,
        **{name: "x" for name, value in values["container"]["env"].items() if isinstance(value, dict)},
    }
    done = subprocess.run(
        [machine.nats_server(), "-t", "-c", file], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        yield done.stderr.strip()
    without = subprocess.run([machine.nats_server(), "-t", "-c", file], capture_output=True, text=True, check=False)
    if without.returncode == 0:
        yield "the server starts without the passwords"


def postgres_problems(objects):
    cluster = next(each for each in objects if each["kind"] == "Cluster")
    roles = {role["name"]: role["passwordSecret"]["name"] for role in cluster["spec"]["managed"]["roles"]}
    databases = {each["spec"]["name"]: each["spec"] for each in objects if each["kind"] == "Database"}
    rules_ = cluster["spec"]["postgresql"]["pg_hba"]
    for service in generate.SERVICES:
        role = service.replace("-", "_")
        default = generate.keys(generate.service_schema(service))["database.url"]["default"].rpartition("/")[2]
        if roles.get(role) != f"switchboard-postgres-{service}":
            yield f"{service} has no role of its own"
        if (
            databases.get(default, {}).get("owner") != role
            or databases[default]["cluster"]["name"] != cluster["metadata"]["name"]
        ):
            yield f"{service} has no database {default} of its own"
        if f"host {default} {role} all scram-sha-256" not in rules_:
            yield f"{service} cannot reach its database"
        reject = rules_[-1].split()
        if reject[-1] != "reject" or role not in reject[2].split(","):
            yield f"{service} could reach others' databases"
    if len(databases) != 4 or len(roles) != 4:
        yield "there are more roles or databases than services"
    values = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    selector = values["networkPolicy"]["postgres"]["to"][0]["podSelector"]["matchLabels"]
    if selector != {"cnpg.io/cluster": cluster["metadata"]["name"]}:
        yield "networkPolicy.postgres.to in values.yaml does not select this cluster"
    # All replicas at their most, and one more of each while an upgrade runs, each with two pools.
    values = values_of([generate.CHART / "values-production.yaml"])
    pool = generate.keys(generate.service_schema("conversation"))["database.max_connections"]["default"]
    needed = 4 * (values["defaults"]["autoscaling"]["maxReplicas"] + 1) * 2 * pool
    if int(cluster["spec"]["postgresql"]["parameters"]["max_connections"]) < needed + 20:
        yield f"the services may open {needed} connections, and the operator has some of its own"


# --- texts


def secrets_in_texts():
    for file in sorted(
        p
        for folder in (generate.DEPLOY, FIXTURES)
        for p in folder.rglob("*")
        if p.suffix in (".yaml", ".tpl", ".txt", ".md", ".conf")
    ):
        text = file.read_text()
        name = file.relative_to(machine.ROOT)
        for pattern in (rules.CREDENTIALS, rules.KEY_BLOCK):
            for found in pattern.finditer(text):
                yield f"{name}: {found[0]}"
        if file.suffix == ".yaml" and "templates" not in file.parts:
            for each in load(text):
                yield from (f"{name}: {path}" for path, value in rules.literals(each) if rules.looks_secret(path, value))


def schema_problems():
    schema = json.loads((generate.CHART / "values.schema.json").read_text())
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield error.message
        return
    values = yaml.safe_load((generate.CHART / "values.yaml").read_text())
    for error in jsonschema.Draft202012Validator(schema).iter_errors(values):
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def broken_rules(rendered):
    return [f"{title}: {line}" for title, function in rules.RULES.items() for line in function(rendered)]


def refused_by_services(services, rendered):
    """The services themselves read what the chart renders: `config check`."""
    for service in generate.SERVICES:
        deployment = rendered.deployment(service)
        found, _ = rules.variables(rendered, deployment["spec"]["template"]["spec"]["containers"][0])
        stand_ins = {"SWITCHBOARD_DATABASE__URL": "postgres://database/x", "SWITCHBOARD_NATS__URL": "nats://broker:4222"}
        variables = {name: stand_ins.get(name, "x") if value is None else value for name, value in found.items()}
        done = subprocess.run(
            [services / service, "config", "check"], env=variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            yield f"{service}: {(done.stdout + done.stderr).strip()}"


def unnoticed(renderings):
    """Each rule is tried against charts that are broken in one place."""
    for name, function in rules.RULES.items():
        tried = breakages.BREAKAGES.get(name, [])
        if not tried:
            yield f"{name}: nothing tells that it can fail"
        for breakage in tried:
            # The first rendering that has what is to be broken.
            for rendered in renderings.values():
                try:
                    broken = rendered.broken(breakage)
                except LookupError:
                    continue
                if not list(function(broken)):
                    yield f"{name}: {breakage.__name__} is not noticed"
                break
            else:
                yield f"{name}: {breakage.__name__}: nothing to break"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--helm", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--services", type=Path)
    arguments = parser.parse_args()
    if arguments.write:
        generate.write()
    check = Check(arguments.helm)
    folder = Path(tempfile.mkdtemp(prefix="switchboard-deploy-"))
    try:
        everything(check, folder, arguments.services)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ui.say(f"{check.done - check.failed} passed, {check.failed} failed")
    return 1 if check.failed else 0


def everything(check, folder, services):
    ui.say(ui.bold("generated files"))
    check.step("values.schema.json, the table of values and the broker's users are what is generated", generate.differences())

    ui.say(ui.bold("the chart"))
    check.step("values.schema.json is a schema, and values.yaml fits it", schema_problems())
    packed = check.run("package", generate.CHART, "--destination", folder)
    check.step("helm package", [] if packed.returncode == 0 else [packed.stderr.strip()])
    renderings = {}
    for name, (release, files) in CASES.items():
        values = [part for file in files for part in ("--values", file)]
        lint = check.run("lint", generate.CHART, "--strict", "--quiet", "--kube-version", versions()[-1], *values)
        check.step(f"{name}: helm lint", [] if lint.returncode == 0 else [(lint.stdout + lint.stderr).strip()])
        done = check.template(release, files)
        check.step(f"{name}: helm template", [] if done.returncode == 0 else [done.stderr.strip()])
        if done.returncode:
            continue
        again = check.template(release, files)
        check.step(f"{name}: the same each time", [] if again.stdout == done.stdout else ["two renderings differ"])
        rendered = renderings[name] = rules.Rendered(load(done.stdout), values_of(files))
        for version in versions():
            check.step(
                f"{name}: {len(rendered.objects)} objects, Kubernetes {major_minor(version)}",
                invalid(rendered.objects, version),
            )
        check.step(f"{name}: own rules", broken_rules(rendered))
        if services:
            check.step(f"{name}: the services read their configuration", refused_by_services(services, rendered))
        check.step(f"{name}: NOTES.txt", wrong_notes(notes(check, folder, release, files), rendered))
    number = sum(map(len, breakages.BREAKAGES.values()))
    check.step(f"{len(rules.RULES)} rules notice {number} broken charts", unnoticed(renderings))
    check.step("an older Kubernetes is refused", older_refused(check))
    check.step("without values all that is missing is told at once", bare_refusal(check))
    check.step("the schemas notice a broken object", schemas_notice())
    check.step(f"{len(refused.REFUSED)} wrong or missing values are refused by name", refusals(check, folder))

    ui.say(ui.bold("alerts and dashboards"))
    check.step("each alert is complete, has a runbook, fires and stays silent", alerts.wrong(folder))
    check.step("every metric that they name is told by a service", alerts.strangers())
    check.step("broken alerts and strange metrics are noticed", alerts.unnoticed(folder))

    ui.say(ui.bold("crates"))
    check.step("licences, bans, doubles and sources are those of deny.toml", crates.wrong())
    check.step(f"{len(crates.BROKEN)} broken rules are noticed", crates.unnoticed(folder))

    ui.say(ui.bold("threats"))
    check.step("each has tests, and they exist", threats.wrong())
    check.step("a threat without a test is noticed", threats.unnoticed())

    ui.say(ui.bold("UPGRADING.md and CAPACITY.md"))
    check.step("what is tested is what is pinned, and each version tells what an upgrade does", upgrading.wrong(versions()))
    check.step("CAPACITY.md has only figures that scripts/bench printed", upgrading.unprinted())
    check.step("wrong ones are noticed", upgrading.unnoticed(versions()))

    ui.say(ui.bold("NATS and PostgreSQL"))
    check.step("values for NATS's chart", nats_problems())
    check.step("the server reads what they make of it", nats_server_takes(folder))
    check.step("values for NATS's chart: a broken one is noticed", nats_unnoticed())
    objects = [each for file in sorted((generate.DEPLOY / "postgres").glob("*.yaml")) for each in load(file.read_text())]
    policies = load((generate.DEPLOY / "nats" / "network-policy.yaml").read_text())
    for version in versions():
        check.step(
            f"PostgreSQL cluster and policies, Kubernetes {major_minor(version)}", invalid([*objects, *policies], version)
        )
    check.step("PostgreSQL cluster: one role and database a service", postgres_problems(objects))
    check.step("PostgreSQL cluster: a broken one is noticed", postgres_unnoticed(objects))
    check.step("no secret in any text of deploy/", secrets_in_texts())

    ui.say(ui.bold("compose.yaml"))
    model, complaint = compose.read()
    check.step("Docker Compose's own library reads it", [complaint] if complaint else [])
    if model:
        check.step("it fits configuration, broker and databases", [*compose.broken_rules(model), *compose.synced()])
        check.step(f"{len(compose.broken())} broken ones are noticed", compose.unnoticed(model))
        check.step(
            "compose-secrets makes what it asks for", compose.followed(model, folder, services, guide.SWITCHBOARDCTL)
        )

    ui.say(ui.bold("deploy/README.md"))
    check.step("shells read its commands, and the files they name are there", guide.unreadable())
    done = check.template("switchboard", [guide.example(folder)])
    check.step("its example of values: helm template", [] if done.returncode == 0 else [done.stderr.strip()])
    if done.returncode == 0:
        rendered = rules.Rendered(load(done.stdout), values_of([guide.example(folder)]))
        check.step("its example of values: own rules", broken_rules(rendered))
    if "required values" in renderings:
        found = guide.followed(folder, services, renderings["required values"], nats_values(), objects)
        check.step("what makes the Secrets makes what is asked for", found)


def nats_unnoticed():
    for path, value in (
        (("config", "jetstream", "merge", "sync_interval"), "2m"),
        (("config", "cluster", "replicas"), 1),
        (("config", "merge", "max_payload"), "<< 1MB >>"),
        (("config", "merge", "authorization", "users"), []),
        (("config", "jetstream", "fileStore", "maxSize"), "8Gi"),
        (("container", "env"), {}),
    ):
        values = nats_values()
        inner = values
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        if not list(nats_problems(values)):
            yield f"{'.'.join(path)} = {value}"


def postgres_unnoticed(objects):
    def without_role(cluster):
        cluster["spec"]["managed"]["roles"].pop()

    def without_reject(cluster):
        cluster["spec"]["postgresql"]["pg_hba"].pop()

    def too_few(cluster):
        cluster["spec"]["postgresql"]["parameters"]["max_connections"] = "100"

    for spoil in (without_role, without_reject, too_few):
        copied = yaml.safe_load_all(yaml.safe_dump_all(objects))
        copied = list(copied)
        spoil(next(each for each in copied if each["kind"] == "Cluster"))
        if not list(postgres_problems(copied)):
            yield spoil.__name__


if __name__ == "__main__":
    ui.run_main(main)

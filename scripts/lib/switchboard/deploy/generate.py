"""Writes what is generated in deploy/: the schema of the chart's values out of values.yaml and the services' schemas, the
table of values in the chart's README, Grafana's dashboards, and the broker's users out of nats.conf."""

import copy
import json
import re

import yaml

from .. import machine
from ..ui import Refusal
from . import dashboards, nats, recovery

DEPLOY = machine.ROOT / "deploy"
CHART = DEPLOY / "chart"
SERVICES = {
    "channel-gateway": "channelGateway", "conversation": "conversation", "crm-cards": "crmCards", "assignment": "assignment",
}  # fmt: skip

# Keys of the configuration that the chart sets itself, as ports and paths must agree with its other objects.
FIXED = {
    "admin.listen", "grpc.listen", "auth.jwks", "auth.internal_token_file", "database.migrate_on_start",
    "http.listen", "http.public_url", "seal.key_file", "files.folder",
}  # fmt: skip


# Keys that the chart sets where its values name a Secret to mount.
MOUNTED = {"database.password_file", "nats.password_file", "grpc.certificate_file", "grpc.key_file", "grpc.ca_file"}


def is_fixed(key):
    return key in FIXED or key.startswith("peers.")


def service_schema(service):
    schema = json.loads((DEPLOY / "config" / f"{service}.schema.json").read_text())
    for form in keys(schema).values():
        # Sizes: a number of bytes, or one with a unit. The services refuse other texts, which their schemas let pass.
        if form.get("type") == ["string", "integer"]:
            form.setdefault("pattern", "^ *[0-9]+ *(B|KiB|MiB|GiB|TiB)? *$")
    return schema


def keys(schema):
    """All keys of a service's configuration: {"section.key": schema}."""
    return {
        f"{section}.{key}": form
        for section, inner in schema["properties"].items()
        for key, form in inner["properties"].items()
    }


def is_secret(form):
    return form.get("format") == "password"


def offered(schema):
    """Of a service's schema what may stand in `config`: neither secrets nor what the chart sets."""
    schema = copy.deepcopy(schema)
    for section, inner in list(schema["properties"].items()):
        for key, form in list(inner["properties"].items()):
            if is_secret(form) or is_fixed(f"{section}.{key}") or f"{section}.{key}" in MOUNTED:
                del inner["properties"][key]
            # The format is no more than a name for Rust's type, and Helm knows it not.
            elif not form.get("format", "").startswith("date"):
                form.pop("format", None)
        if not inner["properties"]:
            del schema["properties"][section]
    for extra in ("$schema", "title"):
        schema.pop(extra, None)
    return schema


def offered_to_all():
    """What all four services have alike. Where their defaults differ, none is told."""
    schemas = [offered(service_schema(service)) for service in SERVICES]
    common = schemas[0]
    for section in list(common["properties"]):
        others = [schema["properties"].get(section, {"properties": {}}) for schema in schemas[1:]]
        inner = common["properties"][section]
        for key in list(inner["properties"]):
            if not all(key in other["properties"] for other in others):
                del inner["properties"][key]
            elif any(other["properties"][key].get("default") != inner["properties"][key].get("default") for other in others):
                inner["properties"][key].pop("default", None)
        if not inner["properties"]:
            del common["properties"][section]
    common["description"] = "Configuration of all four services."
    return common


# --- values.yaml with its comments


class Value:
    """A key of values.yaml: its path, its comment, its value, and the keys below it."""

    def __init__(self, path, comment, value, below):
        self.path, self.comment, self.value, self.below = path, comment, value, below

    def is_leaf(self):
        return not any(value.comment for value in self.walk())

    def walk(self):
        for value in self.below:
            yield value
            yield from value.walk()


def read_values(file=CHART / "values.yaml"):
    text = file.read_text()
    lines = text.splitlines()

    def comment_above(line):
        found = []
        while line > 0 and lines[line - 1].strip().startswith("#"):
            line -= 1
            found.insert(0, lines[line].strip().lstrip("#").strip())
        return " ".join(found)

    def read(node, path, loaded):
        if not isinstance(node, yaml.MappingNode):
            return []
        values = []
        for key, value in node.value:
            here = f"{path}.{key.value}" if path else key.value
            inner = loaded[key.value]
            values.append(Value(here, comment_above(key.start_mark.line), inner, read(value, here, inner)))
        return values

    loaded = yaml.safe_load(text)
    values = read(yaml.compose(text), "", loaded)
    for value in values:
        for each in [value, *value.walk()]:
            covered = value.is_leaf() or any(
                above.is_leaf() for above in [value, *value.walk()] if each.path.startswith(f"{above.path}.")
            )
            if each.is_leaf() and not each.comment and not covered:
                raise Refusal(f"{each.path} in deploy/chart/values.yaml has no comment", "Say above it what it means.")
    return values


# --- values.schema.json

PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
COUNT = {"type": "integer", "minimum": 0}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
PEERS = {"type": "array", "items": {
    "type": "object", "additionalProperties": False, "minProperties": 1,
    "properties": {"podSelector": {"type": "object"}, "namespaceSelector": {"type": "object"}, "ipBlock": {"type": "object"}},
}}  # fmt: skip
KINDS = [
    "configMap", "deployment", "service", "serviceAccount", "podDisruptionBudget", "horizontalPodAutoscaler", "networkPolicy",
    "migrateJob", "migrateServiceAccount", "migrateNetworkPolicy", "ingress", "httpRoute", "serviceMonitor", "podMonitor",
    "filesClaim", "rehearsalJob", "rehearsalNetworkPolicy",
]  # fmt: skip
MERGE = {
    "type": "object",
    "description": "What is laid over the objects of a kind at last.",
    "additionalProperties": False,
    "properties": {kind: {"type": "object"} for kind in KINDS},
}
# What a value's default does not tell of its form. A star stands for one name.
FORMS = {
    "image.tag": {"type": "string", "not": {"const": "latest"}, "pattern": "^[A-Za-z0-9_.-]*$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "image.pullSecrets": {"type": "array", "items": {"type": "string"}},
    "commonLabels": STRINGS,
    "*.annotations": STRINGS,
    "*.*.annotations": STRINGS,
    "*.*.labels": STRINGS,
    "defaults.podAnnotations": STRINGS,
    "defaults.podLabels": STRINGS,
    "defaults.nodeSelector": STRINGS,
    "defaults.tolerations": {"type": "array", "items": {"type": "object"}},
    "defaults.extraEnv": {"type": "array", "items": {
        "type": "object", "required": ["name"], "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "value": {"type": "string"}, "valueFrom": {"type": "object"}},
    }},
    "defaults.extraVolumes": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    "defaults.extraVolumeMounts": {"type": "array", "items": {"type": "object", "required": ["name", "mountPath"]}},
    "defaults.replicas": COUNT,
    "defaults.autoscaling.minReplicas": {"type": "integer", "minimum": 1},
    "defaults.autoscaling.maxReplicas": {"type": "integer", "minimum": 1},
    "defaults.autoscaling.targetCPUUtilizationPercentage": {"type": "integer", "minimum": 1},
    "defaults.autoscaling.lag.averageValue": {"type": ["string", "integer"]},
    "defaults.podDisruptionBudget.maxUnavailable": {"type": ["integer", "string"]},
    "defaults.topologySpread": {"type": "array", "items": {
        "type": "object", "required": ["topologyKey"], "additionalProperties": False,
        "properties": {
            "topologyKey": {"type": "string"}, "maxSkew": {"type": "integer", "minimum": 1},
            "whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
        },
    }},
    "defaults.preStopSleepSeconds": {"type": "integer", "minimum": 1},
    "defaults.terminationGracePeriodSeconds": {"type": "integer", "minimum": 26},
    "defaults.migrate.activeDeadlineSeconds": {"type": "integer", "minimum": 1},
    "defaults.migrate.backoffLimit": COUNT,
    "rehearsal.patience": {"type": "integer", "minimum": 1, "maximum": 600},
    "channelGateway.publicUrl": {"type": "string", "pattern": "^(https?://[^/?#]+/?)?$"},
    "*.image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "channelGateway.files.accessMode": {"enum": ["ReadWriteMany", "ReadWriteOnce"]},
    "channelGateway.files.size": {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"},
    "httpRoute.parentRefs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    "networkPolicy.*.to": PEERS,
    "networkPolicy.*.from": PEERS,
    "networkPolicy.*.port": PORT,
    "networkPolicy.providers.ports": {"type": "array", "minItems": 1, "items": PORT},
    "monitoring.*.interval": {"type": "string", "pattern": "^[0-9]+(ms|s|m)$"},
    "merge": MERGE,
    "extraObjects": {"type": "array", "items": {"type": ["object", "string"]}},
}  # fmt: skip


def form_of(value):
    for path, form in FORMS.items():
        if re.fullmatch(path.replace(".", r"\.").replace("*", "[^.]+"), value.path):
            return copy.deepcopy(form)
    # Nothing shorter than what Kubernetes' own schemas say would be right for these.
    if isinstance(value.value, dict):
        return {"type": "object"}
    types = {bool: "boolean", int: "integer", str: "string", list: "array"}
    return {"type": types[type(value.value)]}


def schema_of(values):
    properties = {}
    for value in values:
        if value.is_leaf():
            form = form_of(value)
            form.setdefault("default", value.value)
        else:
            form = {"type": "object", "additionalProperties": False, "properties": schema_of(value.below)}
        if value.comment:
            form["description"] = value.comment
        properties[value.path.rpartition(".")[2]] = form
    return properties


def without_defaults(form):
    if isinstance(form, dict):
        # A property may be called `default`: then it is a schema.
        return {
            key: without_defaults(inner)
            for key, inner in form.items()
            if key != "default" or isinstance(inner, dict) and "type" in inner
        }
    return [without_defaults(inner) for inner in form] if isinstance(form, list) else form


def deep(base, over):
    """`over` laid over `base`, maps key by key."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    merged = dict(base)
    for key, value in over.items():
        merged[key] = deep(base[key], value) if key in base else copy.deepcopy(value)
    return merged


def values_schema():
    properties = schema_of(read_values())
    properties["config"] = offered_to_all()
    own_secret = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "existingSecret": {"type": "string", "description": "Another Secret for this service."},
            "key": {"type": "string", "description": "Its key in the Secret; its name unless given."},
        },
    }
    password = {
        "passwordSecret": {"type": "string", "description": "Another Secret with the password for this service."},
        "passwordKey": {"type": "string", "description": "Its key in that Secret; its name unless given."},
    }
    for service, name in SERVICES.items():
        own = properties[name]
        own["properties"] = deep(without_defaults(properties["defaults"]["properties"]), own["properties"])
        own["properties"]["config"] = offered(service_schema(service))
        own["properties"]["image"]["properties"]["tag"] = {
            **properties["image"]["properties"]["tag"],
            "description": "Another tag.",
        }
        secrets = own["properties"].setdefault("secrets", {"type": "object", "additionalProperties": False, "properties": {}})
        for secret in properties["secrets"]["properties"]:
            secrets["properties"][secret] = copy.deepcopy(own_secret)
            if "passwordSecret" in properties["secrets"]["properties"][secret]["properties"]:
                secrets["properties"][secret]["properties"] |= copy.deepcopy(password)
        own["properties"]["merge"] = copy.deepcopy(MERGE)
    # Helm hands it to every chart.
    properties["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Values of the chart switchboard",
        "description": "Written by scripts/check-deploy --write out of values.yaml and deploy/config/*.schema.json.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


# --- the table


def values_table():
    rows = ["| value | default | what it means |", "|---|---|---|"]

    def cell(text):
        return text.replace("|", r"\|")

    def add(values):
        for value in values:
            if value.is_leaf():
                shown = json.dumps(value.value, ensure_ascii=False)
                rows.append(f"| `{value.path}` | {cell(f'`{shown}`')} | {cell(value.comment)} |")
                continue
            if value.comment:
                rows.append(f"| **`{value.path}`** | | {cell(value.comment)} |")
            add(value.below)

    add(read_values())
    return "\n".join(rows)


BEGIN, END = "<!-- values: written by scripts/check-deploy --write -->", "<!-- end of values -->"


def readme():
    text = (CHART / "README.md").read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise Refusal("deploy/chart/README.md has no place for the table of values", f"Put in: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{values_table()}\n\n{END}{after}"


# --- all of them


def generated():
    """{file: what must stand in it}."""
    return {
        CHART / "values.schema.json": json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": readme(),
        **{CHART / "dashboards" / f"{name}.json": text for name, text in dashboards.texts().items()},
        DEPLOY / "RECOVERY.md": recovery.page(),
        DEPLOY / "nats" / "users.yaml": nats.users_yaml((DEPLOY / "nats" / "nats.conf").read_text()),
    }


def write():
    for file, text in generated().items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def differences():
    return [
        f"{file.relative_to(machine.ROOT)} is not what is generated: run scripts/check-deploy --write and commit it"
        for file, text in generated().items()
        if not file.exists() or file.read_text() != text
    ]

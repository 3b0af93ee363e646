"""Own checks of rendered objects: what Kubernetes' schemas cannot say. Each rule takes what was rendered and tells what is
wrong. What each must notice stands in `breakages`."""

import copy
import ipaddress
import re

import jsonschema

from . import generate

GRPC = {"channel-gateway": 7101, "conversation": 7102, "crm-cards": 7103, "assignment": 7104}
ADMIN = {"channel-gateway": 7111, "conversation": 7112, "crm-cards": 7113, "assignment": 7114}
WEBHOOKS = 7121
# A Deployment's selector cannot be changed: no label that a person may set, nor one that an upgrade changes, belongs into it.
SELECTING = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}

# The paths between the services (architecture, section 4, and what follows from it): who calls whom by gRPC.
CALLS = {
    # Commands that are missing are asked for; rights, accounts and copies are filled from their owner.
    ("channel-gateway", "conversation"),
    ("channel-gateway", "assignment"),
    # Who may write; the files of quick replies; contacts that are written to first.
    ("conversation", "assignment"),
    ("conversation", "channel-gateway"),
    ("conversation", "crm-cards"),
    # Rights; chats that are linked.
    ("crm-cards", "assignment"),
    ("crm-cards", "conversation"),
    # Chats that are not known yet.
    ("assignment", "conversation"),
}
# `helm test`: it comes in as a provider does, and asks by the public API.
REHEARSAL = "rehearsal"
# What each may reach besides: the section of `networkPolicy` that says where it is. `migrate` is the job of migrations.
REACHES = {
    "dns": {*GRPC, "migrate", REHEARSAL},
    "postgres": {*GRPC, "migrate"},
    "nats": {*GRPC},
    "jwks": {*GRPC},
    "telemetry": {*GRPC},
    # Providers, mail servers and the bucket are the gateway's alone.
    "providers": {"channel-gateway"},
    "objectStore": {"channel-gateway"},
}
# Addresses of one's own networks, machines and links.
INSIDE_4 = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
INSIDE = (*INSIDE_4, "::1/128", "fc00::/7", "fe80::/10")
NEEDED = ("dns", "postgres", "nats")
PUBLIC_PATHS = {"/in/", "/files/", "/f/", "/l/"}
FOREIGN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


class Rendered:
    """The objects of one rendering, and the values that they were made of."""

    def __init__(self, objects, values):
        self.objects, self.values = objects, values

    def of(self, *kinds):
        return [each for each in self.objects if each["kind"] in kinds]

    def broken(self, change):
        """A copy that is broken by `change`."""
        copied = Rendered(copy.deepcopy(self.objects), copy.deepcopy(self.values))
        change(copied)
        return copied

    def workloads(self):
        """(name, pod, labels, is a job) of all that makes pods."""
        for each in self.of("Deployment", "Job"):
            template = each["spec"]["template"]
            yield (
                f"{each['kind']} {each['metadata']['name']}",
                template["spec"],
                template["metadata"]["labels"],
                each["kind"] == "Job",
            )

    def containers(self):
        for name, pod, labels, is_job in self.workloads():
            for container in pod["containers"] + pod.get("initContainers", []):
                yield f"{name}, container {container['name']}", container, labels, is_job

    def deployment(self, service):
        found = [each for each in self.of("Deployment") if component(each["metadata"]["labels"]) == service]
        return found[0] if found else None


def component(labels):
    return (labels or {}).get("app.kubernetes.io/component", "")


def service_of(labels):
    return component(labels).removesuffix("-migrate")


RULES = {}


def rule(name):
    def keep(function):
        RULES[name] = function
        return function

    return keep


@rule("probes")
def probes(rendered):
    for name, each, _, is_job in rendered.containers():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if not is_job and probe not in each:
                yield f"{name} has no {probe}"


@rule("limits")
def limits(rendered):
    for name, each, *_ in rendered.containers():
        for kind in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if what not in each.get("resources", {}).get(kind, {}):
                    yield f"{name} has no {kind} of {what}"


@rule("security context")
def security(rendered):
    for name, each, *_ in rendered.containers():
        context = each.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain privileges"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write into its image"
        if context.get("capabilities", {}).get("drop") != ["ALL"] or context.get("capabilities", {}).get("add"):
            yield f"{name} keeps capabilities"
        if context.get("privileged") or context.get("runAsUser") == 0:
            yield f"{name} is privileged"


@rule("pod security")
def pod_security(rendered):
    for name, pod, *_ in rendered.workloads():
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name} may run as root"
        if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name} has no seccomp profile"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name} is given a token of Kubernetes"
        if pod.get("enableServiceLinks") is not False:
            yield f"{name} is given variables of other Services"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield f"{name} has {key}"
        for volume in pod.get("volumes", []):
            if "hostPath" in volume:
                yield f"{name} mounts the node's folder {volume['hostPath']['path']}"


@rule("images pinned")
def images(rendered):
    for name, each, *_ in rendered.containers():
        image = each["image"]
        repository, _, tag = image.partition("@")[0].rpartition(":")
        if re.search(r"@sha256:[0-9a-f]{64}$", image):
            continue
        if not repository or "/" in tag or tag == "latest" or not re.match(r"v?\d", tag):
            yield f"{name}: {image} names neither a digest nor a version"


# --- configuration


def config_map(rendered, name):
    found = [each for each in rendered.of("ConfigMap") if each["metadata"]["name"] == name]
    return found[0] if found else None


def variables(rendered, each):
    """{variable: literal value, or None for one from a Secret}, and what is missing."""
    found, missing = {}, []
    for source in each.get("envFrom", []):
        name = source.get("configMapRef", {}).get("name", "")
        map_ = config_map(rendered, name)
        if map_ is None:
            missing.append(f"ConfigMap {name} is not there")
        else:
            found |= map_["data"]
    for variable in each.get("env", []):
        found[variable["name"]] = variable.get("value") if "valueFrom" not in variable else None
    return found, missing


def key_of(variable):
    section, _, key = variable.removeprefix("SWITCHBOARD_").partition("__")
    return f"{section}.{key}".lower()


def typed(text, form):
    """A variable's text as the services read it."""
    if form.get("type") == "integer" or "integer" in form.get("type", []):
        return int(text) if re.fullmatch(r"-?\d+", text) else text
    if form.get("type") == "number":
        return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text
    if form.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    return text


@rule("environment")
def environment(rendered):
    """Every variable is a key of the service's configuration, with a value of its form."""
    for name, each, labels, _ in rendered.containers():
        if component(labels) == REHEARSAL:
            yield from (f"{name}: {what}" for what in rehearsal_environment(rendered, each))
            continue
        known = generate.keys(generate.service_schema(service_of(labels)))
        own = generate.deep(rendered.values["defaults"], rendered.values[generate.SERVICES[service_of(labels)]])
        extra = {variable["name"] for variable in own["extraEnv"]}
        found, missing = variables(rendered, each)
        yield from (f"{name}: {what}" for what in missing)
        for variable, value in found.items():
            # Keys of the bucket come from a Secret; what people add for other libraries is theirs.
            if (
                variable in FOREIGN_VARIABLES
                and value is None
                or variable in extra
                and not variable.startswith("SWITCHBOARD_")
            ):
                continue
            form = known.get(key_of(variable)) if variable.startswith("SWITCHBOARD_") else None
            if form is None:
                yield f"{name}: {variable} is no key of {service_of(labels)}"
            elif generate.is_secret(form) and value is not None:
                yield f"{name}: {variable} is a secret and stands in the open"
            elif value is not None:
                wrong = list(jsonschema.Draft202012Validator(form).iter_errors(typed(value, form)))
                yield from (f"{name}: {variable}: {error.message}" for error in wrong)


def rehearsal_environment(rendered, each):
    """Variables of the command line, each with the address that it means."""
    sources = (generate.machine.ROOT / "services" / "switchboardctl" / "src").rglob("*.rs")
    known = {name for file in sources for name in re.findall(r'env = "(SWITCHBOARD_CTL_\w+)"', file.read_text())}
    services = {each["metadata"]["name"]: component(each["metadata"]["labels"]) for each in rendered.of("Service")}
    found, missing = variables(rendered, each)
    yield from missing
    for variable, value in found.items():
        if variable not in known:
            yield f"{variable} is none of switchboardctl"
        if variable == "SWITCHBOARD_CTL_TOKEN" and value is not None:
            yield f"{variable} is a secret and stands in the open"
    wanted = {f"SWITCHBOARD_CTL_{who.replace('-', '_').upper()}": (who, port) for who, port in GRPC.items()}
    wanted["SWITCHBOARD_CTL_WEBHOOKS"] = ("channel-gateway", WEBHOOKS)
    for variable, (who, port) in wanted.items():
        host, _, at = (found.get(variable) or "").removeprefix("https://").removeprefix("http://").partition(":")
        if services.get(host) != who or at != str(port):
            yield f"{variable} leads to {host}:{at}, where {who} is not"
    if "SWITCHBOARD_CTL_TOKEN" not in found:
        yield "there is no token"


@rule("configuration complete")
def complete(rendered):
    """The other way round: every key of a service's configuration is set by the chart, or may stand in its values."""
    for service in GRPC:
        deployment = rendered.deployment(service)
        if not deployment:
            yield f"{service} has no Deployment"
            continue
        found, _ = variables(rendered, deployment["spec"]["template"]["spec"]["containers"][0])
        schema = generate.service_schema(service)
        # Set where the values name a Secret for them.
        optional = generate.MOUNTED | {f"instagram.{key}" for key in ("app_secret", "product_secret", "verify_token")}
        offered = generate.keys(generate.offered(schema))
        set_here = {key_of(variable) for variable in found}
        for key in generate.keys(schema):
            if key not in offered and key not in set_here and key not in optional:
                yield f"{service}: {key} is neither set by the chart nor offered by its values"


@rule("own secrets")
def own_secrets(rendered):
    """A pod gets the Secrets that its values name, each by its own key: none of another service's."""
    for name, pod, labels, is_job in rendered.workloads():
        service = service_of(labels)
        # `helm test` has a token of its own, and nothing of the services.
        own = rendered.values[generate.SERVICES[service]] if service in GRPC else {}

        def reference(secret, own=own, service=service):
            mine = own.get("secrets", {}).get(secret, {})
            common = rendered.values["secrets"].get(secret, {})
            return (mine.get("existingSecret") or common.get("existingSecret"), mine.get("key") or service)

        def password(secret, own=own, service=service):
            mine = own.get("secrets", {}).get(secret, {})
            common = rendered.values["secrets"][secret]
            holder = mine.get("passwordSecret") or common["passwordSecret"]
            return {(holder, mine.get("passwordKey") or service)} if holder else set()

        expected = {reference("database")} | password("database")
        if service == REHEARSAL:
            token = rendered.values["rehearsal"]["token"]
            expected = {(token["existingSecret"], token["key"])}
        tls = rendered.values["tls"]["existingSecret"]
        if tls and service == REHEARSAL:
            expected.add((tls, "ca.crt"))
        if not is_job:
            expected |= {reference("nats"), reference("internalToken")} | password("nats")
            expected |= {(tls, key) for key in ("tls.crt", "tls.key", "ca.crt") if tls}
        if service == "channel-gateway" and not is_job:
            secrets = own["secrets"]
            expected.add(reference("seal"))
            for secret in ("instagram", "s3"):
                if secrets[secret]["existingSecret"]:
                    named = [key for field, key in secrets[secret].items() if field != "existingSecret" and key]
                    expected |= {(secrets[secret]["existingSecret"], key) for key in named}
        found = set()
        for each in pod["containers"]:
            for source in each.get("envFrom", []):
                if "secretRef" in source:
                    yield f"{name} takes over a whole Secret"
            for variable in each.get("env", []):
                if "valueFrom" in variable:
                    reference_ = variable["valueFrom"].get("secretKeyRef", {})
                    found.add((reference_.get("name"), reference_.get("key")))
        for volume in pod.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                if "secret" in source:
                    found |= {(source["secret"]["name"], item["key"]) for item in source["secret"].get("items", [])}
            if "secret" in volume:
                yield f"{name} mounts a whole Secret"
        for extra in sorted(found - expected, key=str):
            yield f"{name} gets {extra}, which is not its own"
        for lacking in sorted(expected - found, key=str):
            yield f"{name} does not get {lacking}"


@rule("mounted files")
def mounted(rendered):
    """Files that the configuration names are mounted, as folders: a single file would never change in a running pod."""
    for name, pod, _, is_job in rendered.workloads():
        if is_job:
            continue
        each = pod["containers"][0]
        found, _ = variables(rendered, each)
        paths, folders = set(), set()
        for mount in each.get("volumeMounts", []):
            if "subPath" in mount:
                yield f"{name} mounts {mount['mountPath']} as a single file"
            volume = next(volume for volume in pod["volumes"] if volume["name"] == mount["name"])
            folders.add(mount["mountPath"])
            for source in volume.get("projected", {}).get("sources", []):
                for kind in ("secret", "configMap"):
                    paths |= {f"{mount['mountPath']}/{item['path']}" for item in source.get(kind, {}).get("items", [])}
        for variable, value in found.items():
            is_file = (
                re.match(r"SWITCHBOARD_.*_FILE$", variable)
                or variable == "SWITCHBOARD_AUTH__JWKS"
                and str(value).startswith("/")
            )
            if is_file and value not in paths:
                yield f"{name}: {variable}={value} is not mounted"
        if found.get("SWITCHBOARD_FILES__STORE", "local") == "local" and "SWITCHBOARD_FILES__FOLDER" in found:
            if found["SWITCHBOARD_FILES__FOLDER"] not in folders:
                yield f"{name}: {found['SWITCHBOARD_FILES__FOLDER']} is not mounted, and its image is read-only"


# --- network policies


def selects(selector, labels):
    if selector is None:
        return False
    wanted = selector.get("matchLabels", {})
    return not selector.get("matchExpressions") and all(labels.get(key) == value for key, value in wanted.items())


def ports_of(rule_):
    return sorted((port.get("protocol", "TCP"), port["port"]) for port in rule_.get("ports", []))


def paths(rendered):
    """What the policies open: (pods, in or out, peer, port); peers are components or sections of `networkPolicy`."""
    wanted = rendered.values["networkPolicy"]
    by_component = {component(labels): labels for _, _, labels, _ in rendered.workloads()}
    for policy in rendered.of("NetworkPolicy"):
        name = policy["metadata"]["name"]
        selected = [who for who, labels in by_component.items() if selects(policy["spec"]["podSelector"], labels)]
        for direction, peers_key in (("ingress", "from"), ("egress", "to")):
            for rule_ in policy["spec"].get(direction, []):
                ports = ports_of(rule_)
                peers = rule_.get(peers_key)
                if not peers or not ports:
                    yield name, selected, direction, "everybody" if not peers else "on every port", ports
                    continue
                sections = [
                    section
                    for section, said in wanted.items()
                    if isinstance(said, dict)
                    and said.get(peers_key) == peers
                    and expected_ports(section, said) in (None, ports)
                ]
                if sections:
                    yield name, selected, direction, sections[0], ports
                    continue
                for peer in peers:
                    pod = peer.get("podSelector")
                    own = [
                        who
                        for who, labels in by_component.items()
                        if pod and component(pod.get("matchLabels")) and selects(pod, labels)
                    ]
                    if own and set(peer) == {"podSelector"}:
                        yield name, selected, direction, own[0], ports
                    elif direction == "ingress" and peer in wanted["api"]["from"]:
                        yield name, selected, direction, "api", ports
                    else:
                        yield name, selected, direction, str(peer), ports


def expected_ports(section, said):
    if section == "dns":
        return [("TCP", 53), ("UDP", 53)]
    if "ports" in said:
        return sorted(("TCP", port) for port in said["ports"])
    return [("TCP", said["port"])] if "port" in said else None


@rule("network policies: only the paths of the design")
def only_paths(rendered):
    for name, selected, direction, peer, ports in paths(rendered):
        for who in selected:
            role = "migrate" if who.endswith("-migrate") else who
            told = f"NetworkPolicy {name}: {who} {'from' if direction == 'ingress' else 'to'} {peer}, {ports}"
            if direction == "egress":
                fine = (
                    (who, peer) in CALLS and ports == [("TCP", GRPC[peer])]
                    or role in REACHES.get(peer, ())
                    or who == REHEARSAL and peer in GRPC and ports == [("TCP", GRPC[peer])]
                    or who == REHEARSAL and peer == "channel-gateway" and ports == [("TCP", WEBHOOKS)]
                )  # fmt: skip
            else:
                fine = (
                    (peer, who) in CALLS and ports == [("TCP", GRPC[who])]
                    or peer in ("api", REHEARSAL) and who in GRPC and ports == [("TCP", GRPC[who])]
                    or peer == "metrics" and who in ADMIN and ports == [("TCP", ADMIN[who])]
                    or peer in ("webhooks", REHEARSAL) and who == "channel-gateway" and ports == [("TCP", WEBHOOKS)]
                )  # fmt: skip
            if not fine:
                yield f"{told} is no path of the design"


@rule("network policies: providers are public addresses")
def public_only(rendered):
    """Whoever makes the gateway fetch something must not reach what is inside by it."""
    for peer in rendered.values["networkPolicy"]["providers"]["to"]:
        block = ipaddress.ip_network(peer.get("ipBlock", {}).get("cidr", "0.0.0.0/0"))
        left = [ipaddress.ip_network(cidr) for cidr in peer.get("ipBlock", {}).get("except", [])]
        for inside in map(ipaddress.ip_network, INSIDE):
            if (
                inside.version == block.version
                and inside.overlaps(block)
                and not any(inside.subnet_of(cidr) for cidr in left)
            ):
                yield f"networkPolicy.providers.to: {block} holds {inside}"


@rule("network policies: every path of the design")
def every_path(rendered):
    wanted = rendered.values["networkPolicy"]
    if not wanted["enabled"]:
        return
    opened = {(who, direction, peer) for _, selected, direction, peer, _ in paths(rendered) for who in selected}
    for caller, callee in sorted(CALLS):
        if (caller, "egress", callee) not in opened:
            yield f"{caller} cannot reach {callee}: no rule lets it out"
        if (callee, "ingress", caller) not in opened:
            yield f"{caller} cannot reach {callee}: no rule lets it in"
    if rendered.values["rehearsal"]["enabled"]:
        open_at = {(who, direction, peer, *ports) for _, selected, direction, peer, ports in paths(rendered) for who in selected}
        for who, port in [*GRPC.items(), ("channel-gateway", WEBHOOKS)]:
            for path in ((REHEARSAL, "egress", who), (who, "ingress", REHEARSAL)):
                if (*path, ("TCP", port)) not in open_at:
                    yield f"`helm test` cannot reach {who} at {port}: {path[1]} of {path[0]}"
    needed = [*NEEDED, "providers"]
    values = rendered.values
    if values["auth"]["jwks"]["url"]:
        needed.append("jwks")
    if values["config"].get("telemetry", {}).get("otlp_endpoint"):
        needed.append("telemetry")
    if values["networkPolicy"]["objectStore"]["to"]:
        needed.append("objectStore")
    roles = {component(labels) for _, _, labels, _ in rendered.workloads()}
    for section in needed:
        for who in roles:
            role = "migrate" if who.endswith("-migrate") else who
            if role in REACHES[section] and (who, "egress", section) not in opened:
                yield f"{who} cannot reach what networkPolicy.{section} names"
    if (values["ingress"]["enabled"] or values["httpRoute"]["enabled"]) and (
        "channel-gateway",
        "ingress",
        "webhooks",
    ) not in opened:
        yield "no proxy reaches the webhooks"
    if values["monitoring"]["serviceMonitor"]["enabled"] or values["monitoring"]["podMonitor"]["enabled"]:
        for who in GRPC:
            if (who, "ingress", "metrics") not in opened:
                yield f"Prometheus cannot reach {who}"


@rule("network policies: everything else is denied")
def denied(rendered):
    if not rendered.values["networkPolicy"]["enabled"]:
        return
    for name, _, labels, _ in rendered.workloads():
        denials = [
            each for each in rendered.of("NetworkPolicy")
            if selects(each["spec"]["podSelector"], labels)
            and set(each["spec"].get("policyTypes", [])) == {"Ingress", "Egress"}
            and not each["spec"].get("ingress") and not each["spec"].get("egress")
        ]  # fmt: skip
        if not denials:
            yield f"{name}: no policy denies what no other allows"


# --- how objects fit together


@rule("objects fit together")
def together(rendered):
    pods = {name: (pod, labels) for name, pod, labels, is_job in rendered.workloads() if not is_job}
    services = {each["metadata"]["name"]: each for each in rendered.of("Service")}
    deployments = {each["metadata"]["name"] for each in rendered.of("Deployment")}

    def selected(selector):
        return [pod for pod, labels in pods.values() if selects(selector, labels)]

    for name, service in services.items():
        chosen = selected({"matchLabels": service["spec"]["selector"]})
        if len(chosen) != 1:
            yield f"Service {name} selects {len(chosen)} Deployments' pods"
        for port in service["spec"]["ports"]:
            for pod in chosen:
                if port["targetPort"] not in {each["name"] for each in pod["containers"][0]["ports"]}:
                    yield f"Service {name}: no pod has a port {port['targetPort']}"
    for each in rendered.of("Deployment"):
        if not selects(each["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"]):
            yield f"Deployment {each['metadata']['name']} does not select its own pods"
        service = component(each["metadata"]["labels"])
        ports = {port["name"]: port["containerPort"] for port in each["spec"]["template"]["spec"]["containers"][0]["ports"]}
        found, _ = variables(rendered, each["spec"]["template"]["spec"]["containers"][0])
        for section, port in ports.items():
            if found.get(f"SWITCHBOARD_{section.upper()}__LISTEN") != f"0.0.0.0:{port}":
                yield f"Deployment {each['metadata']['name']}: {section} does not listen at port {port}"
        for _, callee in sorted(call for call in CALLS if call[0] == service):
            address = found.get(f"SWITCHBOARD_PEERS__{callee.replace('-', '_').upper()}", "")
            host, _, port = address.removeprefix("https://").removeprefix("http://").partition(":")
            if host not in services or component(services[host]["metadata"]["labels"]) != callee or port != str(GRPC[callee]):
                yield f"{service} calls {callee} at {address}, where it is not"
        if set(each["spec"]["selector"]["matchLabels"]) != SELECTING:
            yield f"Deployment {each['metadata']['name']} selects by {each['spec']['selector']}: it could never be upgraded"
        grace = each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        sleep = each["spec"]["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        if grace < sleep + 25:
            yield f"Deployment {each['metadata']['name']} is killed before it has stopped"
        account = each["spec"]["template"]["spec"]["serviceAccountName"]
        if account not in {"default", *(account["metadata"]["name"] for account in rendered.of("ServiceAccount"))}:
            yield f"Deployment {each['metadata']['name']}: its account {account} is not there"
        scaled = [
            s
            for s in rendered.of("HorizontalPodAutoscaler")
            if s["spec"]["scaleTargetRef"]["name"] == each["metadata"]["name"]
        ]
        if bool(scaled) == ("replicas" in each["spec"]):
            yield f"Deployment {each['metadata']['name']}: either an autoscaler or `replicas` says how many"
    for each in rendered.of("HorizontalPodAutoscaler"):
        if each["spec"]["scaleTargetRef"]["name"] not in deployments:
            yield f"HorizontalPodAutoscaler {each['metadata']['name']} scales nothing"
    for each in rendered.of("PodDisruptionBudget"):
        if len(selected(each["spec"]["selector"])) != 1:
            yield f"PodDisruptionBudget {each['metadata']['name']} selects not one Deployment's pods"
    for each in rendered.of("ServiceMonitor"):
        chosen = [s for s in services.values() if selects(each["spec"]["selector"], s["metadata"]["labels"])]
        ports = {port["name"] for s in chosen for port in s["spec"]["ports"]}
        if len(chosen) != 1 or each["spec"]["endpoints"][0]["port"] not in ports:
            yield f"ServiceMonitor {each['metadata']['name']} finds no metrics"
    for each in rendered.of("PodMonitor"):
        chosen = selected(each["spec"]["selector"])
        ports = {port["name"] for pod in chosen for port in pod["containers"][0]["ports"]}
        if len(chosen) != 1 or each["spec"]["podMetricsEndpoints"][0]["port"] not in ports:
            yield f"PodMonitor {each['metadata']['name']} finds no metrics"


def backends(rendered):
    """(object, host, path, Service, port) of all that leads in from outside."""
    for each in rendered.of("Ingress"):
        for rule_ in each["spec"]["rules"]:
            for path in rule_["http"]["paths"]:
                backend = path["backend"]["service"]
                yield each, rule_.get("host"), path["path"], backend["name"], backend["port"].get("name")
    for each in rendered.of("HTTPRoute"):
        for rule_ in each["spec"]["rules"]:
            for match in rule_.get("matches", [{}]):
                for backend in rule_["backendRefs"]:
                    port = "http" if backend["port"] == WEBHOOKS else str(backend["port"])
                    for host in each["spec"].get("hostnames", [None]):
                        yield each, host, match.get("path", {}).get("value"), backend["name"], port


@rule("from outside only webhooks, files and links")
def outside(rendered):
    services = {each["metadata"]["name"]: component(each["metadata"]["labels"]) for each in rendered.of("Service")}
    host = re.sub(r"^https?://|[:/].*$", "", rendered.values["channelGateway"]["publicUrl"])
    found = {}
    for each, at, path, service, port in backends(rendered):
        name = f"{each['kind']} {each['metadata']['name']}"
        found.setdefault(name, set()).add(path)
        if services.get(service) != "channel-gateway" or port != "http":
            yield f"{name} leads to {service}, port {port}"
        if path not in PUBLIC_PATHS:
            yield f"{name} leads in at {path}"
        if at != host:
            yield f"{name} is for {at}, not for {host}"
    if found:
        gateway = rendered.deployment("channel-gateway")["spec"]["template"]["spec"]["containers"][0]
        if not variables(rendered, gateway)[0].get("SWITCHBOARD_HTTP__CLIENT_ADDRESS_HEADER"):
            yield "behind the proxy all visitors of links have one address: http.client_address_header is not set"
    for name, paths_ in found.items():
        if paths_ != PUBLIC_PATHS:
            yield f"{name} lacks {sorted(PUBLIC_PATHS - paths_)}"


@rule("migrations")
def migrations(rendered):
    """A job for each service, before the first install and every upgrade, that needs nothing which is not there yet."""

    def hooks(each):
        annotations = each["metadata"].get("annotations") or {}
        return set(filter(None, annotations.get("helm.sh/hook", "").split(","))), int(
            annotations.get("helm.sh/hook-weight", 0)
        )

    jobs = {service_of(each["metadata"]["labels"]): each for each in rendered.of("Job")}
    test = jobs.pop(REHEARSAL, None)
    if bool(test) != rendered.values["rehearsal"]["enabled"]:
        yield f"`helm test` has {'a' if test else 'no'} rehearsal"
    if test:
        if hooks(test)[0] != {"test"} or test["spec"]["backoffLimit"] != 0:
            yield f"the rehearsal is played at {sorted(hooks(test)[0])}, or hides that it failed"
        each = test["spec"]["template"]["spec"]["containers"][0]
        if each["args"][0] != "rehearse" or "/switchboardctl" not in each["image"]:
            yield "the rehearsal's job plays none"
    for service, name in generate.SERVICES.items():
        values = generate.deep(rendered.values["defaults"], rendered.values[name])
        if values["migrate"]["enabled"] != (service in jobs):
            yield f"{service}: {'no' if values['migrate']['enabled'] else 'a'} migration job"
    for service, job in jobs.items():
        moments, weight = hooks(job)
        if moments != {"pre-install", "pre-upgrade"}:
            yield f"the migrations of {service} are applied at {sorted(moments)}"
        pod = job["spec"]["template"]["spec"]
        if pod["containers"][0]["args"] != ["migrate"]:
            yield f"the job of {service} does not migrate"
        if any("configMapRef" in source for source in pod["containers"][0].get("envFrom", [])):
            yield f"the job of {service} needs a ConfigMap that is made after it"
        needed = [each for each in rendered.of("ServiceAccount") if each["metadata"]["name"] == pod["serviceAccountName"]]
        if pod["serviceAccountName"] != "default":
            earlier = [each for each in needed if hooks(each)[0] >= moments and hooks(each)[1] < weight]
            if not earlier:
                yield f"the job of {service} runs before its account is made"
        if rendered.values["networkPolicy"]["enabled"]:
            labels = job["spec"]["template"]["metadata"]["labels"]
            opening = [
                each for each in rendered.of("NetworkPolicy")
                if selects(each["spec"]["podSelector"], labels) and each["spec"].get("egress")
                and hooks(each)[0] >= moments and hooks(each)[1] < weight
            ]  # fmt: skip
            if not opening:
                yield f"the job of {service} runs before its way to the database is opened"


@rule("names and labels")
def names(rendered):
    seen = set()
    for each in rendered.objects:
        key = (
            each["apiVersion"].partition("/")[0] if "/" in each["apiVersion"] else "",
            each["kind"],
            each["metadata"]["name"],
        )
        if key in seen:
            yield f"{each['kind']} {each['metadata']['name']} is there twice"
        seen.add(key)
        if len(each["metadata"]["name"]) > 63 or not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", each["metadata"]["name"]):
            yield f"{each['kind']} {each['metadata']['name']}: no name of an object"
        # What people add is theirs to label.
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") != "Helm" and not each["metadata"][
            "name"
        ].endswith(("-extra", "-text")):
            yield f"{each['kind']} {each['metadata']['name']} does not say that Helm manages it"


@rule("autoscalers look at consumers that are there")
def consumers(rendered):
    from . import nats

    rights = {
        user["user"]: user["permissions"]["publish"]
        for user in nats.users((generate.DEPLOY / "nats" / "nats.conf").read_text())
    }
    for each in rendered.of("HorizontalPodAutoscaler"):
        service = component(each["metadata"]["labels"])
        for metric in each["spec"]["metrics"]:
            if metric["type"] != "External":
                continue
            consumer = metric["external"]["metric"]["selector"]["matchLabels"]["consumer"]
            if not any(right.endswith(f".{consumer}") and "MSG.NEXT" in right for right in rights[service]):
                yield f"HorizontalPodAutoscaler {each['metadata']['name']}: {service} has no consumer {consumer}"


# --- secrets

CREDENTIALS = re.compile(r"://[^\s/:@]+:(?!password@|\$)[^\s/@]+@")
RANDOM = re.compile(
    r"(?<![A-Za-z0-9+/:_-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Za-z])[A-Za-z0-9+/_-]{40,}={0,2}(?![A-Za-z0-9+/_-])"
)
KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


def literals(node, path=""):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from literals(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            named = isinstance(value, dict) and isinstance(value.get("name"), str)
            yield from literals(value, f"{path}[{value['name'] if named else number}]")
            if named and "value" in value:
                yield value["name"], value["value"]
    else:
        yield path, node


def looks_secret(path, value):
    if not isinstance(value, str) or not value:
        return False
    if CREDENTIALS.search(value) or KEY_BLOCK.search(value):
        return True
    name = path.rpartition(".")[2]
    # Keys of Secrets and files are names, and what comes from the environment is none of ours.
    if re.search(r"(^|[._])(password|passwd|token)$", name, re.IGNORECASE) and not value.startswith(("<< $", "/")):
        return True
    return bool(RANDOM.search(re.sub(r"sha256:[0-9a-f]{64}", "", value)) and not re.search(r"[./]", value))


@rule("no secret in the open")
def no_secret(rendered):
    for each in rendered.objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Secret":
            yield f"{name}: the chart makes no Secrets"
        for path, value in literals(each):
            if looks_secret(path, value):
                yield f"{name}: {path} looks like a secret"

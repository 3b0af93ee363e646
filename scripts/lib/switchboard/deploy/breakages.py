"""Charts that are broken in one place, and the rule that must notice each: a check that cannot fail is worth nothing.
A breakage raises LookupError where a rendering has not what it breaks."""

BREAKAGES = {}


def breaks(rule):
    def keep(function):
        BREAKAGES.setdefault(rule, []).append(function)
        return function

    return keep


def first(rendered, kind="Deployment", service=None):
    for each in rendered.of(kind):
        if service is None or each["metadata"].get("labels", {}).get("app.kubernetes.io/component") == service:
            return each
    raise LookupError(kind)


def pod(rendered, kind="Deployment", service=None):
    return first(rendered, kind, service)["spec"]["template"]["spec"]


def container(rendered, kind="Deployment", service=None):
    return pod(rendered, kind, service)["containers"][0]


def policy(rendered, service):
    return first(rendered, "NetworkPolicy", service)["spec"]


def data(rendered, service):
    return first(rendered, "ConfigMap", service)["data"]


@breaks("probes")
def no_readiness_probe(rendered):
    del container(rendered)["readinessProbe"]


@breaks("probes")
def no_startup_probe(rendered):
    del container(rendered)["startupProbe"]


@breaks("limits")
def no_memory_limit(rendered):
    del container(rendered)["resources"]["limits"]["memory"]


@breaks("limits")
def job_without_requests(rendered):
    del container(rendered, "Job")["resources"]["requests"]


@breaks("security context")
def writable_root(rendered):
    container(rendered)["securityContext"]["readOnlyRootFilesystem"] = False


@breaks("security context")
def job_with_capability(rendered):
    container(rendered, "Job")["securityContext"]["capabilities"]["add"] = ["NET_RAW"]


@breaks("security context")
def privileges_gained(rendered):
    del container(rendered)["securityContext"]["allowPrivilegeEscalation"]


@breaks("security context")
def runs_as_root(rendered):
    container(rendered)["securityContext"]["runAsUser"] = 0


@breaks("pod security")
def token_of_kubernetes(rendered):
    pod(rendered)["automountServiceAccountToken"] = True


@breaks("pod security")
def job_may_be_root(rendered):
    pod(rendered, "Job")["securityContext"]["runAsNonRoot"] = False


@breaks("pod security")
def no_seccomp(rendered):
    del pod(rendered)["securityContext"]["seccompProfile"]


@breaks("pod security")
def service_links(rendered):
    del pod(rendered)["enableServiceLinks"]


@breaks("pod security")
def host_path(rendered):
    pod(rendered)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


@breaks("pod security")
def host_network(rendered):
    pod(rendered)["hostNetwork"] = True


@breaks("images pinned")
def latest(rendered):
    container(rendered)["image"] = "registry.example.com/switchboard/conversation:latest"


@breaks("images pinned")
def no_tag(rendered):
    container(rendered, "Job")["image"] = "registry.example.com:5000/switchboard/conversation"


@breaks("images pinned")
def short_digest(rendered):
    container(rendered)["image"] = "registry.example.com/switchboard/conversation@sha256:0123"


@breaks("environment")
def misspelt_key(rendered):
    container(rendered)["env"].append({"name": "SWITCHBOARD_NATS__REPLICA", "value": "3"})


@breaks("environment")
def key_of_another_service(rendered):
    data(rendered, "conversation")["SWITCHBOARD_SEAL__KEY_FILE"] = "/etc/switchboard/seal.key"


@breaks("environment")
def wrong_type(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_NATS__REPLICAS"] = "three"


@breaks("environment")
def number_as_float(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_DATABASE__MAX_CONNECTIONS"] = "1e+06"


@breaks("environment")
def size_as_float(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_NATS__EVENTS_MAX_BYTES"] = "8.589934592e+09"


@breaks("environment")
def wrong_unit(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_RELAY__WAIT"] = "20"


@breaks("environment")
def secret_in_config_map(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_DATABASE__URL"] = "postgres://db/x"
    env = container(rendered, service="crm-cards")["env"]
    env[:] = [variable for variable in env if variable["name"] != "SWITCHBOARD_DATABASE__URL"]


@breaks("environment")
def config_map_away(rendered):
    rendered.objects.remove(first(rendered, "ConfigMap", "assignment"))


@breaks("environment")
def foreign_variable(rendered):
    container(rendered)["env"].append({"name": "AWS_SESSION_TOKEN", "value": "x"})


@breaks("configuration complete")
def listens_where_it_likes(rendered):
    del data(rendered, "assignment")["SWITCHBOARD_GRPC__LISTEN"]


@breaks("configuration complete")
def no_broker(rendered):
    env = container(rendered)["env"]
    env[:] = [variable for variable in env if variable["name"] != "SWITCHBOARD_NATS__URL"]


@breaks("configuration complete")
def service_away(rendered):
    rendered.objects.remove(first(rendered, service="crm-cards"))


@breaks("own secrets")
def key_of_another(rendered):
    container(rendered, service="conversation")["env"][0]["valueFrom"]["secretKeyRef"]["key"] = "assignment"


@breaks("own secrets")
def whole_secret(rendered):
    container(rendered)["envFrom"].append({"secretRef": {"name": "switchboard-database"}})


@breaks("own secrets")
def whole_secret_mounted(rendered):
    pod(rendered)["volumes"].append({"name": "all", "secret": {"secretName": "switchboard-internal"}})


@breaks("own secrets")
def seal_for_all(rendered):
    sources = pod(rendered, service="conversation")["volumes"][0]["projected"]["sources"]
    sources.append({"secret": {"name": "switchboard-seal", "items": [{"key": "seal.key", "path": "seal.key"}]}})


@breaks("own secrets")
def job_without_database(rendered):
    container(rendered, "Job")["env"].pop()


@breaks("mounted files")
def token_elsewhere(rendered):
    for source in pod(rendered)["volumes"][0]["projected"]["sources"]:
        for item in source.get("secret", {}).get("items", []):
            item["path"] = "other"


@breaks("mounted files")
def single_file(rendered):
    container(rendered)["volumeMounts"][0]["subPath"] = "internal.token"


@breaks("mounted files")
def no_place_for_files(rendered):
    mounts = container(rendered, service="channel-gateway")["volumeMounts"]
    mounts.remove(next((mount for mount in mounts if mount["name"] == "files"), None) or raise_lookup())


def raise_lookup():
    raise LookupError


ONLY = "network policies: only the paths of the design"


@breaks(ONLY)
def everywhere(rendered):
    policy(rendered, "crm-cards")["egress"].append(
        {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"protocol": "TCP", "port": 443}]}
    )


@breaks(ONLY)
def from_everybody(rendered):
    policy(rendered, "assignment")["ingress"].append({"ports": [{"protocol": "TCP", "port": 7104}]})


@breaks(ONLY)
def empty_list_of_peers(rendered):
    policy(rendered, "assignment")["ingress"].append({"from": [], "ports": [{"protocol": "TCP", "port": 7104}]})


@breaks(ONLY)
def every_port(rendered):
    del policy(rendered, "conversation")["ingress"][0]["ports"]


@breaks(ONLY)
def wrong_direction(rendered):
    # assignment never calls crm-cards.
    labels = policy(rendered, "crm-cards")["podSelector"]
    policy(rendered, "assignment")["egress"].append(
        {"to": [{"podSelector": labels}], "ports": [{"protocol": "TCP", "port": 7103}]}
    )


@breaks(ONLY)
def metrics_of_each_other(rendered):
    labels = policy(rendered, "crm-cards")["podSelector"]
    policy(rendered, "assignment")["ingress"].append(
        {"from": [{"podSelector": labels}], "ports": [{"protocol": "TCP", "port": 7114}]}
    )


@breaks(ONLY)
def providers_for_conversation(rendered):
    providers = rendered.values["networkPolicy"]["providers"]
    ports = [{"protocol": "TCP", "port": port} for port in providers["ports"]]
    policy(rendered, "conversation")["egress"].append({"to": providers["to"], "ports": ports})


@breaks(ONLY)
def migration_reaches_broker(rendered):
    broker = rendered.values["networkPolicy"]["nats"]
    policy(rendered, "conversation-migrate")["egress"].append(
        {"to": broker["to"], "ports": [{"protocol": "TCP", "port": broker["port"]}]}
    )


@breaks(ONLY)
def webhooks_at_the_wrong_port(rendered):
    proxy = rendered.values["networkPolicy"]["webhooks"]["from"] or raise_lookup()
    policy(rendered, "channel-gateway")["ingress"].append({"from": proxy, "ports": [{"protocol": "TCP", "port": 7101}]})


@breaks("network policies: providers are public addresses")
def own_network_open(rendered):
    rendered.values["networkPolicy"]["providers"]["to"][0]["ipBlock"]["except"].remove("10.0.0.0/8")


@breaks("network policies: providers are public addresses")
def own_network_open_by_ipv6(rendered):
    rendered.values["networkPolicy"]["providers"]["to"][1]["ipBlock"]["except"].remove("fc00::/7")


EVERY = "network policies: every path of the design"


def without(rules, port):
    rules[:] = [rule for rule in rules if port not in [each["port"] for each in rule["ports"]]]


@breaks(EVERY)
def broker_unreachable(rendered):
    without(policy(rendered, "assignment")["egress"], 4222)


@breaks(EVERY)
def names_unknown_to_migration(rendered):
    without(policy(rendered, "conversation-migrate")["egress"], 53)


@breaks(EVERY)
def caller_not_let_in(rendered):
    without(policy(rendered, "crm-cards")["ingress"], 7103)


@breaks(EVERY)
def caller_not_let_out(rendered):
    without(policy(rendered, "channel-gateway")["egress"], 7102)


@breaks(EVERY)
def providers_unreachable(rendered):
    without(policy(rendered, "channel-gateway")["egress"], 993)


@breaks(EVERY)
def proxy_not_let_in(rendered):
    if not rendered.values["networkPolicy"]["webhooks"]["from"]:
        raise LookupError
    without(policy(rendered, "channel-gateway")["ingress"], 7121)


@breaks(EVERY)
def prometheus_not_let_in(rendered):
    if not rendered.values["networkPolicy"]["metrics"]["from"]:
        raise LookupError
    without(policy(rendered, "conversation")["ingress"], 7112)


@breaks(EVERY)
def tracing_unreachable(rendered):
    if not rendered.values["networkPolicy"]["telemetry"]["to"]:
        raise LookupError
    without(policy(rendered, "conversation")["egress"], 4317)


@breaks("network policies: everything else is denied")
def no_denial(rendered):
    rendered.objects.remove(
        next((each for each in rendered.of("NetworkPolicy") if each["metadata"]["name"].endswith("-deny-all")), None)
        or raise_lookup()
    )


@breaks("network policies: everything else is denied")
def denial_of_one_direction(rendered):
    next(each for each in rendered.of("NetworkPolicy") if each["metadata"]["name"].endswith("-deny-all"))["spec"][
        "policyTypes"
    ] = ["Ingress"]


FIT = "objects fit together"


@breaks(FIT)
def service_to_no_port(rendered):
    first(rendered, "Service")["spec"]["ports"][0]["targetPort"] = "gprc"


@breaks(FIT)
def service_of_no_pods(rendered):
    first(rendered, "Service")["spec"]["selector"]["app.kubernetes.io/component"] = "nobody"


@breaks(FIT)
def service_of_all_pods(rendered):
    del first(rendered, "Service")["spec"]["selector"]["app.kubernetes.io/component"]


@breaks(FIT)
def peer_elsewhere(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_PEERS__ASSIGNMENT"] = "http://assignment:7104"


@breaks(FIT)
def listens_at_another_port(rendered):
    data(rendered, "crm-cards")["SWITCHBOARD_ADMIN__LISTEN"] = "0.0.0.0:7110"


@breaks(FIT)
def listens_inside_alone(rendered):
    data(rendered, "channel-gateway")["SWITCHBOARD_HTTP__LISTEN"] = "127.0.0.1:7121"


@breaks(FIT)
def killed_early(rendered):
    pod(rendered)["terminationGracePeriodSeconds"] = 20


@breaks(FIT)
def selects_by_version(rendered):
    version = {"app.kubernetes.io/version": "0.1.0"}
    first(rendered)["spec"]["selector"]["matchLabels"] |= version
    first(rendered)["spec"]["template"]["metadata"]["labels"] |= version


@breaks(FIT)
def account_away(rendered):
    pod(rendered)["serviceAccountName"] = "nobody"


@breaks(FIT)
def two_that_scale(rendered):
    scaled = first(rendered, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"]
    next(each for each in rendered.of("Deployment") if each["metadata"]["name"] == scaled)["spec"]["replicas"] = 2


@breaks(FIT)
def scales_nothing(rendered):
    first(rendered, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] = "nobody"


@breaks(FIT)
def budget_of_all(rendered):
    del first(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]


@breaks(FIT)
def monitor_of_no_port(rendered):
    first(rendered, "ServiceMonitor")["spec"]["endpoints"][0]["port"] = "metrics"


@breaks(FIT)
def pod_monitor_of_no_pods(rendered):
    first(rendered, "PodMonitor")["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"] = "nobody"


OUTSIDE = "from outside only webhooks, files and links"


def way_in(rendered):
    return first(rendered, "Ingress")["spec"]["rules"][0]


@breaks(OUTSIDE)
def everything_led_in(rendered):
    way_in(rendered)["http"]["paths"][0]["path"] = "/"


@breaks(OUTSIDE)
def grpc_led_in(rendered):
    way_in(rendered)["http"]["paths"][0]["backend"]["service"]["port"]["name"] = "grpc"


@breaks(OUTSIDE)
def other_service_led_in(rendered):
    backend = way_in(rendered)["http"]["paths"][0]["backend"]["service"]
    backend["name"] = backend["name"].replace("channel-gateway", "conversation")


@breaks(OUTSIDE)
def other_host(rendered):
    way_in(rendered)["host"] = "example.com"


@breaks(OUTSIDE)
def links_left_out(rendered):
    way_in(rendered)["http"]["paths"].pop()


@breaks(OUTSIDE)
def visitors_not_told_apart(rendered):
    del data(rendered, "channel-gateway")["SWITCHBOARD_HTTP__CLIENT_ADDRESS_HEADER"]


@breaks(OUTSIDE)
def route_to_metrics(rendered):
    first(rendered, "HTTPRoute")["spec"]["rules"][0]["backendRefs"][0]["port"] = 7111


@breaks(OUTSIDE)
def route_of_everything(rendered):
    del first(rendered, "HTTPRoute")["spec"]["rules"][0]["matches"]


@breaks("migrations")
def account_made_late(rendered):
    del first(rendered, "ServiceAccount", "conversation-migrate")["metadata"]["annotations"]["helm.sh/hook"]


@breaks("migrations")
def way_opened_late(rendered):
    first(rendered, "NetworkPolicy", "conversation-migrate")["metadata"]["annotations"]["helm.sh/hook-weight"] = "5"


@breaks("migrations")
def not_at_upgrades(rendered):
    first(rendered, "Job")["metadata"]["annotations"]["helm.sh/hook"] = "pre-install"


@breaks("migrations")
def after_the_upgrade(rendered):
    first(rendered, "Job")["metadata"]["annotations"]["helm.sh/hook"] = "post-install,post-upgrade"


@breaks("migrations")
def job_away(rendered):
    rendered.objects.remove(first(rendered, "Job", "assignment-migrate"))


@breaks("migrations")
def job_that_serves(rendered):
    container(rendered, "Job")["args"] = ["serve"]


@breaks("migrations")
def job_with_config_map(rendered):
    container(rendered, "Job")["envFrom"] = [{"configMapRef": {"name": "switchboard-conversation"}}]


@breaks("names and labels")
def twice(rendered):
    rendered.objects.append(first(rendered))


@breaks("names and labels")
def long_name(rendered):
    first(rendered)["metadata"]["name"] = "a" * 64


@breaks("names and labels")
def unlabelled(rendered):
    del first(rendered, "Service")["metadata"]["labels"]


@breaks("autoscalers look at consumers that are there")
def consumer_of_nobody(rendered):
    external = {"metric": {"name": "consumer_pending", "selector": {"matchLabels": {"consumer": "nobody"}}}}
    first(rendered, "HorizontalPodAutoscaler")["spec"]["metrics"].append({"type": "External", "external": external})


@breaks("autoscalers look at consumers that are there")
def consumer_of_another(rendered):
    external = {"metric": {"name": "consumer_pending", "selector": {"matchLabels": {"consumer": "assignment-events"}}}}
    first(rendered, "HorizontalPodAutoscaler", "crm-cards")["spec"]["metrics"].append(
        {"type": "External", "external": external}
    )


SECRET = "no secret in the open"


@breaks(SECRET)
def address_with_password(rendered):
    data(rendered, "conversation")["SWITCHBOARD_NATS__URL"] = "nats://conversation:hunter2" + "@nats:4222"


@breaks(SECRET)
def secret_object(rendered):
    rendered.objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {}})


@breaks(SECRET)
def key_material(rendered):
    data(rendered, "conversation")["SWITCHBOARD_SEAL__KEY"] = "Zm9yIHRlc3RzOiAzMiBieXRlcyBvZiBub3RoaW5nIQ" + "5cXy01"


@breaks(SECRET)
def private_key(rendered):
    data(rendered, "conversation")["note"] = "-----BEGIN PRIVATE" + " KEY-----\nMIIB"


@breaks(SECRET)
def password_by_name(rendered):
    container(rendered)["env"].append({"name": "DB_PASSWORD", "value": "swordfish"})


@breaks("environment")
def rehearsal_elsewhere(rendered):
    for variable in container(rendered, "Job", "rehearsal")["env"]:
        if variable["name"] == "SWITCHBOARD_CTL_WEBHOOKS":
            variable["value"] = "https://hooks.example.com"


@breaks("environment")
def rehearsal_without_token(rendered):
    container(rendered, "Job", "rehearsal")["env"].pop()


@breaks("own secrets")
def rehearsal_with_a_service_s_secret(rendered):
    reference = {"secretKeyRef": {"name": "switchboard-nats", "key": "conversation"}}
    container(rendered, "Job", "rehearsal")["env"].append({"name": "SWITCHBOARD_CTL_NATS", "valueFrom": reference})


@breaks("network policies: every path of the design")
def rehearsal_kept_out(rendered):
    policy(rendered, "rehearsal")["egress"].pop()


@breaks("network policies: only the paths of the design")
def rehearsal_at_the_broker(rendered):
    policy(rendered, "rehearsal")["egress"].append(
        {"to": rendered.values["networkPolicy"]["nats"]["to"], "ports": [{"protocol": "TCP", "port": 4222}]}
    )


@breaks("migrations")
def rehearsal_before_an_upgrade(rendered):
    first(rendered, "Job", "rehearsal")["metadata"]["annotations"]["helm.sh/hook"] = "pre-upgrade"

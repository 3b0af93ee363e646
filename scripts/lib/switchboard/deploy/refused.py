"""Values that must be refused, and the name that each refusal must give."""


def changed(**paths):
    """Values out of `a__b=value`."""
    values = {}
    for path, value in paths.items():
        inner = values
        *above, last = path.split("__")
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return values


# What must be refused, and the name that the refusal must give. On top of required.yaml.
REFUSED = [
    *[
        (changed(**{path.replace(".", "__"): ""}), path)
        for path in (
            "image.repository",
            "secrets.database.existingSecret",
            "secrets.nats.existingSecret",
            "secrets.internalToken.existingSecret",
            "auth.jwks.existingConfigMap",
            "channelGateway.publicUrl",
            "channelGateway.secrets.seal.existingSecret",
        )
    ],
    (changed(channelGateway__files__create=False), "channelGateway.files.existingClaim"),
    (changed(channelGateway__files__existingClaim="files"), "channelGateway.files.create"),
    (changed(channelGateway__config__files__store="s3"), "channelGateway.config.files.bucket"),
    (
        changed(secrets__nats__existingSecret="", conversation__secrets__nats__existingSecret="x"),
        "crmCards.secrets.nats.existingSecret",
    ),
    (changed(channelGateway__files__accessMode="ReadWriteOnce"), "channelGateway.files.accessMode"),
    (changed(channelGateway__files__accessMode="ReadOnlyMany"), "accessMode"),
    (changed(rehearsal__enabled=True), "rehearsal.token.existingSecret"),
    (changed(rehearsal__patience=0), "patience"),
    (changed(ingress__enabled=True), "networkPolicy.webhooks.from"),
    (changed(httpRoute__enabled=True), "httpRoute.parentRefs"),
    (changed(monitoring__podMonitor__enabled=True), "networkPolicy.metrics.from"),
    (changed(auth__jwks__url="https://id.example.com/jwks"), "networkPolicy.jwks.to"),
    (changed(config__telemetry__otlp_endpoint="http://collector:4317"), "networkPolicy.telemetry.to"),
    (changed(crmCards__config__telemetry__otlp_endpoint="http://collector:4317"), "networkPolicy.telemetry.to"),
    (
        changed(monitoring__podMonitor__enabled=True, monitoring__serviceMonitor__enabled=True, networkPolicy__enabled=False),
        "monitoring.podMonitor.enabled",
    ),
    (changed(channelGateway__publicUrl="https://example.com/hooks"), "publicUrl"),
    (changed(channelGateway__publicUrl="hooks.example.com"), "publicUrl"),
    (changed(defaults__preStopSleepSeconds=10), "terminationGracePeriodSeconds"),
    (changed(defaults__autoscaling__minReplicas=9), "autoscaling.minReplicas"),
    # Wrong keys.
    (changed(conversation__config__nats__replica=3), "replica"),
    (changed(config__natss__replicas=3), "natss"),
    (changed(config__files__store="s3"), "files"),
    (changed(replicas=3), "replicas"),
    (changed(channelGateways={}), "channelGateways"),
    (changed(merge__deploymnt={}), "deploymnt"),
    # What the chart sets itself, and secrets.
    (changed(conversation__config__grpc__listen="0.0.0.0:1"), "grpc"),
    (changed(conversation__config__database__url="postgres://db/x"), "url"),
    (changed(config__nats__url="nats://nats:4222"), "url"),
    (changed(channelGateway__config__instagram__app_secret="x"), "app_secret"),
    # Wrong types, units and values.
    (changed(config__nats__replicas="three"), "replicas"),
    (changed(conversation__config__parked__sweep="1 minute"), "sweep"),
    (changed(conversation__config__parked__sweep=60), "sweep"),
    (changed(config__nats__events_max_bytes="8 gigabytes"), "events_max_bytes"),
    (changed(channelGateway__config__files__store="ftp"), "store"),
    (changed(channelGateway__config__files__allow_private="no"), "allow_private"),
    (changed(defaults__replicas="two"), "replicas"),
    (changed(crmCards__replicas=-1), "replicas"),
    (changed(image__tag="latest"), "tag"),
    (changed(conversation__image__digest="sha256:1"), "digest"),
    (changed(networkPolicy__nats__port=70000), "port"),
    (changed(image__tag=1.2), "tag"),
    (changed(defaults__extraVolumes=[{"configMap": {"name": "x"}}]), "extraVolumes"),
    (changed(networkPolicy__api__from=[{"podSelectr": {}}]), "podSelectr"),
    (changed(networkPolicy__api__from=[{}]), "from"),
]
# The first of them are the values that have no default.
MISSING = 8

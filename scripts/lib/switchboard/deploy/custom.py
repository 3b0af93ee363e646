"""Small schemas of the custom resources that we write: enough to find a key that is none, a wrong type, a missing value."""

import jsonschema

TEXT, NUMBER, FLAG = {"type": "string", "minLength": 1}, {"type": "integer"}, {"type": "boolean"}
STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
SELECTOR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["matchLabels"],
    "properties": {"matchLabels": STRINGS},
}
RESOURCES = {"type": "object", "required": ["requests", "limits"], "additionalProperties": False, "properties": {
    "requests": STRINGS, "limits": STRINGS,
}}  # fmt: skip


def closed(required, **properties):
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": properties}


def many(items):
    return {"type": "array", "minItems": 1, "items": items}


def metrics(endpoint):
    endpoint_schema = closed(
        "port path interval", port=TEXT, path=TEXT, interval={"type": "string", "pattern": "^[0-9]+(ms|s|m)$"}
    )
    return closed(f"selector {endpoint}", selector=SELECTOR, **{endpoint: many(endpoint_schema)})


SIZE = {"type": "string", "pattern": "^[0-9]+(Mi|Gi|Ti)$"}
SPECS = {
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): closed(
        "parentRefs hostnames rules",
        parentRefs=many(closed("name", name=TEXT, namespace=TEXT, sectionName=TEXT, port=NUMBER, group=TEXT, kind=TEXT)),
        hostnames=many(TEXT),
        rules=many(
            closed(
                "matches backendRefs",
                matches=many(
                    closed(
                        "path",
                        path=closed(
                            "type value", type={"enum": ["PathPrefix", "Exact"]}, value={"type": "string", "pattern": "^/"}
                        ),
                    )
                ),
                backendRefs=many(closed("name port", name=TEXT, port=NUMBER)),
            )
        ),
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): metrics("endpoints"),
    ("monitoring.coreos.com/v1", "PodMonitor"): metrics("podMetricsEndpoints"),
    ("monitoring.coreos.com/v1", "PrometheusRule"): closed(
        "groups",
        groups=many(
            closed(
                "name rules",
                name=TEXT,
                rules=many(
                    {
                        "oneOf": [
                            closed("record expr", record=TEXT, expr=TEXT),
                            closed(
                                "alert expr labels annotations",
                                alert=TEXT,
                                expr=TEXT,
                                **{"for": {"type": "string", "pattern": "^[0-9]+(s|m|h)$"}},
                                labels=STRINGS,
                                annotations=STRINGS,
                            ),
                        ]
                    }
                ),
            )
        ),
    ),
    ("postgresql.cnpg.io/v1", "Cluster"): closed(
        "instances storage postgresql managed resources",
        instances={"type": "integer", "minimum": 3},
        imageName=TEXT,
        storage=closed("size", size=SIZE, storageClass=TEXT),
        walStorage=closed("size", size=SIZE, storageClass=TEXT),
        resources=RESOURCES,
        affinity=closed(
            "", enablePodAntiAffinity=FLAG, podAntiAffinityType={"enum": ["required", "preferred"]}, topologyKey=TEXT
        ),
        postgresql=closed(
            "parameters synchronous pg_hba",
            parameters=STRINGS,
            synchronous=closed(
                "method number",
                method={"enum": ["any", "first"]},
                number=NUMBER,
                dataDurability={"enum": ["required", "preferred"]},
            ),
            pg_hba=many({"type": "string", "pattern": "^(host|hostssl) "}),
        ),
        managed=closed(
            "roles",
            roles=many(
                closed(
                    "name ensure login passwordSecret",
                    name=TEXT,
                    ensure={"enum": ["present", "absent"]},
                    login=FLAG,
                    passwordSecret=closed("name", name=TEXT),
                )
            ),
        ),
    ),
    ("postgresql.cnpg.io/v1", "Database"): closed(
        "cluster name owner",
        cluster=closed("name", name=TEXT),
        name=TEXT,
        owner=TEXT,
        encoding=TEXT,
        locale=TEXT,
        template=TEXT,
        databaseReclaimPolicy={"enum": ["retain", "delete"]},
    ),
}
METADATA = {"type": "object", "required": ["name"], "properties": {"name": TEXT, "labels": STRINGS, "annotations": STRINGS}}


def problems(each):
    """What is wrong with a custom resource; None where it is none of ours."""
    spec = SPECS.get((each["apiVersion"], each["kind"]))
    if spec is None:
        return None
    schema = closed("apiVersion kind metadata spec", apiVersion=TEXT, kind=TEXT, metadata=METADATA, spec=spec)
    return [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(each)
    ]

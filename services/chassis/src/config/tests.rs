use secrecy::ExposeSecret as _;

use super::*;

const EMBEDDED: &str = include_str!("../../config.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    database: Database,
    nats: Nats,
    grpc: Grpc,
    admin: Admin,
    auth: Auth,
    telemetry: Telemetry,
    relay: Relay,
    limits: Limits,
    audit: Audit,
}

fn with(variables: &[(&str, &str)]) -> Result<Shared, ConfigError> {
    let environment = variables
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    load_from(EMBEDDED, None, environment)
}

#[test]
fn the_template_holds_the_defaults() {
    let shared = with(&[]).unwrap();
    assert_eq!(
        format!("{:?}", shared.nats),
        format!("{:?}", Nats::default())
    );
    assert_eq!(
        format!("{:?}", shared.telemetry),
        format!("{:?}", Telemetry::default())
    );
    assert_eq!(
        format!("{:?}", shared.relay),
        format!("{:?}", Relay::default())
    );
    assert_eq!(
        format!("{:?}", shared.limits),
        format!("{:?}", Limits::default())
    );
    assert_eq!(shared.audit.kept, Audit::default().kept);
    assert_eq!(
        shared.database.max_connections,
        Database::default_max_connections()
    );
    assert_eq!(shared.auth.issuer, Auth::default_issuer());
    assert_eq!(shared.grpc.listen, shared.admin.listen);
}

#[test]
fn the_environment_stands_above_the_file_and_the_file_above_the_defaults() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[nats]\nreplicas = 3\nurl = 'nats://file:1'\n").unwrap();
    let environment = [
        ("SWITCHBOARD_NATS__URL", "nats://environment:1"),
        ("SWITCHBOARD_LIMITS__BURST", "7"),
        ("SWITCHBOARD_DATABASE__MIGRATE_ON_START", "true"),
        // No configuration key: left alone.
        ("SWITCHBOARD_NATS_URL", "nats://elsewhere:1"),
        ("SWITCHBOARD_CONFIG_FILE", "x"),
    ];
    let environment = environment
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let shared: Shared = load_from(EMBEDDED, Some(file.path()), environment).unwrap();
    assert_eq!(shared.nats.replicas, 3);
    assert_eq!(shared.nats.url.expose_secret(), "nats://environment:1");
    assert_eq!(shared.limits.burst.get(), 7);
    assert!(shared.database.migrate_on_start);
}

#[test]
fn a_wrong_value_is_refused_with_its_key_and_origin() {
    let error = with(&[("SWITCHBOARD_GRPC__LISTEN", "localhost")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("SWITCHBOARD_GRPC__LISTEN"), "{error}");
    for (key, value, named) in [
        ("SWITCHBOARD_NATS__REPLICAS", "many", "nats.replicas"),
        ("SWITCHBOARD_GRPC__LISTEN", "localhost", "grpc.listen"),
        ("SWITCHBOARD_RELAY__WAIT", "20", "relay.wait"),
        ("SWITCHBOARD_RELAY__MODE", "sometimes", "relay.mode"),
        ("SWITCHBOARD_LIMITS__BURST", "0", "limits.burst"),
        (
            "SWITCHBOARD_NATS__EVENTS_MAX_BYTES",
            "8GB",
            "nats.events_max_bytes",
        ),
        (
            "SWITCHBOARD_NATS__INBOUND_SHARDS",
            "0",
            "nats.inbound_shards",
        ),
        ("SWITCHBOARD_NATS__REPLICA", "3", "replica"),
        ("SWITCHBOARD_NAT__URL", "x", "nat"),
    ] {
        let error = with(&[(key, value)]).unwrap_err().to_string();
        assert!(error.contains(named), "{key}: {error}");
    }
}

#[test]
fn a_refusal_tells_where_the_value_was_set() {
    let refused = |content: &str, variables: &[(&str, &str)]| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let pairs = variables.iter().copied();
        let environment = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let refused =
            load_from::<Shared>(EMBEDDED, Some(file.path()), environment.collect()).unwrap_err();
        refused
            .to_string()
            .replace(&file.path().display().to_string(), "FILE")
    };
    for (content, variables, starts, ends) in [
        (
            "[nats]\nreplicas = 'many'\n",
            &[][..],
            "configuration: nats.replicas: ",
            " (from FILE)",
        ),
        (
            "[nats]\nreplicas = 'many'\n",
            &[("SWITCHBOARD_NATS__REPLICAS", "several")],
            "configuration: nats.replicas: ",
            " (from SWITCHBOARD_NATS__REPLICAS)",
        ),
        // Another key of the section, and of the file, is not to blame.
        (
            "[nats]\nreplica = 3\n",
            &[("SWITCHBOARD_NATS__REPLICAS", "3")],
            "configuration: nats.replica: unknown field `replica`",
            " (from FILE); did you mean `replicas`?",
        ),
        (
            "[nats]\nreplicas = 3\n",
            &[("SWITCHBOARD_NATS__REPLICA", "3")],
            "configuration: nats.replica: unknown field `replica`",
            " (from SWITCHBOARD_NATS__REPLICA); did you mean `replicas`?",
        ),
        (
            "",
            &[("SWITCHBOARD_NAT__URL", "x")],
            "configuration: nat: unknown field `nat`",
            " (from SWITCHBOARD_NAT__URL); did you mean `nats`?",
        ),
    ] {
        let refused = refused(content, variables);
        assert!(refused.starts_with(starts), "{refused}");
        assert!(refused.ends_with(ends), "{refused}");
    }
}

#[test]
fn a_variable_that_misses_an_underscore_is_told() {
    let unheard = |names: &[&'static str]| unheard(EMBEDDED, names.iter().copied());
    assert_eq!(
        unheard(&[
            "PATH",
            "SWITCHBOARD_CONFIG_FILE",
            "SWITCHBOARD_NATS_SERVER_BIN",
            "SWITCHBOARD_NATS_URL",
            "SWITCHBOARD_RELAY_WAIT",
        ]),
        ["SWITCHBOARD_NATS_URL", "SWITCHBOARD_RELAY_WAIT"]
    );
    assert!(unheard(&["SWITCHBOARD_NATS_URL", "SWITCHBOARD_NATS__URL"]).is_empty());
}

#[test]
fn a_missing_key_or_file_is_named() {
    let error = load_from::<Shared>("[grpc]\n", None, HashMap::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("listen") || error.contains("database"),
        "{error}"
    );
    let nowhere = Path::new("/nowhere/switchboard.toml");
    let error = load_from::<Shared>(EMBEDDED, Some(nowhere), HashMap::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("/nowhere/switchboard.toml"), "{error}");
}

#[test]
fn secrets_do_not_print() {
    let shared = with(&[("SWITCHBOARD_DATABASE__URL", "postgres://a:hunter2@b/c")]).unwrap();
    assert!(!format!("{shared:?}").contains("hunter2"));
}

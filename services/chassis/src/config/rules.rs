//! Rules of the sections that all services share: a value that could not work is refused at start, by its key.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Audit, Auth, ConfigError, Database, Nats, Relay};
use crate::demo;
use crate::outbox::ROW;

/// The longest time that batches and rounds are held back: well below what the broker waits for an acknowledgement (10 s).
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The smallest bound of a stream: fewer bytes hold less than a pack.
const SMALLEST_STREAM: u64 = 16 << 20;

/// How long streams keep what stands in them: the broker refuses a longer duplicate window.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// Checks the sections.
pub fn check(
    database: &Database,
    nats: &Nats,
    relay: &Relay,
    audit: &Audit,
    auth: &Auth,
) -> Result<(), ConfigError> {
    let own = |address: &secrecy::SecretString| {
        auth.demo_secrets || !demo::is_known_in(address.expose_secret())
    };
    let second = Duration::from_secs(1);
    let bounds = [
        nats.events_max_bytes,
        nats.inbound_max_bytes,
        nats.dead_letters_max_bytes,
    ];
    let rules = [
        (
            "database.url",
            own(&database.url),
            format!("its password {}", demo::REFUSED),
        ),
        (
            "nats.url",
            own(&nats.url),
            format!("a password in it {}", demo::REFUSED),
        ),
        (
            "database.max_connections",
            database.max_connections >= 2,
            "must be 2 at least".to_owned(),
        ),
        (
            "nats.replicas",
            (1..=5).contains(&nats.replicas),
            "must be 1 to 5".to_owned(),
        ),
        (
            "nats.batch_wait",
            nats.batch_wait <= LONGEST_WAIT,
            format!("must be {LONGEST_WAIT:?} at most"),
        ),
        (
            "nats.duplicate_window",
            (second..=KEPT).contains(&nats.duplicate_window),
            "must be 1s to 7d".to_owned(),
        ),
        (
            "nats.events_max_bytes, nats.inbound_max_bytes, nats.dead_letters_max_bytes",
            bounds.iter().all(|bound| *bound >= SMALLEST_STREAM),
            "must be 16MiB at least".to_owned(),
        ),
        (
            "relay.wait",
            relay.wait <= LONGEST_WAIT,
            format!("must be {LONGEST_WAIT:?} at most"),
        ),
        (
            "relay.batch",
            (1..=ROW).contains(&relay.batch),
            format!("must be 1 to {ROW}"),
        ),
        (
            "audit.kept",
            audit.kept >= Duration::from_hours(24),
            "must be 1d at least".to_owned(),
        ),
    ];
    for (key, holds, rule) in rules {
        if !holds {
            return Err(ConfigError::Rule { key, rule });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Nats, &mut Relay, &mut Audit);

    #[test]
    fn values_that_could_not_work_are_refused_by_their_keys() {
        let database = |max_connections| Database {
            url: secrecy::SecretString::from("postgres://localhost/x"),
            password_file: None,
            max_connections,
            migrate_on_start: false,
        };
        let auth = |demo_secrets| Auth {
            jwks: "jwks.json".into(),
            issuer: "switchboard".into(),
            audience: "switchboard".into(),
            internal_token_file: "internal.token".into(),
            demo_secrets,
        };
        let checked = |change: Change| {
            let (mut nats, mut relay, mut audit) =
                (Nats::default(), Relay::default(), Audit::default());
            change(&mut nats, &mut relay, &mut audit);
            check(&database(10), &nats, &relay, &audit, &auth(false))
        };
        checked(|_, _, _| {}).unwrap();
        assert!(
            check(
                &database(0),
                &Nats::default(),
                &Relay::default(),
                &Audit::default(),
                &auth(false)
            )
            .is_err()
        );
        // O1.12: the examples' password, refused by its key and let through where told so.
        let example = Database {
            url: secrecy::SecretString::from("postgres://user:password@host:5432/database"),
            ..database(10)
        };
        let with = |demo| {
            let (nats, relay, audit) = (Nats::default(), Relay::default(), Audit::default());
            check(&example, &nats, &relay, &audit, &auth(demo))
        };
        let refused = with(false).unwrap_err().to_string();
        assert!(
            refused.contains("database.url") && refused.contains("auth.demo_secrets"),
            "{refused}"
        );
        with(true).unwrap();
        let cases: [(&str, Change); 10] = [
            ("nats.url", |nats, _, _| {
                nats.url = secrecy::SecretString::from("nats://crm-cards:password@nats:4222");
            }),
            ("nats.replicas", |nats, _, _| {
                nats.replicas = 0;
            }),
            ("nats.batch_wait", |nats, _, _| {
                nats.batch_wait = Duration::MAX;
            }),
            ("nats.duplicate_window", |nats, _, _| {
                nats.duplicate_window = Duration::from_millis(50);
            }),
            ("nats.duplicate_window", |nats, _, _| {
                nats.duplicate_window = KEPT * 2;
            }),
            ("nats.events_max_bytes", |nats, _, _| {
                nats.events_max_bytes = 0;
            }),
            ("relay.wait", |_, relay, _| {
                relay.wait = Duration::MAX;
            }),
            ("relay.batch", |_, relay, _| {
                relay.batch = 0;
            }),
            ("relay.batch", |_, relay, _| {
                relay.batch = 5_000;
            }),
            ("audit.kept", |_, _, audit| {
                audit.kept = Duration::ZERO;
            }),
        ];
        for (key, change) in cases {
            let refused = checked(change).unwrap_err().to_string();
            assert!(refused.contains(key), "{key}: {refused}");
        }
    }
}

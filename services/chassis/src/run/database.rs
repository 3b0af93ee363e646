//! The database: its login, its pools, migrations and the probe.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::service::Unusable;
use crate::fresh::{Fresh, LOOKED_AT};
use crate::lifecycle::Lifecycle;
use crate::{config, figures};

/// How long a connection may have been idle to be used without a question.
const IDLE_UNTESTED: Duration = Duration::from_secs(1);

/// The oldest Postgres, as `server_version_num`.
pub(super) const POSTGRES_MIN: i32 = 150_000;

/// How the service's connections are named in the database: by it a recovery sees that the service runs.
pub(crate) const APPLICATION: &str = "switchboard";

/// Where the database is and who asks it.
pub(super) struct Login {
    address: PgConnectOptions,
    password: Option<Fresh<SecretString>>,
}

impl Login {
    /// Takes it from the configuration; no file is read yet.
    pub(super) fn of(database: &config::Database) -> anyhow::Result<Self> {
        let url = database.url.expose_secret();
        // Any other scheme would be taken too, as if it were Postgres's.
        let known = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let address = PgConnectOptions::from_str(url).ok().filter(|_| known);
        // The URL holds a password: it is not repeated.
        let address = address.ok_or_else(|| {
            anyhow!("database.url: is no postgres://user:password@host:port/database")
        })?;
        let address = address.application_name(APPLICATION);
        let password = database.password_file.as_deref();
        let password =
            password.map(|path| Fresh::new("database.password_file", path, read_password));
        Ok(Self { address, password })
    }

    /// Returns how to connect now.
    ///
    /// # Errors
    /// Where there is a file of the password that cannot be read.
    pub(super) fn options(&self) -> anyhow::Result<PgConnectOptions> {
        let Some(password) = &self.password else {
            return Ok(self.address.clone());
        };
        let password = password.current()?;
        Ok(self.address.clone().password(password.expose_secret()))
    }

    /// Has a pool connect with the password that the file holds then (O2.15). Connections that stand go on: Postgres asks for a
    /// password once.
    pub(super) fn follow(self: Arc<Self>, lifecycle: &Lifecycle, pool: PgPool) {
        if self.password.is_none() {
            return;
        }
        let stop = lifecycle.stop_token();
        lifecycle.spawn("database password", async move {
            let mut known = None;
            while tokio::time::timeout(LOOKED_AT, stop.cancelled())
                .await
                .is_err()
            {
                let Some(Ok(password)) = self.password.as_ref().map(Fresh::current) else {
                    continue;
                };
                if known
                    .as_ref()
                    .is_none_or(|known| !Arc::ptr_eq(known, &password))
                {
                    let options = pool.connect_options().as_ref().clone();
                    pool.set_connect_options(options.password(password.expose_secret()));
                    known = Some(password);
                }
            }
            Ok(())
        });
    }
}

/// Returns how to connect to the database now, once.
pub(crate) fn connect_options(database: &config::Database) -> anyhow::Result<PgConnectOptions> {
    Login::of(database)?.options()
}

/// Reads a password from the text of a file; a line's end after it is no part of it.
pub(crate) fn read_password(text: &str) -> anyhow::Result<SecretString> {
    let password = text.trim_end_matches(['\r', '\n']);
    ensure!(!password.is_empty(), "it holds no password");
    ensure!(!password.contains('\n'), "it holds more than one line");
    Ok(SecretString::from(password))
}

/// Applies the chassis's and a service's migrations: the verb `migrate`.
pub async fn migrate_database(
    database: &config::Database,
    migrator: &'static Migrator,
) -> anyhow::Result<()> {
    let login = Login::of(database)?;
    check(login.options()).await?;
    apply(login.options(), migrator).await?;
    tracing::info!("migrations applied");
    Ok(())
}

/// Makes a pool; it connects when it is used.
pub(super) fn pool(max_connections: u32, options: PgConnectOptions) -> PgPool {
    // What is asked of the database by requests and events ends in bounded time, whatever holds it up.
    let bounded = options.options([
        ("statement_timeout", "30s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        // Statements here read little: to compile one takes longer than to run it, however dear the server thinks it.
        ("jit", "off"),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .max_lifetime(Duration::from_mins(30))
        // Asking a connection whether it lives before each use is a round trip for each transaction. One that was
        // in use a moment ago is not asked: if it died since, that use fails as it would have a moment later.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > IDLE_UNTESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(bounded)
}

/// Tells whether the database answers and is new enough.
pub(super) async fn check(options: anyhow::Result<PgConnectOptions>) -> anyhow::Result<()> {
    let options = options?;
    let connect = PgConnection::connect_with(&options);
    let mut connection = tokio::time::timeout(Duration::from_secs(5), connect)
        .await
        .context("no connection in time")??;
    let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if version < POSTGRES_MIN {
        let text = format!(
            "database.url: Postgres 15 or newer is needed, this is {}",
            version / 10_000
        );
        return Err(Unusable(text).into());
    }
    Ok(())
}

/// Applies migrations, the chassis's own first.
pub(super) async fn apply(
    options: anyhow::Result<PgConnectOptions>,
    migrator: &'static Migrator,
) -> anyhow::Result<()> {
    let options = options?;
    // Its own connection: a migration may wait for its lock, and work, longer than a request may.
    let mut connection = PgConnection::connect_with(&options).await?;
    for migrator in [&crate::MIGRATOR, migrator].map(lenient) {
        // `run` would not be `Send` here for the compiler (its `Acquire` is not general enough).
        migrator
            .run_direct(None, &mut connection, false)
            .await
            .map_err(|error| match error {
                sqlx::migrate::MigrateError::Execute(
                    error @ (sqlx::Error::Io(_) | sqlx::Error::Tls(_)),
                ) => anyhow::Error::new(error),
                error => Unusable(format!("database.url: migration: {error}")).into(),
            })?;
    }
    connection.close().await?;
    Ok(())
}

/// Lets be what a later version of the service has applied. Migrations only add, and what a version stops to read goes with a later
/// one: so the version before can come back without a restored database (O2.11).
fn lenient(migrator: &Migrator) -> Migrator {
    Migrator {
        migrations: migrator.migrations.clone(),
        ignore_missing: true,
        locking: migrator.locking,
        no_tx: migrator.no_tx,
        table_name: migrator.table_name.clone(),
        create_schemas: migrator.create_schemas.clone(),
    }
}

/// Sets the gauges of a pool.
pub(super) fn connections(pool: &PgPool) {
    let (open, idle) = (pool.size(), u32::try_from(pool.num_idle()).unwrap_or(0));
    let most = pool.options().get_max_connections();
    for (state, count) in [
        ("used", open.saturating_sub(idle)),
        ("idle", idle),
        ("most", most),
    ] {
        figures::DATABASE_CONNECTIONS
            .of([state])
            .set(f64::from(count));
    }
}

/// Tells whether a pool's connection answers.
pub(super) async fn reached(pool: PgPool) -> anyhow::Result<()> {
    Ok(probe(&pool).await?)
}

/// Asks the database something that costs nothing.
pub(super) async fn probe(pool: &PgPool) -> Result<(), sqlx::Error> {
    let asked = sqlx::query_scalar::<_, i32>("select 1").fetch_one(pool);
    match tokio::time::timeout(Duration::from_secs(3), asked).await {
        Ok(answered) => answered.map(drop),
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(url: &str) -> config::Database {
        config::Database {
            url: url.to_owned().into(),
            password_file: None,
            max_connections: 1,
            migrate_on_start: false,
        }
    }

    #[test]
    fn a_wrong_database_url_is_named_by_key_and_never_shown() {
        let database = section("hunter2://x");
        let error = Login::of(&database).err().unwrap().to_string();
        assert!(
            error.contains("database.url") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(!format!("{database:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_of_a_password_is_one_line() {
        for (text, expected) in [
            ("a b\n", Some("a b")),
            ("a\r\n", Some("a")),
            (" a", Some(" a")),
            ("", None),
            ("\n", None),
            ("a\nb\n", None),
        ] {
            let read = read_password(text).ok();
            let read = read.as_ref().map(SecretString::expose_secret);
            assert_eq!(read, expected, "{text:?}");
        }
    }
}

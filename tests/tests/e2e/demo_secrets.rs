//! Secrets that anybody can read are refused where customers write (O1.12), by the very programs that are deployed.

use std::path::Path;
use std::process::{Output, Stdio};

use switchboard_tests::services::{Kind, binary};

/// Starts a service with nothing but these settings, and waits until it has ended by itself.
async fn ended(kind: Kind, folder: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Output> {
    let mut command = tokio::process::Command::new(binary(kind.name())?);
    command.arg("serve").env_clear().stdin(Stdio::null());
    command.current_dir(folder).kill_on_drop(true);
    for (key, value) in settings {
        command.env(format!("SWITCHBOARD_{key}"), value);
    }
    let output = tokio::time::timeout(std::time::Duration::from_secs(30), command.output());
    Ok(output.await??)
}

#[tokio::test]
async fn o112_a_start_with_a_secret_of_the_demonstration_is_refused_by_its_key()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let demo = ("INSTAGRAM__APP_SECRET", "local-demo-app-secret");
    for (kind, setting, key) in [
        (Kind::ChannelGateway, demo, "instagram.app_secret"),
        (
            Kind::CrmCards,
            ("DATABASE__URL", "postgres://user:password@127.0.0.1:1/x"),
            "database.url",
        ),
        (
            Kind::Assignment,
            ("NATS__URL", "nats://assignment:password@127.0.0.1:1"),
            "nats.url",
        ),
    ] {
        let refused = ended(kind, folder.path(), &[setting]).await?;
        let text = String::from_utf8(refused.stderr)?;
        assert_eq!(refused.status.code(), Some(2), "{text}");
        assert!(
            text.contains(key) && text.contains("auth.demo_secrets"),
            "{text}"
        );
        let (_, password) = setting.1.rsplit_once("demo-").unwrap_or(("", "password@"));
        assert!(
            !text.contains(password),
            "what was given is not repeated: {text}"
        );
    }
    // Where it is said that this is a demonstration the same secret is taken: what ends this start is that no sealing key is there.
    let allowed = ended(
        Kind::ChannelGateway,
        folder.path(),
        &[demo, ("AUTH__DEMO_SECRETS", "true")],
    )
    .await?;
    let text = [allowed.stdout, allowed.stderr].concat();
    let text = String::from_utf8(text)?;
    assert_eq!(allowed.status.code(), Some(1), "{text}");
    assert!(text.contains("seal.key_file"), "{text}");
    Ok(())
}

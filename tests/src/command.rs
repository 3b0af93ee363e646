//! The command line, run as a process as people run it.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::services::{Kind, binary};
use crate::world::World;

/// Runs `switchboardctl` against the services of a world, with a token.
pub async fn run(world: &World, token: &str, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = tokio::process::Command::new(binary("switchboardctl")?);
    command.args(arguments).stdin(Stdio::null());
    command.env("SWITCHBOARD_CTL_TOKEN", token);
    // Contexts of whoever runs the tests are none of theirs.
    let contexts = world.system.folder().join("contexts.yaml");
    command.env("SWITCHBOARD_CTL_CONTEXTS", contexts);
    for kind in Kind::ALL {
        let name = kind.name().to_uppercase().replace('-', "_");
        command.env(
            format!("SWITCHBOARD_CTL_{name}"),
            world.system.grpc_url(kind)?,
        );
    }
    Ok(command.output().await?)
}

/// The same where it must succeed: what it says on stdout.
pub async fn say(world: &World, token: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = run(world, token, arguments).await?;
    anyhow::ensure!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// The same as protobuf JSON.
pub async fn json(world: &World, token: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let arguments = [arguments, &["-o", "json"]].concat();
    Ok(serde_json::from_str(&say(world, token, &arguments).await?)?)
}

//! What is told of changes of this service's settings (B11).

use chassis::audit::{Entry, Subject, snapshot};
use chassis::auth::{Caller, Scope};
use serde_json::Value;
use switchboard_proto::crm_cards::v1 as wire;

/// The scopes that change settings here.
pub const SCOPES: &[Scope] = &[Scope::CRM_ADMIN, Scope::CHANNELS_ADMIN];

/// A pipeline was created.
pub fn pipeline(caller: &Caller, made: &wire::Pipeline) -> Result<Entry, sqlx::Error> {
    let subject = Subject::new("pipeline", &made.pipeline_id, &made.name);
    let made = snapshot(made, &["pipeline_id"])?;
    Ok(entry(
        caller,
        "pipeline.create",
        subject,
        &Value::Null,
        &made,
    ))
}

/// A source was created.
pub fn source(caller: &Caller, made: &wire::Source) -> Result<Entry, sqlx::Error> {
    let subject = Subject::new("source", &made.source_id, &made.name);
    let made = snapshot(made, &["source_id"])?;
    Ok(entry(caller, "source.create", subject, &Value::Null, &made))
}

/// A channel's rule was saved. One that was never set was off.
pub fn connection(
    caller: &Caller,
    before: &wire::PipelineConnection,
    after: &wire::PipelineConnection,
) -> Result<Entry, sqlx::Error> {
    // Since when the mode holds follows from when it was set.
    let left_out = ["channel_id", "activate_time"];
    let subject = Subject::channel(&after.channel_id);
    let (before, after) = (snapshot(before, &left_out)?, snapshot(after, &left_out)?);
    Ok(entry(
        caller,
        "pipeline-connection.set",
        subject,
        &before,
        &after,
    ))
}

fn entry(
    caller: &Caller,
    action: &'static str,
    subject: Subject,
    before: &Value,
    after: &Value,
) -> Entry {
    Entry::new(
        caller.account(),
        caller.actor(),
        action,
        subject,
        (before, after),
    )
}

//! What is told of changes of this service's settings (B11).

use chassis::audit::{Entry, Subject, snapshot};
use chassis::auth::{Caller, Scope};
use prost::Name;
use serde_json::Value;
use switchboard_proto::crm_cards::v1 as wire;

use crate::domain::points::Region;

/// The scopes that change settings here.
pub const SCOPES: &[Scope] = &[Scope::CRM_ADMIN, Scope::CHANNELS_ADMIN];

/// A setting before and after; none where it is not there.
pub type Sides<M> = (Option<M>, Option<M>);

/// A pipeline was created, changed or deleted.
pub fn pipeline(caller: &Caller, sides: &Sides<wire::Pipeline>) -> Result<Entry, sqlx::Error> {
    let named = sides.1.as_ref().or(sides.0.as_ref());
    let (id, name) = named.map_or(("", ""), |one| (&one.pipeline_id, &one.name));
    let subject = Subject::new("pipeline", id, name);
    let actions = ["pipeline.create", "pipeline.update", "pipeline.delete"];
    told(
        caller,
        actions,
        subject,
        sides,
        &["pipeline_id", "revision"],
    )
}

/// A source was created, renamed or deleted.
pub fn source(caller: &Caller, sides: &Sides<wire::Source>) -> Result<Entry, sqlx::Error> {
    let named = sides.1.as_ref().or(sides.0.as_ref());
    let (id, name) = named.map_or(("", ""), |one| (&one.source_id, &one.name));
    let subject = Subject::new("source", id, name);
    let actions = ["source.create", "source.update", "source.delete"];
    told(caller, actions, subject, sides, &["source_id", "revision"])
}

/// A custom field was created, changed or deleted.
pub fn field(caller: &Caller, sides: &Sides<wire::Field>) -> Result<Entry, sqlx::Error> {
    let named = sides.1.as_ref().or(sides.0.as_ref());
    let (id, name) = named.map_or(("", ""), |one| (&one.field_id, &one.name));
    let subject = Subject::new("field", id, name);
    let actions = ["field.create", "field.update", "field.delete"];
    told(caller, actions, subject, sides, &["field_id", "revision"])
}

fn told<M: Name>(
    caller: &Caller,
    [created, updated, deleted]: [&'static str; 3],
    subject: Subject,
    (before, after): &Sides<M>,
    left_out: &[&str],
) -> Result<Entry, sqlx::Error> {
    let side = |side: &Option<M>| {
        side.as_ref()
            .map_or(Ok(Value::Null), |message| snapshot(message, left_out))
    };
    let action = match (before, after) {
        (None, _) => created,
        (_, None) => deleted,
        _ => updated,
    };
    Ok(entry(
        caller,
        action,
        subject,
        &side(before)?,
        &side(after)?,
    ))
}

/// How contacts are read was set.
pub fn contact_settings(
    caller: &Caller,
    before: Option<Region>,
    after: Option<Region>,
) -> Result<Entry, sqlx::Error> {
    let side = |region| snapshot(&crate::wire::contact_settings(region), &[]);
    let subject = Subject::new("account", caller.account(), "");
    let (before, after) = (side(before)?, side(after)?);
    Ok(entry(
        caller,
        "contact-settings.set",
        subject,
        &before,
        &after,
    ))
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

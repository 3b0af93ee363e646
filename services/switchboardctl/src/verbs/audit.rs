//! Who changed which setting, from what to what.

use std::str::FromStr;

use clap::{Args, Subcommand};
use prost_types::Timestamp;
use prost_types::value::Kind;
use switchboard_proto::operator::v1::{AuditEntry, FieldChange, ListAuditEntriesRequest};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::Page;
use super::agent::presence::duration;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// The service that collects the changes of all.
const COLLECTS: &str = "assignment";

/// How many changes of an entry a table shows.
const SHOWN: usize = 6;

/// How much of a value a table shows, in characters.
const LENGTH: usize = 60;

/// Verbs on changes of settings.
#[derive(Subcommand)]
pub(crate) enum AuditVerb {
    /// List who changed which setting, newest first
    List(ListArgs),
}

/// What to list.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Of this service; of all unless given
    #[arg(long, value_parser = super::deadletter::service)]
    service: Option<&'static str>,
    /// Of what, as channel, channel:ID or just ID; agent:NAME, group:NAME and channel:NAME, too
    #[arg(long, value_name = "KIND:ID")]
    subject: Option<Subject>,
    /// By whom: an agent's name or id, agent:ID or service:NAME
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// From when on, as 2h, 30d or 2026-03-02T18:00:00+02:00
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Each with all of its changes, one a line
    #[arg(long)]
    full: bool,
    #[command(flatten)]
    page: Page,
}

/// Of what: a kind, an id, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Subject {
    kind: String,
    id: String,
}

impl FromStr for Subject {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = match text.split_once(':') {
            Some(both) => both,
            None if Uuid::try_parse(text).is_ok() => ("", text),
            None => (text, ""),
        };
        Ok(Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        })
    }
}

/// A time, said as such or as how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Ago(Duration),
    At(OffsetDateTime),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map(Self::At);
        at.or_else(|_| duration(text).map(Self::Ago)).map_err(|_| {
            "how long ago, as 45m, 2h or 1d, or a time as 2026-03-02T18:00:00+02:00".into()
        })
    }
}

impl Moment {
    pub(super) fn stamp(self, now: OffsetDateTime) -> Option<Timestamp> {
        let time = match self {
            Self::Ago(ago) => now.checked_sub(ago)?,
            Self::At(time) => time,
        };
        Some(Timestamp {
            seconds: time.unix_timestamp(),
            nanos: time.nanosecond().cast_signed(),
        })
    }
}

impl Show for AuditEntry {
    const NAME: &'static str = "switchboard.operator.v1.AuditEntry";
    const OPTIONAL: &'static [&'static str] = &["ENTRY", "SERVICE", "WHEN"];
    const HEADERS: &'static [&'static str] = &[
        "ENTRY", "WHEN", "SERVICE", "WHO", "ACTION", "SUBJECT", "CHANGES",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let who = match self.actor.split_once(':') {
            Some(("agent", id)) => view.name(id),
            _ => self.actor.clone(),
        };
        let name = if self.subject_name.is_empty() {
            view.name(&self.subject_id)
        } else {
            self.subject_name.clone()
        };
        vec![
            cell(&self.entry_id),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
            cell(&self.service),
            cell(who),
            cell(&self.action),
            cell(format!("{} {name}", self.subject_kind)),
            cell(summary(&self.changes)),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let line = |change: &FieldChange| crate::output::table::harmless(&told(change, usize::MAX));
        self.changes
            .iter()
            .map(|change| format!("  {}", line(change)))
            .collect()
    }
}

/// What changed, as far as it fits into a cell.
pub(super) fn summary(changes: &[FieldChange]) -> String {
    let mut told: Vec<String> = changes
        .iter()
        .take(SHOWN)
        .map(|change| self::told(change, LENGTH))
        .collect();
    if changes.len() > SHOWN {
        told.push(format!("and {} more", changes.len() - SHOWN));
    }
    told.join("; ")
}

/// One field: what it was and what it became.
pub(super) fn told(change: &FieldChange, length: usize) -> String {
    let side = |value: Option<&prost_types::Value>| {
        let text = value.map(text).unwrap_or_default();
        let text = words::short(&text, length);
        if text.is_empty() { "-".into() } else { text }
    };
    let after = side(change.after.as_ref());
    if change.before.is_none() {
        return format!("{} {after}", change.field);
    }
    format!(
        "{} {} → {after}",
        change.field,
        side(change.before.as_ref())
    )
}

fn text(value: &prost_types::Value) -> String {
    match &value.kind {
        Some(Kind::BoolValue(value)) => words::yes(*value).to_owned(),
        Some(Kind::NumberValue(value)) => value.to_string(),
        Some(Kind::StringValue(text)) => text.clone(),
        Some(Kind::ListValue(list)) => list.values.iter().map(text).collect::<Vec<_>>().join(", "),
        Some(Kind::StructValue(_) | Kind::NullValue(_)) | None => String::new(),
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: AuditVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    let AuditVerb::List(args) = verb;
    view.learn_names(session).await;
    let subject = named(session, args.subject.unwrap_or_default()).await?;
    let wanted = ListAuditEntriesRequest {
        subject_kind: subject.kind,
        subject_id: subject.id,
        actor: match &args.actor {
            Some(actor) => actor_of(session, actor).await?,
            None => String::new(),
        },
        since_time: args.since.and_then(|since| since.stamp(view.now)),
        until_time: args.until.and_then(|until| until.stamp(view.now)),
        service: args.service.unwrap_or_default().to_owned(),
        ..Default::default()
    };
    // One service tells its own at once; of all together tells the one that collects them.
    let asked = args.service.unwrap_or(COLLECTS);
    let mut client = session.audit(asked, &session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListAuditEntriesRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_audit_entries(request).await?.into_inner();
        Ok((page.entries, page.next_page_token))
    };
    let (entries, next) = args.page.read(ask).await?;
    if args.full {
        view.each(&entries, &next)
    } else {
        view.list(&entries, &next)
    }
}

/// Of what is meant: the names of those kinds that are named in other verbs, too, become ids.
async fn named(session: &Session, subject: Subject) -> Result<Subject, CliError> {
    if subject.id.is_empty() || Uuid::try_parse(&subject.id).is_ok() {
        return Ok(subject);
    }
    let id = match subject.kind.as_str() {
        "agent" => session.agent_id(&subject.id).await?.to_string(),
        "group" => session.group_id(&subject.id).await?.to_string(),
        "channel" | "distribution-policy" => session.channel_id(&subject.id).await?.to_string(),
        _ => subject.id,
    };
    Ok(Subject {
        kind: subject.kind,
        id,
    })
}

/// Who is meant: words that name no kind of actor name an agent.
pub(super) async fn actor_of(session: &Session, named: &str) -> Result<String, CliError> {
    if named.contains(':') {
        return Ok(named.to_owned());
    }
    Ok(format!("agent:{}", session.agent_id(named).await?))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn change(field: &str, before: Option<Kind>, after: Option<Kind>) -> FieldChange {
        let value = |kind: Option<Kind>| kind.map(|kind| prost_types::Value { kind: Some(kind) });
        FieldChange {
            field: field.into(),
            before: value(before),
            after: value(after),
        }
    }

    #[test]
    fn b11_a_change_is_told_from_what_to_what() {
        let text = |text: &str| Some(Kind::StringValue(text.into()));
        for (change, expected) in [
            (change("name", text("A"), text("B")), "name A → B"),
            (change("name", text("A"), text("")), "name A → -"),
            (change("name", None, text("A")), "name A"),
            (change("name", text("A"), None), "name A → -"),
            (
                change(
                    "on",
                    Some(Kind::BoolValue(false)),
                    Some(Kind::BoolValue(true)),
                ),
                "on no → yes",
            ),
            (change("n", Some(Kind::NumberValue(5.0)), None), "n 5 → -"),
            (change("long", None, text("123456789")), "long 1234567…"),
        ] {
            assert_eq!(told(&change, 8), expected);
        }
        let many: Vec<_> = (0..8).map(|_| change("x", None, text("1"))).collect();
        assert_eq!(summary(&many), "x 1; x 1; x 1; x 1; x 1; x 1; and 2 more");
        assert_eq!(summary(&many[..1]), "x 1");
    }

    #[test]
    fn subjects_and_times_are_read_in_their_forms() {
        let id = "0197e7a4-0000-7000-8000-000000000000";
        for (text, kind, expected) in [
            ("channel", "channel", ""),
            (&format!("channel:{id}"), "channel", id),
            (id, "", id),
            ("account:demo", "account", "demo"),
        ] {
            let subject: Subject = text.parse().unwrap_or_default();
            assert_eq!((&*subject.kind, &*subject.id), (kind, expected), "{text}");
        }
        let now = datetime!(2026-03-02 18:00:00 UTC);
        for (text, expected) in [
            ("2h", Some(now - Duration::hours(2))),
            ("30d", Some(now - Duration::days(30))),
            ("2026-03-02T18:00:00+02:00", Some(now - Duration::hours(2))),
            ("yesterday", None),
        ] {
            let stamp = text
                .parse::<Moment>()
                .ok()
                .and_then(|moment| moment.stamp(now));
            assert_eq!(words::time(stamp.as_ref()), expected, "{text}");
        }
    }
}

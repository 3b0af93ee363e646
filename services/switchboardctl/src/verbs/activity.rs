//! What happened in the account, and who did it.

use clap::{Args, Subcommand};
use switchboard_proto::conversation::v1::{ActivityEntry, ListActivityRequest};
use uuid::Uuid;

use super::Page;
use super::audit::{Moment, actor_of};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Kinds of actors, which name no agent.
const KINDS: &[&str] = &["agent", "client", "rule", "sync", "service", "bot"];

/// Verbs on what happened.
#[derive(Subcommand)]
pub(crate) enum ActivityVerb {
    /// List what happened, newest first
    List(ActivityArgs),
}

/// What to list.
#[derive(Args)]
pub(crate) struct ActivityArgs {
    /// Only this type, as conversation.opened (repeatable)
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// By whom: a kind (agent, client, rule, sync, service, bot), an agent's name or id, or as client:ID
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only of this chat
    #[arg(long, value_name = "UUID")]
    chat: Option<Uuid>,
    /// Of what, as card, card:ID or just ID; cards, contacts, companies, orders and channels
    #[arg(long, value_name = "KIND:ID")]
    entity: Option<Entity>,
    /// From when on, as 2h, 30d or 2026-03-02T18:00:00+02:00
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Key actions too, as followed links
    #[arg(long)]
    key_actions: bool,
    #[command(flatten)]
    page: Page,
}

/// Of what: a kind, an id, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entity {
    kind: String,
    id: String,
}

impl std::str::FromStr for Entity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, id) = match text.split_once(':') {
            Some(both) => both,
            None if Uuid::try_parse(text).is_ok() => ("", text),
            None => (text, ""),
        };
        let known = ["", "card", "contact", "company", "order", "channel"].contains(&kind);
        if !known || !(id.is_empty() || Uuid::try_parse(id).is_ok()) {
            return Err(
                "card, contact, company, order or channel, with or without :ID, or an ID".into(),
            );
        }
        Ok(Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
        })
    }
}

impl Show for ActivityEntry {
    const NAME: &'static str = "switchboard.conversation.v1.ActivityEntry";
    const OPTIONAL: &'static [&'static str] = &["EVENT", "CHAT", "WHEN"];
    const HEADERS: &'static [&'static str] = &["EVENT", "WHEN", "TYPE", "WHO", "WHAT", "CHAT"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let who = match self.actor.split_once(':') {
            Some(("agent", id)) => view.name(id),
            _ => self.actor.clone(),
        };
        vec![
            cell(&self.event_id),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
            cell(&self.r#type),
            cell(who),
            cell(&self.text),
            cell(view.name(&self.chat_id)),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: ActivityVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    let ActivityVerb::List(args) = verb;
    view.learn_names(session).await;
    let entity = args.entity.unwrap_or_default();
    let wanted = ListActivityRequest {
        types: args.types,
        actor: match &args.actor {
            Some(kind) if KINDS.contains(&kind.as_str()) => kind.clone(),
            Some(actor) => actor_of(session, actor).await?,
            None => String::new(),
        },
        chat_id: args.chat.map(|id| id.to_string()).unwrap_or_default(),
        entity_kind: entity.kind,
        entity_id: entity.id,
        since_time: args.since.and_then(|since| since.stamp(view.now)),
        until_time: args.until.and_then(|until| until.stamp(view.now)),
        include_key_actions: args.key_actions,
        ..Default::default()
    };
    let mut client = session.activities(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListActivityRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_activity(request).await?.into_inner();
        Ok((page.entries, page.next_page_token))
    };
    let (entries, next) = args.page.read(ask).await?;
    view.list(&entries, &next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f214_what_it_happened_to_is_read_in_its_forms() {
        let id = "0197e7a4-0000-7000-8000-000000000000";
        for (text, kind, expected) in [
            ("card", "card", ""),
            (&format!("card:{id}"), "card", id),
            (id, "", id),
        ] {
            let read: Entity = text.parse().unwrap();
            assert_eq!((&*read.kind, &*read.id), (kind, expected), "{text}");
        }
        for text in ["chat", "card:7", &format!("chat:{id}")] {
            assert!(text.parse::<Entity>().is_err(), "{text}");
        }
    }
}

//! Responsibles kept in step with CRM, by channel.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{
    ContactFields, GetContactFieldsRequest, GetResponsibleSyncRequest, ResponsibleSync,
    SetContactFieldsRequest, SetResponsibleSyncRequest,
};
use switchboard_proto::common::v1::EntityKind;

use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on what is kept in step.
#[derive(Subcommand)]
pub(crate) enum SyncVerb {
    /// Set what a channel keeps in step, whole; without kinds it keeps nothing
    Set {
        /// The channel, by name or id
        channel: String,
        /// A kind of entity whose responsible the chats take (repeatable)
        #[arg(long = "from-crm", value_name = "KIND", value_parser = choice!(EntityKind, "ENTITY_KIND_", ["lead", "deal", "contact", "company", "customer"]))]
        from_crm: Vec<EntityKind>,
        /// A kind of entity that takes the responsible of its chats (repeatable)
        #[arg(long = "to-crm", value_name = "KIND", value_parser = choice!(EntityKind, "ENTITY_KIND_", ["lead", "deal", "contact", "company", "customer"]))]
        to_crm: Vec<EntityKind>,
    },
    /// Show what a channel keeps in step
    Show {
        /// The channel, by name or id
        channel: String,
    },
    /// Show whether additional fields in a contact are allowed, or allow or forbid them: nothing is kept in step without
    ContactFields {
        /// What they are from now on
        #[arg(value_parser = ["on", "off"])]
        set: Option<String>,
    },
}

impl Show for ResponsibleSync {
    const NAME: &'static str = "switchboard.assignment.v1.ResponsibleSync";
    const HEADERS: &'static [&'static str] = &["CHANNEL", "FROM CRM", "TO CRM", "SET"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.channel_id),
            cell(kinds(self.from_crm())),
            cell(kinds(self.to_crm())),
            cell(words::ago(self.update_time.as_ref(), view.now)).dim(),
        ]
    }
}

impl Show for ContactFields {
    const NAME: &'static str = "switchboard.assignment.v1.ContactFields";
    const HEADERS: &'static [&'static str] = &["ADDITIONAL FIELDS IN A CONTACT"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![cell(if self.allowed { "on" } else { "off" })]
    }
}

fn kinds(kinds: impl Iterator<Item = EntityKind>) -> String {
    let words: Vec<_> = kinds
        .map(|kind| words::word(kind.as_str_name(), "ENTITY_KIND_"))
        .collect();
    words.join(", ")
}

/// Runs a verb.
pub(crate) async fn run(verb: SyncVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.syncs(&session.role().await?).await?;
    match verb {
        SyncVerb::Set {
            channel,
            from_crm,
            to_crm,
        } => {
            let numbers = |kinds: Vec<EntityKind>| kinds.into_iter().map(Into::into).collect();
            let sync = ResponsibleSync {
                channel_id: session.known_channel_id(&channel).await?.to_string(),
                from_crm: numbers(from_crm),
                to_crm: numbers(to_crm),
                ..Default::default()
            };
            let request = SetResponsibleSyncRequest {
                sync: Some(sync),
                expected_revision: None,
            };
            let set = client.set_responsible_sync(request).await?.into_inner();
            view.one(set.sync)
        }
        SyncVerb::Show { channel } => {
            let request = GetResponsibleSyncRequest {
                channel_id: session.channel_id(&channel).await?.to_string(),
            };
            let found = client.get_responsible_sync(request).await?.into_inner();
            view.one(found.sync)
        }
        SyncVerb::ContactFields { set: None } => {
            let request = GetContactFieldsRequest {};
            let found = client.get_contact_fields(request).await?.into_inner();
            view.one(found.contact_fields)
        }
        SyncVerb::ContactFields { set: Some(word) } => {
            let contact_fields = Some(ContactFields {
                allowed: word == "on",
            });
            let request = SetContactFieldsRequest { contact_fields };
            let set = client.set_contact_fields(request).await?.into_inner();
            view.one(set.contact_fields)
        }
    }
}

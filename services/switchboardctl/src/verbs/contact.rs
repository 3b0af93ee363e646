//! Contacts and buyers.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    Contact, GetContactRequest, ListContactsRequest, SaveBuyerRequest,
};
use uuid::Uuid;

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on contacts.
#[derive(Subcommand)]
pub(crate) enum ContactVerb {
    /// List contacts, newest first
    List(Page),
    /// Show one contact
    Show {
        /// Id of the contact
        contact: Uuid,
    },
    /// Save a contact as a buyer, after which orders can be made
    SaveBuyer {
        /// Id of the contact
        contact: Uuid,
    },
}

impl Show for Contact {
    const NAME: &'static str = "switchboard.crm_cards.v1.Contact";
    const OPTIONAL: &'static [&'static str] = &["RESPONSIBLE", "CREATED", "IDENTITIES"];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "IDENTITIES",
        "BUYER",
        "RESPONSIBLE",
        "CREATED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let identities: Vec<_> = self
            .identities
            .iter()
            .map(|identity| format!("{}/{}", identity.scope, identity.user_id))
            .collect();
        vec![
            cell(&self.contact_id),
            cell(&self.name),
            cell(identities.join(", ")),
            cell(words::yes(self.buyer)).by_word(),
            cell(view.name(&self.responsible_agent_id)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: ContactVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.crm_cards(&session.role().await?).await?;
    match verb {
        ContactVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListContactsRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_contacts(request).await?.into_inner();
                Ok((page.contacts, page.next_page_token))
            };
            let (contacts, next) = page.read(ask).await?;
            view.list(&contacts, &next)
        }
        ContactVerb::Show { contact } => {
            let request = GetContactRequest {
                contact_id: contact.to_string(),
            };
            view.one(client.get_contact(request).await?.into_inner().contact)
        }
        ContactVerb::SaveBuyer { contact } => {
            let request = SaveBuyerRequest {
                contact_id: contact.to_string(),
                expected_revision: None,
            };
            view.one(client.save_buyer(request).await?.into_inner().contact)
        }
    }
}

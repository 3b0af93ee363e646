//! Contacts and buyers.

mod change;
mod list;

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::bind_buyer_request::Bound;
use switchboard_proto::crm_cards::v1::list_entity_chats_request::Entity as ChatsOf;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::{
    BindBuyerRequest, Contact, ContactSettings, DeleteContactRequest, DismissDuplicateRequest,
    GetContactRequest, GetContactSettingsRequest, MergeContactsRequest, RecordKind,
    SaveBuyerRequest, SetContactSettingsRequest, UnmergeContactRequest,
};
use uuid::Uuid;

use super::Page;
use super::entity_chats::{OfEntity, lines};
use super::transfer;
use super::values::{self, Told};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};

/// Verbs on contacts.
#[derive(Subcommand)]
pub(crate) enum ContactVerb {
    /// List contacts, newest first
    List(Box<list::List>),
    /// Show one contact
    Show {
        /// Id of the contact
        contact: Uuid,
    },
    /// Make a contact
    Create(Box<change::Create>),
    /// Change a contact
    Update(Box<change::Update>),
    /// List the chats of a contact, the one with the newest message first
    Chats {
        /// Id of the contact
        contact: Uuid,
        #[command(flatten)]
        chats: OfEntity,
    },
    /// Delete a contact that nothing is linked to
    Delete {
        /// Id of the contact
        contact: Uuid,
    },
    /// Read contacts from a CSV file
    Import(transfer::ImportArgs),
    /// Write all contacts into a CSV file
    Export(transfer::ExportArgs),
    /// Save a contact as a buyer, after which orders can be made
    SaveBuyer {
        /// Id of the contact
        contact: Uuid,
    },
    /// Bind a contact, or a chat's, to a buyer who is known already
    Bind {
        /// Id of the buyer
        buyer: Uuid,
        /// Id of the contact
        #[arg(long, value_name = "UUID", required_unless_present = "chat")]
        contact: Option<Uuid>,
        /// Id of the chat
        #[arg(long, value_name = "UUID", conflicts_with = "contact")]
        chat: Option<Uuid>,
    },
    /// Merge a contact into another one: they are one person
    Merge {
        /// Id of the contact that goes
        from: Uuid,
        /// Id of the contact that stays
        into: Uuid,
    },
    /// Take a merge back: they are two persons
    Unmerge {
        /// The id that was merged into another contact
        contact: Uuid,
    },
    /// List pairs of contacts that may be one person, with the reason
    Duplicates {
        /// Only pairs with this contact
        #[arg(long, value_name = "UUID")]
        contact: Option<Uuid>,
        #[command(flatten)]
        page: Page,
    },
    /// Say that two contacts are two persons: they are suspected no more
    Dismiss {
        /// Id of one contact
        first: Uuid,
        /// Id of the other
        second: Uuid,
    },
    /// Tell what happened to a contact, newest first
    History {
        /// Id of the contact
        contact: Uuid,
        #[command(flatten)]
        told: Told,
    },
    /// Show how phones are read, or set it
    Settings {
        /// Region whose phones are written without a country code, as UA; none: `none`
        #[arg(long, value_name = "REGION")]
        phone_region: Option<String>,
    },
}

impl Show for Contact {
    const NAME: &'static str = "switchboard.crm_cards.v1.Contact";
    const OPTIONAL: &'static [&'static str] = &[
        "RESPONSIBLE",
        "CREATED",
        "IDENTITIES",
        "EMAILS",
        "COMPANY",
        "EXTERNAL LINES",
    ];
    const SPARSE: &'static [&'static str] = &[
        "PHONES",
        "EMAILS",
        "COMPANY",
        "IDENTITIES",
        "EXTERNAL LINES",
    ];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "PHONES",
        "EMAILS",
        "COMPANY",
        "IDENTITIES",
        "EXTERNAL LINES",
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
            cell(self.phones.join(", ")),
            cell(self.emails.join(", ")),
            cell(&self.company_id),
            cell(identities.join(", ")),
            cell(lines(&self.external_lines)),
            cell(words::yes(self.buyer)).by_word(),
            cell(view.name(&self.responsible_agent_id)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let mut more = vec![format!("revision {}", self.revision)];
        more.extend(values::lines(&self.fields));
        more
    }
}

impl Show for ContactSettings {
    const NAME: &'static str = "switchboard.crm_cards.v1.ContactSettings";
    const HEADERS: &'static [&'static str] = &["PHONE REGION"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![cell(&self.phone_region)]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: ContactVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    match verb {
        ContactVerb::List(typed) => list::run(*typed, session, &view).await,
        ContactVerb::Create(typed) => view.one(change::create(session, *typed).await?),
        ContactVerb::Update(typed) => view.one(change::update(session, *typed).await?),
        ContactVerb::Show { contact } => {
            let request = GetContactRequest {
                contact_id: contact.to_string(),
            };
            let mut client = session.crm_cards(&session.role().await?).await?;
            view.one(client.get_contact(request).await?.into_inner().contact)
        }
        ContactVerb::SaveBuyer { contact } => {
            let request = SaveBuyerRequest {
                contact_id: contact.to_string(),
                expected_revision: None,
            };
            let mut client = session.crm_cards(&session.role().await?).await?;
            view.one(client.save_buyer(request).await?.into_inner().contact)
        }
        ContactVerb::Duplicates { contact, page } => {
            list::duplicates(session, &view, contact, page).await
        }
        ContactVerb::History { contact, told } => {
            let about = Entity::ContactId(contact.to_string());
            told.tell(session, &view, about).await
        }
        ContactVerb::Import(typed) => {
            transfer::import(session, &view, RecordKind::Contact, typed, "").await
        }
        ContactVerb::Export(typed) => {
            transfer::export(session, &view, RecordKind::Contact, typed).await
        }
        ContactVerb::Settings { phone_region } => settings(session, &view, phone_region).await,
        ContactVerb::Chats { contact, chats } => {
            let entity = ChatsOf::ContactId(contact.to_string());
            chats.tell(session, &view, entity).await
        }
        ContactVerb::Delete { contact } => {
            let request = DeleteContactRequest {
                contact_id: contact.to_string(),
                expected_revision: None,
            };
            let mut client = session.contacts(&session.role().await?).await?;
            client.delete_contact(request).await?;
            done(&view, "deleted");
            Ok(())
        }
        ContactVerb::Dismiss { first, second } => {
            let request = DismissDuplicateRequest {
                first_contact_id: first.to_string(),
                second_contact_id: second.to_string(),
            };
            let mut client = session.contacts(&session.role().await?).await?;
            client.dismiss_duplicate(request).await?;
            done(&view, "suspected no more");
            Ok(())
        }
        verb => view.one(joined(session, verb).await?),
    }
}

fn done(view: &View, word: &str) {
    if view.is_table() {
        say!("{word}");
    }
}

/// Makes one contact of two, or two of one; returns the one that was named last.
async fn joined(session: &Session, verb: ContactVerb) -> Result<Option<Contact>, CliError> {
    let mut client = session.contacts(&session.role().await?).await?;
    Ok(match verb {
        ContactVerb::Bind {
            buyer,
            contact,
            chat,
        } => {
            let bound = match (contact, chat) {
                (Some(contact), _) => Some(Bound::ContactId(contact.to_string())),
                (None, chat) => chat.map(|chat| Bound::ChatId(chat.to_string())),
            };
            let request = BindBuyerRequest {
                bound,
                buyer_contact_id: buyer.to_string(),
            };
            client.bind_buyer(request).await?.into_inner().contact
        }
        ContactVerb::Merge { from, into } => {
            let request = MergeContactsRequest {
                from_contact_id: from.to_string(),
                into_contact_id: into.to_string(),
                ..MergeContactsRequest::default()
            };
            client.merge_contacts(request).await?.into_inner().contact
        }
        ContactVerb::Unmerge { contact } => {
            let request = UnmergeContactRequest {
                contact_id: contact.to_string(),
            };
            client.unmerge_contact(request).await?.into_inner().contact
        }
        _ => None,
    })
}

async fn settings(
    session: &Session,
    view: &View,
    phone_region: Option<String>,
) -> Result<(), CliError> {
    let mut client = session.contacts(&session.role().await?).await?;
    let Some(region) = phone_region else {
        let request = GetContactSettingsRequest {};
        let answer = client.get_contact_settings(request).await?;
        return view.one(answer.into_inner().settings);
    };
    let phone_region = match region.as_str() {
        "none" => String::new(),
        code => code.to_uppercase(),
    };
    let request = SetContactSettingsRequest {
        settings: Some(ContactSettings { phone_region }),
    };
    let answer = client.set_contact_settings(request).await?;
    view.one(answer.into_inner().settings)
}

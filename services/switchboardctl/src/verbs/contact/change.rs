//! Making and changing contacts.

use clap::Args;
use switchboard_proto::crm_cards::v1::field::Entity;
use switchboard_proto::crm_cards::v1::{Contact, CreateContactRequest, UpdateContactRequest};
use uuid::Uuid;

use super::super::RequestId;
use super::super::values::{ChangedDetails, Details, agent_or_none, id_or_none, values};
use crate::connect::Session;
use crate::error::CliError;

/// A contact to be made.
#[derive(Args)]
pub(crate) struct Create {
    /// Name
    name: String,
    #[command(flatten)]
    details: Details,
    /// Id of the company it belongs to
    #[arg(long, value_name = "UUID")]
    company: Option<Uuid>,
    /// Saved as a buyer at once
    #[arg(long)]
    buyer: bool,
    #[command(flatten)]
    request_id: RequestId,
}

/// What of a contact is to be changed.
#[derive(Args)]
pub(crate) struct Update {
    /// Id of the contact
    contact: Uuid,
    #[command(flatten)]
    details: ChangedDetails,
    /// Id of the company it belongs to from now on; none: `none`
    #[arg(long, value_name = "UUID", value_parser = id_or_none)]
    company: Option<String>,
}

/// Makes a contact.
pub(super) async fn create(session: &Session, typed: Create) -> Result<Option<Contact>, CliError> {
    let responsible = agent_or_none(session, typed.details.responsible.as_deref()).await?;
    let request = CreateContactRequest {
        request_id: typed.request_id.get(),
        name: typed.name,
        company_id: typed.company.map(|id| id.to_string()).unwrap_or_default(),
        responsible_agent_id: responsible.unwrap_or_default(),
        fields: values(session, Entity::Contact, &typed.details.fields).await?,
        phones: typed.details.phones,
        emails: typed.details.emails,
        buyer: typed.buyer,
    };
    let mut client = session.contacts(&session.role().await?).await?;
    Ok(client.create_contact(request).await?.into_inner().contact)
}

/// Changes a contact.
pub(super) async fn update(session: &Session, typed: Update) -> Result<Option<Contact>, CliError> {
    let details = typed.details;
    let responsible_agent_id = agent_or_none(session, details.responsible.as_deref()).await?;
    let request = UpdateContactRequest {
        contact_id: typed.contact.to_string(),
        expected_revision: details.revision,
        phones: details.phones(),
        emails: details.emails(),
        company_id: typed.company,
        responsible_agent_id,
        fields: values(session, Entity::Contact, &details.fields).await?,
        name: details.name,
    };
    let mut client = session.contacts(&session.role().await?).await?;
    Ok(client.update_contact(request).await?.into_inner().contact)
}

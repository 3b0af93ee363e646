//! Which contacts are listed, and pairs that may be one person.

use clap::Args;
use switchboard_proto::crm_cards::v1::{
    Contact, DuplicateReason, ListContactsRequest, ListSuspectedDuplicatesRequest,
    SuspectedDuplicate,
};
use uuid::Uuid;

use super::super::Page;
use super::super::values::Asked;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Which contacts.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    asked: Asked,
    /// Only contacts of the company of this id
    #[arg(long, value_name = "UUID")]
    company: Option<Uuid>,
    /// Only buyers, or only others
    #[arg(long, value_name = "YES|NO", value_parser = ["yes", "no"])]
    buyer: Option<String>,
    /// Only contacts that this kind of messenger knows, as telegram
    #[arg(
        long,
        value_name = "KIND",
        default_value = "",
        hide_default_value = true
    )]
    messenger: String,
    #[command(flatten)]
    page: Page,
}

/// Lists contacts.
pub(super) async fn run(typed: List, session: &Session, view: &View) -> Result<(), CliError> {
    let (owner, responsible_agent_id) = typed.asked.owner(session).await?;
    let wanted = ListContactsRequest {
        text: typed.asked.text,
        phone: typed.asked.phone,
        email: typed.asked.email,
        company_id: typed.company.map(|id| id.to_string()).unwrap_or_default(),
        responsible_agent_id,
        owner: owner.into(),
        buyer: typed.buyer.map(|word| word == "yes"),
        messenger: typed.messenger,
        ..ListContactsRequest::default()
    };
    let mut client = session.crm_cards(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListContactsRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_contacts(request).await?.into_inner();
        Ok((page.contacts, page.next_page_token))
    };
    let (contacts, next): (Vec<Contact>, String) = typed.page.read(ask).await?;
    view.list(&contacts, &next)
}

impl Show for SuspectedDuplicate {
    const NAME: &'static str = "switchboard.crm_cards.v1.SuspectedDuplicate";
    const OPTIONAL: &'static [&'static str] = &["SINCE"];
    const HEADERS: &'static [&'static str] =
        &["FIRST", "NAME", "SECOND", "OTHER NAME", "REASON", "SINCE"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let reason = |reason: &DuplicateReason| {
            let kind = words::word(reason.kind().as_str_name(), "KIND_");
            format!("same {kind} {}", reason.value)
        };
        let reasons: Vec<String> = self.reasons.iter().map(reason).collect();
        let (first, second) = (
            self.first.clone().unwrap_or_default(),
            self.second.clone().unwrap_or_default(),
        );
        vec![
            cell(first.contact_id),
            cell(first.name),
            cell(second.contact_id),
            cell(second.name),
            cell(reasons.join(", ")),
            cell(words::ago(self.suspect_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Lists pairs that may be one person.
pub(super) async fn duplicates(
    session: &Session,
    view: &View,
    contact: Option<Uuid>,
    page: Page,
) -> Result<(), CliError> {
    let mut client = session.contacts(&session.role().await?).await?;
    let contact_id = contact.map(|id| id.to_string()).unwrap_or_default();
    let ask = async |page_size, page_token| {
        let request = ListSuspectedDuplicatesRequest {
            page_size,
            page_token,
            contact_id: contact_id.clone(),
        };
        let page = client
            .list_suspected_duplicates(request)
            .await?
            .into_inner();
        Ok((page.duplicates, page.next_page_token))
    };
    let (pairs, next) = page.read(ask).await?;
    view.list(&pairs, &next)
}

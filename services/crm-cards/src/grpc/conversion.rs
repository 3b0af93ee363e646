//! Reading of what a lead is to be converted into.

use switchboard_proto::crm_cards::v1 as pb;
use tonic::Status;

use super::{PARSE, parse};
use crate::app::companies;
use crate::app::convert_card::{Wanted, WantedCompany, WantedContact, WantedDeal};
use crate::domain::entity::{NAME_MAX, TITLE_MAX};

/// Reads a request.
pub(super) fn wanted(request: pb::ConvertCardRequest) -> Result<Wanted, Status> {
    Ok(Wanted {
        expected: request.expected_revision,
        contact: contact(request.contact.unwrap_or_default())?,
        company: request.company.map(company).transpose()?,
        deal: request.deal.map(deal).transpose()?,
    })
}

fn contact(contact: pb::ConvertedContact) -> Result<WantedContact, Status> {
    let name = contact.name.as_deref();
    let name = name.map(|name| PARSE.text("contact.name", name, NAME_MAX));
    let name = name.transpose()?.map(str::to_owned);
    let responsible = contact.responsible_agent_id.as_ref();
    let mut details = parse::changed_details(None, contact.phones, contact.emails, contact.fields)?;
    details.name = name;
    Ok(WantedContact {
        id: PARSE.id_opt("contact.contact_id", &contact.contact_id)?,
        details,
        responsible: parse::id_change("contact.responsible_agent_id", responsible)?,
        buyer: contact.buyer,
    })
}

fn company(company: pb::ConvertedCompany) -> Result<WantedCompany, Status> {
    if let Some(id) = PARSE.id_opt("company.company_id", &company.company_id)? {
        let is_new = !company.name.is_empty()
            || !company.phones.is_empty()
            || !company.emails.is_empty()
            || company.responsible_agent_id.is_some()
            || !company.fields.is_empty();
        if is_new {
            let text =
                "must be left out for a new company; one that exists is changed by UpdateCompany";
            return Err(PARSE.refuse("company.company_id", text));
        }
        return Ok(WantedCompany::Existing(id));
    }
    let responsible = company.responsible_agent_id.as_ref();
    let responsible = parse::id_change("company.responsible_agent_id", responsible)?;
    let new = companies::Wanted {
        name: PARSE
            .text("company.name", &company.name, NAME_MAX)?
            .to_owned(),
        details: parse::details(company.phones, company.emails, company.fields)?,
        parent: None,
        responsible: None,
    };
    Ok(WantedCompany::New(Box::new(new), responsible))
}

fn deal(deal: pb::ConvertedDeal) -> Result<WantedDeal, Status> {
    let title = deal.title.as_deref();
    let title = title.map(|title| PARSE.text("deal.title", title, TITLE_MAX));
    Ok(WantedDeal {
        title: title.transpose()?.map(str::to_owned),
        amount: parse::money_of("deal.amount", deal.amount.as_ref())?,
        fields: parse::fields(deal.fields)?,
        status: PARSE.id_opt("deal.status_id", &deal.status_id)?,
        pipeline: PARSE.id_opt("deal.pipeline_id", &deal.pipeline_id)?,
    })
}

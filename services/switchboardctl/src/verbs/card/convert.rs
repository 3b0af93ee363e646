//! Converting a lead into a deal, with its contact and company.

use clap::Args;
use switchboard_proto::crm_cards::v1::field::Entity;
use switchboard_proto::crm_cards::v1::{
    ContactPoints, ConvertCardRequest, ConvertCardResponse, ConvertedCompany, ConvertedContact,
    ConvertedDeal, Money,
};
use uuid::Uuid;

use super::super::values::{agent_or_none, pair, values};
use super::super::{RequestId, pipeline};
use super::change::money;
use super::status_of;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say};

/// What a lead is to be converted into. What is not said stays as it is; a contact that is missing is made.
#[derive(Args)]
pub(crate) struct Convert {
    /// Id of the card
    card: Uuid,
    /// Id of an existing contact, for a lead that has none
    #[arg(long, value_name = "UUID")]
    contact: Option<Uuid>,
    /// Name of the contact from now on
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Phone of the contact (repeatable): all that it has from now on
    #[arg(long = "phone", value_name = "PHONE")]
    phones: Vec<String>,
    /// E-mail address of the contact (repeatable): all that it has from now on
    #[arg(long = "email", value_name = "ADDRESS")]
    emails: Vec<String>,
    /// The responsible of the contact, by name or id; none: `none`
    #[arg(long, value_name = "AGENT")]
    contact_responsible: Option<String>,
    /// Save the contact as a buyer
    #[arg(long)]
    buyer: bool,
    /// Name of a new company, or the id of one that exists
    #[arg(long, value_name = "NAME")]
    company: Option<String>,
    /// Title of the deal
    #[arg(long)]
    title: Option<String>,
    /// Amount of the deal with its currency, as 1200.50:UAH
    #[arg(long, value_name = "AMOUNT:CURRENCY", value_parser = money)]
    amount: Option<Money>,
    /// Value of a custom field of the deal (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
    /// Status that the deal goes to, by name, kind or id
    #[arg(long)]
    status: Option<String>,
    /// Pipeline that the deal goes to, by name or id
    #[arg(long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    /// The revision that was seen; refused where another change came first
    #[arg(long, value_name = "NUMBER")]
    revision: Option<i64>,
    #[command(flatten)]
    request_id: RequestId,
}

impl Show for ConvertCardResponse {
    const NAME: &'static str = "switchboard.crm_cards.v1.ConvertCardResponse";
    const HEADERS: &'static [&'static str] = &["CARD", "CONTACT", "COMPANY"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let card = self.card.clone().unwrap_or_default();
        let contact = self.contact.clone().unwrap_or_default();
        let company = self.company.clone().unwrap_or_default();
        vec![
            cell(card.card_id),
            cell(contact.contact_id),
            cell(company.company_id),
        ]
    }
}

fn points(values: Vec<String>) -> Option<ContactPoints> {
    (!values.is_empty()).then_some(ContactPoints { values })
}

/// A company by its id, or a new one by its name.
fn company(text: String) -> ConvertedCompany {
    match Uuid::try_parse(&text) {
        Ok(id) => ConvertedCompany {
            company_id: id.to_string(),
            ..ConvertedCompany::default()
        },
        Err(_) => ConvertedCompany {
            name: text,
            ..ConvertedCompany::default()
        },
    }
}

/// Where the deal goes: ids of status and pipeline, empty where nothing is said.
async fn place(session: &Session, typed: &Convert) -> Result<(String, String), CliError> {
    match (&typed.pipeline, &typed.status) {
        (None, None) => Ok(Default::default()),
        (None, Some(status)) => Ok((status_of(session, typed.card, status).await?, String::new())),
        (Some(other), status) => {
            let other = pipeline::named(session, other).await?;
            let status = status.as_ref();
            let status = status.map(|status| pipeline::find(&other.statuses, status));
            let status = status.transpose()?.map(|status| status.status_id.clone());
            Ok((status.unwrap_or_default(), other.pipeline_id))
        }
    }
}

/// Converts a lead and shows what became of it.
pub(super) async fn run(session: &Session, view: &View, typed: Convert) -> Result<(), CliError> {
    let (status_id, pipeline_id) = place(session, &typed).await?;
    let responsible = typed.contact_responsible.as_deref();
    let contact = ConvertedContact {
        contact_id: typed.contact.map(|id| id.to_string()).unwrap_or_default(),
        name: typed.name,
        phones: points(typed.phones),
        emails: points(typed.emails),
        responsible_agent_id: agent_or_none(session, responsible).await?,
        buyer: typed.buyer,
        ..ConvertedContact::default()
    };
    let deal = ConvertedDeal {
        title: typed.title,
        amount: typed.amount,
        fields: values(session, Entity::Card, &typed.fields).await?,
        status_id,
        pipeline_id,
    };
    let request = ConvertCardRequest {
        request_id: typed.request_id.get(),
        card_id: typed.card.to_string(),
        expected_revision: typed.revision,
        contact: Some(contact),
        company: typed.company.map(company),
        // A form that nobody filled in asks for nothing.
        deal: (deal != ConvertedDeal::default()).then_some(deal),
    };
    let mut client = session.cards(&session.role().await?).await?;
    let made = client.convert_card(request).await?.into_inner();
    if !view.is_table() {
        return view.one(Some(made));
    }
    view.one(made.card)?;
    if let Some(contact) = made.contact {
        say!();
        view.one(Some(contact))?;
    }
    if let Some(company) = made.company {
        say!();
        view.one(Some(company))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_is_named_by_its_id_or_new_by_its_name() {
        let id = Uuid::from_u128(7).to_string();
        assert_eq!(company(id.clone()).company_id, id);
        let new = company("Kava & Co".into());
        assert_eq!((&*new.company_id, &*new.name), ("", "Kava & Co"));
    }
}

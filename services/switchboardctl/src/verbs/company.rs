//! Companies that contacts belong to.

use clap::{Args, Subcommand};
use switchboard_proto::crm_cards::v1::field::Entity;
use switchboard_proto::crm_cards::v1::list_entity_chats_request::Entity as ChatsOf;
use switchboard_proto::crm_cards::v1::list_history_request::Entity as About;
use switchboard_proto::crm_cards::v1::{
    Company, CreateCompanyRequest, DeleteCompanyRequest, GetCompanyRequest, ListCompaniesRequest,
    RecordKind, UpdateCompanyRequest,
};
use uuid::Uuid;

use super::entity_chats::{OfEntity, lines};
use super::values::{
    self, Asked, ChangedDetails, Details, Told, agent_or_none, id_or_none, values,
};
use super::{Page, RequestId, transfer};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};

/// Verbs on companies.
#[derive(Subcommand)]
pub(crate) enum CompanyVerb {
    /// List companies, newest first
    List(Box<List>),
    /// Show one company
    Show {
        /// Id of the company
        company: Uuid,
    },
    /// Make a company
    Create(Box<Create>),
    /// Change a company
    Update(Box<Update>),
    /// List the chats of a company's contacts, the one with the newest message first
    Chats {
        /// Id of the company
        company: Uuid,
        #[command(flatten)]
        chats: OfEntity,
    },
    /// Delete a company that nothing belongs to
    Delete {
        /// Id of the company
        company: Uuid,
    },
    /// Read companies from a CSV file
    Import(transfer::ImportArgs),
    /// Write all companies into a CSV file
    Export(transfer::ExportArgs),
    /// Tell what happened to a company, newest first
    History {
        /// Id of the company
        company: Uuid,
        #[command(flatten)]
        told: Told,
    },
}

/// Which companies.
#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    asked: Asked,
    /// Only companies that belong to the one of this id
    #[arg(long, value_name = "UUID")]
    parent: Option<Uuid>,
    #[command(flatten)]
    page: Page,
}

/// A company to be made.
#[derive(Args)]
pub(crate) struct Create {
    /// Name
    name: String,
    #[command(flatten)]
    details: Details,
    /// Id of the company it belongs to
    #[arg(long, value_name = "UUID")]
    parent: Option<Uuid>,
    #[command(flatten)]
    request_id: RequestId,
}

/// What of a company is to be changed.
#[derive(Args)]
pub(crate) struct Update {
    /// Id of the company
    company: Uuid,
    #[command(flatten)]
    details: ChangedDetails,
    /// Id of the company it belongs to from now on; none: `none`
    #[arg(long, value_name = "UUID", value_parser = id_or_none)]
    parent: Option<String>,
}

impl Show for Company {
    const NAME: &'static str = "switchboard.crm_cards.v1.Company";
    const OPTIONAL: &'static [&'static str] = &[
        "RESPONSIBLE",
        "CREATED",
        "EMAILS",
        "PARENT",
        "EXTERNAL LINES",
    ];
    const SPARSE: &'static [&'static str] = &["PHONES", "EMAILS", "PARENT", "EXTERNAL LINES"];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "NAME",
        "PHONES",
        "EMAILS",
        "PARENT",
        "EXTERNAL LINES",
        "RESPONSIBLE",
        "CREATED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.company_id),
            cell(&self.name),
            cell(self.phones.join(", ")),
            cell(self.emails.join(", ")),
            cell(&self.parent_company_id),
            cell(lines(&self.external_lines)),
            cell(view.name(&self.responsible_agent_id)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let mut lines = vec![format!("revision {}", self.revision)];
        lines.extend(values::lines(&self.fields));
        lines
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: CompanyVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.companies(&session.role().await?).await?;
    match verb {
        CompanyVerb::List(typed) => list(session, &view, *typed).await,
        CompanyVerb::Create(typed) => view.one(create(session, *typed).await?),
        CompanyVerb::Update(typed) => view.one(update(session, *typed).await?),
        CompanyVerb::Show { company } => {
            let request = GetCompanyRequest {
                company_id: company.to_string(),
            };
            view.one(client.get_company(request).await?.into_inner().company)
        }
        CompanyVerb::Chats { company, chats } => {
            let entity = ChatsOf::CompanyId(company.to_string());
            chats.tell(session, &view, entity).await
        }
        CompanyVerb::Delete { company } => {
            let request = DeleteCompanyRequest {
                company_id: company.to_string(),
                expected_revision: None,
            };
            client.delete_company(request).await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
        CompanyVerb::Import(typed) => {
            transfer::import(session, &view, RecordKind::Company, typed, "").await
        }
        CompanyVerb::Export(typed) => {
            transfer::export(session, &view, RecordKind::Company, typed).await
        }
        CompanyVerb::History { company, told } => {
            let about = About::CompanyId(company.to_string());
            told.tell(session, &view, about).await
        }
    }
}

async fn list(session: &Session, view: &View, typed: List) -> Result<(), CliError> {
    let (owner, responsible_agent_id) = typed.asked.owner(session).await?;
    let wanted = ListCompaniesRequest {
        text: typed.asked.text,
        phone: typed.asked.phone,
        email: typed.asked.email,
        parent_company_id: typed.parent.map(|id| id.to_string()).unwrap_or_default(),
        responsible_agent_id,
        owner: owner.into(),
        ..ListCompaniesRequest::default()
    };
    let mut client = session.companies(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListCompaniesRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_companies(request).await?.into_inner();
        Ok((page.companies, page.next_page_token))
    };
    let (companies, next) = typed.page.read(ask).await?;
    view.list(&companies, &next)
}

async fn create(session: &Session, typed: Create) -> Result<Option<Company>, CliError> {
    let responsible = agent_or_none(session, typed.details.responsible.as_deref()).await?;
    let request = CreateCompanyRequest {
        request_id: typed.request_id.get(),
        name: typed.name,
        parent_company_id: typed.parent.map(|id| id.to_string()).unwrap_or_default(),
        responsible_agent_id: responsible.unwrap_or_default(),
        fields: values(session, Entity::Company, &typed.details.fields).await?,
        phones: typed.details.phones,
        emails: typed.details.emails,
    };
    let mut client = session.companies(&session.role().await?).await?;
    Ok(client.create_company(request).await?.into_inner().company)
}

async fn update(session: &Session, typed: Update) -> Result<Option<Company>, CliError> {
    let details = typed.details;
    let responsible_agent_id = agent_or_none(session, details.responsible.as_deref()).await?;
    let request = UpdateCompanyRequest {
        company_id: typed.company.to_string(),
        expected_revision: details.revision,
        phones: details.phones(),
        emails: details.emails(),
        parent_company_id: typed.parent,
        responsible_agent_id,
        fields: values(session, Entity::Company, &details.fields).await?,
        name: details.name,
    };
    let mut client = session.companies(&session.role().await?).await?;
    Ok(client.update_company(request).await?.into_inner().company)
}

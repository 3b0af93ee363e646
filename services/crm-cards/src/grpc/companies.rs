//! The gRPC API of companies.

use std::collections::HashMap;

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::company_service_server::CompanyService;
use tonic::{Request, Response};
use uuid::Uuid;

use super::entity_chats::external_lines;
use super::parse::{self, AskedPeople, Cursor};
use super::{Answer, Handlers, PARSE};
use crate::app;
use crate::app::companies::{Change, Wanted};
use crate::domain::entity::Company;
use crate::domain::external_line::ExternalLine;
use crate::domain::fields::Entity;
use crate::store::entity_chats::Of;
use crate::wire;

#[tonic::async_trait]
impl CompanyService for Handlers {
    async fn create_company(
        &self,
        request: Request<pb::CreateCompanyRequest>,
    ) -> Answer<pb::CreateCompanyResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateCompany", &request.request_id, &request)?;
        let wanted = Wanted {
            name: parse::name(&request.name)?,
            parent: PARSE.id_opt("parent_company_id", &request.parent_company_id)?,
            responsible: PARSE.id_opt("responsible_agent_id", &request.responsible_agent_id)?,
            details: parse::details(request.phones, request.emails, request.fields)?,
        };
        let answer = app::companies::create(&self.app, &caller, &key, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn get_company(
        &self,
        request: Request<pb::GetCompanyRequest>,
    ) -> Answer<pb::GetCompanyResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("company_id", &request.get_ref().company_id)?;
        let company = app::companies::get(&self.app, &caller, id).await?;
        let of = (Of::Companies, &[company.id.uuid()][..]);
        let lines = app::entity_chats::external_lines(&self.app, &caller, of).await?;
        Ok(Response::new(pb::GetCompanyResponse {
            company: Some(pb::Company {
                participant_agent_ids: self
                    .taking_part(&caller, Entity::Company, company.id)
                    .await?,
                ..with_lines(&company, &lines)
            }),
        }))
    }

    async fn list_companies(
        &self,
        request: Request<pb::ListCompaniesRequest>,
    ) -> Answer<pb::ListCompaniesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let asked = parse::people(&AskedPeople {
            owner: request.owner,
            responsible: &request.responsible_agent_id,
            text: &request.text,
            phone: &request.phone,
            email: &request.email,
            messenger: "",
        })?;
        let parent = PARSE.id_opt("parent_company_id", &request.parent_company_id)?;
        let wanted = (asked, parent);
        let page = app::companies::list(&self.app, &caller, wanted, before, size).await?;
        let ids: Vec<_> = page.rows.iter().map(|company| company.id.uuid()).collect();
        let of = (Of::Companies, ids.as_slice());
        let lines = app::entity_chats::external_lines(&self.app, &caller, of).await?;
        let (companies, next_page_token) = page.written(
            |company| with_lines(company, &lines),
            |company| Cursor::new(company.created_at, company.id),
        );
        Ok(Response::new(pb::ListCompaniesResponse {
            companies,
            next_page_token,
        }))
    }

    async fn update_company(
        &self,
        request: Request<pb::UpdateCompanyRequest>,
    ) -> Answer<pb::UpdateCompanyResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("company_id", &request.company_id)?;
        let responsible = request.responsible_agent_id.as_ref();
        let change = Change {
            expected: request.expected_revision,
            parent: parse::id_change("parent_company_id", request.parent_company_id.as_ref())?,
            responsible: parse::id_change("responsible_agent_id", responsible)?,
            details: parse::changed_details(
                request.name.as_ref(),
                request.phones,
                request.emails,
                request.fields,
            )?,
        };
        let company = app::companies::update(&self.app, &caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdateCompanyResponse {
            company: Some(wire::company(&company)),
        }))
    }

    async fn delete_company(
        &self,
        request: Request<pb::DeleteCompanyRequest>,
    ) -> Answer<pb::DeleteCompanyResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("company_id", &request.get_ref().company_id)?;
        let expected = request.get_ref().expected_revision;
        app::companies::delete(&self.app, &caller, id, expected, clock::now()).await?;
        Ok(Response::new(pb::DeleteCompanyResponse {}))
    }
}

/// Writes a company with its External Lines field.
fn with_lines(company: &Company, lines: &HashMap<Uuid, Vec<ExternalLine>>) -> pb::Company {
    pb::Company {
        external_lines: external_lines(lines, company.id),
        ..wire::company(company)
    }
}

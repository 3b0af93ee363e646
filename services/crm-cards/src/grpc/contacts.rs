//! The gRPC API of what becomes of contacts.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::bind_buyer_request::Bound as WireBound;
use switchboard_proto::crm_cards::v1::contact_service_server::ContactService;
use tonic::{Request, Response};
use uuid::Uuid;

use super::parse::{self, Cursor, PairCursor};
use super::{Answer, Handlers, PARSE};
use crate::app;
use crate::app::change_contact::{Change, Wanted};
use crate::app::contacts::AddressOwner;
use crate::app::merge_contacts::Bound;
use crate::domain::points::Region;
use crate::wire;

/// Writes whose identity an address is.
pub(super) fn address_owner(owner: AddressOwner) -> pb::AddressOwner {
    let (contact_id, name) = owner
        .other
        .map(|(id, name)| (id.to_string(), name))
        .unwrap_or_default();
    pb::AddressOwner {
        address: owner.address,
        contact_id,
        name,
    }
}

#[tonic::async_trait]
impl ContactService for Handlers {
    async fn create_contact(
        &self,
        request: Request<pb::CreateContactRequest>,
    ) -> Answer<pb::CreateContactResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateContact", &request.request_id, &request)?;
        let wanted = Wanted {
            name: parse::name(&request.name)?,
            company: PARSE.id_opt("company_id", &request.company_id)?,
            responsible: PARSE.id_opt("responsible_agent_id", &request.responsible_agent_id)?,
            buyer: request.buyer,
            details: parse::details(request.phones, request.emails, request.fields)?,
        };
        let now = clock::now();
        let answer = app::change_contact::create(&self.app, &caller, &key, wanted, now).await?;
        Ok(Response::new(answer))
    }

    async fn update_contact(
        &self,
        request: Request<pb::UpdateContactRequest>,
    ) -> Answer<pb::UpdateContactResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("contact_id", &request.contact_id)?;
        let responsible = request.responsible_agent_id.as_ref();
        let change = Change {
            expected: request.expected_revision,
            company: parse::id_change("company_id", request.company_id.as_ref())?,
            responsible: parse::id_change("responsible_agent_id", responsible)?,
            buyer: false,
            details: parse::changed_details(
                request.name.as_ref(),
                request.phones,
                request.emails,
                request.fields,
            )?,
        };
        let now = clock::now();
        let contact = app::change_contact::update(&self.app, &caller, id, change, now).await?;
        Ok(Response::new(pb::UpdateContactResponse {
            contact: Some(wire::contact(&contact)),
        }))
    }

    async fn delete_contact(
        &self,
        request: Request<pb::DeleteContactRequest>,
    ) -> Answer<pb::DeleteContactResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("contact_id", &request.get_ref().contact_id)?;
        let expected = request.get_ref().expected_revision;
        app::change_contact::delete(&self.app, &caller, id, expected, clock::now()).await?;
        Ok(Response::new(pb::DeleteContactResponse {}))
    }

    async fn merge_contacts(
        &self,
        request: Request<pb::MergeContactsRequest>,
    ) -> Answer<pb::MergeContactsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let from = PARSE.id("from_contact_id", &request.from_contact_id)?;
        let into = PARSE.id("into_contact_id", &request.into_contact_id)?;
        let both = (
            (from, request.expected_from_revision),
            (into, request.expected_into_revision),
        );
        let contact = app::merge_contacts::merge(&self.app, &caller, both, clock::now()).await?;
        Ok(Response::new(pb::MergeContactsResponse {
            contact: Some(wire::contact(&contact)),
        }))
    }

    async fn unmerge_contact(
        &self,
        request: Request<pb::UnmergeContactRequest>,
    ) -> Answer<pb::UnmergeContactResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("contact_id", &request.get_ref().contact_id)?;
        let (contact, from) =
            app::unmerge_contact::unmerge(&self.app, &caller, id, clock::now()).await?;
        Ok(Response::new(pb::UnmergeContactResponse {
            contact: Some(wire::contact(&contact)),
            from: Some(wire::contact(&from)),
        }))
    }

    async fn bind_buyer(
        &self,
        request: Request<pb::BindBuyerRequest>,
    ) -> Answer<pb::BindBuyerResponse> {
        let caller = Caller::of(&request)?;
        let bound = match &request.get_ref().bound {
            Some(WireBound::ContactId(id)) => {
                Bound::Contact(PARSE.id::<Uuid>("contact_id", id)?.into())
            }
            Some(WireBound::ChatId(id)) => Bound::Chat(PARSE.id::<Uuid>("chat_id", id)?.into()),
            None => return Err(PARSE.refuse("bound", "is required")),
        };
        let buyer = PARSE.id("buyer_contact_id", &request.get_ref().buyer_contact_id)?;
        let contact =
            app::merge_contacts::bind(&self.app, &caller, bound, buyer, clock::now()).await?;
        Ok(Response::new(pb::BindBuyerResponse {
            contact: Some(wire::contact(&contact)),
        }))
    }

    async fn list_suspected_duplicates(
        &self,
        request: Request<pb::ListSuspectedDuplicatesRequest>,
    ) -> Answer<pb::ListSuspectedDuplicatesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = parse::after_pair(&request.page_token)?;
        let contact = PARSE.id_opt("contact_id", &request.contact_id)?;
        let page = app::duplicates::list(&self.app, &caller, contact, after, size).await?;
        let (duplicates, next_page_token) = page.written(wire::duplicate, |duplicate| {
            let pair = duplicate.suspected.pair;
            PairCursor {
                last: Cursor::new(duplicate.suspected.at, pair.first),
                second: pair.second.into(),
            }
        });
        Ok(Response::new(pb::ListSuspectedDuplicatesResponse {
            duplicates,
            next_page_token,
        }))
    }

    async fn dismiss_duplicate(
        &self,
        request: Request<pb::DismissDuplicateRequest>,
    ) -> Answer<pb::DismissDuplicateResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let both = (
            PARSE.id("first_contact_id", &request.first_contact_id)?,
            PARSE.id("second_contact_id", &request.second_contact_id)?,
        );
        app::duplicates::dismiss(&self.app, &caller, both, clock::now()).await?;
        Ok(Response::new(pb::DismissDuplicateResponse {}))
    }

    async fn set_contact_settings(
        &self,
        request: Request<pb::SetContactSettingsRequest>,
    ) -> Answer<pb::SetContactSettingsResponse> {
        let caller = Caller::of(&request)?;
        let settings = request.into_inner().settings.unwrap_or_default();
        let region = match settings.phone_region.as_str() {
            "" => None,
            code => Some(Region::read(code).ok_or_else(|| {
                PARSE.refuse(
                    "settings.phone_region",
                    "must be a region of ISO 3166, as UA",
                )
            })?),
        };
        app::contact_settings::set(&self.app, &caller, region, clock::now()).await?;
        Ok(Response::new(pb::SetContactSettingsResponse {
            settings: Some(wire::contact_settings(region)),
        }))
    }

    async fn get_contact_settings(
        &self,
        request: Request<pb::GetContactSettingsRequest>,
    ) -> Answer<pb::GetContactSettingsResponse> {
        let caller = Caller::of(&request)?;
        let region = app::contact_settings::get(&self.app, &caller).await?;
        Ok(Response::new(pb::GetContactSettingsResponse {
            settings: Some(wire::contact_settings(region)),
        }))
    }
}

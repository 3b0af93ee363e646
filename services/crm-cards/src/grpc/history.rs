//! The gRPC API of histories.

use chassis::auth::Caller;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::history_service_server::HistoryService;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use tonic::{Request, Response};

use super::parse::{self, Cursor};
use super::{Answer, Handlers, PARSE};
use crate::app::history::{self, About};
use crate::domain::history::EntryKind;
use crate::wire;

#[tonic::async_trait]
impl HistoryService for Handlers {
    async fn list_history(
        &self,
        request: Request<pb::ListHistoryRequest>,
    ) -> Answer<pb::ListHistoryResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let about = match &request.entity {
            Some(Entity::CardId(id)) => About::Card(PARSE.id("card_id", id)?),
            Some(Entity::ContactId(id)) => About::Contact(PARSE.id("contact_id", id)?),
            Some(Entity::OrderId(id)) => About::Order(PARSE.id("order_id", id)?),
            Some(Entity::CompanyId(id)) => About::Company(PARSE.id("company_id", id)?),
            None => return Err(PARSE.refuse("entity", "is required")),
        };
        let kinds = request.kinds.iter().map(|kind| wire::entry_kind(*kind));
        let kinds = kinds.collect::<Option<Vec<EntryKind>>>();
        let mut kinds = kinds.ok_or_else(|| PARSE.refuse("kinds", "must be kinds of entries"))?;
        if kinds.is_empty() {
            kinds = EntryKind::by_default();
        }
        let page = history::list(&self.app, &caller, about, &kinds, before, size).await?;
        let (entries, next_page_token) = page.written(
            |entry| wire::entry(entry.clone()),
            |entry| Cursor::new(entry.at, entry.id),
        );
        Ok(Response::new(pb::ListHistoryResponse {
            entries,
            next_page_token,
        }))
    }
}

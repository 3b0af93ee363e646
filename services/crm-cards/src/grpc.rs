//! The gRPC services: parse, call a use case, answer.

mod cards;
mod companies;
mod contacts;
mod conversion;
mod entity_access;
pub mod entity_chats;
pub mod external_crm;
mod fields;
mod history;
mod orders;
mod parse;
mod pipelines;
mod transfer;

use std::collections::HashMap;
use std::time::Duration;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{PAGE_BYTES, Parse, fitting, page_token};
use switchboard_proto::crm_cards::v1::crm_cards_service_server::CrmCardsService;
use switchboard_proto::crm_cards::v1::{
    Card as WireCard, Contact as WireContact, CreateCardRequest, CreateCardResponse,
    CreateOrderRequest, CreateOrderResponse, CreatePipelineRequest, CreatePipelineResponse,
    CreateSourceRequest, CreateSourceResponse, ExplainCardRequest, ExplainCardResponse,
    GetCardRequest, GetCardResponse, GetChatConnectionsRequest, GetChatConnectionsResponse,
    GetContactRequest, GetContactResponse, GetPipelineConnectionRequest,
    GetPipelineConnectionResponse, ListCardsRequest, ListCardsResponse, ListContactsRequest,
    ListContactsResponse, ListDecisionsRequest, ListDecisionsResponse, ListPipelinesRequest,
    ListPipelinesResponse, ListSourcesRequest, ListSourcesResponse, MoveCardRequest,
    MoveCardResponse, MoveOrderRequest, MoveOrderResponse, OpenChatConnectionsRequest,
    OpenChatConnectionsResponse, SaveBuyerRequest, SaveBuyerResponse, SetPipelineConnectionRequest,
    SetPipelineConnectionResponse, explain_card_request,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::chat_connections::Connections;
use crate::app::transfers::Transfers;
use crate::app::{self, App};
use crate::domain::entity::{Card, Contact, TITLE_MAX};
use crate::domain::external_line::ExternalLine;
use crate::domain::fields::Entity;
use crate::error::SERVICE;
use crate::store::decisions::About;
use crate::store::entity_chats::Of;
use crate::wire;
use parse::{AskedPeople, Cursor, NameCursor};

const PARSE: Parse = Parse::new(SERVICE);

/// Answers the services of `switchboard.crm_cards.v1`.
#[derive(Clone)]
pub struct Handlers {
    app: App,
    transfers: Transfers,
    stop: CancellationToken,
    silence: Duration,
}

impl Handlers {
    /// Makes the handlers over the use cases. Files that are read and written are left when `stop` says so.
    pub fn new(app: App, stop: CancellationToken) -> Self {
        Self {
            app,
            transfers: Transfers::default(),
            stop,
            silence: transfer::SILENCE,
        }
    }

    /// Returns who takes part in an entity that the caller was found to see.
    async fn taking_part(
        &self,
        caller: &Caller,
        entity: Entity,
        id: impl Into<Uuid>,
    ) -> Result<Vec<String>, Status> {
        let of = (entity, id.into());
        Ok(app::entity_access::participants(&self.app, caller, of).await?)
    }

    /// Ends files of which nothing comes, or is taken, for this long; a minute where it is not said.
    #[must_use]
    pub const fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }
}

type Answer<T> = Result<Response<T>, Status>;

/// Writes what a chat is linked to, as much as fits into one answer: the newest.
fn connections(found: &Connections) -> GetChatConnectionsResponse {
    let mut cards: Vec<_> = found.cards.iter().map(wire::card).collect();
    cards.truncate(fitting(PAGE_BYTES / 2, &cards));
    let mut orders: Vec<_> = found.orders.iter().map(wire::order).collect();
    orders.truncate(fitting(PAGE_BYTES / 2, &orders));
    GetChatConnectionsResponse {
        contact: found.contact.as_ref().map(wire::contact),
        company: found.company.as_ref().map(wire::company),
        cards,
        orders,
        buyer_totals: found.ordered.as_deref().map(wire::totals),
    }
}

/// Writes a card with its External Lines field.
fn with_lines(card: &Card, lines: &HashMap<Uuid, Vec<ExternalLine>>) -> WireCard {
    WireCard {
        external_lines: entity_chats::lines_of_card(lines, card.contact),
        ..wire::card(card)
    }
}

/// Writes a contact with its External Lines field.
fn contact_with_lines(contact: &Contact, lines: &HashMap<Uuid, Vec<ExternalLine>>) -> WireContact {
    WireContact {
        external_lines: entity_chats::external_lines(lines, contact.id),
        ..wire::contact(contact)
    }
}

#[tonic::async_trait]
impl CrmCardsService for Handlers {
    async fn create_pipeline(
        &self,
        request: Request<CreatePipelineRequest>,
    ) -> Answer<CreatePipelineResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreatePipeline", &request.request_id, &request)?;
        let name = PARSE.text("name", &request.name, 100)?.to_owned();
        let statuses = parse::statuses(&request.statuses)?;
        let answer =
            app::pipelines::create(&self.app, &caller, &key, name, statuses, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Answer<ListPipelinesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after = parse::cursor(&request.page_token)?.map(|cursor| (cursor.time, cursor.id));
        let page = app::pipelines::list(&self.app, &caller, after, size).await?;
        let (pipelines, next_page_token) = page.written(
            |(pipeline, _)| wire::pipeline(pipeline),
            |(pipeline, time)| Cursor::new(*time, pipeline.id),
        );
        Ok(Response::new(ListPipelinesResponse {
            pipelines,
            next_page_token,
        }))
    }

    async fn create_source(
        &self,
        request: Request<CreateSourceRequest>,
    ) -> Answer<CreateSourceResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateSource", &request.request_id, &request)?;
        let name = PARSE.text("name", &request.name, 100)?.to_owned();
        let answer = app::sources::create(&self.app, &caller, &key, name, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn list_sources(
        &self,
        request: Request<ListSourcesRequest>,
    ) -> Answer<ListSourcesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let after: Option<NameCursor> = PARSE.page_token(&request.page_token)?;
        let after = after.map(|cursor| cursor.name).unwrap_or_default();
        let after = PARSE
            .text_opt("page_token", &after, 100)?
            .unwrap_or_default();
        let page = app::sources::list(&self.app, &caller, after, size).await?;
        let (sources, next_page_token) = page.written(wire::source, |source| NameCursor {
            name: source.name.clone(),
        });
        Ok(Response::new(ListSourcesResponse {
            sources,
            next_page_token,
        }))
    }

    async fn set_pipeline_connection(
        &self,
        request: Request<SetPipelineConnectionRequest>,
    ) -> Answer<SetPipelineConnectionResponse> {
        let caller = Caller::of(&request)?;
        let connection = request.into_inner().connection.unwrap_or_default();
        let channel = PARSE.id("connection.channel_id", &connection.channel_id)?;
        let wanted = parse::connection(&connection)?;
        let rule =
            app::pipeline_connection::set(&self.app, &caller, channel, &wanted, clock::now())
                .await?;
        let connection = Some(wire::connection(channel, &rule));
        Ok(Response::new(SetPipelineConnectionResponse { connection }))
    }

    async fn get_pipeline_connection(
        &self,
        request: Request<GetPipelineConnectionRequest>,
    ) -> Answer<GetPipelineConnectionResponse> {
        let caller = Caller::of(&request)?;
        let channel = PARSE.id("channel_id", &request.get_ref().channel_id)?;
        let rule = app::pipeline_connection::get(&self.app, &caller, channel).await?;
        let connection = Some(wire::connection(channel, &rule));
        Ok(Response::new(GetPipelineConnectionResponse { connection }))
    }

    async fn create_card(&self, request: Request<CreateCardRequest>) -> Answer<CreateCardResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateCard", &request.request_id, &request)?;
        let wanted = app::create_card::Wanted {
            title: PARSE
                .text_opt("title", &request.title, TITLE_MAX)?
                .map(str::to_owned),
            pipeline: PARSE.id_opt("pipeline_id", &request.pipeline_id)?,
            chat: PARSE.id_opt("chat_id", &request.chat_id)?,
            source: PARSE.id_opt("source_id", &request.source_id)?,
            responsible: PARSE.id_opt("responsible_agent_id", &request.responsible_agent_id)?,
            contact: PARSE.id_opt("contact_id", &request.contact_id)?,
            amount: parse::money(request.amount.as_ref())?.new_value(),
            fields: parse::fields(request.fields)?,
        };
        let answer =
            app::create_card::create(&self.app, &caller, &key, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn get_card(&self, request: Request<GetCardRequest>) -> Answer<GetCardResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("card_id", &request.get_ref().card_id)?;
        let card = app::list_cards::get(&self.app, &caller, id).await?;
        let lines = app::entity_chats::lines_of_cards(&self.app, &caller, [&card]).await?;
        Ok(Response::new(GetCardResponse {
            card: Some(with_lines(&card, &lines)),
        }))
    }

    async fn list_cards(&self, request: Request<ListCardsRequest>) -> Answer<ListCardsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let wanted = parse::cards(&request)?;
        let (page, last) = app::list_cards::list(&self.app, &caller, wanted, before, size).await?;
        let read = page.rows.iter().map(|(card, _)| card);
        let lines = app::entity_chats::lines_of_cards(&self.app, &caller, read).await?;
        let (cards, next_page_token) = page.written(
            |(card, _)| with_lines(card, &lines),
            |(card, time)| Cursor::new(*time, card.id),
        );
        // Where all cards went in, also those count that were deleted while they were read.
        let all = cards.len() == page.rows.len();
        let last = last.filter(|_| all);
        let last = last.map(|last| page_token(&Cursor::new(last.time, last.id)));
        Ok(Response::new(ListCardsResponse {
            cards,
            next_page_token: last.unwrap_or(next_page_token),
        }))
    }

    async fn move_card(&self, request: Request<MoveCardRequest>) -> Answer<MoveCardResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("card_id", &request.card_id)?;
        let wanted = app::move_card::Wanted {
            status: PARSE.id("status_id", &request.status_id)?,
            pipeline: PARSE.id_opt("pipeline_id", &request.pipeline_id)?,
            expected: request.expected_revision,
        };
        let card = app::move_card::move_to(&self.app, &caller, id, wanted, clock::now()).await?;
        Ok(Response::new(MoveCardResponse {
            card: Some(wire::card(&card)),
        }))
    }

    async fn get_contact(&self, request: Request<GetContactRequest>) -> Answer<GetContactResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("contact_id", &request.get_ref().contact_id)?;
        let contact = app::contacts::get(&self.app, &caller, id).await?;
        let of = (Of::Contacts, &[contact.id.uuid()][..]);
        let lines = app::entity_chats::external_lines(&self.app, &caller, of).await?;
        let owners = app::contacts::address_owners(&self.app, &caller, &contact).await?;
        Ok(Response::new(GetContactResponse {
            address_owners: owners.into_iter().map(contacts::address_owner).collect(),
            contact: Some(WireContact {
                participant_agent_ids: self
                    .taking_part(&caller, Entity::Contact, contact.id)
                    .await?,
                ..contact_with_lines(&contact, &lines)
            }),
        }))
    }

    async fn list_contacts(
        &self,
        request: Request<ListContactsRequest>,
    ) -> Answer<ListContactsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let wanted = app::contacts::Wanted {
            asked: parse::people(&AskedPeople {
                owner: request.owner,
                responsible: &request.responsible_agent_id,
                text: &request.text,
                phone: &request.phone,
                email: &request.email,
                messenger: &request.messenger,
            })?,
            company: PARSE.id_opt("company_id", &request.company_id)?,
            buyer: request.buyer,
        };
        let page = app::contacts::list(&self.app, &caller, wanted, before, size).await?;
        let ids: Vec<_> = page.rows.iter().map(|contact| contact.id.uuid()).collect();
        let of = (Of::Contacts, ids.as_slice());
        let lines = app::entity_chats::external_lines(&self.app, &caller, of).await?;
        let (contacts, next_page_token) = page.written(
            |contact| contact_with_lines(contact, &lines),
            |contact| Cursor::new(contact.created_at, contact.id),
        );
        Ok(Response::new(ListContactsResponse {
            contacts,
            next_page_token,
        }))
    }

    async fn save_buyer(&self, request: Request<SaveBuyerRequest>) -> Answer<SaveBuyerResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("contact_id", &request.get_ref().contact_id)?;
        let expected = request.get_ref().expected_revision;
        let contact = app::save_buyer::save(&self.app, &caller, id, expected, clock::now()).await?;
        Ok(Response::new(SaveBuyerResponse {
            contact: Some(wire::contact(&contact)),
        }))
    }

    async fn create_order(
        &self,
        request: Request<CreateOrderRequest>,
    ) -> Answer<CreateOrderResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("CreateOrder", &request.request_id, &request)?;
        let wanted = orders::wanted(request)?;
        let answer = app::orders::create(&self.app, &caller, &key, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn move_order(&self, request: Request<MoveOrderRequest>) -> Answer<MoveOrderResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("order_id", &request.get_ref().order_id)?;
        let status = parse::kind("status", request.get_ref().status)?;
        let wanted = (status, request.get_ref().expected_revision);
        let order = app::orders::move_to(&self.app, &caller, id, wanted, clock::now()).await?;
        Ok(Response::new(MoveOrderResponse {
            order: Some(wire::order(&order)),
        }))
    }

    async fn get_chat_connections(
        &self,
        request: Request<GetChatConnectionsRequest>,
    ) -> Answer<GetChatConnectionsResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let found = app::chat_connections::get(&self.app, &caller, id).await?;
        Ok(Response::new(connections(&found)))
    }

    async fn open_chat_connections(
        &self,
        request: Request<OpenChatConnectionsRequest>,
    ) -> Answer<OpenChatConnectionsResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("chat_id", &request.get_ref().chat_id)?;
        let opened = app::open_connections::open(&self.app, &caller, id, clock::now()).await?;
        let (found, made) = opened;
        Ok(Response::new(OpenChatConnectionsResponse {
            connections: Some(connections(&found)),
            created_card_id: wire::text(made),
        }))
    }

    async fn explain_card(
        &self,
        request: Request<ExplainCardRequest>,
    ) -> Answer<ExplainCardResponse> {
        use explain_card_request::About as Asked;
        let caller = Caller::of(&request)?;
        let about = match &request.get_ref().about {
            Some(Asked::ConversationId(id)) => {
                About::Conversation(PARSE.id::<Uuid>("conversation_id", id)?.into())
            }
            Some(Asked::CardId(id)) => About::Card(PARSE.id::<Uuid>("card_id", id)?.into()),
            None => return Err(PARSE.refuse("about", "is required")),
        };
        let decided = app::decisions::explain(&self.app, &caller, about).await?;
        Ok(Response::new(ExplainCardResponse {
            decision: Some(wire::decision(&decided)),
        }))
    }

    async fn list_decisions(
        &self,
        request: Request<ListDecisionsRequest>,
    ) -> Answer<ListDecisionsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let chat = PARSE.id_opt("chat_id", &request.chat_id)?;
        let page = app::decisions::list(&self.app, &caller, chat, before, size).await?;
        let (decisions, next_page_token) = page.written(wire::decision, |decided| {
            Cursor::new(decided.decided_at, decided.conversation)
        });
        Ok(Response::new(ListDecisionsResponse {
            decisions,
            next_page_token,
        }))
    }
}

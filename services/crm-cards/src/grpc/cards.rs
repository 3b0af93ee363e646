//! The gRPC API of what becomes of cards.

use std::collections::HashMap;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::{PAGE_BYTES, fitting};
use chassis::id::AgentId;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::card_service_server::CardService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::parse::{self, Cursor};
use super::{Answer, Handlers, PARSE, conversion};
use crate::app;
use crate::app::board::Column;
use crate::app::participants::Turn;
use crate::app::update_card::Change;
use crate::domain::entity::{PARTICIPANTS_MAX, TITLE_MAX};
use crate::domain::external_line::ExternalLine;
use crate::store::Before;
use crate::wire;

/// The External Lines field of contacts.
type Lines = HashMap<Uuid, Vec<ExternalLine>>;

/// Cards of a column where the request does not say.
const COLUMN_DEFAULT: usize = 10;
/// Cards of a column at most.
const COLUMN_MAX: usize = 50;

#[tonic::async_trait]
impl CardService for Handlers {
    async fn update_card(
        &self,
        request: Request<pb::UpdateCardRequest>,
    ) -> Answer<pb::UpdateCardResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("card_id", &request.card_id)?;
        let title = request.title.as_deref();
        let title = title
            .map(|title| PARSE.text("title", title, TITLE_MAX))
            .transpose()?;
        let responsible = request.responsible_agent_id.as_ref();
        let change = Change {
            expected: request.expected_revision,
            title: title.map(str::to_owned),
            amount: parse::money(request.amount.as_ref())?,
            source: parse::id_change("source_id", request.source_id.as_ref())?,
            contact: parse::id_change("contact_id", request.contact_id.as_ref())?,
            responsible: parse::id_change("responsible_agent_id", responsible)?,
            fields: parse::fields(request.fields)?,
        };
        let card = app::update_card::update(&self.app, &caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdateCardResponse {
            card: Some(wire::card(&card)),
        }))
    }

    async fn convert_card(
        &self,
        request: Request<pb::ConvertCardRequest>,
    ) -> Answer<pb::ConvertCardResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("ConvertCard", &request.request_id, &request)?;
        let id = PARSE.id("card_id", &request.card_id)?;
        let wanted = (id, conversion::wanted(request)?);
        let answer =
            app::convert_card::convert(&self.app, &caller, &key, wanted, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn delete_card(
        &self,
        request: Request<pb::DeleteCardRequest>,
    ) -> Answer<pb::DeleteCardResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("card_id", &request.card_id)?;
        let expected = request.expected_revision;
        app::delete_card::delete(&self.app, &caller, id, expected, clock::now()).await?;
        Ok(Response::new(pb::DeleteCardResponse {}))
    }

    async fn add_card_note(
        &self,
        request: Request<pb::AddCardNoteRequest>,
    ) -> Answer<pb::AddCardNoteResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let key = parse::request_key("AddCardNote", &request.request_id, &request)?;
        let id = PARSE.id("card_id", &request.card_id)?;
        let text = PARSE.text("text", &request.text, 10_000)?.to_owned();
        let answer = app::notes::add(&self.app, &caller, &key, id, text, clock::now()).await?;
        Ok(Response::new(answer))
    }

    async fn list_card_notes(
        &self,
        request: Request<pb::ListCardNotesRequest>,
    ) -> Answer<pb::ListCardNotesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let before = parse::before(&request.page_token)?;
        let id = PARSE.id("card_id", &request.card_id)?;
        let page = app::notes::list(&self.app, &caller, id, before, size).await?;
        let (notes, next_page_token) =
            page.written(wire::note, |note| Cursor::new(note.at, note.id));
        Ok(Response::new(pb::ListCardNotesResponse {
            notes,
            next_page_token,
        }))
    }

    async fn add_card_participants(
        &self,
        request: Request<pb::AddCardParticipantsRequest>,
    ) -> Answer<pb::AddCardParticipantsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let card = self
            .participants(&caller, &request.card_id, (Turn::Come, &request.agent_ids))
            .await?;
        Ok(Response::new(pb::AddCardParticipantsResponse {
            card: Some(card),
        }))
    }

    async fn remove_card_participants(
        &self,
        request: Request<pb::RemoveCardParticipantsRequest>,
    ) -> Answer<pb::RemoveCardParticipantsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let card = self
            .participants(&caller, &request.card_id, (Turn::Go, &request.agent_ids))
            .await?;
        Ok(Response::new(pb::RemoveCardParticipantsResponse {
            card: Some(card),
        }))
    }

    async fn get_board(
        &self,
        request: Request<pb::GetBoardRequest>,
    ) -> Answer<pb::GetBoardResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("pipeline_id", &request.get_ref().pipeline_id)?;
        let size = match usize::try_from(request.get_ref().column_size) {
            Ok(0) => COLUMN_DEFAULT,
            Ok(size) => size.min(COLUMN_MAX),
            Err(_) => return Err(PARSE.refuse("column_size", "must not be negative")),
        };
        let board = app::board::get(&self.app, &caller, id, size).await?;
        let cards = board.columns.iter().flat_map(|column| &column.cards);
        let lines = app::entity_chats::lines_of_cards(&self.app, &caller, cards).await?;
        Ok(Response::new(pb::GetBoardResponse {
            pipeline: Some(wire::pipeline(&board.pipeline)),
            columns: columns(&board.columns, &lines),
        }))
    }
}

impl Handlers {
    async fn participants(
        &self,
        caller: &Caller,
        card: &str,
        (turn, agents): (Turn, &[String]),
    ) -> Result<pb::Card, Status> {
        let id = PARSE.id("card_id", card)?;
        let agents: Vec<AgentId> = PARSE.ids("agent_ids", agents, PARTICIPANTS_MAX)?;
        if agents.is_empty() {
            return Err(PARSE.refuse("agent_ids", "must name somebody"));
        }
        let change = (turn, agents);
        let card = app::participants::change(&self.app, caller, id, change, clock::now()).await?;
        Ok(wire::card(&card))
    }
}

/// Writes columns; together they fit into one answer, so that one with large cards may have fewer than were asked for.
fn columns(columns: &[Column], lines: &Lines) -> Vec<pb::BoardColumn> {
    let bytes = PAGE_BYTES / columns.len().max(1);
    let columns = columns.iter();
    columns.map(|read| column(read, lines, bytes)).collect()
}

fn column(column: &Column, lines: &Lines, bytes: usize) -> pb::BoardColumn {
    let cards = column.cards.iter();
    let mut cards: Vec<_> = cards.map(|card| super::with_lines(card, lines)).collect();
    let kept = fitting(bytes, &cards);
    let more = column.more || kept < cards.len();
    cards.truncate(kept);
    let last = kept.checked_sub(1).and_then(|last| column.cards.get(last));
    let last = last.map_or(Before::START, |card| Before {
        time: card.created_at,
        id: card.id.into(),
    });
    pb::BoardColumn {
        status: Some(wire::status(&column.status)),
        card_count: column.count,
        sums: column.sums.iter().map(wire::money).collect(),
        cards,
        next_page_token: parse::next(more, Some(Cursor::new(last.time, last.id))),
    }
}

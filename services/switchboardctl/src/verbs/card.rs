//! Cards in pipelines.

mod board;
mod change;
mod convert;
mod history;
mod list;
mod show;

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::list_entity_chats_request::Entity as ChatsOf;
use switchboard_proto::crm_cards::v1::list_history_request::Entity;
use switchboard_proto::crm_cards::v1::{
    AddCardNoteRequest, AddCardParticipantsRequest, Card, DeleteCardRequest, ExplainCardRequest,
    GetBoardRequest, GetCardRequest, GetPipelineRequest, ListCardNotesRequest, MoveCardRequest,
    RecordKind, RemoveCardParticipantsRequest, explain_card_request::About,
};
use uuid::Uuid;

use super::entity_chats::{OfEntity, lines};
use super::values::{self, Told};
use super::{Page, RequestId, pipeline, transfer};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say, words};
pub(super) use board::money;

/// Verbs on cards.
#[derive(Subcommand)]
pub(crate) enum CardVerb {
    /// List cards, newest first
    List(Box<list::List>),
    /// Make a card
    Create(Box<change::Create>),
    /// Change a card
    Update(Box<change::Update>),
    /// Convert a lead into a deal, with its contact and company
    Convert(Box<convert::Convert>),
    /// List the chats of a card, the one with the newest message first
    Chats {
        /// Id of the card
        card: Uuid,
        #[command(flatten)]
        chats: OfEntity,
    },
    /// Delete a card
    Delete {
        /// Id of the card
        card: Uuid,
    },
    /// Show the board of a pipeline: its statuses as columns, with counts, sums and the newest cards
    Board {
        /// Name or id of the pipeline
        pipeline: String,
        /// Cards of each column at most
        #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=50))]
        size: i32,
    },
    /// List the notes of a card, or add one
    Note {
        /// Id of the card
        card: Uuid,
        /// Text to add
        text: Option<String>,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Change who takes part in a card beside its responsible
    Participant {
        /// Id of the card
        card: Uuid,
        /// Who takes part from now on, by name or id (repeatable)
        #[arg(long = "add", value_name = "AGENT", required_unless_present = "gone")]
        come: Vec<String>,
        /// Who does not any more, by name or id (repeatable)
        #[arg(long = "remove", value_name = "AGENT")]
        gone: Vec<String>,
    },
    /// Read cards from a CSV file
    Import {
        #[command(flatten)]
        typed: transfer::ImportArgs,
        /// Pipeline of cards that name none, by name or id
        #[arg(long, value_name = "PIPELINE")]
        pipeline: Option<String>,
    },
    /// Write all cards into a CSV file
    Export(transfer::ExportArgs),
    /// Tell what happened to a card, newest first
    History {
        /// Id of the card
        card: Uuid,
        #[command(flatten)]
        told: Told,
    },
    /// Show one card
    Show {
        /// Id of the card
        card: Uuid,
    },
    /// Move a card to another status
    Move {
        /// Id of the card
        card: Uuid,
        /// Name, kind or id of the status
        status: String,
        /// Into another pipeline, by name or id
        #[arg(long, value_name = "PIPELINE")]
        pipeline: Option<String>,
    },
    /// Tell why a conversation made a card, or why it did not
    Explain {
        /// Id of the card
        #[arg(required_unless_present = "of")]
        card: Option<Uuid>,
        /// Id of the conversation, where there is no card
        #[arg(long, value_name = "UUID", conflicts_with = "card")]
        of: Option<Uuid>,
    },
}

impl Show for Card {
    const NAME: &'static str = "switchboard.crm_cards.v1.Card";
    const OPTIONAL: &'static [&'static str] = &[
        "CHAT",
        "KIND",
        "CREATED",
        "SOURCE DETAIL",
        "MESSENGER",
        "EXTERNAL LINES",
        "RESPONSIBLE",
    ];
    const SPARSE: &'static [&'static str] =
        &["SOURCE DETAIL", "AMOUNT", "MESSENGER", "EXTERNAL LINES"];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "TITLE",
        "STATUS",
        "KIND",
        "AMOUNT",
        "RESPONSIBLE",
        "MESSENGER",
        "EXTERNAL LINES",
        "CHAT",
        "SOURCE DETAIL",
        "CREATED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let status = self.status.clone().unwrap_or_default();
        vec![
            cell(&self.card_id),
            cell(&self.title),
            cell(&status.name),
            cell(words::word(status.kind().as_str_name(), "STATUS_KIND_")).by_word(),
            cell(self.amount.as_ref().map(board::money).unwrap_or_default()),
            cell(view.name(&self.responsible_agent_id)),
            cell(&self.messenger),
            cell(lines(&self.external_lines)),
            cell(view.name(&self.chat_id)),
            cell(words::short(&self.source_detail, 40)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, view: &View) -> Vec<String> {
        let mut lines = vec![format!("revision {}", self.revision)];
        lines.extend(show::about(self, view));
        lines.extend(values::lines(&self.fields));
        let participants = self.participant_agent_ids.iter();
        lines.extend(participants.map(|id| format!("  takes part: {}", view.name(id))));
        lines
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: CardVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.crm_cards(&session.role().await?).await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    match verb {
        CardVerb::List(typed) => list::run(*typed, session, &view).await,
        CardVerb::Create(typed) => view.one(change::create(session, *typed).await?),
        CardVerb::Update(typed) => view.one(change::update(session, *typed).await?),
        CardVerb::Convert(typed) => convert::run(session, &view, *typed).await,
        CardVerb::Chats { card, chats } => {
            let entity = ChatsOf::CardId(card.to_string());
            chats.tell(session, &view, entity).await
        }
        CardVerb::Delete { card } => {
            let mut client = session.cards(&session.role().await?).await?;
            let request = DeleteCardRequest {
                card_id: card.to_string(),
                expected_revision: None,
            };
            client.delete_card(request).await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
        CardVerb::Board { pipeline, size } => show_board(session, &view, &pipeline, size).await,
        CardVerb::Note {
            card,
            text,
            page,
            request_id,
        } => note(session, &view, card, (text, request_id), page).await,
        CardVerb::Participant { card, come, gone } => {
            view.one(participants(session, card, (come, gone)).await?)
        }
        CardVerb::Import { typed, pipeline } => {
            let pipeline = match pipeline {
                Some(named) => pipeline::named(session, &named).await?.pipeline_id,
                None => String::new(),
            };
            transfer::import(session, &view, RecordKind::Card, typed, &pipeline).await
        }
        CardVerb::Export(typed) => transfer::export(session, &view, RecordKind::Card, typed).await,
        CardVerb::History { card, told } => {
            let about = Entity::CardId(card.to_string());
            told.tell(session, &view, about).await
        }
        CardVerb::Show { card } => show::run(session, &mut view, card).await,
        CardVerb::Move {
            card,
            status,
            pipeline,
        } => {
            let request = match pipeline {
                None => MoveCardRequest {
                    card_id: card.to_string(),
                    status_id: status_of(session, card, &status).await?,
                    ..MoveCardRequest::default()
                },
                Some(other) => {
                    let other = pipeline::named(session, &other).await?;
                    MoveCardRequest {
                        card_id: card.to_string(),
                        status_id: pipeline::find(&other.statuses, &status)?.status_id.clone(),
                        pipeline_id: other.pipeline_id,
                        expected_revision: None,
                    }
                }
            };
            view.one(client.move_card(request).await?.into_inner().card)
        }
        CardVerb::Explain { card, of } => {
            let about = match (card, of) {
                (_, Some(conversation)) => About::ConversationId(conversation.to_string()),
                (card, None) => About::CardId(text(card)),
            };
            view.one(
                client
                    .explain_card(ExplainCardRequest { about: Some(about) })
                    .await?
                    .into_inner()
                    .decision,
            )
        }
    }
}

/// The id of a status of the card's pipeline, given by id, name or kind.
pub(crate) async fn status_of(
    session: &Session,
    card: Uuid,
    named: &str,
) -> Result<String, CliError> {
    if named.parse::<Uuid>().is_ok() {
        return Ok(named.to_owned());
    }
    let mut client = session.crm_cards(&session.role().await?).await?;
    let card = client
        .get_card(GetCardRequest {
            card_id: card.to_string(),
        })
        .await?
        .into_inner()
        .card
        .unwrap_or_default();
    let request = GetPipelineRequest {
        pipeline_id: card.pipeline_id,
    };
    let mut client = session.pipelines(&session.role().await?).await?;
    let pipeline = client.get_pipeline(request).await?.into_inner().pipeline;
    let statuses = pipeline.unwrap_or_default().statuses;
    Ok(pipeline::find(&statuses, named)?.status_id.clone())
}

async fn show_board(
    session: &Session,
    view: &View,
    named: &str,
    column_size: i32,
) -> Result<(), CliError> {
    let request = GetBoardRequest {
        pipeline_id: pipeline::named(session, named).await?.pipeline_id,
        column_size,
    };
    let mut client = session.cards(&session.role().await?).await?;
    let board = client.get_board(request).await?.into_inner();
    if view.is_table() {
        board::print(view, &board);
        return Ok(());
    }
    view.one(Some(board))
}

async fn note(
    session: &Session,
    view: &View,
    card: Uuid,
    (text, request_id): (Option<String>, RequestId),
    page: Page,
) -> Result<(), CliError> {
    let mut client = session.cards(&session.role().await?).await?;
    if let Some(text) = text {
        let request = AddCardNoteRequest {
            request_id: request_id.get(),
            card_id: card.to_string(),
            text,
        };
        return view.one(client.add_card_note(request).await?.into_inner().note);
    }
    let ask = async |page_size, page_token| {
        let request = ListCardNotesRequest {
            page_size,
            page_token,
            card_id: card.to_string(),
        };
        let page = client.list_card_notes(request).await?.into_inner();
        Ok((page.notes, page.next_page_token))
    };
    let (notes, next) = page.read(ask).await?;
    view.list(&notes, &next)
}

/// Lets agents come and go; returns the card as it is then.
async fn participants(
    session: &Session,
    card: Uuid,
    (come, gone): (Vec<String>, Vec<String>),
) -> Result<Option<Card>, CliError> {
    let ids = async |named: Vec<String>| {
        let mut ids = Vec::with_capacity(named.len());
        for agent in named {
            ids.push(session.agent_id(&agent).await?.to_string());
        }
        Ok::<_, CliError>(ids)
    };
    let mut client = session.cards(&session.role().await?).await?;
    let card_id = card.to_string();
    let mut changed = None;
    if !come.is_empty() {
        let request = AddCardParticipantsRequest {
            card_id: card_id.clone(),
            agent_ids: ids(come).await?,
        };
        changed = client
            .add_card_participants(request)
            .await?
            .into_inner()
            .card;
    }
    if !gone.is_empty() {
        let request = RemoveCardParticipantsRequest {
            card_id,
            agent_ids: ids(gone).await?,
        };
        let answer = client.remove_card_participants(request).await?;
        changed = answer.into_inner().card;
    }
    Ok(changed)
}

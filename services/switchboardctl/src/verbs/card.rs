//! Cards in pipelines.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    Card, ExplainCardRequest, GetCardRequest, ListCardsRequest, ListPipelinesRequest,
    MoveCardRequest, StatusKind, explain_card_request::About,
};
use uuid::Uuid;

use super::Page;
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on cards.
#[derive(Subcommand)]
pub(crate) enum CardVerb {
    /// List cards, newest first
    List {
        /// Only cards made from this chat
        #[arg(long, value_name = "UUID")]
        chat: Option<Uuid>,
        /// Only cards of this pipeline
        #[arg(long, value_name = "UUID")]
        pipeline: Option<Uuid>,
        /// Only cards in a status of this kind (repeatable)
        #[arg(long = "status", value_name = "KIND",
              value_parser = choice!(StatusKind, "STATUS_KIND_", ["new", "in-progress", "successful", "rejected"]))]
        statuses: Vec<StatusKind>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one card
    Show {
        /// Id of the card
        card: Uuid,
    },
    /// Move a card to another status of its pipeline
    Move {
        /// Id of the card
        card: Uuid,
        /// Name, kind or id of the status
        status: String,
    },
    /// Tell why a conversation made a card, or why it did not
    Explain {
        /// Id of the card
        #[arg(required_unless_present = "conversation")]
        card: Option<Uuid>,
        /// Id of the conversation, where there is no card
        #[arg(long, value_name = "UUID", conflicts_with = "card")]
        conversation: Option<Uuid>,
    },
}

impl Show for Card {
    const NAME: &'static str = "switchboard.crm_cards.v1.Card";
    const OPTIONAL: &'static [&'static str] =
        &["CHAT", "KIND", "CREATED", "SOURCE DETAIL", "RESPONSIBLE"];
    const SPARSE: &'static [&'static str] = &["SOURCE DETAIL"];
    const HEADERS: &'static [&'static str] = &[
        "ID",
        "TITLE",
        "STATUS",
        "KIND",
        "RESPONSIBLE",
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
            cell(view.name(&self.responsible_agent_id)),
            cell(view.name(&self.chat_id)),
            cell(words::short(&self.source_detail, 40)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: CardVerb, session: &Session, mut view: View) -> Result<(), CliError> {
    view.learn_names(session).await;
    let mut client = session.crm_cards(&session.role().await?).await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    match verb {
        CardVerb::List {
            chat,
            pipeline,
            statuses,
            page,
        } => {
            let kinds: Vec<i32> = statuses.into_iter().map(Into::into).collect();
            let ask = async |page_size, page_token| {
                let request = ListCardsRequest {
                    page_size,
                    page_token,
                    chat_id: text(chat),
                    pipeline_id: text(pipeline),
                    status_kinds: kinds.clone(),
                };
                let page = client.list_cards(request).await?.into_inner();
                Ok((page.cards, page.next_page_token))
            };
            let (cards, next) = page.read(ask).await?;
            view.list(&cards, &next)
        }
        CardVerb::Show { card } => view.one(
            client
                .get_card(GetCardRequest {
                    card_id: card.to_string(),
                })
                .await?
                .into_inner()
                .card,
        ),
        CardVerb::Move { card, status } => {
            let status_id = status_of(session, card, &status).await?;
            let request = MoveCardRequest {
                card_id: card.to_string(),
                status_id,
            };
            view.one(client.move_card(request).await?.into_inner().card)
        }
        CardVerb::Explain { card, conversation } => {
            let about = match (card, conversation) {
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
    let request = ListPipelinesRequest {
        page_size: 200,
        page_token: String::new(),
    };
    let pipelines = client.list_pipelines(request).await?.into_inner().pipelines;
    let statuses = pipelines
        .into_iter()
        .find(|pipeline| pipeline.pipeline_id == card.pipeline_id)
        .unwrap_or_default()
        .statuses;
    let same = |name: &str| name.to_lowercase() == named.to_lowercase();
    statuses
        .iter()
        .find(|status| same(&status.name))
        .or_else(|| {
            statuses
                .iter()
                .find(|status| same(&words::word(status.kind().as_str_name(), "STATUS_KIND_")))
        })
        .map(|status| status.status_id.clone())
        .ok_or_else(|| {
            let known: Vec<_> = statuses.iter().map(|status| status.name.as_str()).collect();
            CliError::usage(
                &format!("the card's pipeline has no status {named}"),
                &format!("one of: {}", known.join(", ")),
            )
        })
}

//! Decisions of pipeline connections: why there is a card, or none.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{Decision, ListDecisionsRequest};
use uuid::Uuid;

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on decisions.
#[derive(Subcommand)]
pub(crate) enum DecisionVerb {
    /// List decisions, newest first
    List {
        /// Only decisions for this chat
        #[arg(long, value_name = "UUID")]
        chat: Option<Uuid>,
        #[command(flatten)]
        page: Page,
    },
}

impl Show for Decision {
    const NAME: &'static str = "switchboard.crm_cards.v1.Decision";
    const OPTIONAL: &'static [&'static str] = &["CARD", "NO", "WHEN", "RULE"];
    const HEADERS: &'static [&'static str] = &[
        "CONVERSATION",
        "NO",
        "OUTCOME",
        "RULE",
        "WHY",
        "CARD",
        "WHEN",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.conversation_id),
            cell(format!("#{}", self.number)),
            cell(words::word(self.outcome().as_str_name(), "OUTCOME_")).by_word(),
            cell(&self.rule),
            cell(&self.explanation),
            cell(view.name(&self.card_id)),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(connection) = &self.connection {
            lines.push(format!(
                "connection    mode {}, scope {}, existing chats {}",
                words::word(connection.mode().as_str_name(), "MODE_"),
                words::word(connection.scope().as_str_name(), "SCOPE_"),
                connection
                    .include_existing_chats
                    .map_or("default", words::yes),
            ));
        }
        if let Some(facts) = &self.facts {
            lines.push(format!(
                "facts         opened by the client: {}; cards ever linked to the chat: {}; card in work: {}; order in work: {}; \
                 cards of the contact: {}; buyer: {}",
                words::yes(facts.opened_by_client),
                facts.cards_ever_linked,
                words::yes(facts.card_in_work),
                words::yes(facts.order_in_work),
                facts.contact_cards,
                words::yes(facts.buyer),
            ));
        }
        lines
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: DecisionVerb, session: &Session, view: View) -> Result<(), CliError> {
    let DecisionVerb::List { chat, page } = verb;
    let mut client = session.crm_cards(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListDecisionsRequest {
            page_size,
            page_token,
            chat_id: chat.map(|id| id.to_string()).unwrap_or_default(),
        };
        let page = client.list_decisions(request).await?.into_inner();
        Ok((page.decisions, page.next_page_token))
    };
    let (decisions, next) = page.read(ask).await?;
    view.list(&decisions, &next)
}

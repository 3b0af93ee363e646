//! Who answers for a chat, and why.

use clap::Subcommand;
use switchboard_proto::assignment::v1::{AssignmentChoice, Candidate, ExplainAssignmentRequest};
use uuid::Uuid;

use super::Page;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on assignments.
#[derive(Subcommand)]
pub(crate) enum AssignmentVerb {
    /// Tell why a chat's agents were chosen, newest first
    Explain {
        /// Id of the chat
        chat: Uuid,
        #[command(flatten)]
        page: Page,
    },
}

impl Show for AssignmentChoice {
    const NAME: &'static str = "switchboard.assignment.v1.AssignmentChoice";
    const OPTIONAL: &'static [&'static str] = &["BY", "WHEN"];
    const HEADERS: &'static [&'static str] = &["NO", "RULE", "AGENT", "BY", "CANDIDATES", "WHEN"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let candidates: Vec<_> = self
            .candidates
            .iter()
            .map(|candidate| candidate_text(candidate, view))
            .collect();
        vec![
            cell(format!("#{}", self.number)),
            cell(rule(self)),
            cell(view.name(&self.agent_id)),
            cell(actor(&self.actor, view)),
            cell(candidates.join("; ")),
            cell(words::ago(self.time.as_ref(), view.now)).dim(),
        ]
    }
}

/// The rule in a word.
pub(crate) fn rule(choice: &AssignmentChoice) -> String {
    words::word(choice.rule().as_str_name(), "ASSIGNMENT_RULE_")
}

/// One candidate: the name, the load, and why they were left out.
pub(crate) fn candidate_text(candidate: &Candidate, view: &View) -> String {
    let name = view.name(&candidate.agent_id);
    match candidate.left_out.as_str() {
        "" if candidate.capacity > 0 => {
            format!("{name} ({} of {} open)", candidate.load, candidate.capacity)
        }
        "" => format!("{name} ({} open)", candidate.load),
        reason => format!("{name} ({})", reason.to_lowercase().replace('_', " ")),
    }
}

/// An actor with the agent's name in place of the id.
pub(super) fn actor(actor: &str, view: &View) -> String {
    match actor.split_once(':') {
        Some(("agent", id)) => view.name(id),
        _ => actor.to_owned(),
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: AssignmentVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    view.learn_names(session).await;
    let AssignmentVerb::Explain { chat, page } = verb;
    let mut client = session.assignment(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ExplainAssignmentRequest {
            chat_id: chat.to_string(),
            page_size,
            page_token,
        };
        let page = client.explain_assignment(request).await?.into_inner();
        Ok((page.choices, page.next_page_token))
    };
    let (choices, next) = page.read(ask).await?;
    view.list(&choices, &next)
}

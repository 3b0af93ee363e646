//! Pipelines.

mod change;

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, DeletePipelineRequest, GetPipelineRequest, ListPipelinesRequest,
    MoveCardsRequest, NewStatus, Pipeline, StatusKind,
};
use uuid::Uuid;

pub(crate) use self::change::find;
use self::change::{Change, pair};
use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, note, say, words};

/// Cards that one call moves.
const MOVED_AT_ONCE: i32 = 500;

/// Verbs on pipelines.
#[derive(Subcommand)]
pub(crate) enum PipelineVerb {
    /// Create a pipeline; New, In progress, Successful, Rejected unless statuses are given
    Create {
        /// Name
        name: String,
        /// A status as `Name=kind`, in order (repeatable); kinds: new, in-progress, successful, rejected
        #[arg(long = "status", value_name = "NAME=KIND", value_parser = status)]
        statuses: Vec<NewStatus>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List pipelines with their statuses
    List(Page),
    /// Show one pipeline
    Show {
        /// Name or id
        pipeline: String,
    },
    /// Change a pipeline; statuses are given by name, kind or id
    Update {
        /// Name or id
        pipeline: String,
        /// New name
        #[arg(long)]
        name: Option<String>,
        /// A new name for a status, as Old=New (repeatable)
        #[arg(long, value_name = "STATUS=NAME", value_parser = pair)]
        rename: Vec<(String, String)>,
        /// A status to add at the end, as `Name=kind` (repeatable); kinds: in-progress, successful, rejected
        #[arg(long, value_name = "NAME=KIND", value_parser = status)]
        add: Vec<NewStatus>,
        /// A status to take away (repeatable)
        #[arg(long, value_name = "STATUS")]
        remove: Vec<String>,
        /// Where the cards of a status go that is taken away, as Old=Other (repeatable); Other may be the id of another
        /// pipeline's status
        #[arg(long, value_name = "STATUS=STATUS", value_parser = pair)]
        to: Vec<(String, String)>,
        /// The statuses that come first, in order
        #[arg(long, value_name = "STATUS,...", value_delimiter = ',')]
        order: Vec<String>,
    },
    /// Delete a pipeline
    Delete {
        /// Name or id
        pipeline: String,
        /// Where the cards of a status go, as Old=ID of another pipeline's status (repeatable)
        #[arg(long, value_name = "STATUS=ID", value_parser = pair)]
        to: Vec<(String, String)>,
    },
    /// Move all cards of a status to another
    MoveCards {
        /// Name or id
        pipeline: String,
        /// The status that they leave
        from: String,
        /// The status that they get; an id may be of another pipeline
        to: String,
    },
}

fn status(text: &str) -> Result<NewStatus, String> {
    let wrong =
        || String::from("write Name=kind with kind new, in-progress, successful or rejected");
    let (name, kind) = text.rsplit_once('=').ok_or_else(wrong)?;
    let kind = format!("STATUS_KIND_{}", kind.to_uppercase().replace('-', "_"));
    let kind = StatusKind::from_str_name(&kind)
        .filter(|kind| *kind != StatusKind::Unspecified)
        .ok_or_else(wrong)?;
    Ok(NewStatus {
        name: name.into(),
        kind: kind.into(),
    })
}

impl Show for Pipeline {
    const NAME: &'static str = "switchboard.crm_cards.v1.Pipeline";
    const HEADERS: &'static [&'static str] = &["ID", "NAME", "STATUSES"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let statuses: Vec<_> = self
            .statuses
            .iter()
            .map(|status| status.name.as_str())
            .collect();
        vec![
            cell(&self.pipeline_id),
            cell(&self.name),
            cell(statuses.join(" → ")),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let line = |status: &switchboard_proto::crm_cards::v1::Status| {
            format!(
                "  {}  {} ({})",
                status.status_id,
                status.name,
                words::word(status.kind().as_str_name(), "STATUS_KIND_")
            )
        };
        self.statuses.iter().map(line).collect()
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: PipelineVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.crm_cards(&session.role().await?).await?;
    match verb {
        PipelineVerb::Create {
            name,
            statuses,
            request_id,
        } => {
            let request = CreatePipelineRequest {
                request_id: request_id.get(),
                name,
                statuses,
            };
            view.one(client.create_pipeline(request).await?.into_inner().pipeline)
        }
        PipelineVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListPipelinesRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_pipelines(request).await?.into_inner();
                Ok((page.pipelines, page.next_page_token))
            };
            let (pipelines, next) = page.read(ask).await?;
            view.list(&pipelines, &next)
        }
        PipelineVerb::Show { pipeline } => view.one(Some(named(session, &pipeline).await?)),
        PipelineVerb::Update {
            pipeline,
            name,
            rename,
            add,
            remove,
            to,
            order,
        } => {
            let pipeline = named(session, &pipeline).await?;
            let change = Change {
                name,
                rename,
                add,
                remove,
                to,
                order,
            };
            let request = change::request(&pipeline, &change)?;
            let mut client = session.pipelines(&session.role().await?).await?;
            let answer = client.update_pipeline(request).await?.into_inner();
            if answer.cards_moved > 0 {
                note!("cards moved: {}", answer.cards_moved);
            }
            view.one(answer.pipeline)
        }
        PipelineVerb::Delete { pipeline, to } => {
            let pipeline = named(session, &pipeline).await?;
            let request = DeletePipelineRequest {
                pipeline_id: pipeline.pipeline_id.clone(),
                cards_to: change::routes(&pipeline, &to)?,
                expected_revision: Some(pipeline.revision),
            };
            let mut client = session.pipelines(&session.role().await?).await?;
            let answer = client.delete_pipeline(request).await?.into_inner();
            if answer.cards_moved > 0 {
                note!("cards moved: {}", answer.cards_moved);
            }
            view.one(Some(pipeline))
        }
        PipelineVerb::MoveCards { pipeline, from, to } => {
            move_cards(session, &view, &pipeline, (from, to)).await
        }
    }
}

/// Finds a pipeline by id or name.
pub(crate) async fn named(session: &Session, named: &str) -> Result<Pipeline, CliError> {
    let role = session.role().await?;
    if let Ok(id) = named.parse::<Uuid>() {
        let request = GetPipelineRequest {
            pipeline_id: id.to_string(),
        };
        let answer = session
            .pipelines(&role)
            .await?
            .get_pipeline(request)
            .await?;
        return Ok(answer.into_inner().pipeline.unwrap_or_default());
    }
    let mut client = session.crm_cards(&role).await?;
    let (mut fitting, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPipelinesRequest {
            page_size: 200,
            page_token,
        };
        let page = client.list_pipelines(request).await?.into_inner();
        let same = |pipeline: &Pipeline| pipeline.name.to_lowercase() == named.to_lowercase();
        fitting.extend(page.pipelines.into_iter().filter(same));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let hint = "use the id: `switchboardctl pipeline list`";
    match (fitting.pop(), fitting.is_empty()) {
        (Some(pipeline), true) => Ok(pipeline),
        (Some(_), false) => Err(CliError::usage(
            &format!("several pipelines are named {named}"),
            hint,
        )),
        (None, _) => Err(CliError::usage(
            &format!("no pipeline is named {named}"),
            hint,
        )),
    }
}

/// Moves cards until none is left.
async fn move_cards(
    session: &Session,
    view: &View,
    pipeline: &str,
    route: (String, String),
) -> Result<(), CliError> {
    let pipeline = named(session, pipeline).await?;
    let routes = change::routes(&pipeline, &[route])?;
    let mut client = session.pipelines(&session.role().await?).await?;
    let mut moved = 0;
    for route in routes {
        loop {
            let request = MoveCardsRequest {
                from_status_id: route.from_status_id.clone(),
                to_status_id: route.to_status_id.clone(),
                limit: MOVED_AT_ONCE,
            };
            let answer = client.move_cards(request).await?.into_inner();
            moved += answer.cards_moved;
            if answer.cards_left == 0 || answer.cards_moved == 0 {
                break;
            }
            note!("{moved} moved, {} left", answer.cards_left);
        }
    }
    if view.is_table() {
        say!("cards moved: {moved}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_name_with_its_kind() {
        for (text, expected) in [
            ("New=new", Some(("New", StatusKind::New))),
            (
                "In = work=in-progress",
                Some(("In = work", StatusKind::InProgress)),
            ),
            ("New", None),
            ("New=fresh", None),
            ("New=unspecified", None),
        ] {
            let found = status(text).ok();
            assert_eq!(
                found
                    .as_ref()
                    .map(|status| (status.name.as_str(), status.kind())),
                expected,
                "{text}"
            );
        }
    }
}

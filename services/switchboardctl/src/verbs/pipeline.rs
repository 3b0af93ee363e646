//! Pipelines.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    CreatePipelineRequest, ListPipelinesRequest, NewStatus, Pipeline, StatusKind,
};

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

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
    }
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

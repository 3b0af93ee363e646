//! Sources of cards.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    CreateSourceRequest, DeleteSourceRequest, ListSourcesRequest, Source, UpdateSourceRequest,
};
use uuid::Uuid;

use super::{Page, RequestId};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, say};

/// Verbs on sources.
#[derive(Subcommand)]
pub(crate) enum SourceVerb {
    /// Create a source
    Create {
        /// Name, unique in the account
        name: String,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List sources
    List(Page),
    /// Rename a source
    Update {
        /// Id
        source: Uuid,
        /// New name, unique in the account
        name: String,
    },
    /// Delete a source; cards that carry it keep it
    Delete {
        /// Id
        source: Uuid,
    },
}

impl Show for Source {
    const NAME: &'static str = "switchboard.crm_cards.v1.Source";
    const HEADERS: &'static [&'static str] = &["ID", "NAME"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![cell(&self.source_id), cell(&self.name)]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: SourceVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.crm_cards(&session.role().await?).await?;
    match verb {
        SourceVerb::Create { name, request_id } => {
            let request = CreateSourceRequest {
                request_id: request_id.get(),
                name,
            };
            view.one(client.create_source(request).await?.into_inner().source)
        }
        SourceVerb::List(page) => {
            let ask = async |page_size, page_token| {
                let request = ListSourcesRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_sources(request).await?.into_inner();
                Ok((page.sources, page.next_page_token))
            };
            let (sources, next) = page.read(ask).await?;
            view.list(&sources, &next)
        }
        SourceVerb::Update { source, name } => {
            let mut client = session.pipelines(&session.role().await?).await?;
            let request = UpdateSourceRequest {
                source_id: source.to_string(),
                name,
                expected_revision: None,
            };
            view.one(client.update_source(request).await?.into_inner().source)
        }
        SourceVerb::Delete { source } => {
            let mut client = session.pipelines(&session.role().await?).await?;
            let source_id = source.to_string();
            client
                .delete_source(DeleteSourceRequest { source_id })
                .await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
    }
}

//! Pipeline connections: a channel's rule for creating cards.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{
    GetPipelineConnectionRequest, PipelineConnection, SetPipelineConnectionRequest,
    pipeline_connection::{Mode, Scope},
};
use uuid::Uuid;

use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on pipeline connections.
#[derive(Subcommand)]
pub(crate) enum ConnectionVerb {
    /// Set a channel's rule, whole
    Set {
        /// The channel, by name or id
        channel: String,
        /// When a card is created
        #[arg(long, value_parser = choice!(Mode, "MODE_", ["none", "one-time", "repeat", "contact-without-cards"]))]
        mode: Mode,
        /// The pipeline; found by itself where the account has exactly one
        #[arg(long, value_name = "UUID")]
        pipeline: Option<Uuid>,
        /// Source that created cards carry
        #[arg(long, value_name = "UUID")]
        source: Option<Uuid>,
        /// Which cards mode repeat looks at
        #[arg(long, value_parser = choice!(Scope, "SCOPE_", ["chat", "client"]))]
        scope: Option<Scope>,
        /// Also for chats that existed before the mode was set
        #[arg(long)]
        include_existing_chats: Option<bool>,
    },
    /// Show a channel's rule
    Show {
        /// The channel, by name or id
        channel: String,
    },
}

impl Show for PipelineConnection {
    const NAME: &'static str = "switchboard.crm_cards.v1.PipelineConnection";
    const HEADERS: &'static [&'static str] = &[
        "CHANNEL",
        "MODE",
        "PIPELINE",
        "SOURCE",
        "SCOPE",
        "EXISTING CHATS",
        "SINCE",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.channel_id),
            cell(words::word(self.mode().as_str_name(), "MODE_")).by_word(),
            cell(&self.pipeline_id),
            cell(&self.source_id),
            cell(words::word(self.scope().as_str_name(), "SCOPE_")),
            cell(self.include_existing_chats.map_or("default", words::yes)),
            cell(words::ago(self.activate_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(
    verb: ConnectionVerb,
    session: &Session,
    view: View,
) -> Result<(), CliError> {
    let mut client = session.crm_cards(&session.role().await?).await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    match verb {
        ConnectionVerb::Set {
            channel,
            mode,
            pipeline,
            source,
            scope,
            include_existing_chats,
        } => {
            let connection = PipelineConnection {
                channel_id: session.known_channel_id(&channel).await?.to_string(),
                mode: mode.into(),
                pipeline_id: text(pipeline),
                source_id: text(source),
                scope: scope.unwrap_or_default().into(),
                include_existing_chats,
                activate_time: None,
            };
            let request = SetPipelineConnectionRequest {
                connection: Some(connection),
            };
            view.one(
                client
                    .set_pipeline_connection(request)
                    .await?
                    .into_inner()
                    .connection,
            )
        }
        ConnectionVerb::Show { channel } => {
            let request = GetPipelineConnectionRequest {
                channel_id: session.channel_id(&channel).await?.to_string(),
            };
            view.one(
                client
                    .get_pipeline_connection(request)
                    .await?
                    .into_inner()
                    .connection,
            )
        }
    }
}

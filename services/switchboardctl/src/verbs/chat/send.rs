//! Answering the client.

use std::path::PathBuf;

use clap::Args;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::SendMessageRequest;
use uuid::Uuid;

use super::upload::{self, Chosen};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, note};
use crate::verbs::RequestId;

/// Files of one message at most, as the contract has it.
const FILES_MAX: usize = 20;

/// What is sent.
#[derive(Args)]
pub(crate) struct SendArgs {
    /// Id of the chat
    chat: Uuid,
    /// The text; beside files it is their caption, where the channel takes one
    #[arg(required_unless_present_any = ["files", "attachments"])]
    text: Option<String>,
    /// A file to upload and send (repeatable). Each time it is a new file: with --request-id use --attachment
    #[arg(long = "file", value_name = "PATH", conflicts_with = "request_id")]
    files: Vec<PathBuf>,
    /// Id of a file that was uploaded before (repeatable); they go ahead of those of --file
    #[arg(long = "attachment", value_name = "UUID")]
    attachments: Vec<Uuid>,
    /// Id of the message that is answered
    #[arg(long, value_name = "UUID")]
    reply_to: Option<Uuid>,
    #[command(flatten)]
    request_id: RequestId,
}

/// Runs the verb.
pub(super) async fn run(args: SendArgs, session: &Session, view: &View) -> Result<(), CliError> {
    if args.files.len() + args.attachments.len() > FILES_MAX {
        return Err(CliError::usage(
            "a message holds 20 files at most",
            "send the others in another one",
        ));
    }
    // All are looked at before the first goes out: what cannot be read shall not leave half of the others behind.
    let chosen = args.files.iter().map(|path| Chosen::look(path));
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    let role = session.agent_role().await?;
    let mut client = session.conversation(&role).await?;
    let mut uploaded = Vec::new();
    let all = upload::all(session, &role, &chosen, &mut uploaded).await;
    if all.is_err() {
        keep(&uploaded);
    }
    all?;
    let ids = args.attachments.iter().map(Uuid::to_string);
    let attachment_ids: Vec<String> = ids.chain(uploaded.iter().cloned()).collect();
    let request = SendMessageRequest {
        request_id: args.request_id.get(),
        chat_id: args.chat.to_string(),
        text: args.text.map(|text| Text {
            text,
            entities: Vec::new(),
        }),
        reply_to_message_id: args.reply_to.map(|id| id.to_string()).unwrap_or_default(),
        attachment_ids,
    };
    let sent = client.send_message(request).await;
    if sent.is_err() {
        keep(&uploaded);
    }
    view.one(sent?.into_inner().message)
}

/// Says under which ids files are there that were uploaded for a message that was not sent.
fn keep(uploaded: &[String]) {
    if !uploaded.is_empty() {
        note!(
            "the files are uploaded and kept for a day: send them with --attachment {}",
            uploaded.join(" --attachment ")
        );
    }
}

//! Writing to the client: an answer, or the first word.

use std::path::PathBuf;

use clap::Args;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{SendMessageRequest, StartChatRequest};
use uuid::Uuid;

use super::upload::{self, Chosen};
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{View, note};
use crate::token::Role;
use crate::verbs::RequestId;

/// Files of one message at most, as the contract has it.
const FILES_MAX: usize = 20;

/// What is written.
#[derive(Args)]
pub(crate) struct Said {
    /// The text; beside files it is their caption, where the channel takes one
    text: Option<String>,
    /// A file to upload and send (repeatable). Each time it is a new file: with --request-id use --attachment
    #[arg(long = "file", value_name = "PATH", conflicts_with = "request_id")]
    files: Vec<PathBuf>,
    /// Id of a file that was uploaded before (repeatable); they go ahead of those of --file
    #[arg(long = "attachment", value_name = "UUID")]
    attachments: Vec<Uuid>,
}

/// What is sent.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("said").args(["text", "files", "attachments"]).multiple(true).required(true))]
pub(crate) struct SendArgs {
    /// Id of the chat
    chat: Uuid,
    #[command(flatten)]
    said: Said,
    /// Id of the message that is answered
    #[arg(long, value_name = "UUID")]
    reply_to: Option<Uuid>,
    #[command(flatten)]
    request_id: RequestId,
}

/// Who is written to first.
#[derive(Args)]
pub(crate) struct WriteArgs {
    /// Id of the contact
    contact: Uuid,
    /// Name or id of the channel to write from
    channel: String,
    #[command(flatten)]
    said: Said,
    /// Which of the contact's e-mail addresses; the first unless given
    #[arg(long)]
    address: Option<String>,
    /// Subject of the mail
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    request_id: RequestId,
}

/// A text and uploaded files.
struct Ready {
    text: Option<Text>,
    attachment_ids: Vec<String>,
    uploaded: Vec<String>,
}

impl Said {
    /// Uploads the files.
    async fn ready(self, session: &Session, role: &Role) -> Result<Ready, CliError> {
        if self.files.len() + self.attachments.len() > FILES_MAX {
            return Err(CliError::usage(
                "a message holds 20 files at most",
                "send the others in another one",
            ));
        }
        // All are looked at before the first goes out: what cannot be read shall not leave half of the others behind.
        let chosen = self.files.iter().map(|path| Chosen::look(path));
        let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
        let mut uploaded = Vec::new();
        let all = upload::all(session, role, &chosen, &mut uploaded).await;
        if all.is_err() {
            keep(&uploaded);
        }
        all?;
        let ids = self.attachments.iter().map(Uuid::to_string);
        Ok(Ready {
            text: self.text.map(|text| Text {
                text,
                entities: Vec::new(),
            }),
            attachment_ids: ids.chain(uploaded.iter().cloned()).collect(),
            uploaded,
        })
    }
}

/// Answers.
pub(super) async fn run(args: SendArgs, session: &Session, view: &View) -> Result<(), CliError> {
    let role = session.agent_role().await?;
    let mut client = session.conversation(&role).await?;
    let ready = args.said.ready(session, &role).await?;
    let request = SendMessageRequest {
        request_id: args.request_id.get(),
        chat_id: args.chat.to_string(),
        text: ready.text,
        reply_to_message_id: args.reply_to.map(|id| id.to_string()).unwrap_or_default(),
        attachment_ids: ready.attachment_ids,
    };
    let sent = client.send_message(request).await;
    if sent.is_err() {
        keep(&ready.uploaded);
    }
    view.one(sent?.into_inner().message)
}

/// Writes first, and shows the chat.
pub(super) async fn first(args: WriteArgs, session: &Session, view: &View) -> Result<(), CliError> {
    let role = session.agent_role().await?;
    let channel_id = session.channel_id(&args.channel).await?.to_string();
    let mut client = session.chats(&role).await?;
    let ready = args.said.ready(session, &role).await?;
    let request = StartChatRequest {
        request_id: args.request_id.get(),
        contact_id: args.contact.to_string(),
        channel_id,
        address: args.address.unwrap_or_default(),
        subject: args.subject.unwrap_or_default(),
        text: ready.text,
        attachment_ids: ready.attachment_ids,
    };
    let begun = client.start_chat(request).await;
    if begun.is_err() {
        keep(&ready.uploaded);
    }
    view.one(begun?.into_inner().chat)
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

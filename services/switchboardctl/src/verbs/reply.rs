//! Quick replies.

use std::path::PathBuf;

use clap::Subcommand;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::quick_reply::OwnerKind;
use switchboard_proto::conversation::v1::{
    CreateQuickReplyRequest, DeleteQuickReplyRequest, GetQuickReplyRequest,
    ListQuickRepliesRequest, ListQuickReplyFoldersRequest, QuickReply, QuickReplyAttachments,
    QuickReplyFolder, RenderQuickReplyRequest, RenderQuickReplyResponse, UpdateQuickReplyRequest,
};
use uuid::Uuid;

use super::chat::upload::{self, Chosen};
use super::{Page, RequestId};
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, note, say, words};

/// Verbs on quick replies.
#[derive(Subcommand)]
pub(crate) enum ReplyVerb {
    /// Prepare a quick reply: of the acting agent unless it is shared or a group's
    Create {
        /// By what it is known
        title: String,
        /// The text; may have variables, as {{client.name|friend}}
        #[arg(required_unless_present_any = ["files", "attachments"])]
        text: Option<String>,
        /// All agents use it
        #[arg(long)]
        shared: bool,
        /// Agents of this group use it (name or id)
        #[arg(long, value_name = "GROUP", conflicts_with = "shared")]
        group: Option<String>,
        /// What is typed to get it
        #[arg(
            long,
            value_name = "WORD",
            default_value = "",
            hide_default_value = true
        )]
        shortcut: String,
        /// The folder that it is found in
        #[arg(
            long,
            value_name = "NAME",
            default_value = "",
            hide_default_value = true
        )]
        folder: String,
        /// A file to upload and keep with it (repeatable). Each time it is a new file: with --request-id use --attachment
        #[arg(long = "file", value_name = "PATH", conflicts_with = "request_id")]
        files: Vec<PathBuf>,
        /// Id of a file that was uploaded before (repeatable); they go ahead of those of --file
        #[arg(long = "attachment", value_name = "UUID")]
        attachments: Vec<Uuid>,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// List quick replies, by title
    List {
        /// Beginnings of words of shortcut, title and text
        #[arg(default_value = "", hide_default_value = true)]
        search: String,
        /// Only those of this folder
        #[arg(
            long,
            value_name = "NAME",
            default_value = "",
            hide_default_value = true
        )]
        folder: String,
        /// Only those of this kind of owner
        #[arg(long, value_parser = choice!(OwnerKind, "OWNER_KIND_", ["account", "group", "agent"]))]
        owner: Option<OwnerKind>,
        /// Those that may be changed, in place of those that are used in chats
        #[arg(long)]
        changeable: bool,
        #[command(flatten)]
        page: Page,
    },
    /// List the folders of quick replies, by name
    Folders(Page),
    /// Show one quick reply
    Show {
        /// Id
        reply: Uuid,
    },
    /// Change a quick reply
    Update {
        /// Id
        reply: Uuid,
        /// By what it is known
        #[arg(long)]
        title: Option<String>,
        /// The text from now on; '' for none
        #[arg(long)]
        text: Option<String>,
        /// What is typed to get it; '' for nothing
        #[arg(long, value_name = "WORD")]
        shortcut: Option<String>,
        /// The folder that it is found in; '' for none
        #[arg(long, value_name = "NAME")]
        folder: Option<String>,
        /// Its files from now on, all of them, by id (repeatable)
        #[arg(long = "attachment", value_name = "UUID")]
        attachments: Vec<Uuid>,
        /// It has no files from now on
        #[arg(long, conflicts_with = "attachments")]
        no_files: bool,
        /// Refuse unless it is at this revision
        #[arg(long, value_name = "REVISION")]
        expect: Option<i64>,
    },
    /// Delete a quick reply
    Delete {
        /// Id
        reply: Uuid,
    },
    /// Show what a quick reply is in a chat, to be corrected and sent; nothing is sent
    Render {
        /// Id
        reply: Uuid,
        /// Id of the chat
        chat: Uuid,
    },
}

impl Show for QuickReply {
    const NAME: &'static str = "switchboard.conversation.v1.QuickReply";
    const HEADERS: &'static [&'static str] = &[
        "ID", "SHORTCUT", "TITLE", "OWNER", "FOLDER", "TEXT", "FILES",
    ];
    const OPTIONAL: &'static [&'static str] = &["FOLDER", "OWNER"];
    const SPARSE: &'static [&'static str] = &["SHORTCUT", "FOLDER"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let text = self.text.as_ref().map_or("", |text| &text.text);
        vec![
            cell(&self.quick_reply_id),
            cell(&self.shortcut),
            cell(&self.title),
            cell(words::word(self.owner_kind().as_str_name(), "OWNER_KIND_")),
            cell(&self.folder),
            cell(words::short(text, 60)),
            cell(self.attachment_ids.len()),
        ]
    }
    fn more(&self, _: &View) -> Vec<String> {
        let text = self.text.iter().flat_map(|text| text.text.lines());
        let text = text.map(|line| format!("  {line}"));
        let files = self.attachment_ids.iter();
        text.chain(files.map(|id| format!("  file {id}"))).collect()
    }
}

impl Show for QuickReplyFolder {
    const NAME: &'static str = "switchboard.conversation.v1.QuickReplyFolder";
    const HEADERS: &'static [&'static str] = &["FOLDER", "REPLIES"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        vec![cell(&self.name), cell(self.quick_replies)]
    }
}

impl Show for RenderQuickReplyResponse {
    const NAME: &'static str = "switchboard.conversation.v1.RenderQuickReplyResponse";
    const HEADERS: &'static [&'static str] = &["TEXT", "FILES", "MISSING"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let text = self.text.as_ref().map_or("", |text| &text.text);
        vec![
            cell(text),
            cell(self.attachment_ids.join(" ")),
            cell(self.missing_variables.join(" ")),
        ]
    }
}

fn plain(text: String) -> Text {
    Text {
        text,
        entities: Vec::new(),
    }
}

fn ids(ids: &[Uuid]) -> Vec<String> {
    ids.iter().map(Uuid::to_string).collect()
}

/// Runs a verb.
pub(crate) async fn run(verb: ReplyVerb, session: &Session, view: View) -> Result<(), CliError> {
    match verb {
        verb @ ReplyVerb::Create { .. } => create(verb, session, &view).await,
        verb @ (ReplyVerb::Update { .. } | ReplyVerb::Delete { .. }) => {
            change(verb, session, &view).await
        }
        verb => read(verb, session, &view).await,
    }
}

async fn create(verb: ReplyVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let ReplyVerb::Create {
        title,
        text,
        shared,
        group,
        shortcut,
        folder,
        files,
        attachments,
        request_id,
    } = verb
    else {
        return Ok(());
    };
    // All are looked at before the first goes out.
    let chosen = files.iter().map(|path| Chosen::look(path));
    let chosen = chosen.collect::<Result<Vec<_>, _>>()?;
    let (role, owner_kind, owner_id) = match (shared, group) {
        (true, _) => (session.role().await?, OwnerKind::Account, String::new()),
        (false, Some(group)) => {
            let group = session.group_id(&group).await?.to_string();
            (session.role().await?, OwnerKind::Group, group)
        }
        (false, None) => (session.agent_role().await?, OwnerKind::Agent, String::new()),
    };
    let mut attachment_ids = ids(&attachments);
    upload::all(session, &role, &chosen, &mut attachment_ids).await?;
    let request = CreateQuickReplyRequest {
        request_id: request_id.get(),
        owner_kind: owner_kind.into(),
        owner_id,
        folder,
        shortcut,
        title,
        text: text.map(plain),
        attachment_ids,
    };
    let mut client = session.quick_replies(&role).await?;
    let made = client.create_quick_reply(request).await?.into_inner();
    view.one(made.quick_reply)
}

async fn change(verb: ReplyVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.quick_replies(&session.role().await?).await?;
    match verb {
        ReplyVerb::Update {
            reply,
            title,
            text,
            shortcut,
            folder,
            attachments,
            no_files,
            expect,
        } => {
            let files = (no_files || !attachments.is_empty()).then(|| QuickReplyAttachments {
                attachment_ids: ids(&attachments),
            });
            let request = UpdateQuickReplyRequest {
                quick_reply_id: reply.to_string(),
                folder,
                shortcut,
                title,
                text: text.map(plain),
                attachments: files,
                expected_revision: expect,
            };
            let changed = client.update_quick_reply(request).await?.into_inner();
            view.one(changed.quick_reply)
        }
        ReplyVerb::Delete { reply } => {
            let quick_reply_id = reply.to_string();
            let request = DeleteQuickReplyRequest { quick_reply_id };
            client.delete_quick_reply(request).await?;
            if view.is_table() {
                say!("deleted");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn read(verb: ReplyVerb, session: &Session, view: &View) -> Result<(), CliError> {
    let mut client = session.quick_replies(&session.role().await?).await?;
    match verb {
        ReplyVerb::List {
            search,
            folder,
            owner,
            changeable,
            page,
        } => {
            let ask = async |page_size, page_token| {
                let request = ListQuickRepliesRequest {
                    page_size,
                    page_token,
                    search: search.clone(),
                    folder: folder.clone(),
                    owner_kind: owner.unwrap_or_default().into(),
                    changeable,
                };
                let page = client.list_quick_replies(request).await?.into_inner();
                Ok((page.quick_replies, page.next_page_token))
            };
            let (replies, next) = page.read(ask).await?;
            view.list(&replies, &next)
        }
        ReplyVerb::Folders(page) => {
            let ask = async |page_size, page_token| {
                let request = ListQuickReplyFoldersRequest {
                    page_size,
                    page_token,
                };
                let page = client.list_quick_reply_folders(request).await?.into_inner();
                Ok((page.folders, page.next_page_token))
            };
            let (folders, next) = page.read(ask).await?;
            view.list(&folders, &next)
        }
        ReplyVerb::Show { reply } => {
            let quick_reply_id = reply.to_string();
            let request = GetQuickReplyRequest { quick_reply_id };
            let found = client.get_quick_reply(request).await?.into_inner();
            view.one(found.quick_reply)
        }
        ReplyVerb::Render { reply, chat } => {
            let request = RenderQuickReplyRequest {
                chat_id: chat.to_string(),
                quick_reply_id: reply.to_string(),
            };
            let rendered = client.render_quick_reply(request).await?.into_inner();
            if !view.is_table() {
                return view.one(Some(rendered));
            }
            // The text alone, as it would be sent: chat send CHAT "$(switchboardctl reply render ID CHAT)".
            say!("{}", rendered.text.unwrap_or_default().text);
            if !rendered.attachment_ids.is_empty() {
                let files = rendered.attachment_ids.join(" --attachment ");
                note!("with files: --attachment {files}");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

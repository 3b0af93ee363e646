//! What a chat is linked to in CRM.

use clap::Args;
use switchboard_proto::crm_cards::v1::{
    GetChatConnectionsRequest, GetChatConnectionsResponse, OpenChatConnectionsRequest,
};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, note, say};

/// Of which chat.
#[derive(Args)]
pub(crate) struct ConnectionsArgs {
    /// Id of the chat
    chat: Uuid,
    /// As opening the window does: a manager of own leads who has none here gets one
    #[arg(long)]
    open: bool,
}

impl Show for GetChatConnectionsResponse {
    const NAME: &'static str = "switchboard.crm_cards.v1.GetChatConnectionsResponse";
    const HEADERS: &'static [&'static str] = &["CONTACT", "CARDS", "ORDERS"];
    fn cells(&self, _: &View) -> Vec<Cell> {
        let contact = self.contact.clone().unwrap_or_default();
        vec![
            cell(contact.contact_id),
            cell(self.cards.len().to_string()),
            cell(self.orders.len().to_string()),
        ]
    }
}

/// Runs the verb.
pub(super) async fn run(
    args: ConnectionsArgs,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let chat_id = args.chat.to_string();
    let mut client = session.crm_cards(&session.role().await?).await?;
    let found = if args.open {
        let request = OpenChatConnectionsRequest { chat_id };
        let opened = client.open_chat_connections(request).await?.into_inner();
        if !opened.created_card_id.is_empty() && view.is_table() {
            note!("a lead of your own was made: {}", opened.created_card_id);
        }
        opened.connections.unwrap_or_default()
    } else {
        let request = GetChatConnectionsRequest { chat_id };
        client.get_chat_connections(request).await?.into_inner()
    };
    if !view.is_table() {
        return view.one(Some(found));
    }
    match found.contact {
        Some(contact) => view.one(Some(contact))?,
        None => note!("no contact that may be seen here"),
    }
    if !found.cards.is_empty() {
        say!();
        view.list(&found.cards, "")?;
    }
    if !found.orders.is_empty() {
        say!();
        view.list(&found.orders, "")?;
    }
    if let Some(totals) = found.buyer_totals.filter(|totals| totals.order_count > 0) {
        say!();
        view.one(Some(totals))?;
    }
    Ok(())
}

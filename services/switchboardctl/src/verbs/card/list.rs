//! Which cards are listed.

use clap::Args;
use switchboard_proto::crm_cards::v1::list_cards_request::{Order, Owner, TalkState};
use switchboard_proto::crm_cards::v1::{Card, ListCardsRequest, StatusKind};
use uuid::Uuid;

use super::super::Page;
use super::super::audit::Moment;
use super::super::pipeline::named;
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::View;

/// Which cards.
#[derive(Args)]
pub(crate) struct List {
    /// Only cards made from this chat
    #[arg(long, value_name = "UUID")]
    chat: Option<Uuid>,
    /// Only cards of this pipeline, by name or id
    #[arg(long, value_name = "PIPELINE")]
    pipeline: Option<String>,
    /// Only cards in a status of this kind (repeatable)
    #[arg(long = "status", value_name = "KIND",
          value_parser = choice!(StatusKind, "STATUS_KIND_", ["new", "in-progress", "successful", "rejected"]))]
    statuses: Vec<StatusKind>,
    /// Only cards in the status of this id (repeatable)
    #[arg(long = "status-id", value_name = "UUID")]
    status_ids: Vec<Uuid>,
    /// Only cards of this agent, by name or id; of nobody: `none`
    #[arg(long, value_name = "AGENT")]
    owner: Option<String>,
    /// Only the own cards of the agent who asks
    #[arg(long, conflicts_with = "owner")]
    mine: bool,
    /// Only cards of this source
    #[arg(long, value_name = "UUID")]
    source: Option<Uuid>,
    /// Only cards made from chats of this kind of messenger, as telegram
    #[arg(
        long,
        value_name = "KIND",
        default_value = "",
        hide_default_value = true
    )]
    messenger: String,
    /// Only cards in whose chats something is unread, or with chats in which nothing is
    #[arg(long, value_name = "STATE", value_parser = choice!(TalkState, "TALK_STATE_", ["read", "unread"]))]
    talks: Option<TalkState>,
    /// Only cards of this contact
    #[arg(long, value_name = "UUID")]
    contact: Option<Uuid>,
    /// Only cards with these words, or their beginnings, in the title or the contact's name
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    /// Only cards created from then on, as 2h, 30d or 2026-03-02T18:00:00+02:00
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only cards created before then
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Only cards changed from then on
    #[arg(long, value_name = "TIME")]
    changed_since: Option<Moment>,
    /// Only cards not changed since then
    #[arg(long, value_name = "TIME")]
    changed_until: Option<Moment>,
    /// In which order: the newest first, or the last changed
    #[arg(long, value_name = "ORDER", default_value = "create",
          value_parser = ["create", "update"])]
    by: String,
    #[command(flatten)]
    page: Page,
}

/// Lists cards.
pub(super) async fn run(typed: List, session: &Session, view: &View) -> Result<(), CliError> {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let pipeline_id = match &typed.pipeline {
        None => String::new(),
        Some(pipeline) => named(session, pipeline).await?.pipeline_id,
    };
    let (owner, responsible_agent_id) = match typed.owner.as_deref() {
        _ if typed.mine => (Owner::Mine, String::new()),
        None => (Owner::Unspecified, String::new()),
        Some("none") => (Owner::None, String::new()),
        Some(agent) => (
            Owner::Unspecified,
            session.agent_id(agent).await?.to_string(),
        ),
    };
    let order = match typed.by.as_str() {
        "update" => Order::UpdateTime,
        _ => Order::CreateTime,
    };
    let moment = |moment: Option<Moment>| moment.and_then(|moment| moment.stamp(view.now));
    let wanted = ListCardsRequest {
        chat_id: text(typed.chat),
        pipeline_id,
        status_kinds: typed.statuses.into_iter().map(Into::into).collect(),
        status_ids: typed.status_ids.iter().map(ToString::to_string).collect(),
        responsible_agent_id,
        owner: owner.into(),
        source_id: text(typed.source),
        messenger: typed.messenger,
        talks: typed.talks.unwrap_or_default().into(),
        contact_id: text(typed.contact),
        text: typed.text,
        create_time_from: moment(typed.since),
        create_time_to: moment(typed.until),
        update_time_from: moment(typed.changed_since),
        update_time_to: moment(typed.changed_until),
        order: order.into(),
        ..ListCardsRequest::default()
    };
    let mut client = session.crm_cards(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListCardsRequest {
            page_size,
            page_token,
            ..wanted.clone()
        };
        let page = client.list_cards(request).await?.into_inner();
        Ok((page.cards, page.next_page_token))
    };
    let (cards, next): (Vec<Card>, String) = typed.page.read(ask).await?;
    view.list(&cards, &next)
}

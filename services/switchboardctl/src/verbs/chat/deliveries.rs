//! What became of sent messages at the provider.

use clap::Args;
use switchboard_proto::channel_gateway::v1::{Delivery, ListDeliveriesRequest};
use uuid::Uuid;

use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};
use crate::verbs::Page;

/// Characters of a provider's key that a table shows.
const KEY: usize = 40;

/// Which deliveries.
#[derive(Args)]
pub(crate) struct DeliveriesArgs {
    /// Id of the chat
    chat: Uuid,
    /// Only those of this message; looked for among the chat's newest 10000
    #[arg(long, value_name = "UUID", conflicts_with_all = ["limit", "all"])]
    message: Option<Uuid>,
    #[command(flatten)]
    page: Page,
}

/// Runs the verb.
pub(super) async fn run(
    args: DeliveriesArgs,
    session: &Session,
    view: &View,
) -> Result<(), CliError> {
    let DeliveriesArgs {
        chat,
        message,
        page,
    } = args;
    let mut client = session.channel_gateway(&session.role().await?).await?;
    let ask = async |page_size, page_token| {
        let request = ListDeliveriesRequest {
            chat_id: chat.to_string(),
            page_size,
            page_token,
        };
        let page = client.list_deliveries(request).await?.into_inner();
        Ok((page.deliveries, page.next_page_token))
    };
    let Some(message) = message.map(|id| id.to_string()) else {
        let (deliveries, next) = page.read(ask).await?;
        return view.list(&deliveries, &next);
    };
    // A message has few rows, of several attempts some of them far back: all that is looked through is one question.
    let (mut deliveries, next) = page.whole().read(ask).await?;
    deliveries.retain(|delivery| delivery.message_id == message);
    view.list(&deliveries, &next)
}

impl Show for Delivery {
    const NAME: &'static str = "switchboard.channel_gateway.v1.Delivery";
    const OPTIONAL: &'static [&'static str] = &["PROVIDER KEY", "NO", "WHEN", "ATTEMPT"];
    const SPARSE: &'static [&'static str] = &["REASON"];
    const HEADERS: &'static [&'static str] = &[
        "MESSAGE",
        "NO",
        "ATTEMPT",
        "PART",
        "STATE",
        "REASON",
        "PROVIDER KEY",
        "WHEN",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.message_id),
            cell(self.out_seq),
            cell(self.attempt),
            cell(self.part),
            cell(words::word(self.state().as_str_name(), "STATE_")).by_word(),
            cell(&self.reason),
            // Whole in JSON: Meta's are longer than a line.
            cell(words::short(&self.provider_key, KEY)),
            cell(words::ago(self.update_time.as_ref(), view.now)).dim(),
        ]
    }
}

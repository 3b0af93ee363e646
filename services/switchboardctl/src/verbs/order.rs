//! Orders of buyers.

use clap::Subcommand;
use switchboard_proto::crm_cards::v1::{CreateOrderRequest, MoveOrderRequest, Order, StatusKind};
use uuid::Uuid;

use super::RequestId;
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, words};

/// Verbs on orders.
#[derive(Subcommand)]
pub(crate) enum OrderVerb {
    /// Create an order for a buyer
    Create {
        /// Id of the contact, saved as a buyer
        contact: Uuid,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Move an order to another kind of status
    Move {
        /// Id of the order
        order: Uuid,
        /// Kind of the new status
        #[arg(value_parser = choice!(StatusKind, "STATUS_KIND_", ["new", "in-progress", "successful", "rejected"]))]
        status: StatusKind,
    },
}

impl Show for Order {
    const NAME: &'static str = "switchboard.crm_cards.v1.Order";
    const HEADERS: &'static [&'static str] = &["ID", "NO", "CONTACT", "STATUS", "CREATED"];
    fn cells(&self, view: &View) -> Vec<Cell> {
        vec![
            cell(&self.order_id),
            cell(format!("#{}", self.number)),
            cell(&self.contact_id),
            cell(words::word(self.status().as_str_name(), "STATUS_KIND_")).by_word(),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
}

/// Runs a verb.
pub(crate) async fn run(verb: OrderVerb, session: &Session, view: View) -> Result<(), CliError> {
    let mut client = session.crm_cards(&session.role().await?).await?;
    match verb {
        OrderVerb::Create {
            contact,
            request_id,
        } => {
            let request = CreateOrderRequest {
                request_id: request_id.get(),
                contact_id: contact.to_string(),
            };
            view.one(client.create_order(request).await?.into_inner().order)
        }
        OrderVerb::Move { order, status } => {
            let request = MoveOrderRequest {
                order_id: order.to_string(),
                status: status.into(),
                expected_revision: None,
            };
            view.one(client.move_order(request).await?.into_inner().order)
        }
    }
}

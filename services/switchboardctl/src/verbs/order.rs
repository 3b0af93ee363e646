//! Orders of buyers.

use clap::{Args, Subcommand};
use switchboard_proto::crm_cards::v1::field::Entity;
use switchboard_proto::crm_cards::v1::list_history_request::Entity as About;
use switchboard_proto::crm_cards::v1::{
    BuyerTotals, CreateOrderRequest, GetBuyerTotalsRequest, GetOrderRequest, ListOrdersRequest,
    Money, MoveOrderRequest, Order, OrderLine, OrderLines, StatusKind, UpdateOrderRequest,
};
use uuid::Uuid;

use super::card::money;
use super::values::{self, Told, pair, values};
use super::{Page, RequestId};
use crate::cli::choice;
use crate::connect::Session;
use crate::error::CliError;
use crate::output::{Cell, Show, View, cell, table, words};

/// Verbs on orders.
#[derive(Subcommand)]
pub(crate) enum OrderVerb {
    /// List orders, the newest first
    List {
        /// Only of this buyer
        #[arg(long, value_name = "UUID")]
        contact: Option<Uuid>,
        /// Only created from this chat
        #[arg(long, value_name = "UUID")]
        chat: Option<Uuid>,
        /// Only in this kind of status (repeatable)
        #[arg(long = "status", value_name = "KIND", value_parser = choice!(StatusKind, "STATUS_KIND_", ["new", "in-progress", "successful", "rejected"]))]
        kinds: Vec<StatusKind>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one order with its products
    Show {
        /// Id of the order
        order: Uuid,
    },
    /// Create an order for a buyer
    Create {
        /// Id of the contact, saved as a buyer; not needed with --chat
        #[arg(required_unless_present = "chat")]
        contact: Option<Uuid>,
        /// The chat it is created from
        #[arg(long, value_name = "UUID")]
        chat: Option<Uuid>,
        #[command(flatten)]
        content: Content,
        #[command(flatten)]
        request_id: RequestId,
    },
    /// Change an order: its products as a whole, its comment, its fields
    Update {
        /// Id of the order
        order: Uuid,
        #[command(flatten)]
        content: Content,
        /// Without products from now on
        #[arg(long, conflicts_with = "lines")]
        no_lines: bool,
        /// Refuse where the order is at another revision
        #[arg(long, value_name = "NUMBER")]
        revision: Option<i64>,
    },
    /// Move an order to another kind of status
    Move {
        /// Id of the order
        order: Uuid,
        /// Kind of the new status
        #[arg(value_parser = choice!(StatusKind, "STATUS_KIND_", ["new", "in-progress", "successful", "rejected"]))]
        status: StatusKind,
    },
    /// Tell what happened to an order, newest first
    History {
        /// Id of the order
        order: Uuid,
        #[command(flatten)]
        told: Told,
    },
    /// Tell how many orders a buyer has and what they sum up to
    Totals {
        /// Id of the buyer
        contact: Uuid,
    },
}

/// What an order holds.
#[derive(Args)]
pub(crate) struct Content {
    /// A product as PRODUCT=QUANTITY@PRICE, its code perhaps in brackets: "Boots [B-42]=2@1200.50" (repeatable)
    #[arg(long = "line", value_name = "LINE", value_parser = line)]
    lines: Vec<OrderLine>,
    /// Currency of the prices, as UAH
    #[arg(long)]
    currency: Option<String>,
    /// What else is to be known of it
    #[arg(long)]
    comment: Option<String>,
    /// Value of a custom field (repeatable); on a change, without a value it is cleared
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair)]
    fields: Vec<(String, String)>,
}

/// Reads a product; numbers are the service's to judge.
fn line(text: &str) -> Result<OrderLine, String> {
    let wrong = || "must be PRODUCT=QUANTITY@PRICE, as \"Boots [B-42]=2@1200.50\"".to_owned();
    let (product, numbers) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (quantity, price) = numbers.split_once('@').ok_or_else(wrong)?;
    let coded = product.trim().strip_suffix(']');
    let (product, sku) = coded
        .and_then(|coded| coded.rsplit_once('['))
        .unwrap_or((product, ""));
    Ok(OrderLine {
        product: product.trim().to_owned(),
        sku: sku.trim().to_owned(),
        quantity: quantity.trim().to_owned(),
        price: price.trim().to_owned(),
        total: String::new(),
    })
}

impl Show for Order {
    const NAME: &'static str = "switchboard.crm_cards.v1.Order";
    const OPTIONAL: &'static [&'static str] = &["COMMENT", "CREATED", "LINES"];
    const SPARSE: &'static [&'static str] = &["TOTAL", "COMMENT", "LINES"];
    const HEADERS: &'static [&'static str] = &[
        "ID", "NO", "CONTACT", "STATUS", "TOTAL", "LINES", "COMMENT", "CREATED",
    ];
    fn cells(&self, view: &View) -> Vec<Cell> {
        let lines = match self.lines.len() {
            0 => String::new(),
            lines => lines.to_string(),
        };
        vec![
            cell(&self.order_id),
            cell(format!("#{}", self.number)),
            cell(&self.contact_id),
            cell(words::word(self.status().as_str_name(), "STATUS_KIND_")).by_word(),
            cell(self.total.as_ref().map(money).unwrap_or_default()),
            cell(lines),
            cell(words::short(&self.comment, 40)),
            cell(words::ago(self.create_time.as_ref(), view.now)).dim(),
        ]
    }
    fn more(&self, _view: &View) -> Vec<String> {
        let mut told = vec![format!("revision {}", self.revision)];
        let product = |line: &OrderLine| {
            let code = match line.sku.as_str() {
                "" => String::new(),
                sku => format!(" [{sku}]"),
            };
            let text = format!("{}{code}", line.product);
            format!(
                "  {}  {} x {} = {}",
                table::harmless(&text),
                line.quantity,
                line.price,
                line.total
            )
        };
        told.extend(self.lines.iter().map(product));
        told.extend(values::lines(&self.fields));
        told
    }
}

impl Show for BuyerTotals {
    const NAME: &'static str = "switchboard.crm_cards.v1.BuyerTotals";
    const HEADERS: &'static [&'static str] = &["ORDERS", "SUM"];
    fn cells(&self, _view: &View) -> Vec<Cell> {
        vec![cell(self.order_count.to_string()), cell(sums(&self.sums))]
    }
    fn more(&self, _view: &View) -> Vec<String> {
        let part = |part: &switchboard_proto::crm_cards::v1::buyer_totals::Part| {
            let kind = words::word(part.status().as_str_name(), "STATUS_KIND_");
            format!("  {kind}  {}  {}", part.order_count, sums(&part.sums))
        };
        self.parts.iter().map(part).collect()
    }
}

fn sums(sums: &[Money]) -> String {
    sums.iter().map(money).collect::<Vec<_>>().join(", ")
}

/// Runs a verb.
pub(crate) async fn run(
    verb: OrderVerb,
    session: &Session,
    mut view: View,
) -> Result<(), CliError> {
    if matches!(verb, OrderVerb::History { .. }) {
        // Only a history names who did something.
        view.learn_names(session).await;
    }
    let role = session.role().await?;
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    match verb {
        OrderVerb::List {
            contact,
            chat,
            kinds,
            page,
        } => {
            let mut client = session.orders(&role).await?;
            let ask = async |page_size, page_token| {
                let request = ListOrdersRequest {
                    page_size,
                    page_token,
                    contact_id: text(contact),
                    chat_id: text(chat),
                    status_kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
                };
                let page = client.list_orders(request).await?.into_inner();
                Ok((page.orders, page.next_page_token))
            };
            let (orders, next): (Vec<Order>, String) = page.read(ask).await?;
            view.list(&orders, &next)
        }
        OrderVerb::Show { order } => {
            let request = GetOrderRequest {
                order_id: order.to_string(),
            };
            let mut client = session.orders(&role).await?;
            view.one(client.get_order(request).await?.into_inner().order)
        }
        OrderVerb::Create {
            contact,
            chat,
            content,
            request_id,
        } => {
            let request = CreateOrderRequest {
                request_id: request_id.get(),
                contact_id: text(contact),
                chat_id: text(chat),
                currency: content.currency.unwrap_or_default(),
                lines: content.lines,
                comment: content.comment.unwrap_or_default(),
                fields: values(session, Entity::Order, &content.fields).await?,
            };
            let mut client = session.crm_cards(&role).await?;
            view.one(client.create_order(request).await?.into_inner().order)
        }
        OrderVerb::Update {
            order,
            content,
            no_lines,
            revision,
        } => {
            let given = no_lines || !content.lines.is_empty();
            let request = UpdateOrderRequest {
                order_id: order.to_string(),
                expected_revision: revision,
                lines: given.then_some(OrderLines {
                    lines: content.lines,
                }),
                currency: content.currency,
                comment: content.comment,
                fields: values(session, Entity::Order, &content.fields).await?,
            };
            let mut client = session.orders(&role).await?;
            view.one(client.update_order(request).await?.into_inner().order)
        }
        OrderVerb::Move { order, status } => {
            let request = MoveOrderRequest {
                order_id: order.to_string(),
                status: status.into(),
                expected_revision: None,
            };
            let mut client = session.crm_cards(&role).await?;
            view.one(client.move_order(request).await?.into_inner().order)
        }
        OrderVerb::History { order, told } => {
            let about = About::OrderId(order.to_string());
            told.tell(session, &view, about).await
        }
        OrderVerb::Totals { contact } => {
            let request = GetBuyerTotalsRequest {
                contact_id: contact.to_string(),
            };
            let mut client = session.orders(&role).await?;
            view.one(client.get_buyer_totals(request).await?.into_inner().totals)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_product_with_quantity_and_price() {
        let parts = |text: &str| {
            line(text)
                .ok()
                .map(|line| (line.product, line.sku, line.quantity, line.price))
        };
        let expected = |product: &str, sku: &str| {
            Some((
                product.to_owned(),
                sku.to_owned(),
                "2".to_owned(),
                "1200.50".to_owned(),
            ))
        };
        assert_eq!(parts("Boots=2@1200.50"), expected("Boots", ""));
        assert_eq!(
            parts("Boots [B-42] = 2 @ 1200.50"),
            expected("Boots", "B-42")
        );
        assert_eq!(parts("a=b [x=1]=2@1200.50"), expected("a=b", "x=1"));
        for wrong in ["", "Boots", "Boots=2", "2@3"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}

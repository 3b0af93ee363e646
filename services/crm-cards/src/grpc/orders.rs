//! The gRPC API of orders.

use chassis::auth::Caller;
use chassis::clock;
use switchboard_proto::crm_cards::v1 as pb;
use switchboard_proto::crm_cards::v1::order_service_server::OrderService;
use tonic::{Request, Response, Status};

use super::{Answer, Handlers, PARSE, parse};
use crate::app::orders::{self, Change, Wanted};
use crate::domain::fields::Entity;
use crate::domain::money::Currency;
use crate::domain::order::{LINES_MAX, PRODUCT_MAX, SKU_MAX, Written};
use crate::store::orders::Filter;
use crate::wire;

/// Characters of a comment at most.
const COMMENT_MAX: usize = 2_000;

#[tonic::async_trait]
impl OrderService for Handlers {
    async fn get_order(
        &self,
        request: Request<pb::GetOrderRequest>,
    ) -> Answer<pb::GetOrderResponse> {
        let caller = Caller::of(&request)?;
        let id = PARSE.id("order_id", &request.get_ref().order_id)?;
        let order = orders::get(&self.app, &caller, id).await?;
        Ok(Response::new(pb::GetOrderResponse {
            order: Some(pb::Order {
                participant_agent_ids: self.taking_part(&caller, Entity::Order, order.id).await?,
                ..wire::order(&order)
            }),
        }))
    }

    async fn list_orders(
        &self,
        request: Request<pb::ListOrdersRequest>,
    ) -> Answer<pb::ListOrdersResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = PARSE.page_size(request.page_size)?;
        let below: Option<i64> = PARSE.page_token(&request.page_token)?;
        let filter = Filter {
            kinds: parse::kinds(&request.status_kinds)?,
            contact: PARSE.id_opt("contact_id", &request.contact_id)?,
            chat: PARSE.id_opt("chat_id", &request.chat_id)?,
            responsible: None,
        };
        let page = orders::list(&self.app, &caller, filter, below, size).await?;
        let (orders, next_page_token) = page.written(wire::order, |order| order.number);
        Ok(Response::new(pb::ListOrdersResponse {
            orders,
            next_page_token,
        }))
    }

    async fn update_order(
        &self,
        request: Request<pb::UpdateOrderRequest>,
    ) -> Answer<pb::UpdateOrderResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let id = PARSE.id("order_id", &request.order_id)?;
        let lines = request.lines.as_ref();
        let change = Change {
            expected: request.expected_revision,
            currency: request.currency.as_deref().map(currency).transpose()?,
            lines: lines
                .map(|lines| written("lines.lines", &lines.lines))
                .transpose()?,
            comment: request.comment.as_deref().map(comment).transpose()?,
            fields: parse::fields(request.fields)?,
        };
        let order = orders::update(&self.app, &caller, id, change, clock::now()).await?;
        Ok(Response::new(pb::UpdateOrderResponse {
            order: Some(wire::order(&order)),
        }))
    }

    async fn get_buyer_totals(
        &self,
        request: Request<pb::GetBuyerTotalsRequest>,
    ) -> Answer<pb::GetBuyerTotalsResponse> {
        let caller = Caller::of(&request)?;
        let contact = PARSE.id("contact_id", &request.get_ref().contact_id)?;
        let ordered = orders::totals(&self.app, &caller, contact).await?;
        Ok(Response::new(pb::GetBuyerTotalsResponse {
            totals: Some(wire::totals(&ordered)),
        }))
    }
}

/// Reads an order that is to be made.
pub(super) fn wanted(request: pb::CreateOrderRequest) -> Result<Wanted, Status> {
    let currency = Some(request.currency.as_str()).filter(|code| !code.is_empty());
    Ok(Wanted {
        contact: PARSE.id_opt("contact_id", &request.contact_id)?,
        chat: PARSE.id_opt("chat_id", &request.chat_id)?,
        currency: currency.map(self::currency).transpose()?,
        lines: written("lines", &request.lines)?,
        comment: comment(&request.comment)?,
        fields: parse::fields(request.fields)?,
    })
}

fn currency(code: &str) -> Result<Currency, Status> {
    Currency::read(code)
        .ok_or_else(|| PARSE.refuse("currency", "must be a code of ISO 4217, as UAH"))
}

fn comment(text: &str) -> Result<String, Status> {
    let text = PARSE.text_opt("comment", text, COMMENT_MAX)?;
    Ok(text.unwrap_or_default().to_owned())
}

/// Reads the texts of products; numbers are read when the currency is known.
fn written(field: &str, lines: &[pb::OrderLine]) -> Result<Vec<Written>, Status> {
    if lines.len() > LINES_MAX {
        return Err(PARSE.refuse(field, &format!("must have at most {LINES_MAX} entries")));
    }
    let lines = lines.iter().enumerate().map(|(place, line)| {
        let named = |part: &str| format!("{field}[{place}].{part}");
        let product = PARSE.text(&named("product"), &line.product, PRODUCT_MAX)?;
        let sku = PARSE.text_opt(&named("sku"), &line.sku, SKU_MAX)?;
        Ok(Written {
            product: product.to_owned(),
            sku: sku.unwrap_or_default().to_owned(),
            quantity: line.quantity.clone(),
            price: line.price.clone(),
        })
    });
    lines.collect()
}

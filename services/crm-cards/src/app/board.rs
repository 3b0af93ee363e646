//! Boards: the cards of a pipeline, a column for each status.

use std::collections::HashMap;

use chassis::auth::Caller;

use super::{App, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Card;
use crate::domain::ids::{PipelineId, StatusId};
use crate::domain::money::Money;
use crate::domain::status::{Pipeline, Status};
use crate::error::Error;
use crate::store::card_lists::{self, Responsible};
use crate::store::{cards, counts, pipelines};

/// A column of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The status.
    pub status: Status,
    /// How many cards it has.
    pub count: i64,
    /// What they sum up to, by currency.
    pub sums: Vec<Money>,
    /// Its newest cards.
    pub cards: Vec<Card>,
    /// Whether there are more.
    pub more: bool,
}

/// A board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// A column for each status, in order.
    pub columns: Vec<Column>,
}

/// Returns the board of a pipeline, as far as the caller sees cards. Four statements, however many columns.
pub async fn get(app: &App, caller: &Caller, id: PipelineId, size: usize) -> Result<Board, Error> {
    let own = sight(caller, Kind::Leads)?.narrowed_to();
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    let pipeline = pipelines::get(&mut connection, account, id).await?;
    let pipeline = pipeline.ok_or_else(|| super::pipelines::unknown(id))?;
    let counts = counts::of_pipeline(&mut connection, account, id, own).await?;
    let responsible = own.map_or(Responsible::Any, Responsible::Agent);
    // One more than fits tells whether there are more.
    let limit = i64::try_from(size).unwrap_or(i64::MAX - 1) + 1;
    let ids = card_lists::columns(
        &mut connection,
        account,
        &pipeline.statuses,
        responsible,
        limit,
    )
    .await?;
    let mut by_status: HashMap<StatusId, Vec<Card>> = HashMap::new();
    for card in cards::in_order(&mut connection, account, &ids).await? {
        by_status.entry(card.status.id).or_default().push(card);
    }
    let columns = pipeline.statuses.iter().map(|status| {
        let of_status = || counts.iter().filter(|count| count.status == status.id);
        let mut cards = by_status.remove(&status.id).unwrap_or_default();
        let more = cards.len() > size;
        cards.truncate(size);
        Column {
            status: status.clone(),
            count: of_status().map(|count| count.cards).sum(),
            sums: of_status().filter_map(|count| count.sum).collect(),
            cards,
            more,
        }
    });
    Ok(Board {
        columns: columns.collect(),
        pipeline,
    })
}

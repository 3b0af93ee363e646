//! Reading deliveries.

use chassis::auth::Caller;
use uuid::Uuid;

use super::App;
use super::channels::{may_read_chats, visible};
use crate::error::Error;
use crate::store::deliveries::{self, DeliveryRow};

/// Returns a page of a chat's deliveries, newest first; one row more than asked tells of a next page.
///
/// A chat into which nothing was sent yet is no different here from one that does not exist.
pub async fn list(
    app: &App,
    caller: &Caller,
    chat: Uuid,
    before: Option<(i64, i32)>,
    limit: i64,
) -> Result<Vec<DeliveryRow>, Error> {
    may_read_chats(caller)?;
    let mut connection = app.pool.acquire().await?;
    let Some(channel) = deliveries::channel_of(&mut connection, caller.account(), chat).await?
    else {
        return Ok(Vec::new());
    };
    if visible(caller, channel).is_err() {
        return Ok(Vec::new());
    }
    Ok(deliveries::page(&mut connection, chat, before, limit).await?)
}

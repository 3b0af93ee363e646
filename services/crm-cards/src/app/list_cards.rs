//! Reading cards.

use chassis::auth::Caller;

use super::{App, Page, reached_chat, see_chats, sight};
use crate::domain::access::Kind;
use crate::domain::entity::Card;
use crate::domain::ids::{CardId, ChatId, PipelineId};
use crate::domain::status::StatusKind;
use crate::error::Error;
use crate::store::{Before, cards};

/// Returns a card that the caller may see.
pub async fn get(app: &App, caller: &Caller, id: CardId) -> Result<Card, Error> {
    let sight = sight(caller, Kind::Leads)?;
    let mut connection = app.pool.acquire().await?;
    let card = cards::get(&mut connection, caller.account(), id).await?;
    card.filter(|card| sight.reaches(card.responsible))
        .ok_or_else(|| Error::unknown("card", "CARD_UNKNOWN", id))
}

/// Which cards are asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Only linked to this chat (F029, F030).
    pub chat: Option<ChatId>,
    /// Only of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only of these kinds of status; all where empty.
    pub kinds: Vec<StatusKind>,
}

/// Returns a page of cards that the caller may see, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    wanted: &Wanted,
    before: Option<Before>,
    size: u32,
) -> Result<Page<Card>, Error> {
    let sight = sight(caller, Kind::Leads)?;
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    if let Some(id) = wanted.chat {
        see_chats(caller)?;
        if reached_chat(&mut connection, caller, id).await?.is_none() {
            return Ok(Page::of(Vec::new(), size));
        }
    }
    let filter = cards::Filter {
        kinds: &wanted.kinds,
        pipeline: wanted.pipeline,
        chat: wanted.chat,
        own: sight.narrowed_to(),
    };
    let before = before.unwrap_or(Before::START);
    let rows = cards::list(
        &mut connection,
        account,
        filter,
        before,
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}

//! Why there is a card, or none (B06).

use chassis::auth::Caller;

use super::{App, Page, reached_chat, see_chats, sight};
use crate::domain::access::{self, Kind};
use crate::domain::ids::ChatId;
use crate::error::Error;
use crate::store::decisions::{self, About, Decided, Filter};
use crate::store::{Before, cards};

/// Returns the decision about a conversation, or the one that made a card.
pub async fn explain(app: &App, caller: &Caller, about: About) -> Result<Decided, Error> {
    let sight = sight(caller, Kind::Leads)?;
    see_chats(caller)?;
    let unknown = || match about {
        About::Conversation(id) => Error::unknown("decision", "DECISION_UNKNOWN", id),
        About::Card(id) => Error::unknown("decision", "DECISION_UNKNOWN", id),
    };
    let mut connection = app.pool.acquire().await?;
    let account = caller.account();
    let decided = decisions::get(&mut connection, account, about).await?;
    let decided = decided
        .filter(|decided| access::reaches_channel(caller.access(), decided.channel.uuid()))
        .ok_or_else(unknown)?;
    if let Some(card) = decided.card {
        let card = cards::get(&mut connection, account, card).await?;
        if !card.is_none_or(|card| sight.reaches(card.responsible)) {
            return Err(unknown());
        }
    }
    Ok(decided)
}

/// Returns a page of decisions that the caller may see, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    chat: Option<ChatId>,
    before: Option<Before>,
    size: u32,
) -> Result<Page<Decided>, Error> {
    let sight = sight(caller, Kind::Leads)?;
    see_chats(caller)?;
    let account = caller.account();
    let mut connection = app.pool.acquire().await?;
    if let Some(id) = chat
        && reached_chat(&mut connection, caller, id).await?.is_none()
    {
        return Ok(Page::of(Vec::new(), size));
    }
    let filter = Filter {
        chat,
        channels: access::channels(caller.access()),
        own: sight.narrowed_to(),
    };
    let before = before.unwrap_or(Before::START);
    let rows = decisions::list(
        &mut connection,
        account,
        filter,
        before,
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}

//! Reading cards.

use std::collections::HashMap;

use chassis::auth::Caller;
use chassis::id::AgentId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::change_card::unknown;
use super::{App, Page, reached_chat, see_chats, sight};
use crate::domain::access::{self, Kind, Sight};
use crate::domain::entity::Card;
use crate::domain::ids::CardId;
use crate::domain::search;
use crate::error::Error;
use crate::store::card_lists::{self, Filter, Responsible};
use crate::store::talks::{self, Talks};
use crate::store::{Before, cards, contacts};

/// Returns a card that the caller may see.
pub async fn get(app: &App, caller: &Caller, id: CardId) -> Result<Card, Error> {
    let sight = sight(caller, Kind::Leads)?;
    let mut connection = app.pool.acquire().await?;
    let card = cards::get(&mut connection, caller.account(), id).await?;
    card.filter(|card| sight.reaches(card.responsible))
        .ok_or_else(|| unknown(id))
}

/// Whom the cards that are asked for belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owner {
    /// Anybody, or nobody.
    #[default]
    Any,
    /// Nobody.
    Nobody,
    /// The caller.
    Mine,
    /// This agent.
    Agent(AgentId),
}

/// Which cards are asked for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Whom they belong to.
    pub owner: Owner,
    /// Text that is looked for.
    pub text: Option<String>,
    /// Whether something in their chats is unread (F208).
    pub unread: Option<bool>,
    /// All else.
    pub filter: Filter,
}

/// Returns a page of cards that the caller may see, with the times by which they are ordered, and where the next page
/// begins.
pub async fn list(
    app: &App,
    caller: &Caller,
    wanted: Wanted,
    before: Option<Before>,
    size: u32,
) -> Result<(Page<(Card, OffsetDateTime)>, Option<Before>), Error> {
    let sight = sight(caller, Kind::Leads)?;
    let account = caller.account();
    let nothing = || (Page::of(Vec::new(), size), None);
    let mut connection = app.pool.acquire().await?;
    if let Some(id) = wanted.filter.chat {
        see_chats(caller)?;
        if reached_chat(&mut connection, caller, id).await?.is_none() {
            return Ok(nothing());
        }
    }
    let mut filter = wanted.filter;
    if let Some(id) = filter.contact {
        match contacts::live(&mut connection, account, id).await? {
            None => return Ok(nothing()),
            live => filter.contact = live,
        }
    }
    match narrowed(wanted.owner, sight.narrowed_to(), caller) {
        Some(responsible) => filter.responsible = responsible,
        None => return Ok(nothing()),
    }
    if let Some(unread) = wanted.unread {
        see_chats(caller)?;
        filter.talks = Some(Talks {
            unread,
            few: unread && talks::few_unread(&mut connection, account).await?,
            channels: access::channels(caller.access()),
        });
    }
    if let Some(text) = &wanted.text {
        // Of contacts' names only who may see all contacts is told anything, even that there is one (X11).
        let names = super::sight(caller, Kind::Contacts).is_ok_and(|sight| sight == Sight::All);
        match search::query(account, text, names) {
            Some(words) => filter.words = Some(words),
            None => return Ok(nothing()),
        }
    }
    let before = before.unwrap_or(Before::START);
    let rows = card_lists::page(
        &mut connection,
        account,
        &filter,
        before,
        i64::from(size) + 1,
    );
    let page = Page::of(rows.await?, size);
    let last = page.rows.last().map(|(id, time)| Before {
        time: *time,
        id: *id,
    });
    let ids: Vec<_> = page.rows.iter().map(|(id, _)| *id).collect();
    let times: HashMap<_, _> = page.rows.iter().copied().collect();
    let rows = cards::in_order(&mut connection, account, &ids).await?;
    let with_time = |card: Card| times.get(&card.id.uuid()).map(|time| (card, *time));
    let rows = rows.into_iter().filter_map(with_time).collect();
    let more = page.more;
    Ok((Page { rows, more }, last.filter(|_| more)))
}

/// Returns whose cards are listed of those asked for, where the caller sees only some agent's; none where that is nobody's.
pub(super) fn narrowed(owner: Owner, own: Option<Uuid>, caller: &Caller) -> Option<Responsible> {
    let asked = match owner {
        Owner::Any => return Some(own.map_or(Responsible::Any, Responsible::Agent)),
        Owner::Nobody => Responsible::Nobody,
        Owner::Mine => Responsible::Agent(caller.agent()?.uuid()),
        Owner::Agent(agent) => Responsible::Agent(agent.uuid()),
    };
    match own {
        Some(own) if asked != Responsible::Agent(own) => None,
        _ => Some(asked),
    }
}

//! `ListMessages`: the history of a chat, a page at a time, towards both ends (§5).

use std::collections::BTreeSet;

use chassis::auth::Caller;
use sqlx::PgConnection;
use switchboard_proto::conversation::v1 as pb;
use uuid::Uuid;

use super::read::{cut, fit};
use super::{access, announce, attachments, own_amend, posts};
use crate::domain::words::Language;
use crate::domain::{ChatId, MessageId};
use crate::error::Error;
use crate::notices;
use crate::store::message::{Position, Stored};
use crate::store::{self, chat_words};
use crate::wire;

/// Messages of a page with the full texts of mails, which may be large, at most.
const FULL_TEXTS: u32 = 10;

/// Where a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The newest messages.
    End,
    /// The messages before this one: they are older.
    Before(Position),
    /// The messages after this one: they are newer.
    After(Position),
    /// What was stored after this place, in the order of storing.
    Stored(i64),
    /// This message in the middle.
    Around(MessageId),
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// Newest first; of what was stored after a place, oldest first.
    pub messages: Vec<pb::Message>,
    /// Where the page behind it stands.
    pub next: Option<Place>,
    /// Where the page before it stands, of newer messages.
    pub newer: Option<Place>,
}

/// What a caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The chat.
    pub chat: ChatId,
    /// Where the page stands.
    pub place: Place,
    /// Messages of the page at most.
    pub size: u32,
    /// Also the whole texts of mails.
    pub full_text: bool,
}

/// Returns a page of a chat's history.
pub async fn page(
    connection: &mut PgConnection,
    caller: &Caller,
    wanted: Wanted,
) -> Result<Page, Error> {
    let chat = access::chat(connection, caller, wanted.chat).await?.id;
    let size = if wanted.full_text {
        wanted.size.min(FULL_TEXTS)
    } else {
        wanted.size
    };
    let limit = i64::from(size) + 1;
    let reader = Reader { caller, wanted };
    match wanted.place {
        Place::End => {
            let found = store::message::history(connection, chat, None, limit).await?;
            let (messages, next) = reader.older(connection, found, size).await?;
            Ok(Page {
                messages,
                next,
                newer: None,
            })
        }
        Place::Before(below) => {
            let found = store::message::history(connection, chat, Some(below), limit).await?;
            let newer = found.first().map(|first| Place::After(position(first)));
            let (messages, next) = reader.older(connection, found, size).await?;
            Ok(Page {
                messages,
                next,
                newer,
            })
        }
        Place::After(above) => {
            let found = store::message::newer(connection, chat, above, limit).await?;
            let next = found.first().map(|first| Place::Before(position(first)));
            // From the place on: what does not fit is what is farthest from it.
            let (found, newer) = cut(found, size, |message| Place::After(position(message)));
            let mut messages = reader.shown(connection, &found).await?;
            let after = |message: &Stored| Place::After(position(message));
            let newer = fit(&mut messages, &found, after).or(newer);
            messages.reverse();
            Ok(Page {
                messages,
                next,
                newer,
            })
        }
        Place::Stored(after) => {
            let found = store::message::stored_after(connection, chat, after, limit).await?;
            let place = |message: &Stored| Place::Stored(message.sequence);
            let (found, next) = cut(found, size, place);
            let mut messages = reader.shown(connection, &found).await?;
            let next = fit(&mut messages, &found, place).or(next);
            Ok(Page {
                messages,
                next,
                newer: None,
            })
        }
        Place::Around(id) => reader.around(connection, chat, id, size).await,
    }
}

/// Who reads, and how.
struct Reader<'r> {
    caller: &'r Caller,
    wanted: Wanted,
}

impl Reader<'_> {
    /// Shows a page of what was found newest first, of which one more was read than it holds.
    async fn older(
        &self,
        connection: &mut PgConnection,
        found: Vec<Stored>,
        size: u32,
    ) -> Result<(Vec<pb::Message>, Option<Place>), Error> {
        let place = |message: &Stored| Place::Before(position(message));
        let (found, next) = cut(found, size, place);
        let mut messages = self.shown(connection, &found).await?;
        let next = fit(&mut messages, &found, place).or(next);
        Ok((messages, next))
    }

    /// Shows a message with those around it, which it is never crowded out by.
    async fn around(
        &self,
        connection: &mut PgConnection,
        chat: ChatId,
        id: MessageId,
        size: u32,
    ) -> Result<Page, Error> {
        let middle = store::message::get(connection, chat, id).await?;
        let middle = middle.ok_or(Error::MessageNotFound)?;
        let place = position(&middle);
        let half = (size - 1) / 2;
        let above = i64::from(half) + 1;
        let newer = store::message::newer(connection, chat, place, above).await?;
        let any_newer = !newer.is_empty();
        let (mut found, newer) = cut(newer, half, |message| Place::After(position(message)));
        // A page without room for newer ones still leads to them, from the message itself on.
        let alone = Some(Place::After(place)).filter(|_| any_newer && found.is_empty());
        let newer = newer.or(alone);
        found.reverse();
        let before = found.len();
        let rest = size - u32::try_from(before).unwrap_or(size);
        found.push(middle);
        let below = i64::from(rest);
        found.extend(store::message::history(connection, chat, Some(place), below).await?);
        let (messages, next) = self.older(connection, found.clone(), size).await?;
        if messages.len() > before {
            return Ok(Page {
                messages,
                next,
                newer,
            });
        }
        // Those before it leave no room.
        let found = found.split_off(before);
        let newer = found.first().map(|first| Place::After(position(first)));
        let (messages, next) = self.older(connection, found, size).await?;
        Ok(Page {
            messages,
            next,
            newer: newer.filter(|_| before > 0),
        })
    }

    async fn shown(
        &self,
        connection: &mut PgConnection,
        found: &[Stored],
    ) -> Result<Vec<pb::Message>, Error> {
        shown(connection, self.caller, found, self.wanted.full_text).await
    }
}

/// Shows messages as the caller may see them, in the account's language.
pub(super) async fn shown(
    connection: &mut PgConnection,
    caller: &Caller,
    found: &[Stored],
    full_text: bool,
) -> Result<Vec<pb::Message>, Error> {
    let mut messages: Vec<pb::Message> =
        found.iter().map(wire::message).collect::<Result<_, _>>()?;
    attachments::describe(connection, caller.account(), &mut messages).await?;
    posts::describe(connection, caller.account(), &mut messages).await?;
    own_amend::describe(connection, found, &mut messages).await?;
    if !full_text {
        messages = messages.into_iter().map(announce::carried).collect();
    }
    if messages.iter().all(|message| message.system.is_none()) {
        return Ok(messages);
    }
    let (cards, people) = (access::sees_cards(caller), access::sees_people(caller));
    let (own_cards, own_people) = access::sees_own_only(caller);
    let mut own = BTreeSet::new();
    if let (true, Some(agent)) = (own_cards || own_people, caller.agent()) {
        let named = messages
            .iter()
            .filter_map(|message| message.system.as_ref());
        let named: Vec<Uuid> = named.flat_map(notices::entities).collect();
        own = chat_words::own_among(connection, caller.account(), agent, &named).await?;
    }
    let language = store::account::language(connection, caller.account()).await?;
    for message in &mut messages {
        message.system = message.system.take().map(|notice| {
            let is_own = |key| notices::entity(&notice, key).is_none_or(|id| own.contains(&id));
            let cards = cards && (!own_cards || is_own("card_id"));
            // Whose a company is nobody here knows: it is shown with an own contact alone.
            let contact = || notices::entity(&notice, "contact_id");
            let people = people && (!own_people || contact().is_some_and(|id| own.contains(&id)));
            let notice = match (cards, people) {
                (false, _) => notices::without_card(notice),
                (true, false) => notices::without_people(notice),
                (true, true) => notice,
            };
            match language {
                Language::English => notice,
                Language::Ukrainian => notices::worded(language, notice),
            }
        });
    }
    Ok(messages)
}

/// The place of a message in its chat's history.
fn position(message: &Stored) -> Position {
    (message.time, message.provider_number, message.sequence)
}

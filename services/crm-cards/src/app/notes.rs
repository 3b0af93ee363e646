//! Notes of cards, which the client never sees (F109).

use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::lock;
use super::{App, Page, RequestKey, history, list_cards};
use crate::domain::ids::CardId;
use crate::error::Error;
use crate::store::Before;
use crate::store::notes::{self, Note};
use crate::wire;

/// Adds a note to a card that the caller may see.
pub async fn add(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    card: CardId,
    text: String,
    now: OffsetDateTime,
) -> Result<wire_v1::AddCardNoteResponse, Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    // A stored answer is not for who may not see the card any more.
    let locked = lock(&mut transaction, caller, card, None, None).await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let note = Note {
        id: v7(now),
        card,
        at: now,
        actor: caller.actor().to_string(),
        text,
    };
    notes::insert(&mut transaction, account, &note).await?;
    let entry = history::noted(account, &caller.actor(), card, note.id);
    history::write(&mut transaction, vec![entry], now).await?;
    let answer = wire_v1::AddCardNoteResponse {
        note: Some(wire::note(&note)),
    };
    key.keep(&mut transaction, account, &answer).await?;
    let updated = wire_v1::CardUpdated {
        card: Some(wire::card(&locked.card)),
        note: answer.note.clone(),
    };
    let event = Outgoing::new(account, card, &updated).actor(caller.actor());
    app.commit(transaction, vec![event], now).await?;
    Ok(answer)
}

/// Returns a page of the notes of a card that the caller may see, newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    card: CardId,
    before: Option<Before>,
    size: u32,
) -> Result<Page<Note>, Error> {
    list_cards::get(app, caller, card).await?;
    let mut connection = app.pool.acquire().await?;
    let rows = notes::list(
        &mut connection,
        caller.account(),
        card,
        before.unwrap_or(Before::START),
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}

//! Deleting a card. What it was linked to still counts it (F009).

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::change_card::lock;
use super::{App, history};
use crate::domain::ids::CardId;
use crate::error::Error;
use crate::store::{card_changes, cards};
use crate::wire;

/// Deletes a card; its chats are not linked to it any more.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: CardId,
    expected: Option<i64>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let card = lock(&mut transaction, caller, id, expected, None)
        .await?
        .card;
    card_changes::delete(&mut transaction, account, id, now).await?;
    let entries = history::card(account, &caller.actor(), (Some(&card), None))?;
    history::write(&mut transaction, entries, now).await?;
    let key = (account.clone(), id);
    let chats = cards::chats_of(&mut transaction, std::slice::from_ref(&key)).await?;
    let deleted = wire_v1::CardDeleted {
        card: Some(wire::card(&card)),
    };
    let mut events = vec![Outgoing::new(account, id, &deleted)];
    for chat in chats.get(&key).into_iter().flatten() {
        let unlinked = wire_v1::ChatUnlinked {
            chat_id: chat.to_string(),
            entity: Some(wire::linked_card(&card)),
        };
        events.push(Outgoing::new(account, chat, &unlinked));
    }
    let events = events.into_iter();
    let events = events.map(|event| event.actor(caller.actor())).collect();
    app.commit(transaction, events, now).await?;
    tracing::info!(account = %account, card.id = %id, "card deleted");
    Ok(())
}

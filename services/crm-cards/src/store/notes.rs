//! Notes of cards.

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Before;
use crate::domain::ids::CardId;

/// A note of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Id.
    pub id: Uuid,
    /// The card.
    pub card: CardId,
    /// When it was added.
    pub at: OffsetDateTime,
    /// Who added it.
    pub actor: String,
    /// Text.
    pub text: String,
}

/// Adds a note.
pub async fn insert(
    connection: &mut PgConnection,
    account: &AccountSlug,
    note: &Note,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into card_note (account, card, at, id, actor, text) values ($1, $2, $3, $4, $5, $6)",
        account.as_str(),
        note.card.uuid(),
        note.at,
        note.id,
        note.actor,
        note.text,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns a page of a card's notes, newest first.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    card: CardId,
    before: Before,
    limit: i64,
) -> Result<Vec<Note>, sqlx::Error> {
    let rows = sqlx::query!(
        "select id, at, actor, text from card_note
         where account = $1 and card = $2 and (at, id) < ($3, $4)
         order by at desc, id desc limit $5",
        account.as_str(),
        card.uuid(),
        before.time,
        before.id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Note {
            id: row.id,
            card,
            at: row.at,
            actor: row.actor,
            text: row.text,
        })
        .collect())
}

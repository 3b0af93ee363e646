//! Moving the cards of a status to another, many at once.

use std::collections::HashMap;

use chassis::auth::Caller;
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;

use super::{App, history, move_card::moved};
use crate::domain::access;
use crate::domain::entity::Card;
use crate::domain::ids::{PipelineId, StatusId};
use crate::domain::status::Status;
use crate::error::Error;
use crate::store::{card_changes, card_lists, cards, contacts, counts, pipelines};

/// Cards that are moved in one transaction at most.
pub const MOVED_AT_ONCE: i64 = 2_000;

/// Where the cards of statuses go.
pub(super) type Routes = HashMap<StatusId, (PipelineId, Status)>;

/// Moves cards of a status to another, the oldest first; returns how many were moved and how many are left.
pub async fn some(
    app: &App,
    caller: &Caller,
    (from, to): (StatusId, StatusId),
    limit: i64,
    now: OffsetDateTime,
) -> Result<wire_v1::MoveCardsResponse, Error> {
    access::may_set(caller.access()).map_err(|access::Missing| Error::SettingsAccess)?;
    let account = caller.account();
    let refuse = |field, description| Error::Field { field, description };
    if from == to {
        return Err(refuse("to_status_id", "must be another status"));
    }
    let mut transaction = app.begin().await?;
    let held = pipelines::hold_statuses(&mut transaction, account, &[from, to]).await?;
    let find = |id: StatusId| held.iter().find(|(_, status)| status.id == id).cloned();
    let none = "the account has no such status";
    let (pipeline, _) = find(from).ok_or_else(|| refuse("from_status_id", none))?;
    let to = find(to).ok_or_else(|| refuse("to_status_id", none))?;
    let routes = Routes::from([(from, to)]);
    let (events, moved) = along(&mut transaction, caller, &routes, limit, now).await?;
    let left = counts::of_statuses(&mut transaction, account, pipeline, &[from]).await?;
    app.commit(transaction, events, now).await?;
    Ok(wire_v1::MoveCardsResponse {
        cards_moved: i32::try_from(moved).unwrap_or(i32::MAX),
        cards_left: left.into_iter().map(|(_, cards)| cards).sum(),
    })
}

/// Moves cards along routes, at most `limit`, the oldest first, each as by hand: with its event and in its history. The
/// caller holds the statuses.
pub(super) async fn along(
    connection: &mut PgConnection,
    caller: &Caller,
    routes: &Routes,
    limit: i64,
    now: OffsetDateTime,
) -> Result<(Vec<Outgoing>, usize), Error> {
    let account = caller.account();
    let from: Vec<_> = routes.keys().map(|status| status.uuid()).collect();
    let found = card_lists::oldest(connection, account, &from, limit).await?;
    let mut contacts: Vec<_> = found
        .iter()
        .filter_map(|(_, contact)| contact.map(|contact| (account.clone(), contact)))
        .collect();
    contacts.sort();
    contacts.dedup();
    contacts::lock_all(connection, &contacts).await?;
    let mut keys: Vec<_> = found
        .iter()
        .map(|(card, _)| (account.clone(), *card))
        .collect();
    keys.sort();
    let locked = cards::lock(connection, &keys).await?;
    let (mut after, mut entries, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for key in &keys {
        // One that was moved or deleted meanwhile has gone by itself.
        let Some((before, (pipeline, status))) = locked
            .get(key)
            .and_then(|card| Some((card, routes.get(&card.status.id)?)))
        else {
            continue;
        };
        let card = Card {
            pipeline: *pipeline,
            status: status.clone(),
            updated_at: now,
            revision: before.revision + 1,
            ..before.clone()
        };
        entries.extend(history::card(
            account,
            &caller.actor(),
            (Some(before), Some(&card)),
        )?);
        events.push(moved(caller, before, &card));
        after.push(card);
    }
    card_changes::set_statuses(connection, account, &after).await?;
    history::write(connection, entries, now).await?;
    Ok((events, after.len()))
}

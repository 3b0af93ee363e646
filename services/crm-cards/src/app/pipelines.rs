//! Pipelines.

use chassis::audit;
use chassis::auth::Caller;
use chassis::id::v7;
use chassis::outbox::Outgoing;
use sqlx::{PgConnection, Postgres, Transaction};
use switchboard_proto::crm_cards::v1 as wire_v1;
use time::OffsetDateTime;
use uuid::Uuid;

use super::move_cards::{self, MOVED_AT_ONCE};
use super::{App, Page, RequestKey};
use crate::audit as told;
use crate::domain::access;
use crate::domain::ids::{PipelineId, StatusId};
use crate::domain::reshape::{Wanted, reshape, routes};
use crate::domain::status::{DEFAULT_STATUSES, Pipeline, Status, StatusKind, one_is_new};
use crate::error::{Error, SERVICE};
use crate::store::{connections, counts, pipelines as store};
use crate::wire;

/// Channels that a refusal names at most.
pub(super) const CHANNELS_NAMED: i64 = 20;

pub(super) fn may_set(caller: &Caller) -> Result<(), Error> {
    access::may_set(caller.access()).map_err(|access::Missing| Error::SettingsAccess)
}

/// Creates a pipeline; with the default statuses where none are given (D04).
pub async fn create(
    app: &App,
    caller: &Caller,
    key: &RequestKey,
    name: String,
    statuses: Vec<(String, StatusKind)>,
    now: OffsetDateTime,
) -> Result<wire_v1::CreatePipelineResponse, Error> {
    may_set(caller)?;
    let statuses = if statuses.is_empty() {
        DEFAULT_STATUSES
            .map(|(name, kind)| (name.to_owned(), kind))
            .to_vec()
    } else {
        statuses
    };
    if !one_is_new(statuses.iter().map(|(_, kind)| *kind)) {
        return Err(Error::Field {
            field: "statuses",
            description: "must have exactly one of kind new",
        });
    }
    let account = caller.account();
    let mut transaction = app.begin().await?;
    if let Some(answer) = key.earlier(&mut transaction, account, now).await? {
        return Ok(answer);
    }
    let statuses = statuses
        .into_iter()
        .map(|(name, kind)| Status {
            id: v7(now).into(),
            name,
            kind,
        })
        .collect();
    let pipeline = Pipeline {
        id: v7(now).into(),
        name,
        statuses,
        revision: 1,
    };
    store::insert(&mut transaction, account, &pipeline, now).await?;
    let made = wire::pipeline(&pipeline);
    let entry = told::pipeline(caller, &(None, Some(made.clone())))?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    let answer = wire_v1::CreatePipelineResponse {
        pipeline: Some(made),
    };
    key.keep(&mut transaction, account, &answer).await?;
    app.commit(transaction, Vec::new(), now).await?;
    Ok(answer)
}

/// Returns a page of pipelines by creation, each with its time for the next page.
pub async fn list(
    app: &App,
    caller: &Caller,
    after: Option<(OffsetDateTime, Uuid)>,
    size: u32,
) -> Result<Page<(Pipeline, OffsetDateTime)>, Error> {
    let mut connection = app.pool.acquire().await?;
    let after = after.unwrap_or((OffsetDateTime::UNIX_EPOCH, Uuid::nil()));
    let rows = store::list(
        &mut connection,
        caller.account(),
        after,
        i64::from(size) + 1,
    )
    .await?;
    Ok(Page::of(rows, size))
}

/// Says that a pipeline is not there.
pub(super) fn unknown(id: PipelineId) -> Error {
    Error::unknown("pipeline", "PIPELINE_UNKNOWN", id)
}

/// Returns a pipeline.
pub async fn get(app: &App, caller: &Caller, id: PipelineId) -> Result<Pipeline, Error> {
    let mut connection = app.pool.acquire().await?;
    let pipeline = store::get(&mut connection, caller.account(), id).await?;
    pipeline.ok_or_else(|| unknown(id))
}

/// Locks a pipeline and compares it with what the caller saw.
async fn lock(
    connection: &mut PgConnection,
    caller: &Caller,
    id: PipelineId,
    expected: Option<i64>,
) -> Result<Pipeline, Error> {
    let pipeline = store::lock(connection, caller.account(), id).await?;
    let pipeline = pipeline.ok_or_else(|| unknown(id))?;
    if expected.is_some_and(|seen| seen != pipeline.revision) {
        return Err(Error::Overtaken("pipeline", pipeline.revision));
    }
    Ok(pipeline)
}

/// What of a pipeline is to be changed; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Name.
    pub name: Option<String>,
    /// All statuses, in order.
    pub statuses: Option<Vec<Wanted>>,
    /// Where the cards of statuses go that are taken away.
    pub cards_to: Vec<(StatusId, StatusId)>,
    /// The revision that the caller saw.
    pub expected: Option<i64>,
}

/// Changes a pipeline; returns it with how many cards were moved.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: PipelineId,
    change: Change,
    now: OffsetDateTime,
) -> Result<(Pipeline, usize), Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, change.expected).await?;
    let mut pipeline = before.clone();
    if let Some(name) = change.name {
        pipeline.name = name;
    }
    let mut removed = Vec::new();
    if let Some(wanted) = change.statuses {
        let reshaped = reshape(&before.statuses, wanted, || v7(now).into())?;
        pipeline.statuses = reshaped.statuses;
        removed = reshaped.removed;
    }
    if pipeline == before {
        return Ok((before, 0));
    }
    pipeline.revision += 1;
    let (events, moved) = emptied(
        &mut transaction,
        caller,
        id,
        (&removed, &change.cards_to),
        now,
    )
    .await?;
    // After the cards: who makes one holds a contact and waits for its status, not the other way round.
    store::set_statuses(&mut transaction, account, &pipeline).await?;
    store::update(&mut transaction, account, &pipeline).await?;
    finish(
        app,
        transaction,
        caller,
        (&before, Some(&pipeline)),
        events,
        now,
    )
    .await?;
    Ok((pipeline, moved))
}

/// Deletes a pipeline in which no channel makes cards; returns how many cards were moved.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: PipelineId,
    (cards_to, expected): (&[(StatusId, StatusId)], Option<i64>),
    now: OffsetDateTime,
) -> Result<usize, Error> {
    may_set(caller)?;
    let account = caller.account();
    let mut transaction = app.begin().await?;
    let before = lock(&mut transaction, caller, id, expected).await?;
    let channels =
        connections::naming(&mut transaction, account, Some(id), None, CHANNELS_NAMED).await?;
    if !channels.is_empty() {
        return Err(Error::InUse("pipeline", channels));
    }
    let going = (before.statuses.as_slice(), cards_to);
    let (events, moved) = emptied(&mut transaction, caller, id, going, now).await?;
    store::delete(&mut transaction, account, id).await?;
    finish(app, transaction, caller, (&before, None), events, now).await?;
    Ok(moved)
}

/// Moves the cards of statuses that go to where the request says; refuses where it does not say, and where they are more
/// than one transaction moves. No card comes into these statuses until it ends.
async fn emptied(
    connection: &mut PgConnection,
    caller: &Caller,
    pipeline: PipelineId,
    (removed, cards_to): (&[Status], &[(StatusId, StatusId)]),
    now: OffsetDateTime,
) -> Result<(Vec<Outgoing>, usize), Error> {
    routes(removed, cards_to)?;
    if removed.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let account = caller.account();
    store::lock_statuses(connection, account, removed).await?;
    let ids: Vec<StatusId> = removed.iter().map(|status| status.id).collect();
    let counts = counts::of_statuses(connection, account, pipeline, &ids).await?;
    let homeless: Vec<_> = counts
        .iter()
        .filter(|(status, _)| !cards_to.iter().any(|(from, _)| from == status))
        .map(|(id, cards)| {
            let name = removed.iter().find(|status| status.id == *id);
            let name = name.map(|status| status.name.clone()).unwrap_or_default();
            (*id, name, *cards)
        })
        .collect();
    if !homeless.is_empty() {
        return Err(Error::StatusesHaveCards(homeless));
    }
    let cards: i64 = counts.iter().map(|(_, cards)| cards).sum();
    if cards > MOVED_AT_ONCE {
        return Err(Error::TooManyCards(cards));
    }
    let targets: Vec<StatusId> = cards_to.iter().map(|(_, to)| *to).collect();
    let held = store::hold_statuses(connection, account, &targets).await?;
    let mut along = move_cards::Routes::new();
    for (from, to) in cards_to {
        let found = held.iter().find(|(_, status)| status.id == *to);
        let found = found.ok_or(Error::Field {
            field: "cards_to",
            description: "names a status that the account has not",
        })?;
        along.insert(*from, found.clone());
    }
    move_cards::along(connection, caller, &along, MOVED_AT_ONCE, now).await
}

/// Writes the audit and commits.
async fn finish(
    app: &App,
    mut transaction: Transaction<'static, Postgres>,
    caller: &Caller,
    (before, after): (&Pipeline, Option<&Pipeline>),
    events: Vec<Outgoing>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let sides = (Some(wire::pipeline(before)), after.map(wire::pipeline));
    let entry = told::pipeline(caller, &sides)?;
    audit::write(&mut transaction, SERVICE, vec![entry], now).await?;
    app.commit(transaction, events, now).await?;
    Ok(())
}

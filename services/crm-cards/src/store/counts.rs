//! How many cards there are and what they sum up to: kept, not scanned.

use chassis::id::AccountSlug;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::unreadable;
use crate::domain::ids::{PipelineId, StatusId};
use crate::domain::money::{Currency, Money};

/// Changes that are folded in at once.
const FOLDED_AT_ONCE: i64 = 10_000;

/// Cards of a status in one currency, or without an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The status.
    pub status: StatusId,
    /// How many.
    pub cards: i64,
    /// What they sum up to.
    pub sum: Option<Money>,
}

/// Returns how many cards the statuses of a pipeline have, and their sums by currency; of one responsible where `own`
/// names one.
pub async fn of_pipeline(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
    own: Option<Uuid>,
) -> Result<Vec<Count>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select t.status as "status!", t.currency as "currency!", sum(t.cards)::bigint as "cards!",
                  sum(t.amount)::text as "amount!"
           from (select status, currency, cards, amount from card_count
                 where account = $1 and pipeline = $2 and ($3::uuid is null or responsible = $3)
                 union all
                 select status, currency, cards, amount from card_count_change
                 where account = $1 and pipeline = $2 and ($3::uuid is null or responsible = $3)) t
           group by t.status, t.currency having sum(t.cards) <> 0
           order by t.status, t.currency"#,
        account.as_str(),
        pipeline.uuid(),
        own,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let sum = Currency::read(&row.currency).map(|currency| {
                let amount = row.amount.parse();
                amount.map(|amount| Money { currency, amount })
            });
            let sum = sum
                .transpose()
                .map_err(|error| unreadable("card_count", row.status, error))?;
            Ok(Count {
                status: row.status.into(),
                cards: row.cards,
                sum,
            })
        })
        .collect()
}

/// Returns how many cards each of these statuses has, where it has any.
pub async fn of_statuses(
    connection: &mut PgConnection,
    account: &AccountSlug,
    pipeline: PipelineId,
    statuses: &[StatusId],
) -> Result<Vec<(StatusId, i64)>, sqlx::Error> {
    let mut cards: Vec<(StatusId, i64)> = Vec::new();
    for count in of_pipeline(connection, account, pipeline, None).await? {
        match cards.last_mut() {
            Some((status, sum)) if *status == count.status => *sum += count.cards,
            _ => cards.push((count.status, count.cards)),
        }
    }
    cards.retain(|(status, _)| statuses.contains(status));
    Ok(cards)
}

/// Brings the counts up to date, so that few changes stand beside them; returns how many were folded in. One process at a
/// time does it: the others have nothing to do meanwhile.
pub async fn fold(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let alone = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended('card_count', 0)) as "alone!""#
    )
    .fetch_one(&mut *transaction)
    .await?;
    if !alone {
        return Ok(0);
    }
    let folded = sqlx::query_scalar!(
        r#"with gone as (
               delete from card_count_change where id = any(array(
                   select id from card_count_change order by id limit $1)) returning *),
           kept as (
               insert into card_count as c (account, pipeline, status, responsible, currency, cards, amount)
               select account, pipeline, status, responsible, currency, sum(cards), sum(amount) from gone
               group by 1, 2, 3, 4, 5
               on conflict (account, pipeline, status, responsible, currency) do update
               set cards = c.cards + excluded.cards, amount = c.amount + excluded.amount)
           select count(*) as "folded!" from gone"#,
        FOLDED_AT_ONCE,
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(folded.unsigned_abs())
}

//! What a recovery writes and asks (O3.10).

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attempts::SettledPart;

/// What was told of a part.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Slug of the account.
    pub account: String,
    /// The channel.
    pub channel: Uuid,
    /// The chat.
    pub chat: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
    /// How many parts there are.
    pub parts: i32,
    /// The message.
    pub message: Uuid,
    /// Number of the attempt.
    pub attempt: i32,
    /// State, as stored.
    pub state: &'static str,
    /// Why it failed.
    pub reason: String,
    /// The provider's keys of it.
    pub keys: Vec<String>,
}

/// Makes a part of each of these commands, of which nothing is known yet.
pub async fn doubt(
    connection: &mut PgConnection,
    made: &[(Uuid, i64)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (chats, numbers): (Vec<Uuid>, Vec<i64>) = made.iter().copied().unzip();
    sqlx::query!(
        "insert into part (chat_id, out_seq, part, state, method, params, reason, updated_at)
         select t.chat_id, t.out_seq, 0, 'uncertain', '', '{}', 'RECOVERING', $3
         from unnest($1::uuid[], $2::bigint[]) as t (chat_id, out_seq)
         on conflict do nothing",
        &chats,
        &numbers,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes what became of parts. The others of a command of which one is told, and which are not there, are in doubt.
pub async fn settle(
    connection: &mut PgConnection,
    settled: &[Settled],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if settled.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$one:ident| $value:expr) => {
            settled.iter().map(|$one| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into part (chat_id, out_seq, part, state, method, params, reason, updated_at)
         select t.chat_id, t.out_seq, number.part, 'uncertain', '', '{}', 'RECOVERING', $4
         from (select chat_id, out_seq, max(parts) as parts
               from unnest($1::uuid[], $2::bigint[], $3::integer[]) as t (chat_id, out_seq, parts)
               group by chat_id, out_seq) as t
         join command c on c.chat_id = t.chat_id and c.out_seq = t.out_seq
         cross join lateral generate_series(0, t.parts - 1) as number (part)
         on conflict do nothing",
        &column!(|one| one.chat),
        &column!(|one| one.out_seq),
        &column!(|one| one.parts),
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "with told as (
             select * from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $8::integer[])
                 as t (chat_id, out_seq, part, state, reason, provider_key, parts)
         ), counted as (
             update command c set parts = greatest(c.parts, t.parts)
             from (select chat_id, out_seq, max(parts) as parts from told group by chat_id, out_seq) as t
             where c.chat_id = t.chat_id and c.out_seq = t.out_seq and c.parts < t.parts
         )
         update part p
         set state = t.state, reason = t.reason, updated_at = $7,
             provider_key = case when t.provider_key = '' then p.provider_key else t.provider_key end
         from told t
         where p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.part = t.part and p.state <> 'read'",
        &column!(|one| one.chat),
        &column!(|one| one.out_seq),
        &column!(|one| one.part),
        &column!(|one| one.state.to_owned()),
        &column!(|one| one.reason.clone()),
        &column!(|one| one.keys.first().cloned().unwrap_or_default()),
        now,
        &column!(|one| one.parts),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps by which keys the provider knows what was sent: receipts and echoes name them.
pub async fn keep_keys(
    connection: &mut PgConnection,
    settled: &[Settled],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let keys: Vec<(&Settled, &String)> = settled
        .iter()
        .flat_map(|one| one.keys.iter().map(move |key| (one, key)))
        .collect();
    macro_rules! column {
        (|$one:ident, $key:ident| $value:expr) => {
            keys.iter().map(|($one, $key)| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into sent_key (channel_id, provider_key, chat_id, out_seq, part, sent_at)
         select distinct on (channel_id, provider_key) t.*, $6
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::integer[])
             as t (channel_id, provider_key, chat_id, out_seq, part)
         on conflict do nothing",
        &column!(|one, _key| one.channel),
        &column!(|_one, key| (*key).clone()),
        &column!(|one, _key| one.chat),
        &column!(|one, _key| one.out_seq),
        &column!(|one, _key| one.part),
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Makes uncertain what was queued or under way: nothing was told of it. No command is left to be carried out.
pub async fn give_up(
    connection: &mut PgConnection,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update part set state = 'uncertain', reason = 'RECOVERING', updated_at = $1 where state in ('queued', 'sending')",
        now,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("update command set is_final = true where not is_final")
        .execute(connection)
        .await
        .map(drop)
}

/// Returns parts that are uncertain by the recovery and were not told of; they count as told from now on.
pub async fn untold(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<SettledPart>, sqlx::Error> {
    sqlx::query_as!(
        SettledPart,
        "with untold as (
             select chat_id, out_seq, part from part where state = 'uncertain' and reason = 'RECOVERING'
             order by chat_id, out_seq, part limit $1
         )
         update part p set reason = 'RECOVERED'
         from untold u join command c on c.chat_id = u.chat_id and c.out_seq = u.out_seq join lane l on l.chat_id = u.chat_id
         where p.chat_id = u.chat_id and p.out_seq = u.out_seq and p.part = u.part
         returning l.account, l.channel_id, p.chat_id, p.out_seq, p.part, c.parts, c.message_id, c.attempt,
             p.state, p.provider_key, p.reason, c.cause, c.trace",
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Returns which of these parts, whose outcome was told, might go out again: there is none of them, or it waits.
pub async fn differing(
    connection: &mut PgConnection,
    settled: &[Settled],
) -> Result<Vec<(Uuid, i64, i32, String)>, sqlx::Error> {
    macro_rules! column {
        (|$one:ident| $value:expr) => {
            settled.iter().map(|$one| $value).collect::<Vec<_>>()
        };
    }
    let rows = sqlx::query!(
        r#"select t.chat_id as "chat!", t.out_seq as "out_seq!", t.part as "part!", t.state as "state!"
           from unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[]) as t (chat_id, out_seq, part, state)
           left join part p on p.chat_id = t.chat_id and p.out_seq = t.out_seq and p.part = t.part
           where p.state is null or p.state in ('queued', 'sending')
           order by t.chat_id, t.out_seq, t.part"#,
        &column!(|one| one.chat),
        &column!(|one| one.out_seq),
        &column!(|one| one.part),
        &column!(|one| one.state.to_owned()),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.chat, row.out_seq, row.part, row.state))
        .collect())
}

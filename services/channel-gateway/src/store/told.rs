//! What providers tell of messages that went out: receipts, echoes, and the keys that both name.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::attempts::SettledPart;

/// A key under which the provider knows a part.
#[derive(Debug, Clone)]
pub struct SentKey {
    /// The channel.
    pub channel_id: Uuid,
    /// The key.
    pub provider_key: String,
    /// The chat.
    pub chat_id: Uuid,
    /// Number of the command.
    pub out_seq: i64,
    /// Number of the part.
    pub part: i32,
}

/// Keeps keys; one that is known stays with the part that had it first.
pub async fn keep_keys(
    connection: &mut PgConnection,
    keys: &[SentKey],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let channels: Vec<Uuid> = keys.iter().map(|key| key.channel_id).collect();
    let texts: Vec<String> = keys.iter().map(|key| key.provider_key.clone()).collect();
    let chats: Vec<Uuid> = keys.iter().map(|key| key.chat_id).collect();
    let commands: Vec<i64> = keys.iter().map(|key| key.out_seq).collect();
    let parts: Vec<i32> = keys.iter().map(|key| key.part).collect();
    sqlx::query!(
        "insert into sent_key (channel_id, provider_key, chat_id, out_seq, part, sent_at)
         select *, $6::timestamptz
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::integer[])
                  as t (channel_id, provider_key, chat_id, out_seq, part)
         order by channel_id, provider_key
         on conflict do nothing",
        &channels,
        &texts,
        &chats,
        &commands,
        &parts,
        now,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns which of these keys are ours.
pub async fn own_keys(
    connection: &mut PgConnection,
    channels: &[Uuid],
    keys: &[String],
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select k.channel_id, k.provider_key
         from unnest($1::uuid[], $2::text[]) as t (channel_id, provider_key)
         join sent_key k on k.channel_id = t.channel_id and k.provider_key = t.provider_key",
        channels,
        keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.channel_id, row.provider_key))
        .collect())
}

/// Returns which of these chats have an attempt without an outcome.
pub async fn sending(
    connection: &mut PgConnection,
    channels: &[Uuid],
    chat_keys: &[String],
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select distinct l.channel_id, l.chat_key
         from unnest($1::uuid[], $2::text[]) as t (channel_id, chat_key)
         join lane l on l.channel_id = t.channel_id and l.chat_key = t.chat_key
         join part p on p.chat_id = l.chat_id and p.state = 'sending'",
        channels,
        chat_keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.channel_id, row.chat_key))
        .collect())
}

/// Returns to which addresses the mails under these keys went; nothing for what is no mail.
pub async fn written_to(
    connection: &mut PgConnection,
    channels: &[Uuid],
    keys: &[String],
) -> Result<Vec<(Uuid, String, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select k.channel_id, k.provider_key, p.params ->> 'to' as "address!"
           from unnest($1::uuid[], $2::text[]) as t (channel_id, provider_key)
           join sent_key k on k.channel_id = t.channel_id and k.provider_key = t.provider_key
           join part p on p.chat_id = k.chat_id and p.out_seq = k.out_seq and p.part = k.part
           where p.params ->> 'to' is not null"#,
        channels,
        keys,
    )
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter();
    Ok(known
        .map(|row| (row.channel_id, row.provider_key, row.address))
        .collect())
}

/// A receipt as it is applied.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// The key that it names; empty for none.
    pub provider_key: String,
    /// It holds for what went before, too.
    pub up_to: bool,
    /// The state that it tells of: `delivered`, `read` or `failed`.
    pub state: &'static str,
    /// It counts after an arrival that was reported before.
    pub outweighs: bool,
    /// Why it failed.
    pub reason: String,
    /// When, by the provider's clock.
    pub time: OffsetDateTime,
}

/// Moves the named parts forward, and for "up to" those before them; never back. A part that arrived fails only by a
/// receipt that outweighs the arrival, and stays failed then. Returns what changed, in order, with the position of the receipt that changed it, from 1.
pub async fn apply(
    connection: &mut PgConnection,
    receipts: &[Receipt],
) -> Result<Vec<(SettledPart, i64)>, sqlx::Error> {
    if receipts.is_empty() {
        return Ok(Vec::new());
    }
    let channels: Vec<Uuid> = receipts.iter().map(|receipt| receipt.channel_id).collect();
    let chat_keys: Vec<String> = receipts.iter().map(|it| it.chat_key.clone()).collect();
    let keys: Vec<String> = receipts.iter().map(|it| it.provider_key.clone()).collect();
    let up_to: Vec<bool> = receipts.iter().map(|receipt| receipt.up_to).collect();
    let states: Vec<String> = receipts.iter().map(|it| it.state.to_owned()).collect();
    let reasons: Vec<String> = receipts.iter().map(|it| it.reason.clone()).collect();
    let times: Vec<OffsetDateTime> = receipts.iter().map(|receipt| receipt.time).collect();
    let outweigh: Vec<bool> = receipts.iter().map(|receipt| receipt.outweighs).collect();
    let rows = sqlx::query!(
        r#"with told as (
               select * from unnest($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::text[],
                                    $7::timestamptz[], $8::boolean[]) with ordinality
                   as t (channel_id, chat_key, provider_key, up_to, state, reason, time, outweighs, position)
           ),
           named as (
               select k.chat_id, k.out_seq, k.part, t.up_to, t.state, t.reason, t.outweighs, t.position
               from told t join sent_key k on k.channel_id = t.channel_id and k.provider_key = t.provider_key
           ),
           meant as (
               select chat_id, out_seq, part, state, reason, outweighs, position from named
               union all
               select p.chat_id, p.out_seq, p.part, n.state, n.reason, n.outweighs, n.position
               from named n
               join part p on p.chat_id = n.chat_id and (p.out_seq, p.part) < (n.out_seq, n.part)
               where n.up_to and p.state in ('sent', 'delivered')
               union all
               select p.chat_id, p.out_seq, p.part, t.state, t.reason, t.outweighs, t.position
               from told t
               join lane l on l.channel_id = t.channel_id and l.chat_key = t.chat_key
               join part p on p.chat_id = l.chat_id and p.updated_at <= t.time
               where t.up_to and p.state in ('sent', 'delivered')
                 and not exists (select from sent_key k
                                 where k.channel_id = t.channel_id and k.provider_key = t.provider_key)
           ),
           furthest as (
               select distinct on (chat_id, out_seq, part) * from meant
               order by chat_id, out_seq, part,
                        case when state = 'read' then 1 when outweighs then 2 when state = 'delivered' then 3 else 4 end,
                        position
           ),
           held as (
               select p.chat_id, p.out_seq, p.part
               from part p join furthest f on f.chat_id = p.chat_id and f.out_seq = p.out_seq and f.part = p.part
               where p.state in ('sent', 'delivered')
               order by p.chat_id, p.out_seq, p.part
               for no key update of p
           ),
           moved as (
               update part p set state = f.state, reason = f.reason
               from furthest f, held h
               where f.chat_id = h.chat_id and f.out_seq = h.out_seq and f.part = h.part
                 and p.chat_id = h.chat_id and p.out_seq = h.out_seq and p.part = h.part
                 and (p.state = 'sent' or f.state = 'read' or f.outweighs)
               returning p.chat_id, p.out_seq, p.part, p.state, p.provider_key, p.reason, f.position
           )
           select l.account, l.channel_id, m.chat_id, m.out_seq, m.part, c.parts, c.message_id, c.attempt, m.state,
                  m.provider_key, m.reason, c.cause, c.trace, m.position as "position!"
           from moved m
           join lane l on l.chat_id = m.chat_id
           join command c on c.chat_id = m.chat_id and c.out_seq = m.out_seq
           order by m.chat_id, m.out_seq, m.part"#,
        &channels,
        &chat_keys,
        &keys,
        &up_to,
        &states,
        &reasons,
        &times,
        &outweigh,
    )
    .fetch_all(connection)
    .await?;
    let changed = rows.into_iter().map(|row| {
        let part = SettledPart {
            account: row.account,
            channel_id: row.channel_id,
            chat_id: row.chat_id,
            out_seq: row.out_seq,
            part: row.part,
            parts: row.parts,
            message_id: row.message_id,
            attempt: row.attempt,
            state: row.state,
            provider_key: row.provider_key,
            reason: row.reason,
            cause: row.cause,
            trace: row.trace,
        };
        (part, row.position)
    });
    Ok(changed.collect())
}

/// Notes messages of the provider's own app; returns those that were not known.
pub async fn announce_own_app(
    connection: &mut PgConnection,
    channels: &[Uuid],
    keys: &[String],
    now: OffsetDateTime,
) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "insert into own_app_message (channel_id, provider_key, announced_at)
         select channel_id, provider_key, $3::timestamptz
         from unnest($1::uuid[], $2::text[]) as t (channel_id, provider_key)
         order by channel_id, provider_key
         on conflict do nothing
         returning channel_id, provider_key",
        channels,
        keys,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.channel_id, row.provider_key))
        .collect())
}

/// An item that waits for the outcome of an attempt.
#[derive(Debug, Clone)]
pub struct Held {
    /// The channel.
    pub channel_id: Uuid,
    /// The provider's key of the event.
    pub event_key: String,
    /// The provider's key of the chat.
    pub chat_key: String,
    /// Slug of the account.
    pub account: String,
    /// The encoded item.
    pub item: Vec<u8>,
    /// Id of the item.
    pub item_id: Uuid,
    /// Its trace.
    pub trace: String,
    /// Since when it is held.
    pub held_at: OffsetDateTime,
}

/// Holds items; one that is held already stays as it is.
pub async fn hold(connection: &mut PgConnection, items: &[Held]) -> Result<(), sqlx::Error> {
    if items.is_empty() {
        return Ok(());
    }
    let channels: Vec<Uuid> = items.iter().map(|item| item.channel_id).collect();
    let keys: Vec<String> = items.iter().map(|item| item.event_key.clone()).collect();
    let chat_keys: Vec<String> = items.iter().map(|item| item.chat_key.clone()).collect();
    let accounts: Vec<String> = items.iter().map(|item| item.account.clone()).collect();
    let bodies: Vec<Vec<u8>> = items.iter().map(|item| item.item.clone()).collect();
    let ids: Vec<Uuid> = items.iter().map(|item| item.item_id).collect();
    let traces: Vec<String> = items.iter().map(|item| item.trace.clone()).collect();
    let times: Vec<OffsetDateTime> = items.iter().map(|item| item.held_at).collect();
    sqlx::query!(
        "insert into held_item (channel_id, event_key, chat_key, account, item, item_id, trace, held_at)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::uuid[], $7::text[],
                              $8::timestamptz[])
                      as t (channel_id, event_key, chat_key, account, item, item_id, trace, held_at)
         order by channel_id, event_key
         on conflict do nothing",
        &channels,
        &keys,
        &chat_keys,
        &accounts,
        &bodies,
        &ids,
        &traces,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Takes the oldest held items out, `limit` at most; what another replica has in hand is left to it.
pub async fn take_held(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Held>, sqlx::Error> {
    sqlx::query_as!(
        Held,
        "delete from held_item
         where (channel_id, event_key) in (
             select channel_id, event_key from held_item order by held_at limit $1 for update skip locked)
         returning channel_id, event_key, chat_key, account, item, item_id, trace, held_at",
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Forgets keys and announcements older than this, `limit` of each at most.
pub async fn forget(
    connection: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let keys = sqlx::query!(
        "delete from sent_key where (channel_id, provider_key) in (
             select channel_id, provider_key from sent_key where sent_at < $1 order by sent_at limit $2)",
        before,
        limit,
    )
    .execute(&mut *connection)
    .await?;
    let announced = sqlx::query!(
        "delete from own_app_message where (channel_id, provider_key) in (
             select channel_id, provider_key from own_app_message where announced_at < $1
             order by announced_at limit $2)",
        before,
        limit,
    )
    .execute(connection)
    .await?;
    Ok(keys.rows_affected().max(announced.rows_affected()))
}

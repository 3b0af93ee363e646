//! Labels: tables `label`, `chat_label` and `channel_label`.

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::chat::Chat;
use crate::domain::label::Label;

/// Adds labels that the account does not know, and returns all of these by their keys, each with its first name. Where the
/// account would have more than so many, none.
pub async fn learn(
    connection: &mut PgConnection,
    account: &AccountSlug,
    labels: &[Label],
    most: i64,
) -> Result<Option<BTreeMap<String, String>>, sqlx::Error> {
    let keys: Vec<String> = labels.iter().map(|label| label.key.clone()).collect();
    let names: Vec<String> = labels.iter().map(|label| label.name.clone()).collect();
    // Sorted: two who add the same labels do not wait for each other in a circle.
    let added = sqlx::query!(
        "insert into label (account, key, name)
         select $1, l.key, min(l.name) from unnest($2::text[], $3::text[]) l(key, name) group by l.key order by l.key
         on conflict do nothing",
        account.as_str(),
        &keys,
        &names,
    )
    .execute(&mut *connection)
    .await?
    .rows_affected();
    if added > 0 && count(connection, account).await? > most {
        // What no chat has any more makes room.
        sqlx::query!(
            "delete from label where account = $1 and key in (
                 select l.key from label l where l.account = $1 and l.key <> all($2)
                 and not exists (select from chat_label c where c.account = l.account and c.key = l.key)
                 for update skip locked)",
            account.as_str(),
            &keys,
        )
        .execute(&mut *connection)
        .await?;
        if count(connection, account).await? > most {
            return Ok(None);
        }
    }
    let rows = sqlx::query!(
        // Kept until they are on the chat.
        "select key, name from label where account = $1 and key = any($2) for key share",
        account.as_str(),
        &keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(Some(
        rows.into_iter().map(|row| (row.key, row.name)).collect(),
    ))
}

async fn count(connection: &mut PgConnection, account: &AccountSlug) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from label where account = $1"#,
        account.as_str(),
    )
    .fetch_one(connection)
    .await
}

/// Writes the labels of a locked chat.
pub async fn set(
    connection: &mut PgConnection,
    chat: &Chat,
    keys: &BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    let keys: Vec<String> = keys.iter().cloned().collect();
    sqlx::query!(
        "with gone as (delete from chat_label where chat_id = $2 and account = $1 and key <> all($3) returning key),
             gone_of_channel as (
             delete from channel_label c using gone
             where c.account = $1 and c.channel_id = $6 and c.key = gone.key and c.chat_id = $2),
             come as (
             insert into chat_label (account, key, chat_id, listed_at)
             select $1, k.key, $2, $4 from unnest($3::text[]) k(key) order by k.key
             on conflict do nothing),
             come_of_channel as (
             insert into channel_label (account, channel_id, key, chat_id)
             select $1, $6, k.key, $2 from unnest($3::text[]) k(key) order by k.key
             on conflict do nothing)
         update chat set labels = $5 where chat_id = $2",
        chat.account.as_str(),
        chat.id.uuid(),
        &keys,
        chat.last_client_message_at,
        &chat.labels,
        chat.channel.uuid(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps the times of labelled chats with their chats.
pub(super) async fn keep_times(
    connection: &mut PgConnection,
    chats: impl Iterator<Item = &Chat> + Clone,
) -> Result<(), sqlx::Error> {
    let labelled = chats.filter(|chat| !chat.labels.is_empty());
    let ids: Vec<_> = labelled.clone().map(|chat| chat.id.uuid()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let times: Vec<_> = labelled.map(|chat| chat.last_client_message_at).collect();
    sqlx::query!(
        "update chat_label l set listed_at = n.listed_at
         from unnest($1::uuid[], $2::timestamptz[]) n(chat_id, listed_at)
         where l.chat_id = n.chat_id and l.listed_at <> n.listed_at",
        &ids,
        &times,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Lists labels that chats have, of these channels or of all, by their keys: those that begin so, after a key.
pub async fn list(
    connection: &mut PgConnection,
    account: &AccountSlug,
    channels: Option<&[Uuid]>,
    (beginning, after): (&str, &str),
    limit: i64,
) -> Result<Vec<Label>, sqlx::Error> {
    sqlx::query_as!(
        Label,
        "select l.name, l.key from label l
         where l.account = $1 and l.key >= $2 and l.key > $3 and starts_with(l.key, $2)
           and case when $5::uuid[] is null
                    then exists (select from chat_label c where c.account = $1 and c.key = l.key)
                    else exists (select from unnest($5) granted (channel_id)
                                 join channel_label c on c.account = $1 and c.channel_id = granted.channel_id and c.key = l.key) end
         order by l.key limit $4",
        account.as_str(),
        beginning,
        after,
        limit,
        channels,
    )
    .fetch_all(connection)
    .await
}

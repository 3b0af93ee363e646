//! Words of chats, and what is known of the entities that they are linked with (F075).

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use sqlx::PgConnection;
use uuid::Uuid;

use super::unreadable;
use crate::domain::search::chats::{self, Entity};
use crate::domain::words::EntityKind;
use crate::domain::{AgentId, ChannelId, ChatId};

/// Writes anew by what everybody finds chats, after they or their clients changed.
pub async fn renew(connection: &mut PgConnection, chats: &[ChatId]) -> Result<(), sqlx::Error> {
    if chats.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        r#"select chat_id as "chat: ChatId", chat.account as "account: AccountSlug", channel_id as "channel: ChannelId",
               chat.name as chat_name, client.name, username, email, phone
           from chat join client using (client_id)
           where chat_id = any($1) order by chat_id"#,
        chats as &[ChatId],
    )
    .fetch_all(&mut *connection)
    .await?;
    let vectors = rows.iter().map(|row| {
        let texts = [&*row.chat_name, &row.name, &row.username, &row.email];
        chats::own(&row.account, row.channel, texts, &row.phone)
    });
    sqlx::query!(
        "insert into chat_words as kept (chat_id, account, own)
         select chat_id, account, own::tsvector from unnest($1::uuid[], $2::text[], $3::text[]) as new (chat_id, account, own)
         on conflict (chat_id) do update set own = excluded.own where kept.own <> excluded.own",
        &rows.iter().map(|row| row.chat).collect::<Vec<_>>() as &[ChatId],
        &rows.iter().map(|row| row.account.to_string()).collect::<Vec<_>>(),
        &vectors.collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whose an entity is, and its id.
pub type EntityKey = (AccountSlug, Uuid);

/// Keeps names of entities, each with its revision: the highest stands.
pub async fn keep_names(
    connection: &mut PgConnection,
    names: &BTreeMap<EntityKey, (Entity, i64)>,
) -> Result<(), sqlx::Error> {
    macro_rules! column {
        (|$entity:ident, $revision:ident| $value:expr) => {
            names
                .values()
                .map(|($entity, $revision)| $value)
                .collect::<Vec<_>>()
        };
    }
    if names.is_empty() {
        return Ok(());
    }
    let (accounts, ids) = columns(names.keys());
    sqlx::query!(
        "insert into entity_name as kept (account, entity_id, kind, name, responsible, revision)
         select * from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::bigint[])
         on conflict (account, entity_id) do update
         set kind = excluded.kind, name = excluded.name, responsible = excluded.responsible, revision = excluded.revision
         where kept.revision < excluded.revision",
        &accounts,
        &ids,
        &column!(|entity, _revision| entity.kind.as_str().to_owned()),
        &column!(|entity, _revision| entity.name.clone()),
        &column!(|entity, _revision| entity.responsible) as &[Option<AgentId>],
        &column!(|_entity, revision| *revision),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps whether chats are linked with entities, each with the sequence of the event: the highest stands.
pub async fn keep_links(
    connection: &mut PgConnection,
    links: &BTreeMap<(EntityKey, ChatId), (i64, bool)>,
) -> Result<(), sqlx::Error> {
    if links.is_empty() {
        return Ok(());
    }
    let (accounts, ids) = columns(links.keys().map(|(entity, _)| entity));
    sqlx::query!(
        "insert into entity_link as kept (account, entity_id, chat_id, sequence, linked)
         select * from unnest($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::boolean[])
         on conflict (account, chat_id, entity_id) do update set linked = excluded.linked, sequence = excluded.sequence
         where kept.sequence < excluded.sequence",
        &accounts,
        &ids,
        &links.keys().map(|(_, chat)| *chat).collect::<Vec<_>>() as &[ChatId],
        &links.values().map(|(sequence, _)| *sequence).collect::<Vec<_>>(),
        &links.values().map(|(_, linked)| *linked).collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Returns of which kind a card or contact is, and who answers for it; none where it is not known here.
pub async fn entity(
    connection: &mut PgConnection,
    account: &AccountSlug,
    entity: Uuid,
) -> Result<Option<(EntityKind, Option<AgentId>)>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select kind, responsible as "responsible: AgentId" from entity_name
           where account = $1 and entity_id = $2"#,
        account.as_str(),
        entity,
    );
    let row = row.fetch_optional(connection).await?;
    row.map(|row| {
        let kind = EntityKind::try_from(row.kind.as_str());
        let kind = kind.map_err(|error| unreadable("entity_name.kind", error))?;
        Ok((kind, row.responsible))
    })
    .transpose()
}

/// Returns those of cards and contacts that an agent answers for, as far as is known here.
pub async fn own_among(
    connection: &mut PgConnection,
    account: &AccountSlug,
    agent: AgentId,
    entities: &[Uuid],
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    if entities.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query_scalar!(
        "select entity_id from entity_name where account = $1 and entity_id = any($2) and responsible = $3",
        account.as_str(),
        entities,
        agent as AgentId,
    );
    Ok(rows.fetch_all(connection).await?.into_iter().collect())
}

fn columns<'k>(keys: impl Iterator<Item = &'k EntityKey>) -> (Vec<String>, Vec<Uuid>) {
    keys.map(|(account, id)| (account.to_string(), *id)).unzip()
}

/// Writes anew by which entities chats are found: those of these entities, and these chats.
pub async fn renew_entities(
    connection: &mut PgConnection,
    entities: impl Iterator<Item = &EntityKey>,
    chats: impl Iterator<Item = (AccountSlug, ChatId)>,
) -> Result<(), sqlx::Error> {
    let (accounts, ids) = columns(entities);
    let of_entities = sqlx::query!(
        r#"select l.account as "account: AccountSlug", l.chat_id as "chat: ChatId"
           from unnest($1::text[], $2::uuid[]) as changed (account, entity_id)
           join entity_link l on l.account = changed.account and l.entity_id = changed.entity_id and l.linked"#,
        &accounts,
        &ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let of_entities = of_entities.into_iter().map(|row| (row.account, row.chat));
    let chats: BTreeSet<(AccountSlug, ChatId)> = chats.chain(of_entities).collect();
    if chats.is_empty() {
        return Ok(());
    }
    let accounts: Vec<String> = chats
        .iter()
        .map(|(account, _)| account.to_string())
        .collect();
    let ids: Vec<ChatId> = chats.iter().map(|(_, chat)| *chat).collect();
    let rows = sqlx::query!(
        r#"select l.chat_id as "chat: ChatId", n.kind, n.name, n.responsible as "responsible: AgentId"
           from unnest($1::text[], $2::uuid[]) as changed (account, chat_id)
           join entity_link l on l.account = changed.account and l.chat_id = changed.chat_id and l.linked
           join entity_name n on n.account = l.account and n.entity_id = l.entity_id
           order by l.chat_id, n.revision desc, n.entity_id"#,
        &accounts,
        &ids as &[ChatId],
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut linked = BTreeMap::<ChatId, Vec<Entity>>::new();
    for row in rows {
        let kind = EntityKind::try_from(row.kind.as_str());
        linked.entry(row.chat).or_default().push(Entity {
            kind: kind.map_err(|error| unreadable("entity_name.kind", error))?,
            name: row.name,
            responsible: row.responsible,
        });
    }
    let vectors = chats.iter().map(|(account, chat)| {
        let entities = linked.get(chat).map_or(&[][..], Vec::as_slice);
        chats::of_entities(account, entities)
    });
    sqlx::query!(
        "insert into chat_words as kept (chat_id, account, crm)
         select chat_id, account, crm::tsvector from unnest($1::uuid[], $2::text[], $3::text[]) as new (chat_id, account, crm)
         order by chat_id
         on conflict (chat_id) do update set crm = excluded.crm
         where kept.crm <> excluded.crm and kept.account = excluded.account",
        &ids as &[ChatId],
        &accounts,
        &vectors.collect::<Vec<_>>(),
    )
    .execute(connection)
    .await
    .map(drop)
}

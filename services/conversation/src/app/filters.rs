//! Saved filters of lists of chats (B13).

use chassis::audit;
use chassis::auth::Caller;
use prost::Message as _;
use sqlx::PgPool;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use uuid::Uuid;

use super::access;
use crate::audit as told;
use crate::domain::AgentId;
use crate::error::{DOMAIN, Error};
use crate::store::filters::{self as store, Filter};

/// Filters of an agent, or shared ones, at most.
const MOST: i64 = 100;

/// Keeps a filter, or changes it. What all share is a setting.
pub async fn save(
    pool: &PgPool,
    caller: &Caller,
    mut filter: Filter,
    shared: bool,
    now: OffsetDateTime,
) -> Result<pb::ChatFilter, Error> {
    access::may_use_chats(caller)?;
    filter.owner = owner(caller, shared)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    audit::alone(&mut tx, account, "chat-filters", &filter.owner).await?;
    let before = store::get(&mut tx, account, filter.id).await?;
    if let Some(before) = &before {
        // Another's is as one that does not exist, and its id is taken.
        if before.owner != filter.owner {
            return Err(Error::FilterNotFound);
        }
    } else if store::count(&mut tx, account, filter.owner).await? >= MOST {
        return Err(Error::TooManyFilters);
    }
    if store::is_named(&mut tx, account, &filter).await? {
        return Err(Error::FilterNameTaken);
    }
    if !store::put(&mut tx, account, &filter).await? {
        return Err(Error::FilterNotFound);
    }
    let saved = shown(&filter)?;
    if shared {
        let before = before.as_ref().map(shown).transpose()?;
        let entry = told::chat_filter(caller, (before.as_ref(), Some(&saved)))?;
        audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    }
    tx.commit().await?;
    Ok(saved)
}

/// Lists the caller's own filters and the shared ones, by name.
pub async fn list(pool: &PgPool, caller: &Caller) -> Result<Vec<pb::ChatFilter>, Error> {
    access::may_use_chats(caller)?;
    let own = caller.agent().map_or(Uuid::nil(), AgentId::uuid);
    let mut connection = pool.acquire().await?;
    let found = store::list(&mut connection, caller.account(), own, 2 * MOST).await?;
    found.iter().map(shown).collect()
}

/// Deletes a filter.
pub async fn delete(
    pool: &PgPool,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(), Error> {
    access::may_use_chats(caller)?;
    let account = caller.account();
    let mut tx = pool.begin().await?;
    let before = store::get(&mut tx, account, id).await?;
    let before = before.ok_or(Error::FilterNotFound)?;
    let shared = before.owner.is_nil();
    if shared {
        access::may_change_settings(caller)?;
        let shown = shown(&before)?;
        let entry = told::chat_filter(caller, (Some(&shown), None))?;
        audit::write(&mut tx, DOMAIN, vec![entry], now).await?;
    } else if caller
        .agent()
        .is_none_or(|agent| agent.uuid() != before.owner)
    {
        return Err(Error::FilterNotFound);
    }
    store::delete(&mut tx, account, id).await?;
    tx.commit().await?;
    Ok(())
}

/// Whose a filter is to be: everybody's has no owner.
fn owner(caller: &Caller, shared: bool) -> Result<Uuid, Error> {
    if shared {
        access::may_change_settings(caller)?;
        return Ok(Uuid::nil());
    }
    Ok(access::agent(caller)?.uuid())
}

fn shown(filter: &Filter) -> Result<pb::ChatFilter, Error> {
    Ok(pb::ChatFilter {
        filter_id: filter.id.to_string(),
        name: filter.name.clone(),
        shared: filter.owner.is_nil(),
        list: Some(pb::ListChatsRequest::decode(filter.body.as_slice())?),
    })
}

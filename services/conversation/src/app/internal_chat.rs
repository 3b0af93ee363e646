//! Internal chats of CRM's entities (F180 to F184): what agents write each other there, and who is notified.
//!
//! Who may see an entity is CRM's to say, and is asked each time somebody reads or writes. Notifications outlast that: they are
//! shown as the copies here say that CRM would (`Reach`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chassis::access::{AccessCopy, AccessError, AccessRecord};
use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::{AccountSlug, v7};
use chassis::outbox::{self, Outgoing, Waker};
use chassis::request::{self, Claim};
use futures::future::try_join_all;
use prost::Message as _;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;
use tonic::{Code, Status};
use uuid::Uuid;

use super::access;
use super::act::Repeat;
use crate::domain::AgentId;
use crate::domain::activity::{Owner, Reach};
use crate::domain::internal_chat::{ADDRESSEES_MAX, Addressed, Entity, Standing};
use crate::domain::words::EntityKind;
use crate::error::{DOMAIN, Error};
use crate::figures;
use crate::store::activity::put_owners;
use crate::store::internal_chat::{self as store, InternalMessage, Marked, Notified, Whose};
use crate::wire;

const POST: &str = "PostInternalMessage";

/// How long notifications are kept.
pub const KEPT: Duration = Duration::from_hours(90 * 24);

/// Unread notifications that are counted at most.
const COUNTED: i64 = 1_000;

/// Notifications that are marked at once at most.
const MARKED: i64 = 10_000;

/// An entity as CRM showed it.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its id.
    pub id: Uuid,
    /// What was merged into it.
    pub merged: Vec<Uuid>,
    /// Who answers for it, or for an order's buyer.
    pub owner: Owner,
    /// Who of those that were named may see it.
    pub agents: BTreeSet<AgentId>,
}

/// CRM, which says who may see an entity.
#[tonic::async_trait]
pub trait Entities: Send + Sync + 'static {
    /// Looks at an entity in the caller's name, and which of these agents may see it, too. Refuses as reading it does.
    async fn look(
        &self,
        caller: &Caller,
        entity: Entity,
        agents: &BTreeSet<AgentId>,
    ) -> Result<Looked, Status>;
}

/// Assignment, which knows groups.
#[tonic::async_trait]
pub trait Groups: Send + Sync + 'static {
    /// Returns the agents of a group; none where the account has no such group.
    async fn members(
        &self,
        account: &AccountSlug,
        group: Uuid,
    ) -> Result<Option<Vec<AgentId>>, Status>;
}

/// A message to be posted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What makes it idempotent.
    pub repeat: Repeat,
    /// The entity.
    pub entity: Entity,
    /// The text.
    pub text: Text,
    /// Agents to whom it goes.
    pub agents: Vec<AgentId>,
    /// Groups to which it goes.
    pub groups: Vec<Uuid>,
}

impl Wanted {
    /// Returns the answer of an earlier request of this id, or claims the id for this transaction.
    async fn earlier(
        &self,
        connection: &mut PgConnection,
        caller: &Caller,
        now: OffsetDateTime,
    ) -> Result<Option<pb::PostInternalMessageResponse>, Error> {
        let Repeat { request_id, hash } = &self.repeat;
        let Some(id) = request_id else {
            return Ok(None);
        };
        match request::claim(connection, caller.account(), POST, id, hash, now).await? {
            Claim::New => Ok(None),
            Claim::Done(answer) => Ok(Some(pb::PostInternalMessageResponse::decode(answer)?)),
            Claim::Conflict => Err(Error::RequestIdReused(id.clone())),
        }
    }
}

/// The use cases.
#[derive(Clone)]
pub struct InternalChats {
    /// The database.
    pub pool: PgPool,
    /// Wakes the relay.
    pub waker: Waker,
    /// What agents may do.
    pub access: AccessCopy,
    /// Who is in which group.
    pub groups: Arc<dyn Groups>,
    /// Who may see which entity.
    pub entities: Arc<dyn Entities>,
}

impl InternalChats {
    /// Posts a message on an entity that the caller may see, notifies whom it goes to, and tells of it. It goes into no chat.
    pub async fn post(
        &self,
        caller: &Caller,
        wanted: Wanted,
        now: OffsetDateTime,
    ) -> Result<pb::PostInternalMessageResponse, Error> {
        // A repeat is answered as the first call was, whoever came or went since.
        let mut earlier = self.pool.begin().await?;
        if let Some(answer) = wanted.earlier(&mut earlier, caller, now).await? {
            return Ok(answer);
        }
        // Others are asked with no transaction open.
        earlier.rollback().await?;
        let (looked, reached) = self.reached(caller, &wanted).await?;

        let account = caller.account();
        let mut tx = self.pool.begin().await?;
        if let Some(answer) = wanted.earlier(&mut tx, caller, now).await? {
            return Ok(answer);
        }
        let message = InternalMessage {
            id: v7(now).into(),
            entity: Entity {
                id: looked.id,
                ..wanted.entity
            },
            owner: looked.owner.entity,
            author: caller.actor().to_string(),
            text: wanted.text,
            agents: wanted.agents,
            groups: wanted.groups,
            created_at: now,
        };
        store::insert(&mut tx, account, &message).await?;
        // Whom the message goes to may see it at once, also where the news of who answers for the entity has not come here yet.
        put_owners(&mut tx, [(account.as_str(), looked.owner)]).await?;
        let others = reached.iter().copied();
        let others: Vec<AgentId> = others.filter(|one| Some(*one) != caller.agent()).collect();
        store::notify(&mut tx, account, &others, &message).await?;

        let buyer = message.entity.kind == EntityKind::Order;
        let posted = pb::InternalMessagePosted {
            message: Some(wire::internal_message(&message)),
            addressee_agent_ids: reached.iter().map(ToString::to_string).collect(),
            contact_id: buyer
                .then_some(message.owner)
                .map(|id| id.to_string())
                .unwrap_or_default(),
        };
        let event = Outgoing::new(account, message.entity.id, &posted).actor(caller.actor());
        let answer = pb::PostInternalMessageResponse {
            message: posted.message,
            addressee_agent_ids: posted.addressee_agent_ids,
        };
        if let Some(id) = &wanted.repeat.request_id {
            request::store(&mut tx, account, POST, id, &answer.encode_to_vec()).await?;
        }
        outbox::write(&mut tx, DOMAIN, vec![event], now).await?;
        tx.commit().await?;
        self.waker.wake();
        figures::INTERNAL_POSTED.increment(1);
        Ok(answer)
    }

    /// Looks at the entity, and says to whom the message goes.
    async fn reached(
        &self,
        caller: &Caller,
        wanted: &Wanted,
    ) -> Result<(Looked, BTreeSet<AgentId>), Error> {
        let account = caller.account();
        let groups = wanted.groups.iter();
        let groups = groups.map(|group| self.groups.members(account, *group));
        let addressed = Addressed {
            agents: wanted.agents.clone(),
            groups: try_join_all(groups).await.map_err(Error::Refused)?,
        };
        let everybody = addressed.everybody();
        let too_many = everybody.len() > ADDRESSEES_MAX;
        let asked = if too_many { BTreeSet::new() } else { everybody };
        let looked = self.entities.look(caller, wanted.entity, &asked).await;
        let looked = looked.map_err(Error::Refused)?;
        if too_many {
            return Err(Error::Invalid {
                field: "group_ids",
                rule: "must have at most 500 agents together with those of agent_ids",
            });
        }
        let keys = asked
            .iter()
            .map(|agent| (account.clone(), *agent))
            .collect();
        let records = self.access.several(&keys).await;
        let records = records.map_err(|AccessError::Away(why)| Error::StaffAway(why))?;
        let records: BTreeMap<AgentId, &AccessRecord> = records
            .iter()
            .map(|(key, record)| (key.1, record))
            .collect();
        let standing = |agent: AgentId| match records.get(&agent) {
            None => Standing::Unknown,
            Some(record) if !record.active => Standing::Inactive,
            Some(_) if looked.agents.contains(&agent) => Standing::Sees,
            Some(_) => Standing::Blind,
        };
        let reached = addressed.reached(standing).map_err(|flaws| {
            let flaws = flaws.into_iter();
            Error::Fields(
                flaws
                    .map(|(field, why)| FieldViolation::new(field, why))
                    .collect(),
            )
        })?;
        Ok((looked, reached))
    }

    /// Lists the messages of an entity that the caller may see, newest first, one more than the page has.
    pub async fn list(
        &self,
        caller: &Caller,
        entity: Entity,
        before: Uuid,
        size: u32,
    ) -> Result<Vec<InternalMessage>, Error> {
        let looked = self.entities.look(caller, entity, &BTreeSet::new()).await;
        let looked = looked.map_err(Error::Refused)?;
        let mut ids = looked.merged;
        ids.push(looked.id);
        let mut connection = self.pool.acquire().await?;
        let of = (entity.kind, ids.as_slice());
        let limit = i64::from(size) + 1;
        Ok(store::list(&mut connection, caller.account(), of, before, limit).await?)
    }

    /// Lists the calling agent's notifications, newest first, one more than the page has, and counts the unread ones.
    pub async fn notifications(
        &self,
        caller: &Caller,
        unread_only: bool,
        before: Uuid,
        size: u32,
    ) -> Result<(Vec<Notified>, pb::UnreadNotifications), Error> {
        let whose = whose(caller)?;
        let mut connection = self.pool.acquire().await?;
        let limit = i64::from(size) + 1;
        let found =
            store::notifications(&mut connection, &whose, unread_only, before, limit).await?;
        let unread = unread(&mut connection, &whose).await?;
        Ok((found, unread))
    }

    /// Marks notifications of the calling agent as read; returns how many are unread now.
    pub async fn mark(
        &self,
        caller: &Caller,
        mut marked: Marked,
    ) -> Result<pb::UnreadNotifications, Error> {
        let whose = whose(caller)?;
        if let Marked::Of(EntityKind::Contact, ids) = &mut marked {
            self.add_merged(caller, ids).await?;
        }
        let mut tx = self.pool.begin().await?;
        store::mark(&mut tx, whose.account, whose.agent, &marked, MARKED).await?;
        let unread = unread(&mut tx, &whose).await?;
        tx.commit().await?;
        Ok(unread)
    }

    /// Adds to contacts what is one with them now: their internal chats are read as one, and so are the notifications of them.
    async fn add_merged(&self, caller: &Caller, ids: &mut Vec<Uuid>) -> Result<(), Error> {
        let mut merged = Vec::new();
        for id in &*ids {
            let entity = Entity {
                kind: EntityKind::Contact,
                id: *id,
            };
            match self.entities.look(caller, entity, &BTreeSet::new()).await {
                Ok(looked) => {
                    merged.extend(looked.merged);
                    merged.push(looked.id);
                }
                // It is gone, or hidden from the agent by now: what they were notified of stays theirs to mark.
                Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => {
                }
                Err(status) => return Err(Error::Refused(status)),
            }
        }
        ids.extend(merged);
        Ok(())
    }
}

/// Returns the calling agent, with what of entities the agent sees.
pub(super) fn whose(caller: &Caller) -> Result<Whose<'_>, Error> {
    Ok(Whose {
        account: caller.account(),
        agent: access::agent(caller)?,
        reach: Reach::of(caller.access()),
    })
}

/// Counts those that are unread.
pub(super) async fn unread(
    connection: &mut PgConnection,
    whose: &Whose<'_>,
) -> Result<pb::UnreadNotifications, Error> {
    let count = store::unread(connection, whose, COUNTED + 1).await?;
    Ok(pb::UnreadNotifications {
        count: i32::try_from(count.min(COUNTED)).unwrap_or(i32::MAX),
        more: count > COUNTED,
    })
}

/// Forgets notifications that are kept no longer, step by step; returns how many those were.
pub async fn sweep(pool: &PgPool, now: OffsetDateTime) -> Result<u64, Error> {
    let mut swept = 0;
    loop {
        let mut connection = pool.acquire().await?;
        let (some, more) = store::sweep(&mut connection, now - KEPT).await?;
        swept += some;
        if !more {
            return Ok(swept);
        }
    }
}

//! Internal chats of CRM's entities (F180 to F184): whom a message reaches, who reads it, and that no client does.

mod notifications;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use chassis::access::{AccessCopy, AccessRecord};
use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::lifecycle::Lifecycle;
use chassis::outbox::Waker;
use chassis::testing::{caller, full_access, request, service_caller};
use conversation::app::internal_chat::{Entities, Groups, InternalChats, Looked};
use conversation::app::internal_watch::InternalWatch;
use conversation::domain::activity::Owner;
use conversation::domain::internal_chat::Entity;
use conversation::grpc::internal_chats::Api;
use switchboard_proto::conversation::v1::entity_reference::Kind;
use switchboard_proto::conversation::v1::internal_chat_service_server::InternalChatService as _;
use switchboard_proto::conversation::v1::{self as pb};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::world::{World, agent, at, noon, plain, reason};

/// A card of Ann's, which only she and who sees all cards may see.
const CARD: Uuid = Uuid::from_u128(0xca4d);
/// An order, whose buyer is Ann's.
const ORDER: Uuid = Uuid::from_u128(0x04de4);
/// Its buyer.
const BUYER: Uuid = Uuid::from_u128(0xb47e4);
/// A contact.
const CONTACT: Uuid = Uuid::from_u128(0xc0);
/// One that is merged into it in some tests.
const TWIN: Uuid = Uuid::from_u128(0x2);
/// A group of Ann, Bob and Cid.
const SALES: Uuid = Uuid::from_u128(0x5a1e5);

/// Stand-ins for crm-cards and assignment.
#[derive(Clone, Default)]
struct Others {
    /// Who of the agents may not see anything.
    blind: Arc<Mutex<BTreeSet<AgentId>>>,
    members: Arc<Mutex<BTreeMap<Uuid, Vec<AgentId>>>>,
    merged: Arc<Mutex<Vec<Uuid>>>,
    asked: Arc<Mutex<usize>>,
}

#[tonic::async_trait]
impl Entities for Others {
    async fn look(
        &self,
        caller: &Caller,
        entity: Entity,
        agents: &BTreeSet<AgentId>,
    ) -> Result<Looked, Status> {
        *self.asked.lock().unwrap() += 1;
        let blind = self.blind.lock().unwrap();
        let hidden = caller.agent().is_some_and(|agent| blind.contains(&agent));
        let known = [CARD, ORDER, CONTACT, TWIN].contains(&entity.id);
        if hidden || !known || caller.account().as_str() != "acme" {
            let why = "the card is not known";
            return Err(chassis::grpc::refusal(
                "crm-cards",
                Code::NotFound,
                "CARD_UNKNOWN",
                why,
                &[],
            ));
        }
        let owner = if entity.id == ORDER { BUYER } else { entity.id };
        let merged = self.merged.lock().unwrap().clone();
        let id = match entity.id {
            TWIN if merged.contains(&TWIN) => CONTACT,
            id => id,
        };
        Ok(Looked {
            id,
            merged,
            owner: Owner {
                entity: owner,
                responsible: Some(agent("ann")),
                stamp: Some((noon(), Uuid::nil())),
            },
            agents: agents.difference(&blind).copied().collect(),
        })
    }
}

#[tonic::async_trait]
impl Groups for Others {
    async fn members(&self, _: &AccountSlug, group: Uuid) -> Result<Option<Vec<AgentId>>, Status> {
        Ok(self.members.lock().unwrap().get(&group).cloned())
    }
}

struct Staff {
    world: World,
    others: Others,
    lifecycle: Lifecycle,
    api: Api,
}

fn crm_caller(world: &World, record: AccessRecord) -> Caller {
    caller(&world.account, record.agent, &["crm:*"], record)
}

impl Staff {
    /// Ann, Bob, Cid, and Dan, who has left.
    async fn new() -> Self {
        let world = World::new().await;
        for name in ["ann", "bob", "cid", "dan"] {
            let mut record = full_access(agent(name));
            record.active = name != "dan";
            world.records.put(&world.account, record);
        }
        let others = Others::default();
        let sales = ["ann", "bob", "cid", "dan"].map(agent).to_vec();
        others.members.lock().unwrap().insert(SALES, sales);
        let lifecycle = Lifecycle::new();
        let api = replica(&world, &others, &lifecycle);
        Self {
            world,
            others,
            lifecycle,
            api,
        }
    }

    fn agent(&self, name: &str) -> Caller {
        crm_caller(&self.world, full_access(agent(name)))
    }

    async fn post(
        &self,
        by: &Caller,
        ask: pb::PostInternalMessageRequest,
    ) -> Result<pb::PostInternalMessageResponse, Status> {
        let answer = self.api.post_internal_message(request(by, ask)).await?;
        Ok(answer.into_inner())
    }

    /// The texts on an entity, newest first, by pages of two.
    async fn on(&self, by: &Caller, entity: pb::EntityReference) -> Result<Vec<String>, Status> {
        let (mut texts, mut page_token) = (Vec::new(), String::new());
        loop {
            let ask = pb::ListInternalMessagesRequest {
                page_size: 2,
                page_token,
                entity: Some(entity.clone()),
            };
            let page = self.api.list_internal_messages(request(by, ask)).await?;
            let page = page.into_inner();
            texts.extend(page.messages.into_iter().map(|one| one.text.unwrap().text));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(texts);
            }
        }
    }

    /// The texts of which somebody is notified, with whether each is read, by pages of two; and how many are unread.
    async fn notified(&self, by: &Caller, unread_only: bool) -> (Vec<(String, bool)>, i32) {
        let (mut texts, mut page_token) = (Vec::new(), String::new());
        loop {
            let ask = pb::ListInternalNotificationsRequest {
                page_size: 2,
                page_token,
                unread_only,
            };
            let page = self.api.list_internal_notifications(request(by, ask)).await;
            let page = page.unwrap().into_inner();
            texts.extend(page.notifications.into_iter().map(text_of));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return (texts, page.unread.unwrap().count);
            }
        }
    }

    async fn mark(
        &self,
        by: &Caller,
        ask: pb::MarkInternalNotificationsRequest,
    ) -> Result<i32, Status> {
        let answer = self
            .api
            .mark_internal_notifications(request(by, ask))
            .await?;
        Ok(answer.into_inner().unread.unwrap().count)
    }
}

/// One replica over the world's database.
fn replica(world: &World, others: &Others, lifecycle: &Lifecycle) -> Api {
    let pool = world.db.pool.clone();
    let access = AccessCopy::new(pool.clone(), Arc::new(world.records.clone()));
    let watch = InternalWatch::new(pool.clone(), access.clone(), lifecycle.clone());
    watch.listen();
    let chats = InternalChats {
        pool,
        waker: Waker::new(),
        access,
        groups: Arc::new(others.clone()),
        entities: Arc::new(others.clone()),
    };
    Api { chats, watch }
}

fn text_of(one: pb::InternalNotification) -> (String, bool) {
    (one.message.unwrap().text.unwrap().text, one.read)
}

fn of(kind: Kind, id: Uuid) -> pb::EntityReference {
    pb::EntityReference {
        kind: kind.into(),
        entity_id: id.to_string(),
    }
}

fn card() -> pb::EntityReference {
    of(Kind::Card, CARD)
}

/// A message on the card.
fn message(text: &str, agents: &[&str], groups: &[Uuid]) -> pb::PostInternalMessageRequest {
    pb::PostInternalMessageRequest {
        entity: Some(card()),
        text: Some(plain(text)),
        agent_ids: agents.iter().map(|name| agent(name).to_string()).collect(),
        group_ids: groups.iter().map(Uuid::to_string).collect(),
        ..Default::default()
    }
}

fn ids(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| agent(name).to_string()).collect()
}

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().unwrap();
    let fields = bad.field_violations.into_iter();
    fields.map(|violation| violation.field).collect()
}

#[tokio::test]
async fn f180_f181_f182_a_message_reaches_agents_and_groups_each_agent_once() {
    let staff = Staff::new().await;
    let ann = staff.agent("ann");
    let ask = pb::PostInternalMessageRequest {
        request_id: "once".into(),
        ..message("one", &["bob", "bob"], &[SALES])
    };
    let posted = staff.post(&ann, ask.clone()).await.unwrap();
    // Who came to the group since gets nothing of a repeat (B02).
    staff.others.members.lock().unwrap().clear();
    assert_eq!(staff.post(&ann, ask).await.unwrap(), posted);
    let reached: BTreeSet<String> = posted.addressee_agent_ids.iter().cloned().collect();
    assert_eq!(reached, ids(&["ann", "bob", "cid"]));
    let kept = posted.message.unwrap();
    assert_eq!(kept.addressed_group_ids, [SALES.to_string()]);
    assert_eq!(kept.agent_id, agent("ann").to_string());
    assert_eq!(kept.entity, Some(card()));
    let told = staff.world.events_of::<pb::InternalMessagePosted>().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].message.as_ref(), Some(&kept));
    assert_eq!(told[0].addressee_agent_ids, posted.addressee_agent_ids);

    let one = (vec![("one".to_owned(), false)], 1);
    assert_eq!(staff.notified(&staff.agent("bob"), false).await, one);
    assert_eq!(staff.notified(&staff.agent("cid"), true).await, one);
    let none = (vec![], 0);
    assert_eq!(
        staff.notified(&ann, false).await,
        none,
        "the author is not notified"
    );
    assert_eq!(staff.notified(&staff.agent("dan"), false).await, none);

    // A service writes, too; all is read by who sees the card, to whomever it went.
    let shop = service_caller(Some(&staff.world.account), "shop", &["crm:*"], None);
    let two = staff
        .post(&shop, message("two", &["ann"], &[]))
        .await
        .unwrap();
    let two = two.message.unwrap();
    assert_eq!((&*two.actor, &*two.agent_id), ("service:shop", ""));
    staff
        .post(&ann, message("three", &["cid"], &[]))
        .await
        .unwrap();
    for reader in [&staff.agent("bob"), &shop] {
        let read = staff.on(reader, card()).await.unwrap();
        assert_eq!(read, ["three", "two", "one"]);
    }
    // What was posted on what was merged into it since is there, too.
    let other = of(Kind::Card, ORDER);
    assert!(staff.on(&ann, other.clone()).await.unwrap().is_empty());
    staff.others.merged.lock().unwrap().push(CARD);
    assert_eq!(staff.on(&ann, other).await.unwrap().len(), 3);
    let kind = of(Kind::Order, ORDER);
    assert!(staff.on(&ann, kind).await.unwrap().is_empty());
}

#[tokio::test]
async fn f181_x11_who_may_not_see_an_entity_neither_reads_nor_writes_nor_is_written_to() {
    let staff = Staff::new().await;
    let (ann, cid) = (staff.agent("ann"), staff.agent("cid"));
    staff
        .post(&ann, message("one", &["bob"], &[]))
        .await
        .unwrap();
    staff.others.blind.lock().unwrap().insert(agent("cid"));

    // They are told what CRM says.
    for refused in [
        staff.on(&cid, card()).await.unwrap_err(),
        staff
            .post(&cid, message("x", &["bob"], &[]))
            .await
            .unwrap_err(),
        staff
            .post(&cid, message("x", &["nobody"], &[Uuid::nil()]))
            .await
            .unwrap_err(),
        staff
            .on(&ann, of(Kind::Card, Uuid::nil()))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (refused.code(), &*reason(&refused)),
            (Code::NotFound, "CARD_UNKNOWN")
        );
    }
    let none: &[&str] = &[];
    for (agents, groups, named) in [
        (&["bob", "cid"][..], &[][..], &["agent_ids[1]"][..]),
        (&["dan", "nobody"], &[], &["agent_ids[0]", "agent_ids[1]"]),
        (&["bob"], &[SALES], &["group_ids[0]"]),
        (&["bob"], &[Uuid::nil()], &["group_ids[0]"]),
        (none, &[], &["agent_ids"]),
    ] {
        let refused = staff
            .post(&ann, message("x", agents, groups))
            .await
            .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{agents:?}");
        assert_eq!(fields(&refused), named, "{agents:?}");
    }
    // Nothing of it is half done.
    assert_eq!(staff.on(&ann, card()).await.unwrap(), ["one"]);
    assert_eq!(staff.notified(&staff.agent("bob"), false).await.1, 1);
    assert_eq!(staff.world.published().await.len(), 1);
}

#[tokio::test]
async fn f184_x09_x12_nothing_of_an_internal_message_comes_into_a_chat_or_to_the_gateway() {
    let staff = Staff::new().await;
    let world = &staff.world;
    let ann = world.as_agent("ann");
    world
        .receive(&[world.message("7", "1", at(1), "hello")])
        .await;
    world.send(&ann, "7", "a", "hi").await.unwrap();
    world
        .receive(&[world.message("7", "2", at(2), "so?")])
        .await;
    let (chat, before) = (
        world.get_chat(&ann, "7").await.unwrap(),
        world.everything().await,
    );
    staff
        .post(
            &staff.agent("ann"),
            message("a discount?", &["bob"], &[SALES]),
        )
        .await
        .unwrap();
    assert_eq!(world.get_chat(&ann, "7").await.unwrap(), chat);
    let after = world.everything().await;
    let (events, tables) = after.split_last().unwrap();
    assert_eq!(
        tables,
        &before[..tables.len()],
        "no row of a chat has changed"
    );
    let told: i64 = events.parse().unwrap();
    assert_eq!(told, before.last().unwrap().parse::<i64>().unwrap() + 1);
    assert_eq!(
        world.events_of::<pb::InternalMessagePosted>().await.len(),
        1
    );
    assert_eq!(
        world.events_of::<pb::MessageQueued>().await.len(),
        1,
        "Ann's answer alone"
    );
    assert_eq!(
        world.count("select count(*) from outbound_command").await,
        1
    );
}

#[tokio::test]
async fn f181_a_message_names_and_reaches_so_many() {
    let staff = Staff::new().await;
    let ann = staff.agent("ann");
    let many: Vec<AgentId> = (1..=501_u128).map(|n| Uuid::from_u128(n).into()).collect();
    staff
        .others
        .members
        .lock()
        .unwrap()
        .insert(SALES, many.clone());
    let refused = staff
        .post(&ann, message("x", &[], &[SALES]))
        .await
        .unwrap_err();
    assert_eq!(fields(&refused), ["group_ids"]);
    for record in &many {
        staff
            .world
            .records
            .put(&staff.world.account, full_access(*record));
    }
    staff
        .others
        .members
        .lock()
        .unwrap()
        .insert(SALES, many[..500].to_vec());
    let posted = staff.post(&ann, message("x", &[], &[SALES])).await.unwrap();
    assert_eq!(posted.addressee_agent_ids.len(), 500);
    for (agents, groups, text, field) in [
        (51, 0, "x".to_owned(), "agent_ids"),
        (0, 21, "x".to_owned(), "group_ids"),
        (1, 0, String::new(), "text.text"),
        (1, 0, "a".repeat(20_001), "text.text"),
    ] {
        let ask = pb::PostInternalMessageRequest {
            entity: Some(card()),
            text: Some(plain(&text)),
            agent_ids: vec![agent("bob").to_string(); agents],
            group_ids: vec![SALES.to_string(); groups],
            ..Default::default()
        };
        let refused = staff.post(&ann, ask).await.unwrap_err();
        assert_eq!(fields(&refused), [field]);
    }
    let no_kind = pb::PostInternalMessageRequest {
        entity: Some(of(Kind::Unspecified, CARD)),
        ..message("x", &["bob"], &[])
    };
    let refused = staff.post(&ann, no_kind).await.unwrap_err();
    assert_eq!(fields(&refused), ["entity.kind"]);
}

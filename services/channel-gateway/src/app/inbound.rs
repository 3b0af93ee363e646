//! What of INBOUND is the gateway's own: blocks, and what is not understood.

use std::collections::BTreeMap;

use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Outgoing};
use switchboard_proto::channel_gateway::v1::{ClientBlocked, ClientUnblocked};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{App, told};
use crate::error::{DOMAIN, Error};
use crate::store::channels;
use crate::store::clients::{self, Block};

/// A client's block or unblock, with what its event needs.
#[derive(Debug, Clone)]
pub struct Told {
    /// What was told.
    pub block: Block,
    /// The item that told it.
    pub cause: Uuid,
    /// Its trace.
    pub trace: chassis::trace::TraceContext,
}

/// Keeps the newest blocks, announces those that changed something, judges receipts and echoes, and notes which channels
/// were heard.
pub async fn keep(
    app: &App,
    told: &[Told],
    spoken: &[told::Told],
    heard: &[Uuid],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let heard = app.heard.due(heard.iter().copied(), now);
    if told.is_empty() && spoken.is_empty() && heard.is_empty() {
        return Ok(());
    }
    let mut newest: BTreeMap<(Uuid, &str), &Told> = BTreeMap::new();
    for told in told {
        let kept = newest
            .entry((told.block.channel_id, &told.block.chat_key))
            .or_insert(told);
        if kept.block.time < told.block.time {
            *kept = told;
        }
    }
    let blocks: Vec<Block> = newest.values().map(|told| told.block.clone()).collect();
    let mut tx = app.pool.begin().await?;
    let mut events = Vec::new();
    for block in clients::keep_newest(&mut tx, &blocks).await? {
        let told = newest.get(&(block.channel_id, block.chat_key.as_str()));
        let Some(told) = told else { continue };
        events.push(event(&block)?.cause(told.cause).trace(told.trace.clone()));
    }
    events.extend(told::judge(&mut tx, spoken, now).await?);
    channels::heard(&mut tx, &heard, now).await?;
    let announces = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.heard.done(&heard, now);
    if announces {
        app.relay.wake();
    }
    Ok(())
}

/// The event of a change.
pub(super) fn event(block: &Block) -> Result<Outgoing, Error> {
    let account = AccountSlug::parse(&block.account).map_err(crate::store::unreadable)?;
    let channel_id = block.channel_id.to_string();
    let chat = id::v5("chat", &[&channel_id, &block.chat_key]);
    let (chat_key, time) = (
        block.chat_key.clone(),
        Some(chassis::grpc::timestamp(block.time)),
    );
    Ok(if block.blocked {
        Outgoing::new(
            &account,
            chat,
            &ClientBlocked {
                channel_id,
                chat_key,
                time,
            },
        )
    } else {
        Outgoing::new(
            &account,
            chat,
            &ClientUnblocked {
                channel_id,
                chat_key,
                time,
            },
        )
    })
}

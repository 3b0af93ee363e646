//! What of INBOUND is the gateway's own: blocks, files, and what is not understood.

use std::collections::BTreeMap;

use chassis::id::{self, AccountSlug};
use chassis::outbox::{self, Outgoing};
use switchboard_proto::channel_gateway::v1::{ClientBlocked, ClientUnblocked};
use time::OffsetDateTime;
use uuid::Uuid;

use super::accept::Intake;
use super::{App, attachments, lookups, photos, told};
use crate::error::{DOMAIN, Error};
use crate::store::attachments::Named;
use crate::store::channels;
use crate::store::clients::{self, Block};
use crate::store::lookups::{self as store_lookups, Lookup};
use crate::store::notes::{self as notes, ClientNote, MessageNote};
use crate::store::photos::{self as store_photos, Wanted};

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

/// What of a batch is noted for later answers.
#[derive(Debug, Default)]
pub struct Notes {
    /// When clients wrote.
    pub clients: Vec<ClientNote>,
    /// What answers to messages need to know.
    pub messages: Vec<MessageNote>,
    /// What the provider is to be asked.
    pub lookups: Vec<Lookup>,
    /// Whose photos are to be looked for.
    pub photos: Vec<Wanted>,
}

impl Notes {
    fn is_empty(&self) -> bool {
        self.clients.is_empty()
            && self.messages.is_empty()
            && self.lookups.is_empty()
            && self.photos.is_empty()
    }

    fn newest_clients(&self) -> Vec<ClientNote> {
        let mut newest: BTreeMap<(Uuid, &str), &ClientNote> = BTreeMap::new();
        for note in &self.clients {
            let kept = newest
                .entry((note.channel_id, &note.chat_key))
                .or_insert(note);
            if kept.last_client_at < note.last_client_at {
                *kept = note;
            }
        }
        newest.into_values().cloned().collect()
    }

    fn distinct_messages(&self) -> Vec<MessageNote> {
        let notes: BTreeMap<(Uuid, &str), &MessageNote> = self
            .messages
            .iter()
            .map(|note| ((note.channel_id, note.provider_key.as_str()), note))
            .collect();
        notes.into_values().cloned().collect()
    }
}

/// What a batch brings.
#[derive(Debug, Default)]
pub struct Batch {
    /// Blocks and unblocks.
    pub told: Vec<Told>,
    /// Receipts and echoes.
    pub spoken: Vec<told::Told>,
    /// Channels that were heard.
    pub heard: Vec<Uuid>,
    /// Files that were named.
    pub files: Vec<Named>,
    /// Files whose messages were taken back.
    pub taken_back: Vec<Uuid>,
    /// What is noted.
    pub notes: Notes,
}

/// Keeps the newest blocks, announces those that changed something, judges receipts and echoes, keeps the files that were
/// named, and notes which channels were heard.
pub async fn keep(
    app: &App,
    intake: &Intake,
    batch: &Batch,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let Batch {
        told,
        spoken,
        files,
        notes,
        ..
    } = batch;
    let heard = app.heard.due(batch.heard.iter().copied(), now);
    if told.is_empty()
        && spoken.is_empty()
        && heard.is_empty()
        && files.is_empty()
        && batch.taken_back.is_empty()
        && notes.is_empty()
    {
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
    notes::keep_clients(&mut tx, &notes.newest_clients()).await?;
    notes::keep_messages(&mut tx, &notes.distinct_messages(), now).await?;
    // After the notes: an answer may come with the comment that it answers.
    events.extend(told::judge(app, intake, &mut tx, spoken, now).await?);
    channels::heard(&mut tx, &heard, now).await?;
    let since = lookups::given_up_since(now);
    let had = store_lookups::note(&mut tx, &notes.lookups, since, now).await?;
    store_photos::note(&mut tx, &notes.photos, photos::since(now), now).await?;
    events.extend(attachments::keep(&mut tx, files, now).await?);
    events.extend(attachments::withdraw(&mut tx, &batch.taken_back, now).await?);
    let announces = !events.is_empty();
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.heard.done(&heard, now);
    app.learnt.keep_all(had).await;
    app.photos.done(&notes.photos).await;
    if !files.is_empty() {
        app.files.due.notify_one();
    }
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

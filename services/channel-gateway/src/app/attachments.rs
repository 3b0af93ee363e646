//! Files as their readers see them: what inbound items name, what is known of a file, links, and asking again.

use std::collections::{BTreeMap, BTreeSet};

use chassis::auth::Caller;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use chassis::trace::TraceContext;
use sqlx::PgConnection;
use switchboard_proto::channel_gateway::v1::{
    AttachmentFailed, AttachmentStored, InboundEvent, inbound_event::Kind,
};
use switchboard_proto::common::v1::{Attachment, ChannelKind, attachment::State};
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::channels::{may_read_chats, visible};
use crate::domain::attachments::named;
use crate::domain::file::{clean_name, essence, is_own_key, object_key};
use crate::domain::instagram::content::file_ids;
use crate::error::Error;
use crate::store::attachments::{self, AttachmentRow, Named};
use crate::store::{unreadable, uploads, withdrawn};

/// Messages of one file that an item's batch tells of at most.
const HOLDERS_MAX: usize = 100;

/// An item that may name files.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// The account it came for, as its frame says.
    pub account: &'a AccountSlug,
    /// Its id.
    pub id: Uuid,
    /// Its trace.
    pub trace: &'a TraceContext,
    /// The channel.
    pub channel: Uuid,
    /// When it was received.
    pub received_at: OffsetDateTime,
    /// The item.
    pub event: &'a InboundEvent,
}

/// What a sealed reference is bound to: it opens in its own row only.
pub fn aad(attachment: Uuid) -> Vec<u8> {
    format!("attachment:{attachment}:reference").into_bytes()
}

/// Returns the files that items name, each once, by id.
pub fn collect(app: &App, items: &[Item<'_>]) -> Result<Vec<Named>, Error> {
    let mut files: BTreeMap<Uuid, Named> = BTreeMap::new();
    for item in items {
        for (file, holder) in named(item.event) {
            let Ok(id) = file.attachment_id.parse::<Uuid>() else {
                continue;
            };
            if let Some(known) = files.get_mut(&id) {
                let new = !known.provider_keys.iter().any(|key| key == holder);
                if new && known.provider_keys.len() < HOLDERS_MAX {
                    known.provider_keys.push(holder.to_owned());
                }
            } else if let Some(named) = name(app, *item, file, id, holder)? {
                files.insert(id, named);
            }
        }
    }
    Ok(files.into_values().collect())
}

fn name(
    app: &App,
    item: Item<'_>,
    file: &Attachment,
    id: Uuid,
    holder: &str,
) -> Result<Option<Named>, Error> {
    let account = item.account.as_str();
    let (stored, object_key) = match file.state() {
        // What the gateway itself stored on the way, such as a mail, says under which key.
        State::Stored => {
            let key = String::from_utf8_lossy(&file.extension).into_owned();
            if !is_own_key(account, &key) {
                return Ok(None);
            }
            (true, key)
        }
        State::Pending => (false, object_key(account, item.received_at, id)),
        State::Failed | State::Unspecified => return Ok(None),
    };
    let reference = if stored {
        None
    } else {
        Some(app.sealer.seal(&file.extension, &aad(id))?)
    };
    let pixels = |size: u32| i32::try_from(size).unwrap_or(0);
    Ok(Some(Named {
        id,
        account: account.to_owned(),
        channel_id: item.channel,
        kind: file.kind,
        stored,
        file_name: clean_name(&file.file_name),
        media_type: essence(&file.media_type).unwrap_or_default(),
        size: file.size.max(0),
        width: pixels(file.width),
        height: pixels(file.height),
        duration_ms: file.duration_ms.max(0),
        object_key,
        reference,
        provider_keys: vec![holder.to_owned()],
        cause: item.id,
        trace: item.trace.traceparent().unwrap_or_default(),
    }))
}

/// Keeps files that items name. Returns the events of those that are in the store already: their new holders have not
/// heard of it.
pub async fn keep(
    connection: &mut PgConnection,
    files: &[Named],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let new = attachments::insert_named(connection, files, now).await?;
    let new: BTreeSet<Uuid> = new.into_iter().collect();
    let known: Vec<&Named> = files
        .iter()
        .filter(|file| !new.contains(&file.id))
        .collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let mut events = Vec::new();
    for row in attachments::note_named(connection, &known, now).await? {
        let told = known.iter().find(|file| file.id == row.id);
        if let (Some(told), "stored") = (told, row.state.as_str()) {
            let row = AttachmentRow {
                provider_keys: told.provider_keys.clone(),
                cause: Some(told.cause),
                trace: told.trace.clone(),
                ..row
            };
            events.push(event(&row)?);
        }
    }
    Ok(events)
}

/// The message of a file was taken back by its client.
const TAKEN_BACK: &str = "MESSAGE_DELETED";

/// Returns the files of messages that were taken back where Meta's terms want copies erased (channels.md §4.2, §7.20).
pub fn taken_back(items: &[Item<'_>]) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for item in items {
        if let Some(Kind::Deletion(deletion)) = &item.event.kind
            && item.event.channel_kind() == ChannelKind::Instagram
        {
            let files = deletion.provider_keys.iter();
            ids.extend(files.flat_map(|mid| file_ids(item.channel, mid)));
        }
    }
    ids
}

/// Takes files away whose messages were taken back; the bytes go soon after.
pub async fn withdraw(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let rows = withdrawn::withdraw(connection, ids, TAKEN_BACK, now).await?;
    rows.iter().map(event).collect()
}

/// Returns the event of a file's state: stored, or failed.
pub fn event(row: &AttachmentRow) -> Result<Outgoing, Error> {
    let account = AccountSlug::parse(&row.account).map_err(unreadable)?;
    let channel_id = row.channel_id.map(|id| id.to_string()).unwrap_or_default();
    let attachment = Some(as_told(row));
    let provider_keys = row.provider_keys.clone();
    let event = if row.state == "stored" {
        let stored = AttachmentStored {
            channel_id,
            attachment,
            provider_keys,
        };
        Outgoing::new(&account, row.id, &stored)
    } else {
        let failed = AttachmentFailed {
            channel_id,
            attachment,
            provider_keys,
        };
        Outgoing::new(&account, row.id, &failed)
    };
    Ok(event
        .cause(row.cause)
        .trace(TraceContext::parse(&row.trace)))
}

/// Writes a file as contracts name it; where its bytes are stays here.
pub fn as_told(row: &AttachmentRow) -> Attachment {
    let state = match row.state.as_str() {
        "stored" => State::Stored,
        "failed" => State::Failed,
        _ => State::Pending,
    };
    Attachment {
        attachment_id: row.id.to_string(),
        kind: row.kind,
        state: state.into(),
        reason: row.reason.clone(),
        file_name: row.file_name.clone(),
        media_type: row.media_type.clone(),
        size: row.size,
        width: u32::try_from(row.width).unwrap_or(0),
        height: u32::try_from(row.height).unwrap_or(0),
        duration_ms: row.duration_ms,
        ..Attachment::default()
    }
}

/// Returns a file that the caller may see: of a channel that is granted, an upload of the caller's own, or one that is held
/// for all.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<AttachmentRow, Error> {
    may_read_chats(caller)?;
    let mut connection = app.pool.acquire().await?;
    let row = attachments::find(&mut connection, caller.account(), id).await?;
    let row = row.ok_or(Error::NotFound("the file"))?;
    if may_see(caller, &row) || !uploads::held(&mut connection, &[id]).await?.is_empty() {
        return Ok(row);
    }
    Err(Error::NotFound("the file"))
}

fn may_see(caller: &Caller, row: &AttachmentRow) -> bool {
    let agent = caller.agent().map(AgentId::uuid);
    match row.channel_id {
        Some(channel) => visible(caller, channel).is_ok(),
        // A service that acts for itself sees its account's uploads; an agent sees the own ones.
        None => agent.is_none() || agent == row.agent,
    }
}

/// Returns a link by which a file that the caller may see can be read, and until when.
pub async fn link(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<(String, OffsetDateTime), Error> {
    let row = get(app, caller, id).await?;
    if row.state != "stored" {
        return Err(Error::NotStored);
    }
    Ok(app
        .files
        .links
        .to_read(id, &row.file_name, &row.media_type, now))
}

/// Has a client's file that could not be had fetched once more.
pub async fn refetch(
    app: &App,
    caller: &Caller,
    id: Uuid,
    now: OffsetDateTime,
) -> Result<AttachmentRow, Error> {
    let row = get(app, caller, id).await?;
    let mut connection = app.pool.acquire().await?;
    if attachments::refetch(&mut connection, row.id, now).await? {
        app.files.due.notify_one();
    }
    drop(connection);
    get(app, caller, id).await
}

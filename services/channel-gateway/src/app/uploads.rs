//! Files that agents send: announced, put, noted as sent.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::ready;
use std::pin::pin;

use chassis::access::ChannelGrant;
use chassis::auth::Caller;
use chassis::clock;
use chassis::id::{self, AgentId};
use chassis::outbox::Outgoing;
use futures::{StreamExt as _, stream};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::App;
use super::attachments::{as_told, event};
use super::channels::may_read_chats;
use super::queue::Queued;
use crate::domain::attachments::{for_each_of, ids};
use crate::domain::file::{clean_name, essence, kind_of, media_type, object_key};
use crate::domain::quota;
use crate::error::Error;
use crate::figures;
use crate::files::store::{Broken, Bytestream, ReceiveError, Received};
use crate::store::attachments::{self, AttachmentRow};
use crate::store::fetches::Fetched;
use crate::store::uploads::{self, NewUpload};
use crate::store::usage;

/// How long uploads are held from when somebody said so.
const HELD_FOR: Duration = Duration::days(30);

/// How often a lease is renewed before it would end.
const RENEWALS: u32 = 3;

/// A file to be announced, as the caller names it.
pub struct Announced<'a> {
    /// Name.
    pub file_name: &'a str,
    /// Bytes.
    pub size: i64,
    /// Media type; may be empty.
    pub media_type: &'a str,
}

/// What came of a file that was put.
#[derive(Debug)]
pub enum Put {
    /// It is in the store.
    Stored,
    /// No such upload.
    Unknown,
    /// It was put before, or is being put, or was withdrawn.
    Taken,
    /// Another size than announced.
    Size,
    /// It did not come as a whole.
    Broken,
    /// It took too long.
    Slow,
}

/// Announces a file; returns its id, where to put it, and until when.
pub async fn create(
    app: &App,
    caller: &Caller,
    announced: Announced<'_>,
    now: OffsetDateTime,
) -> Result<(Uuid, String, OffsetDateTime), Error> {
    may_read_chats(caller)?;
    let invalid = |field, rule| Err(Error::Invalid { field, rule });
    let file_name = clean_name(announced.file_name);
    if file_name.is_empty() {
        return invalid("file_name", "must name a file");
    }
    let size = u64::try_from(announced.size).unwrap_or(0);
    if size == 0 || size > app.files.max_size {
        return invalid("size", "must be above 0 and not above the limit for files");
    }
    let media_type = essence(announced.media_type);
    if media_type.is_none() && !announced.media_type.is_empty() {
        return invalid("media_type", "must be a media type as application/pdf");
    }
    let media_type = media_type.unwrap_or_default();
    let (id, account) = (id::v7(now), caller.account());
    let new = NewUpload {
        id,
        account,
        agent: caller.agent().map(AgentId::uuid),
        kind: kind_of(&media_type).into(),
        file_name: &file_name,
        media_type: &media_type,
        size: announced.size,
        object_key: &object_key(account.as_str(), now, id),
    };
    // Counted when it is announced: what was promised a place is taken when its bytes come.
    let mut tx = app.pool.begin().await?;
    let after = usage::add(&mut tx, account, announced.size).await?;
    let after = u64::try_from(after).unwrap_or(0);
    if let Err(full) = quota::admit(after, size, app.files.upload_quota) {
        // At once: others of the account wait for its row.
        tx.rollback().await?;
        figures::UPLOADS_REFUSED.of(["quota"]).increment(1);
        return Err(full.into());
    }
    uploads::insert(&mut tx, &new, now).await?;
    tx.commit().await?;
    let (url, end) = app.files.links.to_put(id, now);
    Ok((id, url, end))
}

/// Takes the bytes of an announced file into the store. The link was checked. Where it is refused, bytes may be left.
pub async fn put(
    app: &App,
    id: Uuid,
    length: u64,
    bytes: &mut Bytestream,
    now: OffsetDateTime,
) -> Result<Put, Error> {
    let until = now + app.files.upload_lease;
    let mut connection = app.pool.acquire().await?;
    let Some(expected) = uploads::claim(&mut connection, id, now, until).await? else {
        return Ok(Put::Unknown);
    };
    // Not held while the bytes come.
    drop(connection);
    let Some(fence) = expected.fence else {
        return Ok(Put::Taken);
    };
    let size = u64::try_from(expected.size).unwrap_or(0);
    let hold = Hold {
        app,
        id,
        fence,
        lost: CancellationToken::new(),
    };
    let received = if length == size {
        hold.receive(&expected.object_key, bytes, size).await
    } else {
        Err(ReceiveError::TooLarge(size))
    };
    if hold.lost.is_cancelled() {
        return Ok(Put::Taken);
    }
    let mut connection = app.pool.acquire().await?;
    let refused = match received {
        Ok(received) if received.size == size => {
            let media_type = sniffed(&expected.media_type, &received);
            let fetched = Fetched {
                size: expected.size,
                sha256: &received.sha256,
                media_type: &media_type,
            };
            let stored = uploads::stored(&mut connection, id, fence, fetched).await?;
            return Ok(if stored { Put::Stored } else { Put::Taken });
        }
        Ok(_) | Err(ReceiveError::Broken(_)) => Ok(Put::Broken),
        Err(ReceiveError::TooLarge(_)) => Ok(Put::Size),
        Err(ReceiveError::Slow) => Ok(Put::Slow),
        Err(ReceiveError::Store(error)) => Err(error.into()),
    };
    uploads::release(&mut connection, id, fence).await?;
    refused
}

/// An upload that is being put, and nobody else's as long as its lease is renewed.
struct Hold<'a> {
    app: &'a App,
    id: Uuid,
    fence: i64,
    /// Somebody else took it over.
    lost: CancellationToken,
}

impl Hold<'_> {
    /// Takes the bytes into the store. Who lost the lease breaks off, at the latest before the file comes to its place.
    async fn receive(
        &self,
        key: &str,
        bytes: &mut Bytestream,
        size: u64,
    ) -> Result<Received, ReceiveError> {
        let last = stream::once(self.renew()).filter_map(|()| {
            let lost = self.lost.is_cancelled();
            ready(lost.then(|| Err(Broken("somebody else puts it".to_owned()))))
        });
        let ours = bytes.by_ref().take_until(self.lost.cancelled()).chain(last);
        let files = &self.app.files;
        let ours = pin!(ours);
        let work = files.store.receive(key, ours, size, files.pace);
        tokio::select! {
            received = work => received,
            never = self.keep() => match never {},
        }
    }

    async fn keep(&self) -> Infallible {
        let mut beat = tokio::time::interval(self.app.files.upload_lease / RENEWALS);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first is at once, and the lease is fresh.
        beat.tick().await;
        loop {
            beat.tick().await;
            self.renew().await;
        }
    }

    /// Where the database is away, the lease may end; then what is written under it does not count.
    async fn renew(&self) {
        let renewed = async {
            let until = clock::now() + self.app.files.upload_lease;
            let mut connection = self.app.pool.acquire().await?;
            uploads::renew(&mut connection, self.id, self.fence, until).await
        };
        match renewed.await {
            Ok(true) => {}
            Ok(false) => self.lost.cancel(),
            Err(error) => {
                tracing::warn!(%error, attachment.id = %self.id, "an upload's lease could not be renewed");
            }
        }
    }
}

/// What a received file is, by what was told of it and how it begins.
pub(super) fn sniffed(told: &str, received: &Received) -> String {
    let known = infer::get(&received.head);
    media_type(told, known.map(|known| known.mime_type()))
}

/// Holds uploads from now on; returns those that the caller may have held and that are there.
pub async fn hold(
    app: &App,
    caller: &Caller,
    ids: &[Uuid],
    now: OffsetDateTime,
) -> Result<Vec<Uuid>, Error> {
    may_read_chats(caller)?;
    let channels = caller.access().and_then(|access| match &access.channels {
        ChannelGrant::All => None,
        ChannelGrant::Some(channels) => Some(channels.iter().copied().collect::<Vec<Uuid>>()),
    });
    let mut connection = app.pool.acquire().await?;
    let holder = uploads::Holder {
        account: caller.account(),
        agent: caller.agent().map(AgentId::uuid),
        channels: channels.as_deref(),
    };
    Ok(uploads::hold(&mut connection, &holder, ids, now + HELD_FOR).await?)
}

/// Notes the uploads that commands send, so that they stay and belong to the channel, and tells the commands what their
/// files are. Returns the events of files that are now part of a message.
///
/// A file that the command's agent may not send, another's upload or a file of another channel, is taken out of it: it
/// fails as one that does not exist.
pub async fn note_used(
    connection: &mut PgConnection,
    queued: &mut [Queued],
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let mut all: Vec<Uuid> = queued
        .iter()
        .flat_map(|it| ids(&it.command.parts))
        .collect();
    if all.is_empty() {
        return Ok(Vec::new());
    }
    all.sort_unstable();
    all.dedup();
    let rows = attachments::load(connection, &all).await?;
    let rows: BTreeMap<Uuid, AttachmentRow> = rows.into_iter().map(|row| (row.id, row)).collect();
    let held: BTreeSet<Uuid> = uploads::held(connection, &all).await?.into_iter().collect();
    let mut sent: BTreeMap<Uuid, (String, Uuid)> = BTreeMap::new();
    for entry in queued.iter_mut() {
        let (account, channel) = (entry.account.to_string(), entry.command.channel_id.clone());
        let agent = entry.command.agent_id.clone();
        for_each_of(&mut entry.command.parts, |file| {
            let row = file
                .attachment_id
                .parse()
                .ok()
                .and_then(|id: Uuid| rows.get(&id));
            let shared = row.is_some_and(|row| held.contains(&row.id));
            match row.filter(|row| may_send(row, &account, &channel, &agent, shared)) {
                Some(row) => {
                    if let (true, Ok(channel)) = (row.source == "upload", channel.parse()) {
                        sent.entry(row.id)
                            .or_insert_with(|| (account.clone(), channel));
                    }
                    *file = as_told(row);
                }
                None => file.attachment_id.clear(),
            }
        });
    }
    let sent: Vec<(Uuid, String, Uuid)> = sent
        .into_iter()
        .map(|(id, (account, channel))| (id, account, channel))
        .collect();
    if sent.is_empty() {
        return Ok(Vec::new());
    }
    let used = uploads::used(connection, &sent, now).await?;
    let used = attachments::load(connection, &used).await?;
    used.iter()
        .filter(|row| row.state == "stored")
        .map(event)
        .collect()
}

/// Tells whether an agent may send a file: an own upload, one that is held for all, or what stands in the channel already.
fn may_send(row: &AttachmentRow, account: &str, channel: &str, agent: &str, held: bool) -> bool {
    let own =
        row.source == "upload" && row.agent.map(|id| id.to_string()).unwrap_or_default() == agent;
    let here = row.channel_id.is_some_and(|id| id.to_string() == channel);
    row.account == account && (own || here || held)
}

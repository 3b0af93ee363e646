//! Files that agents send: announced, put, noted as sent.

use chassis::auth::Caller;
use chassis::id::{self, AgentId};
use sqlx::PgConnection;
use switchboard_proto::conversation::v1::OutboundCommand;
use time::OffsetDateTime;
use uuid::Uuid;

use super::App;
use super::channels::may_read_chats;
use crate::domain::attachments::ids;
use crate::domain::file::{clean_name, essence, kind_of, media_type, object_key};
use crate::error::Error;
use crate::files::lease;
use crate::files::store::{Bytestream, ReceiveError, Received};
use crate::store::fetches::Fetched;
use crate::store::uploads::{self, NewUpload};

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
    let mut connection = app.pool.acquire().await?;
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
    uploads::insert(&mut connection, &new, now).await?;
    let (url, end) = app.files.links.to_put(id, now);
    Ok((id, url, end))
}

/// Takes the bytes of an announced file into the store. The link was checked.
pub async fn put(
    app: &App,
    id: Uuid,
    length: u64,
    bytes: Bytestream,
    now: OffsetDateTime,
) -> Result<Put, Error> {
    let until = now + lease(app.files.pace);
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
    let received = if length == size {
        let (store, pace) = (&app.files.store, app.files.pace);
        store.receive(&expected.object_key, bytes, size, pace).await
    } else {
        Err(ReceiveError::TooLarge(size))
    };
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

/// What a received file is, by what was told of it and how it begins.
pub(super) fn sniffed(told: &str, received: &Received) -> String {
    let known = infer::get(&received.head);
    media_type(told, known.map(|known| known.mime_type()))
}

/// Notes the uploads that commands send: they stay, and belong to the channel.
pub async fn note_used<'c>(
    connection: &mut PgConnection,
    commands: impl Iterator<Item = (&'c str, &'c OutboundCommand)>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let mut sent: Vec<(Uuid, String, Uuid)> = commands
        .filter_map(|(account, command)| {
            let channel: Uuid = command.channel_id.parse().ok()?;
            Some((account, channel, ids(&command.parts)))
        })
        .flat_map(|(account, channel, ids)| {
            ids.into_iter()
                .map(move |id| (id, account.to_owned(), channel))
        })
        .collect();
    if sent.is_empty() {
        return Ok(());
    }
    sent.sort_unstable();
    sent.dedup_by_key(|(id, ..)| *id);
    uploads::used(connection, &sent, now).await
}

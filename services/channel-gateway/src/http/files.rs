//! Files over HTTP: agents put and read by signed links, providers read by unguessable ones.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use futures::StreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::is_code;
use crate::app::App;
use crate::app::uploads::{self, Put};
use crate::domain::file::{UNKNOWN, link_name};
use crate::domain::range::{Asked, asked};
use crate::files::links::Deed;
use crate::files::store::{Broken, Bytestream, StoreError};
use crate::store::attachments::{self, AttachmentRow};
use crate::store::provider_links;

/// A file does nothing in a browser but be shown or saved.
const HARMLESS: &str = "default-src 'none'; sandbox";

/// What stands in the name of a header as it is (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'-')
    .remove(b'_')
    .remove(b'~');

/// What the routes work with.
pub struct Door {
    app: App,
    slots: Arc<Semaphore>,
}

/// What a signed link says beside the file.
#[derive(Deserialize)]
struct Signed {
    /// Until when, in Unix seconds.
    e: i64,
    /// The signature.
    s: String,
}

/// Bytes of a refused upload that are read on at most: as many as a file may have.
const READ_ON: usize = 64 << 20;

/// For how long they are.
const READ_ON_FOR: Duration = Duration::from_secs(10);

/// What a file is shown as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// To be saved; agents' browsers show it by a page of theirs.
    Saved,
    /// As it is: providers and phones decide.
    Plain,
}

impl Door {
    /// Makes the handlers' state: so many files go in or out at once.
    pub fn new(app: App, transfers: u32) -> Self {
        let slots = usize::try_from(transfers).unwrap_or(1);
        Self {
            app,
            slots: Arc::new(Semaphore::new(slots)),
        }
    }

    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }
}

/// Returns the routes.
pub fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/files/up/{id}", put(receive))
        .route("/files/{id}/{name}", get(signed))
        .route("/f/{code}/{name}", get(by_code))
        .with_state(door)
}

async fn receive(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    query: Result<Query<Signed>, QueryRejection>,
    request: Request,
) -> Response {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let bytes = request.into_body().into_data_stream();
    let mut bytes = bytes
        .map(|piece| piece.map_err(|_| Broken("the sender broke off".to_owned())))
        .boxed();
    let answer = take(
        &door,
        good(&door, Deed::Put, &id, query),
        length,
        &mut bytes,
    )
    .await;
    if !answer.status().is_success() {
        // Whatever ends it, the answer goes out.
        let _ = tokio::time::timeout(READ_ON_FOR, read_on(&mut bytes)).await;
    }
    answer
}

async fn take(
    door: &Door,
    id: Option<Uuid>,
    length: Option<u64>,
    bytes: &mut Bytestream,
) -> Response {
    let Some(id) = id else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let Some(length) = length else {
        return StatusCode::LENGTH_REQUIRED.into_response();
    };
    // Known without a look at anything, and never otherwise: no reason to come again.
    if length > door.app.files.max_size {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Some(_slot) = door.slot() else {
        return again();
    };
    match uploads::put(&door.app, id, length, bytes, chassis::clock::now()).await {
        Ok(Put::Stored) => StatusCode::CREATED.into_response(),
        Ok(Put::Unknown) => StatusCode::NOT_FOUND.into_response(),
        Ok(Put::Taken) => StatusCode::CONFLICT.into_response(),
        Ok(Put::Size) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Ok(Put::Broken) => StatusCode::BAD_REQUEST.into_response(),
        Ok(Put::Slow) => StatusCode::REQUEST_TIMEOUT.into_response(),
        Err(error) => {
            tracing::warn!(%error, attachment.id = %id, "an upload could not be stored");
            again()
        }
    }
}

/// Reads on what a refused sender is still sending, without keeping it: a connection that closes on somebody who sends
/// shows them a broken call instead of the answer.
async fn read_on(bytes: &mut Bytestream) {
    let mut left = READ_ON;
    while let Some(Ok(piece)) = bytes.next().await {
        left = left.saturating_sub(piece.len());
        if left == 0 {
            break;
        }
    }
}

async fn signed(
    State(door): State<Arc<Door>>,
    Path((id, _)): Path<(String, String)>,
    query: Result<Query<Signed>, QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match good(&door, Deed::Read, &id, query) {
        Some(id) => answer(&door, id, Shown::Saved, &method, &headers).await,
        None => StatusCode::FORBIDDEN.into_response(),
    }
}

async fn by_code(
    State(door): State<Arc<Door>>,
    Path((code, _)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if !is_code(&code) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let found = async {
        let mut connection = door.app.pool.acquire().await?;
        provider_links::attachment_of(&mut connection, &code, chassis::clock::now()).await
    };
    match found.await {
        Ok(Some(id)) => answer(&door, id, Shown::Plain, &method, &headers).await,
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => again(),
    }
}

/// Returns the file of a link that was made here for this and is still good.
fn good(
    door: &Door,
    deed: Deed,
    id: &str,
    query: Result<Query<Signed>, QueryRejection>,
) -> Option<Uuid> {
    let (id, Query(signed)) = (Uuid::parse_str(id).ok()?, query.ok()?);
    let now = chassis::clock::now();
    let links = &door.app.files.links;
    links
        .is_good(deed, id, signed.e, &signed.s, now)
        .then_some(id)
}

async fn answer(
    door: &Door,
    id: Uuid,
    shown: Shown,
    method: &Method,
    headers: &HeaderMap,
) -> Response {
    let found = async {
        let mut connection = door.app.pool.acquire().await?;
        attachments::find_stored(&mut connection, id).await
    };
    let row = match found.await {
        Ok(Some(row)) => row,
        Ok(None) => return StatusCode::NOT_FOUND.into_response(),
        Err(_) => return again(),
    };
    let size = u64::try_from(row.size).unwrap_or(0);
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    let asked = asked(range, size);
    let (status, part) = match &asked {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part.clone()),
        Asked::Beyond => {
            let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
            set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let body = if method == Method::HEAD || part.is_empty() {
        Body::empty()
    } else {
        let Some(slot) = door.slot() else {
            return again();
        };
        let wanted = Some(part.clone()).filter(|_| status == StatusCode::PARTIAL_CONTENT);
        match door.app.files.store.stream(&row.object_key, wanted).await {
            Ok(bytes) => {
                let ends = until_dropped(slot, door.app.files.pace.total);
                Body::from_stream(bytes.map(move |piece| {
                    let _held = &ends;
                    piece
                }))
            }
            Err(StoreError::Missing) => return StatusCode::NOT_FOUND.into_response(),
            Err(_) => return again(),
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    set(
        &mut response,
        CONTENT_LENGTH,
        &(part.end - part.start).to_string(),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        let told = format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1));
        set(&mut response, CONTENT_RANGE, &told);
    }
    describe(&mut response, &row, shown);
    response
}

/// Says what a file is, and that it is nothing else.
fn describe(response: &mut Response, row: &AttachmentRow, shown: Shown) {
    let media_type = Some(row.media_type.as_str()).filter(|known| !known.is_empty());
    set(response, CONTENT_TYPE, media_type.unwrap_or(UNKNOWN));
    set(response, ACCEPT_RANGES, "bytes");
    set(response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(response, CONTENT_SECURITY_POLICY, HARMLESS);
    set(response, REFERRER_POLICY, "no-referrer");
    set(response, CACHE_CONTROL, "private, max-age=900");
    if shown == Shown::Saved || is_active(&row.media_type) {
        let name = link_name(&row.file_name, &row.media_type);
        let name = utf8_percent_encode(&name, PLAIN);
        let saved = format!("attachment; filename*=UTF-8''{name}");
        set(response, CONTENT_DISPOSITION, &saved);
    }
}

/// Files in which a browser would run something.
fn is_active(media_type: &str) -> bool {
    ["html", "xml", "svg", "javascript"]
        .iter()
        .any(|active| media_type.contains(active))
}

/// Holds a slot until the returned guard is dropped, or the time is up: a reader that stands still gives it back.
fn until_dropped(slot: OwnedSemaphorePermit, longest: Duration) -> tokio_util::sync::DropGuard {
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(async move {
        let _ = tokio::time::timeout(longest, ended.cancelled()).await;
        drop(slot);
    });
    guard
}

fn set(response: &mut Response, name: axum::http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// We cannot serve it now.
fn again() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    set(&mut response, RETRY_AFTER, "5");
    response
}

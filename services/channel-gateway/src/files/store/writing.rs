//! A file on its way into the store: collected while it is small, put part by part beyond.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayloadMut, WriteMultipart};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What is collected before it is written; S3 takes no smaller part.
const PART: usize = 5 * 1024 * 1024;

/// How long taking parts back may take; the store removes what is left (see [`crate::files::parts`]).
const TAKE_BACK_FOR: Duration = Duration::from_secs(10);

/// A file that is being written. However it ends before it is whole, by an error or because whoever wrote it was dropped,
/// as a handler is whose caller hangs up, its parts are taken back: S3 would keep them where nobody sees them.
pub(super) struct Writing {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    /// What is not written yet, while nothing is.
    small: PutPayloadMut,
    /// The parts, once there are any.
    parts: Option<WriteMultipart>,
    /// What is done whether somebody waits for it or not.
    tasks: TaskTracker,
}

impl Writing {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, path: Path, tasks: TaskTracker) -> Self {
        Self {
            objects,
            path,
            small: PutPayloadMut::new(),
            parts: None,
            tasks,
        }
    }

    /// Takes more of it. One part is on its way while the next is collected.
    pub(super) async fn put(&mut self, bytes: Bytes) -> object_store::Result<()> {
        if self.parts.is_none() {
            if self.small.content_length() + bytes.len() < PART {
                self.small.push(bytes);
                return Ok(());
            }
            let upload = self.objects.put_multipart(&self.path).await?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
            for piece in std::mem::take(&mut self.small).freeze() {
                parts.put(piece);
            }
            self.parts = Some(parts);
        }
        if let Some(parts) = &mut self.parts {
            parts.wait_for_capacity(1).await?;
            parts.put(bytes);
        }
        Ok(())
    }

    /// Brings it to its place. Once begun this ends one way or the other, also where nobody waits for it any more.
    pub(super) async fn finish(mut self) -> object_store::Result<()> {
        if let Some(parts) = self.parts.take() {
            return self.tasks.spawn(parts.finish()).await?.map(drop);
        }
        let whole = std::mem::take(&mut self.small).into();
        self.objects.put(&self.path, whole).await.map(drop)
    }

    /// Takes back what is written of it.
    pub(super) async fn give_up(mut self) {
        if let Some(parts) = self.parts.take() {
            take_back(parts).await;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let (Some(parts), Ok(runtime)) = (self.parts.take(), Handle::try_current()) {
            self.tasks.spawn_on(take_back(parts), &runtime);
        }
    }
}

async fn take_back(parts: WriteMultipart) {
    match tokio::time::timeout(TAKE_BACK_FOR, parts.abort()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "parts of a file that was given up could not be taken back");
        }
        Err(_) => tracing::warn!("parts of a file that was given up were not taken back in time"),
    }
}

//! The object store: bytes under keys, and nothing else of them.

mod s3;
mod writing;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use chassis::{clock, id};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use tokio_util::task::TaskTracker;

use crate::config;
use writing::Writing;

/// How much of a file's beginning is kept to tell what it is.
const HEAD: usize = 8 * 1024;

/// A whole object is read into memory up to this size.
const WHOLE_MAX: u64 = 64 * 1024 * 1024;

/// How long a whole object may take, in or out, or its deletion.
const WHOLE_FOR: Duration = Duration::from_secs(30);

/// What is put and read at the start.
const PROBE: &[u8] = b"Switchboard was here";

/// Bytes on their way; what breaks them off holds no secret.
pub type Bytestream = BoxStream<'static, Result<Bytes, Broken>>;

/// Why a stream of bytes ended before its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// Why the store did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing under this key.
    #[error("the object does not exist")]
    Missing,
    /// The key is none.
    #[error("the key is malformed")]
    Key,
    /// The store is away, or refused.
    #[error("the object store: {0}")]
    Away(object_store::Error),
    /// The store does not answer.
    #[error("the object store does not answer in time")]
    Silent,
}

/// Why bytes were not taken into the store. Nothing of them is kept.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The store's fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More came than is allowed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// Nothing came for too long, or all of it took too long.
    #[error("it took too long")]
    Slow,
    /// The sender broke off.
    #[error("{0}")]
    Broken(#[from] Broken),
}

/// How long bytes may take.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two pieces.
    pub idle: Duration,
    /// Altogether.
    pub total: Duration,
}

/// What was taken into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Bytes.
    pub size: u64,
    /// Their hash.
    pub sha256: [u8; 32],
    /// How they begin.
    pub head: Vec<u8>,
}

/// The object store. Clones share it.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// What the store is still told of files that were given up, or that nobody waits for any more.
    tasks: TaskTracker,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

impl Store {
    /// Opens the configured store; a folder that is not there is made.
    pub fn open(config: &config::Files) -> anyhow::Result<Self> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::open_with(config, variables)
    }

    /// Does the same with these variables for those of the environment.
    pub fn open_with(
        config: &config::Files,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        Ok(match config.store {
            config::ObjectStore::Local => {
                let folder = &config.folder;
                let named = || format!("files.folder: {}", folder.display());
                std::fs::create_dir_all(folder).with_context(named)?;
                let local = LocalFileSystem::new_with_prefix(folder).with_context(named)?;
                // A webhook is answered 2xx on the strength of what was written.
                Self::of(Arc::new(local.with_fsync(true)))
            }
            config::ObjectStore::S3 => Self::of(Arc::new(s3::open(config, variables)?)),
        })
    }

    fn of(objects: Arc<dyn ObjectStore>) -> Self {
        let tasks = TaskTracker::new();
        // It can be waited for at any time, and takes more all the same.
        tasks.close();
        Self { objects, tasks }
    }

    /// Puts, reads and deletes a small object: a store that cannot be used shows at the start, and not at the first file.
    /// One that is only away is not waited for: a message needs no store, and files have patience.
    pub async fn prove(&self, config: &config::Files) -> anyhow::Result<()> {
        let Err(error) = self.round_trip().await else {
            return Ok(());
        };
        let what = match config.store {
            config::ObjectStore::Local => Some(format!(
                "files.folder: {}: {error}",
                config.folder.display()
            )),
            config::ObjectStore::S3 => s3::unusable(config, &error),
        };
        if let Some(what) = what {
            bail!(what);
        }
        tracing::warn!(%error, "the object store is away: files wait for it");
        Ok(())
    }

    /// Puts, reads and deletes a small object.
    pub async fn round_trip(&self) -> Result<(), StoreError> {
        let key = format!("probe-{}", id::v7(clock::now()).simple());
        self.put(&key, Bytes::from_static(PROBE)).await?;
        self.get(&key).await?;
        self.delete(&key).await
    }

    /// Waits until the store was told of everything that was given up.
    pub async fn settled(&self) {
        self.tasks.wait().await;
    }

    /// Puts bytes under a key, all or nothing; what stood there is replaced.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let path = path(key)?;
        soon(self.objects.put(&path, bytes.into())).await?;
        Ok(())
    }

    /// Returns a whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let path = path(key)?;
        let got = soon(self.objects.get(&path)).await?;
        if got.meta.size > WHOLE_MAX {
            return Err(StoreError::Key);
        }
        soon(got.bytes()).await
    }

    /// Returns the bytes of an object, or a range of them.
    pub async fn stream(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<Bytestream, StoreError> {
        let path = path(key)?;
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let got = soon(self.objects.get_opts(&path, options)).await?;
        let bytes = got.into_stream();
        Ok(bytes
            .map(|piece| piece.map_err(|error| Broken(error.to_string())))
            .boxed())
    }

    /// Deletes an object; that there is none is as well.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = path(key)?;
        match soon(self.objects.delete(&path)).await {
            Err(StoreError::Missing) => Ok(()),
            other => other,
        }
    }

    /// Takes a stream into the store: within its limits it stands under the key when this returns, else nothing of it.
    pub async fn receive<S>(
        &self,
        key: &str,
        bytes: S,
        limit: u64,
        pace: Pace,
    ) -> Result<Received, ReceiveError>
    where
        S: Stream<Item = Result<Bytes, Broken>> + Unpin + Send,
    {
        let path = path(key)?;
        let mut writing = Writing::new(Arc::clone(&self.objects), path, self.tasks.clone());
        let work = write(&mut writing, bytes, limit, pace.idle);
        let written = tokio::time::timeout(pace.total, work)
            .await
            .unwrap_or(Err(ReceiveError::Slow));
        match written {
            Ok(received) => {
                // Only now it is there for others.
                match tokio::time::timeout(pace.total, writing.finish()).await {
                    Ok(Ok(())) => Ok(received),
                    Ok(Err(error)) => Err(told(error).into()),
                    Err(_) => Err(StoreError::Silent.into()),
                }
            }
            Err(error) => {
                // What was written so far is given back where it can be; the reason is what counts.
                writing.give_up().await;
                Err(error)
            }
        }
    }
}

async fn write<S>(
    writing: &mut Writing,
    mut bytes: S,
    limit: u64,
    idle: Duration,
) -> Result<Received, ReceiveError>
where
    S: Stream<Item = Result<Bytes, Broken>> + Unpin + Send,
{
    let (mut size, mut hash, mut head) = (0_u64, Sha256::new(), Vec::new());
    loop {
        let next = tokio::time::timeout(idle, bytes.next()).await;
        let Some(piece) = next.map_err(|_| ReceiveError::Slow)? else {
            break;
        };
        let piece = piece?;
        size = size.saturating_add(piece.len() as u64);
        if size > limit {
            return Err(ReceiveError::TooLarge(limit));
        }
        hash.update(&piece);
        head.extend_from_slice(&piece[..piece.len().min(HEAD - head.len())]);
        writing.put(piece).await.map_err(told)?;
    }
    Ok(Received {
        size,
        sha256: hash.finalize().into(),
        head,
    })
}

fn path(key: &str) -> Result<Path, StoreError> {
    Path::parse(key)
        .ok()
        .filter(|path| !path.as_ref().is_empty())
        .ok_or(StoreError::Key)
}

/// Does what takes no longer than a whole object may.
async fn soon<T>(work: impl Future<Output = object_store::Result<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(WHOLE_FOR, work).await {
        Ok(done) => done.map_err(told),
        Err(_) => Err(StoreError::Silent),
    }
}

fn told(error: object_store::Error) -> StoreError {
    match error {
        // What was lost with its bucket may come back with it.
        object_store::Error::NotFound { .. } if !s3::is_without_bucket(&error) => {
            StoreError::Missing
        }
        error => StoreError::Away(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    const PACE: Pace = Pace {
        idle: Duration::from_millis(200),
        total: Duration::from_secs(20),
    };

    fn local(folder: &std::path::Path) -> Store {
        Store::of(Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap()))
    }

    fn pieces(count: usize, size: usize) -> Bytestream {
        stream::iter((0..count).map(move |_| Ok(Bytes::from(vec![7; size])))).boxed()
    }

    fn files(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                if entry.file_type().unwrap().is_dir() {
                    files(&entry.path())
                } else {
                    1
                }
            })
            .sum()
    }

    #[tokio::test]
    async fn what_is_received_is_there_whole_with_its_size_hash_and_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        for (count, size) in [(0, 0), (1, 10), (3, 5_000), (13, 1 << 20)] {
            let key = format!("acme/2026/11/{count}");
            let received = store
                .receive(&key, pieces(count, size), 1 << 30, PACE)
                .await
                .unwrap();
            let whole = vec![7; count * size];
            assert_eq!(received.size, whole.len() as u64);
            assert_eq!(received.sha256, <[u8; 32]>::from(Sha256::digest(&whole)));
            assert_eq!(received.head, whole[..whole.len().min(HEAD)]);
            assert_eq!(store.get(&key).await.unwrap(), whole);
        }
        let mut part = store.stream("acme/2026/11/3", Some(2..5)).await.unwrap();
        assert_eq!(part.next().await.unwrap().unwrap(), vec![7; 3]);
        store.delete("acme/2026/11/3").await.unwrap();
        store.delete("acme/2026/11/3").await.unwrap();
        assert!(matches!(
            store.get("acme/2026/11/3").await,
            Err(StoreError::Missing)
        ));
    }

    #[tokio::test]
    async fn what_is_too_large_too_slow_or_broken_off_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        let take = async |bytes: Bytestream| store.receive("a/b", bytes, 8 << 20, PACE).await;
        let large = take(pieces(9, 1 << 20)).await;
        assert!(matches!(large, Err(ReceiveError::TooLarge(_))), "{large:?}");
        let slow = take(pieces(6, 1 << 20).chain(stream::pending()).boxed()).await;
        assert!(matches!(slow, Err(ReceiveError::Slow)), "{slow:?}");
        let end = stream::iter([Err(Broken("gone".into()))]);
        let broken = take(pieces(6, 1 << 20).chain(end).boxed()).await;
        assert!(matches!(broken, Err(ReceiveError::Broken(_))), "{broken:?}");
        assert!(matches!(store.get("a/b").await, Err(StoreError::Missing)));
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn no_key_leads_out_of_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = local(folder.path());
        for key in ["", "../x", "a/../../x", "a//b", "/"] {
            assert!(
                matches!(store.put(key, Bytes::new()).await, Err(StoreError::Key)),
                "{key}"
            );
        }
    }
}

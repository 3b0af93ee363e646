//! The object store: bytes under keys, and nothing else of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig,
};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::config;

/// What is collected before it is written; S3 takes no smaller part.
const PART: usize = 5 * 1024 * 1024;

/// How much of a file's beginning is kept to tell what it is.
const HEAD: usize = 8 * 1024;

/// A whole object is read into memory up to this size.
const WHOLE_MAX: u64 = 64 * 1024 * 1024;

/// How long the store is asked again, where it does not answer well.
const RETRY_FOR: Duration = Duration::from_secs(10);

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
pub struct Store(Arc<dyn ObjectStore>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.0)
    }
}

impl Store {
    /// Opens the configured store; a folder that is not there is made.
    pub fn open(config: &config::Files) -> anyhow::Result<Self> {
        Ok(Self(match config.store {
            config::ObjectStore::Local => {
                let folder = &config.folder;
                let named = || format!("files.folder: {}", folder.display());
                std::fs::create_dir_all(folder).with_context(named)?;
                let local = LocalFileSystem::new_with_prefix(folder).with_context(named)?;
                // A webhook is answered 2xx on the strength of what was written.
                Arc::new(local.with_fsync(true))
            }
            config::ObjectStore::S3 => {
                let retry = RetryConfig {
                    backoff: BackoffConfig::default(),
                    max_retries: 3,
                    retry_timeout: RETRY_FOR,
                };
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(&config.bucket)
                    .with_retry(retry);
                if !config.region.is_empty() {
                    builder = builder.with_region(&config.region);
                }
                if !config.endpoint.is_empty() {
                    builder = builder
                        .with_endpoint(&config.endpoint)
                        .with_allow_http(config.endpoint.starts_with("http://"));
                }
                Arc::new(builder.build().context("files: S3")?)
            }
        }))
    }

    /// Puts bytes under a key, all or nothing; what stood there is replaced.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.0.put(&path(key)?, bytes.into()).await.map_err(told)?;
        Ok(())
    }

    /// Returns a whole object.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        let got = self.0.get(&path(key)?).await.map_err(told)?;
        if got.meta.size > WHOLE_MAX {
            return Err(StoreError::Key);
        }
        got.bytes().await.map_err(told)
    }

    /// Returns the bytes of an object, or a range of them.
    pub async fn stream(
        &self,
        key: &str,
        range: Option<Range<u64>>,
    ) -> Result<Bytestream, StoreError> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let got = self.0.get_opts(&path(key)?, options).await.map_err(told)?;
        let bytes = got.into_stream();
        Ok(bytes
            .map(|piece| piece.map_err(|error| Broken(error.to_string())))
            .boxed())
    }

    /// Deletes an object; that there is none is as well.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.0.delete(&path(key)?).await.map_err(told) {
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
        let mut writer =
            BufWriter::with_capacity(Arc::clone(&self.0), path, PART).with_max_concurrency(1);
        let work = write(&mut writer, bytes, limit, pace.idle);
        let written = tokio::time::timeout(pace.total, work)
            .await
            .unwrap_or(Err(ReceiveError::Slow));
        match written {
            Ok(received) => {
                // Only now it is there for others.
                let closed = tokio::time::timeout(pace.total, writer.shutdown()).await;
                match closed {
                    Ok(Ok(())) => Ok(received),
                    Ok(Err(error)) => Err(away(error).into()),
                    Err(_) => Err(ReceiveError::Slow),
                }
            }
            Err(error) => {
                // What was written so far is given back where it can be; the reason is what counts.
                let _ = tokio::time::timeout(pace.idle, writer.abort()).await;
                Err(error)
            }
        }
    }
}

async fn write<S>(
    writer: &mut BufWriter,
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
        writer.put(piece).await.map_err(told)?;
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

fn told(error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::Missing,
        error => StoreError::Away(error),
    }
}

fn away(error: std::io::Error) -> StoreError {
    StoreError::Away(object_store::Error::Generic {
        store: "files",
        source: error.into(),
    })
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
        Store(Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap()))
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

//! Parts of files that a process was writing when it died.
//!
//! The local store writes a file beside its place, as `<key>#<number>`, and moves it there when it is whole. A process that
//! is killed leaves that behind, and nobody writes to it again: it is removed by its age.
//!
//! S3 keeps the parts of an upload that was neither completed nor aborted where no listing of objects shows them, and only
//! the process that began the upload knows its id. The gateway aborts what it gives up itself; what a killed one leaves is
//! the bucket's to remove, by a lifecycle rule (`AbortIncompleteMultipartUpload`, after a day), which `config.toml` and the
//! README ask for. Ids kept in the database would cost a write for each file and still miss those of a lost answer.

use std::fs::{DirEntry, ReadDir};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::config;
use crate::files::lease;
use crate::files::store::Pace;

/// What is older is nobody's: so long no file takes to be written.
const LEFT_FOR: Duration = Duration::from_hours(1);

/// How long after a look through the whole store the next begins.
const PAUSE: Duration = Duration::from_hours(1);

/// Entries that one step looks at.
const STEP: usize = 20_000;

/// Folders within folders: keys have three.
const DEPTH_MAX: usize = 8;

/// Looks through the local store for parts that were left behind, a bounded piece at a time.
#[derive(Debug)]
pub struct Parts {
    folder: PathBuf,
    age: Duration,
    step: usize,
    /// The folders that are being read, each within the one before; none between two looks.
    open: Vec<ReadDir>,
    /// When the next look begins.
    next: SystemTime,
}

impl Parts {
    /// Makes it for the configured store; none where the store removes what is left by itself.
    pub fn of(config: &config::Files) -> Option<Self> {
        let pace = Pace {
            idle: config.idle,
            total: config.total,
        };
        match config.store {
            config::ObjectStore::Local => Some(Self {
                folder: config.folder.clone(),
                age: lease(pace).max(LEFT_FOR),
                step: STEP,
                open: Vec::new(),
                next: SystemTime::UNIX_EPOCH,
            }),
            config::ObjectStore::S3 => None,
        }
    }

    /// Looks on, and removes what was left behind; returns how much it was. It blocks.
    pub fn step(&mut self, now: SystemTime) -> io::Result<usize> {
        if self.open.is_empty() {
            if now < self.next {
                return Ok(0);
            }
            self.open.push(std::fs::read_dir(&self.folder)?);
        }
        let mut removed = 0;
        for _ in 0..self.step {
            let Some(folder) = self.open.last_mut() else {
                break;
            };
            match folder.next() {
                Some(entry) => removed += usize::from(self.look(&entry?, now)?),
                None => {
                    self.open.pop();
                }
            }
        }
        if self.open.is_empty() {
            self.next = now + PAUSE;
        }
        Ok(removed)
    }

    fn look(&mut self, entry: &DirEntry, now: SystemTime) -> io::Result<bool> {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if self.open.len() < DEPTH_MAX {
                self.open.extend(there(std::fs::read_dir(entry.path()))?);
            }
            return Ok(false);
        }
        if !kind.is_file() || !entry.file_name().to_str().is_some_and(is_part) {
            return Ok(false);
        }
        let Some(known) = there(entry.metadata())? else {
            return Ok(false);
        };
        let age = now.duration_since(known.modified()?).unwrap_or_default();
        if age < self.age {
            return Ok(false);
        }
        Ok(there(std::fs::remove_file(entry.path()))?.is_some())
    }
}

/// Tells whether a file's name is that of a part: keys hold no such sign.
fn is_part(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Others may remove what is looked at meanwhile.
fn there<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::local::LocalFileSystem;
    use object_store::{ObjectStoreExt as _, PutPayload};

    fn now() -> SystemTime {
        chassis::clock::now().into()
    }

    fn parts(folder: &std::path::Path, step: usize) -> Parts {
        Parts {
            folder: folder.to_owned(),
            age: LEFT_FOR,
            step,
            open: Vec::new(),
            next: SystemTime::UNIX_EPOCH,
        }
    }

    fn write(folder: &std::path::Path, name: &str, modified: SystemTime) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = std::fs::File::create(path).unwrap();
        file.set_modified(modified).unwrap();
    }

    #[test]
    fn old_parts_go_and_nothing_else_however_small_the_steps_are() {
        let folder = tempfile::tempdir().unwrap();
        let now = now();
        let old = now - LEFT_FOR - Duration::from_secs(1);
        let kept = [
            "a/2026/11/x",
            "a/2026/11/x#",
            "a/2026/11/x#a",
            "a/y",
            "z#1/w",
        ];
        for name in kept {
            write(folder.path(), name, old);
        }
        write(folder.path(), "a/2026/11/fresh#1", now);
        let left = ["a/2026/11/x#1", "a/2026/11/x#12", "b/2026/01/v#3"];
        for name in left {
            write(folder.path(), name, old);
        }
        let mut parts = parts(folder.path(), 2);
        let (mut removed, mut steps) = (parts.step(now).unwrap(), 1);
        while !parts.open.is_empty() {
            removed += parts.step(now).unwrap();
            steps += 1;
        }
        assert_eq!(removed, left.len());
        assert!(steps > 5, "{steps}");
        assert!(!left.iter().any(|name| folder.path().join(name).exists()));
        let kept = kept.iter().chain(&["a/2026/11/fresh#1"]);
        for name in kept {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        // The store is left alone for a while.
        write(folder.path(), "a/2026/11/x#1", old);
        assert_eq!(parts.step(now + PAUSE / 2).unwrap(), 0);
        assert!(parts.open.is_empty());
        while removed == left.len() {
            removed += parts.step(now + PAUSE).unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_killed_writer_leaves_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
        let key = object_store::path::Path::from("acme/2026/11/file");
        let mut upload = store.put_multipart(&key).await.unwrap();
        let part = upload.put_part(PutPayload::from_static(b"half of it"));
        part.await.unwrap();
        // As a kill: what would be cleared away at the end is not.
        std::mem::forget(upload);
        let mut parts = parts(folder.path(), STEP);
        assert_eq!(parts.step(now()).unwrap(), 0, "it is young");
        let later = now() + LEFT_FOR + PAUSE;
        assert_eq!(parts.step(later).unwrap(), 1);
        assert!(!folder.path().join("acme/2026/11/file#1").exists());
    }
}

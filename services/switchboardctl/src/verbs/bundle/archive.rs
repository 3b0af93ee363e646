//! The file that a bundle is: a compressed archive, bounded in size, readable by its owner alone.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use switchboard_proto::operator::v1::GetReportResponse;
use time::OffsetDateTime;

use crate::error::{CliError, plain};

/// Bytes of one file within at most.
const LARGEST: usize = 4 << 20;

/// An archive in the making.
pub(super) struct Archive {
    folder: String,
    now: OffsetDateTime,
    files: Vec<(String, Vec<u8>)>,
    shortened: Vec<String>,
}

impl Archive {
    /// Makes an empty one, whose files stand in a folder.
    pub fn new(folder: &str, now: OffsetDateTime) -> Self {
        Self {
            folder: folder.to_owned(),
            now,
            files: Vec::new(),
            shortened: Vec::new(),
        }
    }

    /// Adds a file. Of one that is too large the end is kept: it is the newest of a log.
    pub fn add(&mut self, name: &str, content: &[u8]) {
        let kept = content.len().saturating_sub(LARGEST);
        if kept > 0 {
            self.shortened
                .push(format!("{name}: its first {kept} bytes"));
        }
        let content = content.get(kept..).unwrap_or_default();
        self.files.push((name.to_owned(), content.to_vec()));
    }

    /// What was left out.
    pub fn shortened(&self) -> Vec<String> {
        self.shortened.clone()
    }

    /// Packs it.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
        for (name, content) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(self.now.unix_timestamp()).unwrap_or(0));
            let path = format!("{}/{name}", self.folder);
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        archive.into_inner()?.finish()
    }
}

/// Writes it into a file that is not there yet: nobody's file is overwritten, and nobody else reads this one.
pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(bytes));
    written.map_err(|error| {
        CliError::failed(
            format!("{} cannot be written: {}", file.display(), plain(&error)),
            "name another file: --output-file FILE",
        )
    })
}

/// The slowest statements with their plans, for people.
pub(super) fn statements(report: &GetReportResponse) -> String {
    let mut text = format!("from {}\n", report.statements_source);
    if report.statements.is_empty() {
        text.push_str("nothing that takes long\n");
    }
    for one in &report.statements {
        let _ = write!(
            text,
            "\n{:.1} ms in all, {:.2} ms each, {} times\n{}\n",
            one.total_milliseconds,
            one.mean_milliseconds,
            one.calls,
            one.statement.trim()
        );
        let plan = if one.plan.is_empty() {
            format!("no plan: {}", one.plan_missing)
        } else {
            one.plan.clone()
        };
        text.extend(plan.lines().map(|line| format!("    {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn o3_8_an_archive_holds_its_files_and_the_end_of_what_is_too_large() {
        let mut archive = Archive::new("switchboard-x", OffsetDateTime::UNIX_EPOCH);
        archive.add("status.txt", b"All is well\n");
        let mut long = vec![b'a'; LARGEST];
        long.extend(b"the end");
        archive.add("conversation/log.jsonl", &long);
        assert_eq!(
            archive.shortened(),
            ["conversation/log.jsonl: its first 7 bytes"]
        );
        let bytes = archive.finish().unwrap();
        let mut read = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let mut files = Vec::new();
        for entry in read.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.push((path, content));
        }
        assert_eq!(files[0].0, "switchboard-x/status.txt");
        assert_eq!(files[0].1, b"All is well\n");
        assert_eq!(files[1].1.len(), LARGEST);
        assert!(files[1].1.ends_with(b"the end"));
    }

    #[test]
    fn o3_8_a_bundle_is_its_owners_and_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.tar.gz");
        write(&file, b"1").unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = write(&file, b"2").unwrap_err().render();
        assert!(refused.contains("--output-file"), "{refused}");
        assert_eq!(std::fs::read(&file).unwrap(), b"1");
    }
}

//! Records as CSV files, in and out.

mod refusals;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use clap::Args;
use sha2::{Digest as _, Sha256};
use switchboard_proto::crm_cards::v1::{
    ExportRecordsRequest, ImportPlan, ImportProgress, ImportRecordsRequest, ImportRecordsResponse,
    RecordKind, RefusedRow, RowProblem,
};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

use crate::connect::Session;
use crate::error::{CliError, plain};
use crate::output::bar::bar;
use crate::output::{View, cell, note, out, say, words};
use refusals::Refusals;

/// Bytes that are read from a file at once.
const PIECE: usize = 128 << 10;
/// Refused rows that are shown or written as JSON at most; the file of refusals has all.
const SHOWN: usize = 10_000;

/// Which file is read, and how.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The CSV file; its first line names the columns, as an export does
    file: PathBuf,
    /// Check everything and write nothing: what `--dry-run` means here, where the service itself checks.
    #[arg(skip)]
    dry_run: bool,
    /// Change what is known already by its id; else such rows are refused where they say something else
    #[arg(long)]
    update: bool,
    /// Names the import, by which it goes on where it was cut; without it the file's content does
    #[arg(long, value_name = "ID")]
    import_id: Option<String>,
    /// Write refused rows with their reasons into this CSV file, to be mended and imported
    #[arg(long, value_name = "FILE")]
    refusals: Option<PathBuf>,
}

/// How a file is written.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Write into this file, and not to stdout
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// As Excel opens it by a double click in much of Europe: with semicolons and a byte order mark
    #[arg(long)]
    excel: bool,
}

/// Reads records from a file. Fails where rows were refused.
pub(super) async fn import(
    session: &Session,
    view: &View,
    kind: RecordKind,
    typed: ImportArgs,
    pipeline_id: &str,
) -> Result<(), CliError> {
    let typed = ImportArgs {
        dry_run: session.terms.dry_run,
        ..typed
    };
    let import_id = match &typed.import_id {
        Some(id) => id.clone(),
        None => digest(&typed.file).await?,
    };
    let plan = ImportPlan {
        kind: kind.into(),
        import_id,
        dry_run: typed.dry_run,
        update: typed.update,
        pipeline_id: pipeline_id.to_owned(),
        with_cells: typed.refusals.is_some(),
    };
    let mut report = Report {
        plan: plan.clone(),
        progress: ImportProgress::default(),
        refused: Vec::new(),
        written: typed.refusals.as_deref().map(Refusals::new),
    };
    send(session, &typed.file, plan, &mut report).await?;
    report.show(view);
    report.judge(&typed)
}

/// What the content of a file is called: the same file is the same import.
async fn digest(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::file("read", path, &error);
    let mut file = File::open(path).await.map_err(failed)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        let read = file.read(&mut piece).await.map_err(failed)?;
        if read == 0 {
            let mut id = [0; 16];
            id.iter_mut()
                .zip(hash.finalize())
                .for_each(|(to, byte)| *to = byte);
            return Ok(uuid::Uuid::from_bytes(id).to_string());
        }
        hash.update(piece.get(..read).unwrap_or_default());
    }
}

/// Sends a file and takes what is told meanwhile.
async fn send(
    session: &Session,
    path: &Path,
    plan: ImportPlan,
    report: &mut Report<'_>,
) -> Result<(), CliError> {
    let failed = |error| CliError::file("read", path, &error);
    let mut file = File::open(path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    let (sender, mut sent) = mpsc::channel(4);
    let first = ImportRecordsRequest {
        plan: Some(plan),
        chunk: Bytes::new(),
    };
    // There is room for it, and somebody who takes it.
    let _ = sender.send(first).await;
    let mut client = session.transfers(&session.role().await?).await?;
    let parts = futures::stream::poll_fn(move |context| sent.poll_recv(context));
    let mut answers = client.import_records(parts).await?.into_inner();
    // A file that cannot be read to its end must not look as if it had ended there: who sends is kept until the call is gone.
    let feed = async move {
        loop {
            let mut chunk = BytesMut::with_capacity(PIECE);
            match file.read_buf(&mut chunk).await {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some((error, sender)),
            }
            let part = ImportRecordsRequest {
                plan: None,
                chunk: chunk.freeze(),
            };
            if sender.send(part).await.is_err() {
                return None;
            }
        }
    };
    tokio::pin!(feed);
    let mut at_end = false;
    let told = Progress::new(path, size);
    loop {
        tokio::select! {
            ended = &mut feed, if !at_end => match ended {
                None => at_end = true,
                Some((error, sender)) => {
                    told.clear();
                    drop((answers, client));
                    drop(sender);
                    return Err(CliError::file("read", path, &error));
                }
            },
            answer = answers.message() => match next(answer, &told)? {
                None => return Ok(()),
                Some(answer) => {
                    told.show(answer.progress.as_ref());
                    report.take(answer)?;
                }
            },
        }
    }
}

/// Returns the next answer; none behind the last one.
fn next(
    answer: Result<Option<ImportRecordsResponse>, tonic::Status>,
    told: &Progress,
) -> Result<Option<ImportRecordsResponse>, CliError> {
    match answer {
        Ok(Some(answer)) => Ok(Some(answer)),
        Ok(None) => {
            told.clear();
            Ok(None)
        }
        Err(status) => {
            told.clear();
            if is_cut(status.code()) {
                note!("the same command goes on where it was cut: nothing is made twice");
            }
            Err(status.into())
        }
    }
}

/// Tells whether a call was cut, of which the rest comes with another: not where the file or who sends it is refused, for
/// then every call ends as this one.
const fn is_cut(code: Code) -> bool {
    !matches!(
        code,
        Code::InvalidArgument
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unimplemented
    )
}

/// Shows how far a file is, where somebody watches.
struct Progress {
    name: String,
    size: u64,
    shown: bool,
}

impl Progress {
    fn new(path: &Path, size: u64) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            name: name.to_string_lossy().into_owned(),
            size,
            shown: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, progress: Option<&ImportProgress>) {
        let Some(progress) = progress.filter(|_| self.shown) else {
            return;
        };
        let done = u64::try_from(progress.bytes).unwrap_or(0);
        let line = bar(&self.name, done, self.size);
        out::over(&format!("{line}, {}", sentence(progress)));
    }

    fn clear(&self) {
        if self.shown {
            out::over("");
        }
    }
}

fn rows(rows: i64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn sentence(progress: &ImportProgress) -> String {
    format!(
        "{}: {} created, {} updated, {} unchanged, {} refused",
        rows(progress.rows),
        progress.created,
        progress.updated,
        progress.unchanged,
        progress.refused
    )
}

/// What came of a file.
struct Report<'t> {
    plan: ImportPlan,
    progress: ImportProgress,
    /// The first ones.
    refused: Vec<RefusedRow>,
    /// Where all of them are written.
    written: Option<Refusals<'t>>,
}

impl Report<'_> {
    fn take(&mut self, answer: ImportRecordsResponse) -> Result<(), CliError> {
        self.progress = answer.progress.unwrap_or(self.progress);
        if let Some(written) = &mut self.written {
            written.take(&answer.columns, &answer.refused)?;
        }
        let room = SHOWN.saturating_sub(self.refused.len());
        self.refused.extend(answer.refused.into_iter().take(room));
        Ok(())
    }

    fn show(&self, view: &View) {
        if view.is_ids() {
            return;
        }
        if !view.is_table() {
            say!("{}", self.json());
            return;
        }
        let problems = self.refused.iter().flat_map(|row| {
            let each = row.problems.iter();
            each.map(|one| vec![cell(row.line), cell(&one.column), cell(&one.reason)])
        });
        let rows: Vec<_> = problems.collect();
        if !rows.is_empty() {
            view.rows(&["LINE", "COLUMN", "REASON"], &[], rows);
        }
        let dry = if self.plan.dry_run {
            " (nothing is written)"
        } else {
            ""
        };
        say!("{}{dry}", sentence(&self.progress));
    }

    fn json(&self) -> serde_json::Value {
        let problem =
            |one: &RowProblem| serde_json::json!({ "column": one.column, "reason": one.reason });
        let row = |row: &RefusedRow| {
            let problems: Vec<_> = row.problems.iter().map(problem).collect();
            serde_json::json!({ "line": row.line, "problems": problems })
        };
        let told = &self.progress;
        serde_json::json!({
            "importId": self.plan.import_id,
            "dryRun": self.plan.dry_run,
            "rows": told.rows,
            "created": told.created,
            "updated": told.updated,
            "unchanged": told.unchanged,
            "refused": told.refused,
            "refusedRows": self.refused.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// Fails where rows were refused.
    fn judge(&self, typed: &ImportArgs) -> Result<(), CliError> {
        let refused = self.progress.refused;
        if refused == 0 {
            return Ok(());
        }
        let shown = i64::try_from(self.refused.len()).unwrap_or(i64::MAX);
        if refused > shown {
            note!("only the first {shown} refused rows are shown: --refusals FILE writes all");
        }
        let hint = match &typed.refusals {
            Some(path) => format!("mend {} and import it", path.display()),
            None if refused == 1 => {
                "mend it; --refusals FILE writes it into a file of its own".to_owned()
            }
            None => "mend them; --refusals FILE writes them into a file of their own".to_owned(),
        };
        Err(CliError::failed(
            match refused {
                1 => "1 row was refused".to_owned(),
                refused => format!("{refused} rows were refused"),
            },
            hint,
        ))
    }
}

/// Writes all records of a kind that the caller sees.
pub(super) async fn export(
    session: &Session,
    view: &View,
    kind: RecordKind,
    typed: ExportArgs,
) -> Result<(), CliError> {
    let request = ExportRecordsRequest {
        kind: kind.into(),
        delimiter: if typed.excel { ";" } else { "," }.to_owned(),
        byte_order_mark: typed.excel,
    };
    let mut client = session.transfers(&session.role().await?).await?;
    let mut parts = client.export_records(request).await?.into_inner();
    let Some(path) = typed.output_file else {
        while let Some(part) = parts.message().await? {
            out::bytes(&part.chunk);
        }
        return Ok(());
    };
    // Under its name it is there whole or not at all.
    let partly = path.with_added_extension("part");
    let written = match write(&mut parts, &partly).await {
        Ok(written) => written,
        Err(error) => {
            let _ = std::fs::remove_file(&partly);
            return Err(error);
        }
    };
    std::fs::rename(&partly, &path).map_err(|error| CliError::file("write", &path, &error))?;
    if view.is_table() {
        say!("{} in {}", rows(written), path.display());
    } else if !view.is_ids() {
        say!("{}", serde_json::json!({ "rows": written, "file": path }));
    }
    Ok(())
}

async fn write(
    parts: &mut Streaming<switchboard_proto::crm_cards::v1::ExportRecordsResponse>,
    path: &Path,
) -> Result<i64, CliError> {
    let failed = |error| CliError::file("write", path, &error);
    let mut file = File::create(path).await.map_err(failed)?;
    let shown = std::io::stderr().is_terminal();
    let (mut written, mut bytes, mut done) = (0, 0_u64, false);
    while let Some(part) = parts.message().await? {
        file.write_all(&part.chunk).await.map_err(failed)?;
        (written, done) = (part.rows, part.done);
        bytes += part.chunk.len() as u64;
        if shown {
            out::over(&format!("{}, {}", rows(written), words::bytes(bytes)));
        }
    }
    if shown {
        out::over("");
    }
    file.sync_all().await.map_err(failed)?;
    if !done {
        let text = format!(
            "the service ended before the file did, behind {}",
            rows(written)
        );
        return Err(CliError::failed(text, "again"));
    }
    Ok(written)
}

/// What the system says of a file of refusals.
fn unwritten(path: &Path, error: &dyn std::error::Error) -> CliError {
    let text = format!("cannot write {}: {}", path.display(), plain(error));
    CliError::failed(text, "the rows that were not refused are in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn i28_a_file_names_its_import_by_what_stands_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (one, same, other) = (
            folder.path().join("one.csv"),
            folder.path().join("same.csv"),
            folder.path().join("other.csv"),
        );
        std::fs::write(&one, "name\nAnna\n").unwrap();
        std::fs::write(&same, "name\nAnna\n").unwrap();
        std::fs::write(&other, "name\nBob\n").unwrap();
        let name = digest(&one).await.unwrap();
        assert_eq!(name.len(), 36);
        assert_eq!(digest(&same).await.unwrap(), name);
        assert_ne!(digest(&other).await.unwrap(), name);
        let absent = digest(&folder.path().join("absent.csv")).await.unwrap_err();
        assert!(
            absent.render().contains("cannot read"),
            "{}",
            absent.render()
        );
    }

    #[test]
    fn i28_refused_rows_are_told_and_make_the_command_fail() {
        let mut report = Report {
            plan: ImportPlan {
                import_id: "x".into(),
                ..ImportPlan::default()
            },
            progress: ImportProgress::default(),
            refused: Vec::new(),
            written: None,
        };
        let typed = ImportArgs {
            file: "x.csv".into(),
            dry_run: false,
            update: false,
            import_id: None,
            refusals: None,
        };
        assert!(report.judge(&typed).is_ok());
        let problem = RowProblem {
            column: "phones[0]".into(),
            reason: "must be a phone number".into(),
        };
        let answer = ImportRecordsResponse {
            progress: Some(ImportProgress {
                rows: 3,
                created: 2,
                refused: 1,
                ..ImportProgress::default()
            }),
            refused: vec![RefusedRow {
                line: 3,
                problems: vec![problem],
                cells: Vec::new(),
            }],
            ..ImportRecordsResponse::default()
        };
        report.take(answer).unwrap();
        let json = report.json();
        assert_eq!((&json["created"], &json["refused"]), (&2.into(), &1.into()));
        assert_eq!(json["refusedRows"][0]["problems"][0]["column"], "phones[0]");
        let error = report.judge(&typed).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        assert!(
            error.render().contains("1 row was refused"),
            "{}",
            error.render()
        );
        assert_eq!(
            sentence(&report.progress),
            "3 rows: 2 created, 0 updated, 0 unchanged, 1 refused"
        );
        report.progress.refused = 2;
        let error = report.judge(&typed).unwrap_err().render();
        assert!(error.contains("2 rows were refused"), "{error}");
    }

    #[test]
    fn i28_only_a_call_that_was_cut_goes_on() {
        for (code, cut) in [
            // A replica stops, a connection breaks, a minute or half an hour is over, a token has run out.
            (Code::Unavailable, true),
            (Code::Unknown, true),
            (Code::DeadlineExceeded, true),
            (Code::Unauthenticated, true),
            // The file cannot be read, or is not for who sends it.
            (Code::InvalidArgument, false),
            (Code::PermissionDenied, false),
        ] {
            assert_eq!(is_cut(code), cut, "{code:?}");
        }
    }
}

//! Uploading files that are to be sent: announced to the gateway, then put to the address that it gives.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use reqwest::StatusCode;
use reqwest::header::CONTENT_LENGTH;
use switchboard_proto::channel_gateway::v1::CreateUploadRequest;
use tokio_util::io::ReaderStream;

use crate::connect::Session;
use crate::error::{CliError, plain};
use crate::output::bar::bar;
use crate::output::{note, out};
use crate::token::Role;

/// From this size on it is shown how far an upload has come.
const BIG: u64 = 4 << 20;

/// The slowest line that is waited for, in bytes a second.
const SLOWEST: u64 = 64 << 10;

/// Bytes that are read from a file at once.
const PIECE: usize = 64 << 10;

/// A file that is to be uploaded.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::verbs) struct Chosen {
    path: PathBuf,
    name: String,
    media_type: String,
    size: u64,
}

impl Chosen {
    /// Looks at a file without reading it.
    pub fn look(path: &Path) -> Result<Self, CliError> {
        let refuse = |what: &str| {
            let text = format!("{} {what}", path.display());
            Err(CliError::usage(&text, "name a file that can be read"))
        };
        let known = std::fs::metadata(path);
        let known = known.map_err(|error| CliError::file("read", path, &error))?;
        if !known.is_file() {
            return refuse("is no file");
        }
        if known.len() == 0 {
            return refuse("is empty");
        }
        let Some(name) = path.file_name() else {
            return refuse("has no name");
        };
        Ok(Self {
            path: path.to_owned(),
            name: name.to_string_lossy().into_owned(),
            media_type: media_type(path),
            size: known.len(),
        })
    }
}

/// What a file is by its name; the gateway looks at the bytes as well. Empty where the name tells nothing.
fn media_type(path: &Path) -> String {
    let known = mime_guess::from_path(path).first();
    known
        .map(|known| known.essence_str().to_owned())
        .unwrap_or_default()
}

/// Uploads files one after the other; adds their ids in the same order, those before one that fails as well.
pub(in crate::verbs) async fn all(
    session: &Session,
    role: &Role,
    chosen: &[Chosen],
    ids: &mut Vec<String>,
) -> Result<(), CliError> {
    if chosen.is_empty() {
        return Ok(());
    }
    // Already installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        // As the calls to the services go.
        .no_proxy()
        .connect_timeout(session.settings.timeout.min(Duration::from_secs(3)))
        .build()
        .map_err(|error| CliError::failed(format!("cannot prepare HTTP: {error}"), ""))?;
    let mut gateway = session.channel_gateway(role).await?;
    for file in chosen {
        let request = CreateUploadRequest {
            file_name: file.name.clone(),
            size: i64::try_from(file.size).unwrap_or(i64::MAX),
            media_type: file.media_type.clone(),
        };
        let limit = longest(file.size, session.settings.timeout);
        let uploaded = async {
            let place = gateway.create_upload(request).await?.into_inner();
            put(&http, file, &place.put_url, limit).await?;
            Ok::<_, CliError>(place.attachment_id)
        };
        match uploaded.await {
            Ok(id) => ids.push(id),
            Err(error) => {
                note!("{} is not uploaded, and nothing is sent", file.name);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// How long an upload may take.
fn longest(size: u64, timeout: Duration) -> Duration {
    timeout + Duration::from_secs(size / SLOWEST)
}

async fn put(
    http: &reqwest::Client,
    file: &Chosen,
    url: &str,
    limit: Duration,
) -> Result<(), CliError> {
    let opened = tokio::fs::File::open(&file.path).await;
    let opened = opened.map_err(|error| CliError::file("read", &file.path, &error))?;
    let shown = file.size >= BIG && std::io::stderr().is_terminal();
    let (mut done, size, name) = (0, file.size, file.name.clone());
    let pieces = ReaderStream::with_capacity(opened, PIECE).inspect(move |piece| {
        let Ok(piece) = piece else { return };
        done += piece.len() as u64;
        if shown {
            out::over(&bar(&name, done, size));
        }
    });
    let request = http
        .put(url)
        .timeout(limit)
        .header(CONTENT_LENGTH, size)
        .body(reqwest::Body::wrap_stream(pieces));
    let answer = request.send().await;
    if shown {
        out::over("");
    }
    let status = match answer {
        Ok(answer) => answer.status(),
        Err(error) => return Err(broken(file, error)),
    };
    match refused(status) {
        None => Ok(()),
        Some((why, hint)) => Err(CliError::failed(
            format!("{} could not be uploaded: {why} ({status})", file.name),
            hint,
        )),
    }
}

/// A call that brought no answer. The address is as good as a secret: it stays out of the text.
fn broken(file: &Chosen, error: reqwest::Error) -> CliError {
    let host = error.url().and_then(reqwest::Url::host_str);
    let host = host.unwrap_or("the gateway").to_owned();
    let slow = error.is_timeout();
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let why = if slow {
        "no answer in time".to_owned()
    } else {
        plain(cause)
    };
    CliError::failed(
        format!("{} could not be uploaded to {host}: {why}", file.name),
        "is the gateway's `http.public_url` reached from here? Else again, or with a longer --timeout",
    )
}

/// Why the gateway did not take the bytes, and what to do; nothing where it did.
fn refused(status: StatusCode) -> Option<(&'static str, &'static str)> {
    let again = "again in a moment";
    Some(match status {
        _ if status.is_success() => return None,
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::BAD_REQUEST => (
            "the file changed while it was read",
            "again, once nobody writes to it",
        ),
        StatusCode::REQUEST_TIMEOUT => ("it took too long", again),
        StatusCode::SERVICE_UNAVAILABLE => ("the gateway takes no file now", again),
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::CONFLICT => (
            "the gateway does not know the upload any more",
            "again: it is announced anew",
        ),
        _ => (
            "the gateway answered something else",
            "does `http.public_url` of the gateway lead to it?",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f130_a_file_is_known_by_its_name_and_looked_at_before_it_goes() {
        for (name, expected) in [
            ("photo.JPG", "image/jpeg"),
            ("price list.pdf", "application/pdf"),
            ("prices.csv", "text/csv"),
            ("voice.ogg", "audio/ogg"),
            ("noname", ""),
            ("odd.zzzz", ""),
        ] {
            assert_eq!(media_type(Path::new(name)), expected, "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        let (good, empty) = (folder.path().join("чек.png"), folder.path().join("empty"));
        std::fs::write(&good, [7; 9]).unwrap();
        std::fs::write(&empty, []).unwrap();
        let looked = Chosen::look(&good).unwrap();
        assert_eq!(
            (
                looked.name.as_str(),
                looked.media_type.as_str(),
                looked.size
            ),
            ("чек.png", "image/png", 9)
        );
        for (path, expected) in [
            (empty, "is empty"),
            (folder.path().to_owned(), "is no file"),
            (folder.path().join("absent"), "cannot read"),
        ] {
            let error = Chosen::look(&path).unwrap_err().render();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_upload_that_was_not_taken_says_what_to_do() {
        for (status, expected) in [
            (201, None),
            (413, Some("changed")),
            (503, Some("takes no file now")),
            (403, Some("does not know")),
            (502, Some("something else")),
        ] {
            let told = refused(StatusCode::from_u16(status).unwrap());
            assert_eq!(told.is_some(), expected.is_some(), "{status}");
            if let (Some((why, hint)), Some(expected)) = (told, expected) {
                assert!(why.contains(expected) && !hint.is_empty(), "{status}");
            }
        }
        let limit = Duration::from_secs(10);
        assert_eq!(longest(1, limit), limit);
        assert_eq!(longest(SLOWEST * 60, limit), Duration::from_secs(70));
    }
}

//! Sealing anew under the key that seals now, so that former keys can go: in batches, and safe to repeat.

use chassis::seal::Sealer;
use sqlx::PgConnection;
use uuid::Uuid;

use super::book::aad as of_channel;
use super::{App, attachments, photos};
use crate::error::Error;
use crate::store::sealed::{self, Of, Sealed};

/// Rows of one batch.
const BATCH: i64 = 200;

/// Where sealed texts stand.
#[derive(Debug, Clone, Copy)]
enum Place {
    Channel(Of),
    File,
    Photo,
}

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    /// Texts that were sealed anew.
    pub resealed: u64,
    /// Texts that open under no key of the file: they are left as they are.
    pub unreadable: u64,
}

/// Seals everything anew that stands under a former key.
pub async fn pass(app: &App) -> Result<Pass, Error> {
    let mut pass = Pass::default();
    for place in [
        Place::Channel(Of::Token),
        Place::Channel(Of::Secret),
        Place::File,
        Place::Photo,
    ] {
        let mut after = Uuid::nil();
        loop {
            // One connection a batch: whoever waits for one gets it in between.
            let mut connection = app.pool.acquire().await?;
            let rows = read(&mut connection, place, after).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            let (mut older, mut newer) = (Vec::new(), Vec::new());
            for row in rows {
                match anew(&app.sealer, place, &row) {
                    Ok(None) => {}
                    Ok(Some(text)) => {
                        older.push(row);
                        newer.push(text);
                    }
                    Err(error) => {
                        tracing::error!(%error, row.id = %row.id, "a sealed text does not open: its key is needed");
                        pass.unreadable += 1;
                    }
                }
            }
            if !older.is_empty() {
                pass.resealed += write(&mut connection, place, &older, &newer).await?;
            }
        }
    }
    Ok(pass)
}

async fn read(
    connection: &mut PgConnection,
    place: Place,
    after: Uuid,
) -> Result<Vec<Sealed>, sqlx::Error> {
    match place {
        Place::Channel(of) => sealed::of_channels(connection, of, after, BATCH).await,
        Place::File => sealed::of_files(connection, after, BATCH).await,
        Place::Photo => sealed::of_photos(connection, after, BATCH).await,
    }
}

async fn write(
    connection: &mut PgConnection,
    place: Place,
    older: &[Sealed],
    newer: &[Vec<u8>],
) -> Result<u64, sqlx::Error> {
    match place {
        Place::Channel(of) => sealed::replace_of_channels(connection, of, older, newer).await,
        Place::File => sealed::replace_of_files(connection, older, newer).await,
        Place::Photo => sealed::replace_of_photos(connection, older, newer).await,
    }
}

/// Seals a text anew; none where it stands under the current key already.
fn anew(sealer: &Sealer, place: Place, row: &Sealed) -> Result<Option<Vec<u8>>, Error> {
    if sealer.is_current(&row.text) {
        return Ok(None);
    }
    let aad = match place {
        Place::Channel(Of::Token) => of_channel(row.id, "token"),
        Place::Channel(Of::Secret) => of_channel(row.id, "secret"),
        Place::File => attachments::aad(row.id),
        Place::Photo => photos::asked::aad(row.id),
    };
    let secret = sealer.open(&row.text, &aad)?;
    Ok(Some(sealer.seal(&secret, &aad)?))
}

//! Writing records into files of comma-separated values (I2.8), page by page: what a caller sees by lists, and what an import
//! reads again.

mod rows;

use chassis::auth::Caller;
use uuid::Uuid;

use super::{App, sight};
use crate::domain::access::Sight;
use crate::domain::cells::guarded;
use crate::domain::columns::RecordKind;
use crate::domain::fields::Definition;
use crate::error::Error;
use crate::store::card_lists::{self, Responsible};
use crate::store::exports::{self, Place};
use crate::store::person_lists::{self, Listed};
use crate::store::{Before, cards, companies, contacts, fields};

/// Records of a page.
const PAGE: i64 = 200;
/// A byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Which file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What its rows are.
    pub kind: RecordKind,
    /// What parts its cells.
    pub delimiter: u8,
    /// It begins with a byte order mark.
    pub marked: bool,
}

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Records that were written so far.
    pub rows: u64,
    /// It is the last one.
    pub done: bool,
}

/// Where a page begins.
struct Level {
    place: Place,
    before: Before,
}

/// An export under way.
pub struct Export {
    app: App,
    caller: Caller,
    wanted: Wanted,
    responsible: Responsible,
    fields: Vec<Definition>,
    /// What is still to be written. Companies are written from above: with each page of them it is gone one level down, so
    /// that the one that another belongs to always stands before it, and as many pages as there are levels are remembered.
    levels: Vec<Level>,
    rows: u64,
    begun: bool,
}

impl Export {
    /// Begins an export of what the caller sees.
    pub async fn begin(app: &App, caller: &Caller, wanted: Wanted) -> Result<Self, Error> {
        let sight = sight(caller, super::import::rights_of(wanted.kind))?;
        let mut connection = app.pool.acquire().await?;
        let entity = wanted.kind.entity();
        let fields = fields::of_entity(&mut connection, caller.account(), entity).await?;
        Ok(Self {
            app: app.clone(),
            caller: caller.clone(),
            wanted,
            responsible: match sight {
                Sight::All => Responsible::Any,
                Sight::Own(agent) => Responsible::Agent(agent.uuid()),
            },
            fields,
            levels: vec![Level {
                place: Place::Top,
                before: Before::START,
            }],
            rows: 0,
            begun: false,
        })
    }

    /// Writes the next part; none after the last one.
    pub async fn next(&mut self) -> Result<Option<Part>, Error> {
        let Some(mut level) = self.levels.pop() else {
            return Ok(None);
        };
        let mut connection = self.app.pool.acquire().await?;
        let page = self.page(&mut connection, &level).await?;
        let ids: Vec<Uuid> = page.iter().map(|(id, _)| *id).collect();
        let rows = self.records(&mut connection, &ids).await?;
        drop(connection);
        self.rows += u64::try_from(rows.len()).unwrap_or(0);
        if let Some((id, time)) = page.last() {
            level.before = Before {
                time: *time,
                id: *id,
            };
            self.levels.push(level);
            if self.wanted.kind == RecordKind::Company {
                self.levels.push(Level {
                    place: Place::Below(ids),
                    before: Before::START,
                });
            }
        }
        let bytes = self.written(rows)?;
        Ok(Some(Part {
            bytes,
            rows: self.rows,
            done: self.levels.is_empty(),
        }))
    }

    async fn page(
        &self,
        connection: &mut sqlx::PgConnection,
        level: &Level,
    ) -> Result<Vec<(Uuid, time::OffsetDateTime)>, sqlx::Error> {
        let (account, responsible) = (self.caller.account(), self.responsible);
        match self.wanted.kind {
            RecordKind::Contact => {
                let filter = person_lists::Filter {
                    listed: Listed::Contacts {
                        buyer: None,
                        company: None,
                    },
                    responsible,
                    words: None,
                };
                person_lists::page(connection, account, &filter, level.before, PAGE).await
            }
            RecordKind::Company => {
                let which = (&level.place, responsible);
                exports::companies(connection, account, which, level.before, PAGE).await
            }
            RecordKind::Card => {
                let filter = card_lists::Filter {
                    responsible,
                    ..card_lists::Filter::default()
                };
                card_lists::page(connection, account, &filter, level.before, PAGE).await
            }
        }
    }

    async fn records(
        &self,
        connection: &mut sqlx::PgConnection,
        ids: &[Uuid],
    ) -> Result<Vec<Vec<String>>, sqlx::Error> {
        let account = self.caller.account();
        Ok(match self.wanted.kind {
            RecordKind::Contact => {
                let contacts = contacts::in_order(connection, account, ids).await?;
                let row = |contact| rows::contact(contact, &self.fields);
                contacts.iter().map(row).collect()
            }
            RecordKind::Company => {
                let companies = companies::in_order(connection, account, ids).await?;
                let row = |company| rows::company(company, &self.fields);
                companies.iter().map(row).collect()
            }
            RecordKind::Card => {
                let cards = cards::in_order(connection, account, ids).await?;
                let names = rows::names(connection, account, &cards).await?;
                let row = |card| rows::card(card, &names, &self.fields);
                cards.iter().map(row).collect()
            }
        })
    }

    /// Writes rows, behind the names of the columns where they are the first ones.
    fn written(&mut self, rows: Vec<Vec<String>>) -> Result<Vec<u8>, Error> {
        let failed = |error: &dyn std::fmt::Display| sqlx::Error::Encode(error.to_string().into());
        let mut file = Vec::new();
        if !self.begun && self.wanted.marked {
            file.extend_from_slice(MARK);
        }
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.wanted.delimiter)
            // As RFC 4180 has it.
            .terminator(csv::Terminator::CRLF)
            .from_writer(file);
        let head = (!self.begun).then(|| self.wanted.kind.header(&self.fields));
        self.begun = true;
        for row in head.into_iter().chain(rows) {
            let cells = row.into_iter().map(guarded);
            writer
                .write_record(cells.map(String::into_bytes))
                .map_err(|error| failed(&error))?;
        }
        Ok(writer.into_inner().map_err(|error| failed(&error))?)
    }
}

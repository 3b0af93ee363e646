//! Reading records from files of comma-separated values (I2.8).
//!
//! A file is read row by row. Rows are collected into batches, each written in one transaction with its histories and events,
//! as if somebody had made the records by hand. Nothing but the batch in hand is kept of the file, and by which lines which
//! ids were named.

mod cards;
mod companies;
mod contacts;
mod references;

use std::collections::{HashMap, HashSet};

use chassis::auth::Caller;
use chassis::grpc::FieldViolation;
use chassis::id::{AccountSlug, AgentId};
use chassis::outbox::Outgoing;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{App, sight, staff};
use crate::app::import::references::Made;
use crate::domain::access::{self, Kind, Missing, Sight};
use crate::domain::columns::{Columns, RecordKind, column_of};
use crate::domain::csv::{BadFile, Reader, Row};
use crate::domain::external::Standing;
use crate::domain::fields::{Definition, Stored, Wrong};
use crate::domain::ids::{PipelineId, of_key, of_line};
use crate::domain::import::{CardRow, Common, Found, PersonRow, Problem, Rules};
use crate::error::Error;
use crate::store::{contact_settings, fields, imports};

/// Rows of one transaction at most.
const BATCH_ROWS: usize = 500;
/// Bytes of the rows of one transaction at most, but for the last one.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Rows of one import at most: for so many it is remembered which ids stood there.
const ROWS_MAX: u64 = 1_000_000;
/// How often a batch is written anew that others have come in between of.
const TRIES: usize = 5;

/// What is to be done with a file.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What its rows are.
    pub kind: RecordKind,
    /// Names the import: by it, rows without an id are known again.
    pub id: String,
    /// Nothing is written.
    pub dry_run: bool,
    /// What is known already is changed.
    pub update: bool,
    /// The pipeline of cards that name none.
    pub pipeline: Option<PipelineId>,
    /// Refused rows are told with their cells.
    pub with_cells: bool,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that were read.
    pub bytes: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Records made.
    pub created: u64,
    /// Records changed.
    pub updated: u64,
    /// Records that are as their rows say.
    pub unchanged: u64,
    /// Rows refused.
    pub refused: u64,
}

/// A row that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The line on which it begins.
    pub line: u64,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
    /// Its cells, where they are asked for.
    pub cells: Vec<String>,
}

/// What is told while a file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// How far it is.
    pub counts: Counts,
    /// Rows that were refused since, by line.
    pub refused: Vec<Refused>,
    /// The names of the columns, once they are known for the first time.
    pub columns: Vec<String>,
    /// All is read.
    pub done: bool,
}

/// An import under way.
pub struct Import {
    app: App,
    caller: Caller,
    plan: Plan,
    reader: Reader,
    head: Vec<String>,
    columns: Option<Columns>,
    counts: Counts,
    /// By which lines ids were named.
    seen: HashMap<Uuid, u64>,
    /// Companies that nothing was written of, to which later ones may belong.
    made: Made,
    rows: Vec<Row>,
    held: usize,
}

/// A row with the ids that its record may have.
struct Keyed<R> {
    line: u64,
    /// The id that it names, as one of this account.
    given: Option<Uuid>,
    /// The id that its record gets, or got by an earlier import.
    made: Uuid,
    has_id: bool,
    says: R,
    /// What of it cannot be read: it is refused, and what else is wrong with it is told as well.
    problems: Vec<Problem>,
}

impl<R> Keyed<R> {
    /// Tells whether all of it could be read, and nothing else is wrong with it.
    fn is_fine(&self, problems: &[Problem]) -> bool {
        self.problems.is_empty() && problems.is_empty()
    }
}

/// What becomes of a batch.
#[derive(Default)]
struct Outcome {
    created: u64,
    updated: u64,
    unchanged: u64,
    refused: Vec<(u64, Vec<Problem>)>,
    seen: HashMap<Uuid, u64>,
    events: Vec<Outgoing>,
    /// Companies that are told and not written.
    made: Made,
}

impl Outcome {
    fn refuse(&mut self, line: u64, column: &str, reason: impl Into<String>) {
        self.refused
            .push((line, vec![Problem::new(column, reason)]));
    }
}

/// A batch that is being written.
struct Batch<'b> {
    caller: &'b Caller,
    plan: &'b Plan,
    rules: Rules,
    /// What the caller sees of this kind; none: nothing.
    sight: Option<Sight>,
    /// Who answers for new records of rows that name nobody.
    keeper: Option<AgentId>,
    seen: &'b HashMap<Uuid, u64>,
    /// Companies of batches before that were not written.
    made: &'b Made,
    outcome: Outcome,
}

impl<'b> Batch<'b> {
    fn account(&self) -> &'b AccountSlug {
        self.caller.account()
    }

    /// Refuses a row for what could not be read of it and for what else is wrong. What could not be read is missing for
    /// what was looked at behind it: of such a column nothing is said twice.
    fn refuse_row<R>(&mut self, row: &Keyed<R>, more: Vec<Problem>) {
        let unread = |one: &Problem| row.problems.iter().any(|read| covers(read, one));
        let more = more.into_iter().filter(|one| !unread(one));
        let problems = row.problems.iter().cloned().chain(more);
        self.outcome.refused.push((row.line, problems.collect()));
    }

    /// Returns what is known of the record that a row names, and its id. What the caller does not see by an id of this
    /// account is not there for them: a record of their own is made, as for a key of another system.
    fn find<R>(
        &self,
        row: &Keyed<R>,
        known: &HashMap<Uuid, Option<Uuid>>,
        responsible: impl Fn(Uuid) -> Option<AgentId>,
    ) -> (Found, Uuid) {
        let sees = |id: Uuid| {
            self.sight
                .is_some_and(|sight| sight.reaches(responsible(id)))
        };
        let given = row.given.and_then(|id| *known.get(&id)?);
        if let Some(id) = given.filter(|id| sees(*id)) {
            return (Found::Here, id);
        }
        match known.get(&row.made) {
            None => (Found::Nowhere, row.made),
            Some(None) => (Found::Deleted, row.made),
            Some(Some(id)) if sees(*id) => (Found::Here, *id),
            Some(Some(id)) => (Found::Hidden, *id),
        }
    }

    /// Takes an id for a row, which no row before may have.
    fn take<R>(&mut self, row: &Keyed<R>, id: Uuid) -> Result<(), Vec<Problem>> {
        if !row.has_id {
            return Ok(());
        }
        let earlier = self.seen.get(&id).or_else(|| self.outcome.seen.get(&id));
        if let Some(line) = earlier {
            let reason = format!("line {line} has the same");
            return Err(vec![Problem::new("id", reason)]);
        }
        self.outcome.seen.insert(id, row.line);
        Ok(())
    }

    /// Counts a row whose record is there, and differs from it in some columns. That is refused where nothing is to be
    /// changed.
    fn changes(&mut self, differs: &[String]) -> Result<(), Vec<Problem>> {
        if differs.is_empty() {
            self.outcome.unchanged += 1;
        } else if self.plan.update {
            self.outcome.updated += 1;
        } else {
            let reason = format!(
                "is known already, with another {}: import with update to change it",
                differs.join(", ")
            );
            return Err(vec![Problem::new("id", reason)]);
        }
        Ok(())
    }
}

/// Tells whether what could not be read explains another problem: of the same column, or of one that depends on it.
fn covers(read: &Problem, other: &Problem) -> bool {
    let depends = [("pipeline", "status"), ("contact", "title")];
    read.column == other.column || depends.contains(&(&read.column, &other.column))
}

/// Names the columns in which a record is changed: those of its own, and those of its custom fields.
fn differing(
    own: &[(&str, bool)],
    fields: &[Definition],
    (before, after): (&Stored, &Stored),
) -> Vec<String> {
    let own = own.iter().filter(|(_, differs)| *differs);
    let fields = fields.iter().filter(|field| {
        let id = field.id.to_string();
        before.get(&id) != after.get(&id)
    });
    let own = own.map(|(column, _)| (*column).to_owned());
    own.chain(fields.map(|field| column_of(&field.key)))
        .collect()
}

/// Says what is wrong with custom fields by their columns.
fn problems_of(wrong: Vec<Wrong>) -> Vec<Problem> {
    let told = wrong
        .into_iter()
        .map(|one| Problem::new(&column_of(&one.key), one.description));
    told.collect()
}

/// Returns the ids of which something is to be known.
fn asked<R>(rows: &[Keyed<R>]) -> Vec<Uuid> {
    let ids = rows
        .iter()
        .flat_map(|row| row.given.into_iter().chain([row.made]));
    let once: HashSet<Uuid> = ids.collect();
    once.into_iter().collect()
}

impl Import {
    /// Begins an import: whoever may make records of this kind may.
    pub fn begin(app: &App, caller: &Caller, plan: Plan) -> Result<Self, Error> {
        let kind = rights_of(plan.kind);
        access::may_create(caller.access(), kind).map_err(|Missing| Error::CrmAccess)?;
        Ok(Self {
            app: app.clone(),
            caller: caller.clone(),
            plan,
            reader: Reader::default(),
            head: Vec::new(),
            columns: None,
            counts: Counts::default(),
            seen: HashMap::new(),
            made: Made::default(),
            rows: Vec::new(),
            held: 0,
        })
    }

    /// Reads from a piece of the file, and takes from it what was read. Returns what is to be told as soon as a batch is
    /// full: then there may be more in the piece. None where it is read to its end.
    pub async fn read(
        &mut self,
        piece: &mut &[u8],
        now: OffsetDateTime,
    ) -> Result<Option<Told>, Error> {
        loop {
            let before = piece.len();
            let row = self.reader.read(piece);
            let read = before.saturating_sub(piece.len());
            self.counts.bytes += u64::try_from(read).unwrap_or(0);
            let Some(row) = row.map_err(Error::BadFile)? else {
                return Ok(None);
            };
            self.take(row).await?;
            if self.rows.len() >= BATCH_ROWS || self.held >= BATCH_BYTES {
                return self.write(now).await.map(Some);
            }
        }
    }

    /// Reads what is left when the file has ended, and tells how it all came out.
    pub async fn end(&mut self, now: OffsetDateTime) -> Result<Told, Error> {
        while let Some(row) = self.reader.end().map_err(Error::BadFile)? {
            self.take(row).await?;
        }
        let mut told = self.write(now).await?;
        told.done = true;
        Ok(told)
    }

    async fn take(&mut self, row: Row) -> Result<(), Error> {
        if self.columns.is_none() {
            return self.name_columns(row).await;
        }
        self.counts.rows += 1;
        if self.counts.rows > ROWS_MAX {
            return Err(Error::BadFile(BadFile::TooManyRows));
        }
        self.held += row.size();
        self.rows.push(row);
        Ok(())
    }

    async fn name_columns(&mut self, head: Row) -> Result<(), Error> {
        let mut connection = self.app.pool.acquire().await?;
        let account = self.caller.account();
        let fields = fields::of_entity(&mut connection, account, self.plan.kind.entity()).await?;
        let columns = Columns::read(self.plan.kind, &fields, &head.cells).map_err(|wrong| {
            let violations = wrong.into_iter();
            let told = violations.map(|(name, text)| FieldViolation::new(name, text));
            Error::Fields(told.collect())
        })?;
        self.columns = Some(columns);
        self.head = head.cells;
        Ok(())
    }

    /// Writes the rows in hand.
    async fn write(&mut self, now: OffsetDateTime) -> Result<Told, Error> {
        let rows = std::mem::take(&mut self.rows);
        self.held = 0;
        let mut outcome = Outcome::default();
        if !rows.is_empty() {
            let mut tries = 1;
            outcome = loop {
                match self.try_write(&rows, now).await {
                    Err(Error::Database(error)) if tries < TRIES && is_beside(&error) => tries += 1,
                    written => break written?,
                }
            };
        }
        self.counts.created += outcome.created;
        self.counts.updated += outcome.updated;
        self.counts.unchanged += outcome.unchanged;
        self.counts.refused += u64::try_from(outcome.refused.len()).unwrap_or(0);
        self.seen.extend(outcome.seen);
        self.made.extend(outcome.made);
        outcome.refused.sort_by_key(|(line, _)| *line);
        let mut cells: HashMap<u64, Vec<String>> = HashMap::new();
        if self.plan.with_cells {
            cells = rows.into_iter().map(|row| (row.line, row.cells)).collect();
        }
        let refused = outcome.refused.into_iter();
        let refused = refused.map(|(line, problems)| Refused {
            line,
            problems,
            cells: cells.remove(&line).unwrap_or_default(),
        });
        Ok(Told {
            counts: self.counts,
            refused: refused.collect(),
            columns: std::mem::take(&mut self.head),
            done: false,
        })
    }

    async fn try_write(&self, rows: &[Row], now: OffsetDateTime) -> Result<Outcome, Error> {
        let account = self.caller.account();
        let mut transaction = self.app.begin().await?;
        imports::alone(&mut transaction, account, self.plan.kind.as_str()).await?;
        let mut batch = Batch {
            caller: &self.caller,
            plan: &self.plan,
            rules: Rules {
                region: contact_settings::region(&mut transaction, account).await?,
                fields: fields::of_entity(&mut transaction, account, self.plan.kind.entity())
                    .await?,
                now,
            },
            sight: sight(&self.caller, rights_of(self.plan.kind)).ok(),
            keeper: access::keeper(self.caller.access(), rights_of(self.plan.kind)),
            seen: &self.seen,
            made: &self.made,
            outcome: Outcome::default(),
        };
        self.write_rows(&mut transaction, &mut batch, rows).await?;
        let mut outcome = batch.outcome;
        if self.plan.dry_run {
            transaction.rollback().await?;
        } else {
            let events = std::mem::take(&mut outcome.events);
            self.app.commit(transaction, events, now).await?;
        }
        Ok(outcome)
    }

    async fn write_rows(
        &self,
        connection: &mut PgConnection,
        batch: &mut Batch<'_>,
        rows: &[Row],
    ) -> Result<(), Error> {
        let Some(columns) = &self.columns else {
            return Ok(());
        };
        match self.plan.kind {
            RecordKind::Contact => {
                let rows = self.keyed(batch, rows, |row, rules| {
                    PersonRow::read(&columns.of(&row.cells), rules, "company")
                });
                let rows = self.of_staff(batch, rows).await?;
                contacts::write(connection, batch, &rows).await
            }
            RecordKind::Company => {
                let rows = self.keyed(batch, rows, |row, rules| {
                    PersonRow::read(&columns.of(&row.cells), rules, "parent")
                });
                let rows = self.of_staff(batch, rows).await?;
                companies::write(connection, batch, &rows).await
            }
            RecordKind::Card => {
                let rows = self.keyed(batch, rows, |row, rules| {
                    CardRow::read(&columns.of(&row.cells), rules)
                });
                let rows = self.of_staff(batch, rows).await?;
                cards::write(connection, batch, &rows).await
            }
        }
    }

    /// Refuses rows that name as responsible who is no agent of the account. One who is not active any more may be named: a file
    /// tells of the past, too.
    async fn of_staff<R: AsRef<Common>>(
        &self,
        batch: &mut Batch<'_>,
        mut rows: Vec<Keyed<R>>,
    ) -> Result<Vec<Keyed<R>>, Error> {
        let agents = rows.iter().filter_map(|row| row.says.as_ref().responsible);
        let named = staff::named(&self.app, &self.caller, agents).await?;
        let unknown = |agent| named.standing(agent) == Standing::Unknown;
        rows.retain(|row| {
            let wrong = row.says.as_ref().responsible.is_some_and(unknown);
            if wrong {
                let reason = "no agent of the account has this id";
                batch.outcome.refuse(row.line, "responsible", reason);
            }
            !wrong
        });
        Ok(rows)
    }

    /// Reads what rows say; those of which no cell can be read, or not whose record they are, are refused.
    fn keyed<R: AsRef<Common>>(
        &self,
        batch: &mut Batch<'_>,
        rows: &[Row],
        read: impl Fn(&Row, &Rules) -> (R, Vec<Problem>),
    ) -> Vec<Keyed<R>> {
        let (account, kind) = (self.caller.account(), self.plan.kind);
        let mut keyed = Vec::with_capacity(rows.len());
        for row in rows {
            if let Some(bad) = row.bad {
                batch.outcome.refuse(row.line, "", bad.to_string());
                continue;
            }
            let (says, problems) = read(row, &batch.rules);
            if problems.iter().any(|one| one.column == "id") {
                batch.outcome.refused.push((row.line, problems));
                continue;
            }
            let id = says.as_ref().id.as_deref();
            let (given, made) = if let Some(key) = id {
                (key.parse().ok(), made_of(account, kind, key))
            } else {
                let id = &self.plan.id;
                (None, of_line(account, kind, id, row.line, &row.cells))
            };
            keyed.push(Keyed {
                line: row.line,
                given,
                made,
                has_id: id.is_some(),
                says,
                problems,
            });
        }
        keyed
    }
}

/// Returns the id that imports give the record of a key. An id is the same key however it is written.
fn made_of(account: &AccountSlug, kind: RecordKind, key: &str) -> Uuid {
    match key.parse::<Uuid>() {
        Ok(id) => of_key(account, kind, &id.to_string()),
        Err(_) => of_key(account, kind, key),
    }
}

pub(super) const fn rights_of(kind: RecordKind) -> Kind {
    match kind {
        RecordKind::Contact | RecordKind::Company => Kind::Contacts,
        RecordKind::Card => Kind::Leads,
    }
}

/// Tells whether another transaction stood in the way, or has changed what this one had found: then it is looked anew.
fn is_beside(error: &sqlx::Error) -> bool {
    match error {
        // Merged or moved on between two statements.
        sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            let code = error.code();
            let beside = |code: &str| matches!(code, "40001" | "40P01" | "23503");
            code.as_deref().is_some_and(beside)
        }
        _ => false,
    }
}

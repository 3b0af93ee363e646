//! How answers are printed: a table for people, protobuf JSON for programs.

pub(crate) mod bar;
pub(crate) mod condition;
pub(crate) mod json;
pub(crate) mod out;
pub(crate) mod screen;
pub(crate) mod table;
pub(crate) mod words;

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use switchboard_proto::channel_gateway::v1::ListChannelsRequest;
use time::OffsetDateTime;

use self::condition::Condition;
use crate::cli::{Format, Globals};
use crate::connect::Session;
use crate::error::CliError;
use crate::token::Role;
pub(crate) use out::{note, say};
pub(crate) use table::{Cell, cell};

/// How long names of agents and channels may take: they are pleasant, not needed.
const NAMES: Duration = Duration::from_secs(2);

/// A protobuf message that can be printed.
pub(crate) trait Show: prost::Message {
    /// Full protobuf name.
    const NAME: &'static str;
    /// Headers of the table.
    const HEADERS: &'static [&'static str];
    /// Headers that a narrow terminal does without, the first to go first.
    const OPTIONAL: &'static [&'static str] = &[];
    /// Headers that are shown only where something stands below them.
    const SPARSE: &'static [&'static str] = &[];
    /// One cell a header.
    fn cells(&self, view: &View) -> Vec<Cell>;
    /// Lines below the fields when one message is shown alone.
    fn more(&self, _view: &View) -> Vec<String> {
        Vec::new()
    }
}

/// How to print in this run.
pub(crate) struct View {
    format: Format,
    fail_empty: bool,
    wanted: Vec<Condition>,
    /// Colour may be used.
    pub colour: bool,
    /// Now, for relative times.
    pub now: OffsetDateTime,
    names: HashMap<String, String>,
}

impl View {
    /// Reads the options and the terminal.
    pub fn new(globals: &Globals) -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format: globals.output,
            wanted: globals.wanted.clone(),
            fail_empty: globals.fail_empty,
            colour: std::io::stdout().is_terminal() && !quiet,
            now: crate::clock::now(),
            names: HashMap::new(),
        }
    }

    /// Tells whether people read the answer.
    pub fn is_table(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// How wide people's answers may be; none where they may be as wide as they are.
    pub fn width(&self) -> Option<u16> {
        table::terminal_width().filter(|_| self.format != Format::Wide)
    }

    /// Tells whether only ids are wanted.
    pub fn is_ids(&self) -> bool {
        self.format == Format::Ids
    }

    /// Learns the names of agents and channels, for tables only. Without them ids are shown: a list must not fail
    /// because names are away or not for this token.
    pub async fn learn_names(&mut self, session: &Session) {
        if !self.is_table() {
            return;
        }
        let channels = async {
            let mut gateway = session.channel_gateway(&Role::Account).await?;
            let request = ListChannelsRequest {
                page_size: 200,
                ..Default::default()
            };
            Ok::<_, CliError>(gateway.list_channels(request).await?.into_inner().channels)
        };
        let both = async { tokio::join!(session.agents(), channels) };
        let Ok((agents, channels)) = tokio::time::timeout(NAMES, both).await else {
            return;
        };
        let agents = agents
            .into_iter()
            .flatten()
            .map(|agent| (agent.agent_id, agent.name));
        let channels = channels
            .into_iter()
            .flatten()
            .map(|channel| (channel.channel_id, channel.name));
        self.names.extend(agents.chain(channels));
    }

    /// Learns the names of groups as well, where a table names some.
    pub async fn learn_groups(&mut self, session: &Session) {
        if !self.is_table() {
            return;
        }
        let Ok(Ok(groups)) = tokio::time::timeout(NAMES, session.all_groups()).await else {
            return;
        };
        let groups = groups.into_iter().map(|group| (group.group_id, group.name));
        self.names.extend(groups);
    }

    /// The name behind an id, else the id's beginning.
    pub fn name(&self, id: &str) -> String {
        match self.names.get(id) {
            Some(name) => name.clone(),
            None if id.len() > 13 => format!("{}…", id.get(..13).unwrap_or(id)),
            None => id.to_owned(),
        }
    }

    /// Learns one more name.
    pub fn learn(&mut self, id: &str, name: String) {
        self.names.insert(id.to_owned(), name);
    }

    /// The name behind an id with the id; the id alone where it has no known name.
    pub fn named(&self, id: &str) -> String {
        match self.names.get(id) {
            Some(name) => format!("{name} ({id})"),
            None => id.to_owned(),
        }
    }

    /// Prints a list. `more` is the token of the next page.
    pub fn list<T: Show>(&self, rows: &[T], next_page_token: &str) -> Result<(), CliError> {
        let rows: Vec<&T> = rows
            .iter()
            .map(|row| Ok::<_, CliError>((row, self.wants(row)?)))
            .filter_map(|judged| match judged {
                Ok((row, wanted)) => wanted.then_some(Ok(row)),
                Err(error) => Some(Err(error)),
            })
            .collect::<Result<_, _>>()?;
        match self.format {
            Format::Table | Format::Wide => {
                let (mut headers, mut cells) = (
                    T::HEADERS.to_vec(),
                    rows.iter().map(|row| row.cells(self)).collect::<Vec<_>>(),
                );
                if self.format == Format::Table {
                    table::drop_empty(&mut headers, &mut cells, T::SPARSE);
                }
                self.rows(&headers, T::OPTIONAL, cells);
            }
            Format::Ids => rows.iter().for_each(|row| self.id(*row)),
            Format::Json | Format::Yaml | Format::Ndjson => {
                let values = rows.iter().map(|row| json::value(*row));
                self.values(values.collect::<Result<_, _>>()?);
            }
        }
        // Whoever takes ids into a command has said how many.
        if !self.is_ids() {
            Self::tell_more(next_page_token);
        }
        self.judge_empty(rows.is_empty())
    }

    /// Prints a list whose rows are read one after the other, each with everything that is known of it.
    pub fn each<T: Show>(&self, rows: &[T], next_page_token: &str) -> Result<(), CliError> {
        if !self.is_table() || rows.is_empty() {
            return self.list(rows, next_page_token);
        }
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                say!();
            }
            self.record(row);
        }
        Self::tell_more(next_page_token);
        Ok(())
    }

    /// Tells whether a row is wanted.
    fn wants<T: Show>(&self, row: &T) -> Result<bool, CliError> {
        if self.wanted.is_empty() {
            return Ok(true);
        }
        let value = json::value(row)?;
        condition::all(&self.wanted, &value)
    }

    /// Says that a list goes on, where it does.
    pub fn tell_more(next_page_token: &str) {
        if !next_page_token.is_empty() {
            note!("there are more: --all, or --page-token {next_page_token}");
        }
    }

    /// Prints rows as a table.
    pub fn rows(&self, headers: &[&str], optional: &[&str], mut rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            note!("nothing found");
            return;
        }
        let (width, mut headers) = (self.width(), headers.to_vec());
        let left_out = table::fit(&mut headers, &mut rows, optional, width);
        say!("{}", table::render(&headers, rows, self.colour, width));
        if !left_out.is_empty() {
            note!(
                "left out in this width: {}",
                left_out.join(", ").to_lowercase()
            );
        }
    }

    /// Prints JSON values: one array, or one a line.
    pub fn values(&self, values: Vec<serde_json::Value>) {
        match self.format {
            Format::Json | Format::Yaml => self.value(&serde_json::Value::Array(values)),
            _ => values.iter().for_each(|value| say!("{value}")),
        }
    }

    /// Prints one JSON value.
    pub fn value(&self, value: &serde_json::Value) {
        match self.format {
            Format::Json => say!("{value:#}"),
            Format::Yaml => say!("{}", json::yaml(value).trim_end()),
            _ => say!("{value}"),
        }
    }

    /// Turns an empty list into exit code 3 where that was asked for.
    pub fn judge_empty(&self, empty: bool) -> Result<(), CliError> {
        if empty && self.fail_empty {
            Err(CliError::Empty)
        } else {
            Ok(())
        }
    }

    /// Prints what a message is called by.
    fn id<T: Show>(&self, message: &T) {
        if let Some(id) = message.cells(self).first() {
            say!("{}", id.text());
        }
    }

    /// Prints one message as lines of label and value.
    fn record<T: Show>(&self, message: &T) {
        let (mut headers, mut cells) = (T::HEADERS.to_vec(), vec![message.cells(self)]);
        table::drop_empty(&mut headers, &mut cells, T::SPARSE);
        let cells = cells.pop().unwrap_or_default();
        say!("{}", table::details(&headers, cells, self.colour));
        for line in message.more(self) {
            say!("{line}");
        }
    }

    /// Prints one message.
    pub fn one<T: Show>(&self, message: Option<T>) -> Result<(), CliError> {
        let message = message.ok_or_else(|| {
            CliError::failed(
                "the service answered without content",
                "a service of the same version as this command",
            )
        })?;
        match self.format {
            Format::Table | Format::Wide => self.record(&message),
            Format::Ids => self.id(&message),
            Format::Json | Format::Yaml | Format::Ndjson => self.value(&json::value(&message)?),
        }
        Ok(())
    }
}

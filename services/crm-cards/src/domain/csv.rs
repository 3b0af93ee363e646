//! Files of comma-separated values, read piece by piece in bounded memory, with the line on which each row begins.
//!
//! What programs for tables write is met as it is: semicolons or tabs for commas, a byte order mark, a line `sep=;` before
//! the first one, any line ends, rows of empty cells. A row that cannot be taken is told by its line, and the next one is
//! read.

use csv_core::{ReadRecordResult, ReaderBuilder};

/// Bytes of the first line at most.
const HEAD_MAX: usize = 64 * 1024;
/// Bytes of a row at most, without what parts its cells.
pub const ROW_MAX: usize = 256 * 1024;
/// Cells of a row at most.
pub const CELLS_MAX: usize = 256;
/// What may part cells, the likeliest first.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// A byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line on which it begins; the first one is 1.
    pub line: u64,
    /// Its cells; none of a row that is too long.
    pub cells: Vec<String>,
    /// Why it cannot be taken.
    pub bad: Option<BadRow>,
}

impl Row {
    /// Returns about how many bytes it holds.
    pub fn size(&self) -> usize {
        let cell = |cell: &String| cell.len() + size_of::<String>();
        self.cells.iter().map(cell).sum::<usize>() + size_of::<Self>()
    }
}

/// Why a row cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// It is longer than any row is.
    #[error("is longer than 256 KiB: is there a quote that is never closed?")]
    TooLong,
    /// It has more cells than any row has.
    #[error("has more than 256 cells")]
    TooManyCells,
    /// It is no UTF-8.
    #[error("is not UTF-8: save the file as CSV UTF-8")]
    NotUtf8,
    /// The file ends within a quoted cell.
    #[error("has a quote that is never closed")]
    Unclosed,
}

/// Why a file cannot be taken at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFile {
    /// Nothing stands in it.
    #[error("the file is empty: its first line names the columns")]
    Empty,
    /// It is in another encoding than UTF-8.
    #[error("the file is in UTF-16: save it as CSV UTF-8")]
    Utf16,
    /// Its first line is no UTF-8.
    #[error("the first line is not UTF-8: save the file as CSV UTF-8")]
    NotUtf8,
    /// Its first line is longer than any is.
    #[error("the first line is longer than 64 KiB: it names the columns")]
    HeadTooLong,
    /// Its first line names more columns than any file has.
    #[error("the first line names more than 256 columns")]
    TooManyColumns,
    /// It has more rows than one import takes.
    #[error("the file has more than 1000000 rows: part it")]
    TooManyRows,
    /// It ends within a quoted cell of its first line.
    #[error("the first line has a quote that is never closed")]
    Unclosed,
}

/// Counts lines, whatever ends them.
#[derive(Debug)]
struct Lines {
    line: u64,
    after_return: bool,
}

impl Lines {
    fn pass(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let ends = match byte {
                b'\r' => true,
                b'\n' => !self.after_return,
                _ => false,
            };
            self.line += u64::from(ends);
            self.after_return = *byte == b'\r';
        }
    }
}

/// Reads a file that comes in pieces.
#[derive(Debug)]
pub struct Reader {
    /// The first line, while it is read; its quotes tell where it ends.
    head: Option<Vec<u8>>,
    quoted: bool,
    delimiter: Option<u8>,
    inner: csv_core::Reader,
    lines: Lines,
    cells: Vec<u8>,
    ends: Vec<usize>,
    filled: usize,
    ended: usize,
    /// The line on which the row began that is being read.
    within: Option<u64>,
    spoiled: Option<BadRow>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            head: Some(Vec::new()),
            quoted: false,
            delimiter: None,
            inner: csv_core::Reader::new(),
            lines: Lines {
                line: 1,
                after_return: false,
            },
            cells: vec![0; ROW_MAX],
            ends: vec![0; CELLS_MAX + 1],
            filled: 0,
            ended: 0,
            within: None,
            spoiled: None,
        }
    }
}

impl Reader {
    /// Reads the next row from a piece, and takes what it has read from it; none where the piece is read to its end. The
    /// first row names the columns.
    pub fn read(&mut self, piece: &mut &[u8]) -> Result<Option<Row>, BadFile> {
        if self.head.is_none() {
            return Ok(self.row(piece));
        }
        while let Some((byte, rest)) = piece.split_first() {
            *piece = rest;
            let head = self.head.get_or_insert_default();
            head.push(*byte);
            match byte {
                b'"' => self.quoted = !self.quoted,
                b'\r' | b'\n' if !self.quoted => {
                    if let Some(row) = self.headed()? {
                        return Ok(Some(row));
                    }
                }
                _ if head.len() > HEAD_MAX => return Err(BadFile::HeadTooLong),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Reads the row with which the file ends, if it does not end with a line's end.
    pub fn end(&mut self) -> Result<Option<Row>, BadFile> {
        if self.head.is_some() {
            if self.quoted {
                return Err(BadFile::Unclosed);
            }
            return self.headed()?.map(Some).ok_or(BadFile::Empty);
        }
        let Some(line) = self.within else {
            return Ok(None);
        };
        // The end of a line ends every cell but a quoted one.
        let ended = self.row(&mut b"\n".as_slice());
        Ok(ended.or_else(|| {
            // Also a row of empty cells is none.
            let unclosed = self.within.take().is_some();
            unclosed.then(|| Row {
                line,
                cells: Vec::new(),
                bad: Some(self.spoiled.unwrap_or(BadRow::Unclosed)),
            })
        }))
    }

    /// Takes the line that was read for the first one, if anything stands on it.
    fn headed(&mut self) -> Result<Option<Row>, BadFile> {
        let head = self.head.replace(Vec::new()).unwrap_or_default();
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || head.contains(&0) {
            return Err(BadFile::Utf16);
        }
        let plain = head.strip_prefix(MARK).unwrap_or(&head);
        let text = plain.trim_ascii();
        if let [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', named @ ..] = text {
            // What Excel reads as such; a tab has been trimmed away.
            self.delimiter = Some(named.first().copied().unwrap_or(b'\t'));
            self.lines.pass(plain);
            return Ok(None);
        }
        let delimiter = self.delimiter.unwrap_or_else(|| likeliest(plain));
        self.inner = ReaderBuilder::new().delimiter(delimiter).build();
        let mut rest = plain;
        let row = self.row(&mut rest);
        // A file whose first line is its last may have no end of it.
        let row = row.or_else(|| self.within.and_then(|_| self.row(&mut b"\n".as_slice())));
        let Some(row) = row else {
            return Ok(None);
        };
        self.head = None;
        match row.bad {
            None => Ok(Some(row)),
            Some(BadRow::NotUtf8) => Err(BadFile::NotUtf8),
            Some(BadRow::TooManyCells) => Err(BadFile::TooManyColumns),
            Some(BadRow::TooLong) => Err(BadFile::HeadTooLong),
            Some(BadRow::Unclosed) => Err(BadFile::Unclosed),
        }
    }

    /// Reads the next row in which anything stands.
    fn row(&mut self, piece: &mut &[u8]) -> Option<Row> {
        loop {
            if self.within.is_none() {
                // Ends of lines between rows belong to none of them.
                let blank = piece
                    .iter()
                    .take_while(|byte| matches!(byte, b'\r' | b'\n'));
                self.pass(piece, blank.count());
                if !piece.is_empty() {
                    self.within = Some(self.lines.line);
                    (self.filled, self.ended, self.spoiled) = (0, 0, None);
                }
            }
            // To the parser no bytes at all mean the end of the file.
            if piece.is_empty() {
                return None;
            }
            let cells = self.cells.get_mut(self.filled..).unwrap_or_default();
            let ends = self.ends.get_mut(self.ended..).unwrap_or_default();
            let (result, read, filled, ended) = self.inner.read_record(piece, cells, ends);
            self.pass(piece, read);
            self.filled += filled;
            self.ended += ended;
            match result {
                // The rest is read as well, and kept nowhere.
                ReadRecordResult::OutputFull => {
                    self.spoiled.get_or_insert(BadRow::TooLong);
                    self.filled = 0;
                }
                ReadRecordResult::OutputEndsFull => {
                    self.spoiled.get_or_insert(BadRow::TooManyCells);
                    self.ended = 0;
                }
                ReadRecordResult::Record => {
                    let line = self.within.take().unwrap_or(self.lines.line);
                    let row = self.whole(line);
                    if row.bad.is_some() || row.cells.iter().any(|cell| !cell.trim().is_empty()) {
                        return Some(row);
                    }
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {}
            }
        }
    }

    fn pass(&mut self, piece: &mut &[u8], count: usize) {
        let (passed, rest) = piece.split_at_checked(count).unwrap_or((piece, &[]));
        self.lines.pass(passed);
        *piece = rest;
    }

    fn whole(&self, line: u64) -> Row {
        let mut row = Row {
            line,
            cells: Vec::new(),
            bad: self.spoiled,
        };
        if row.bad.is_some() {
            return row;
        }
        let mut start = 0;
        for end in self.ends.iter().take(self.ended) {
            let cell = self.cells.get(start..*end).unwrap_or_default();
            start = *end;
            let text = String::from_utf8_lossy(cell);
            if matches!(text, std::borrow::Cow::Owned(_)) {
                row.bad = Some(BadRow::NotUtf8);
            }
            row.cells.push(text.into_owned());
        }
        row
    }
}

/// Returns what parts the cells of a first line: what stands there most often outside of quotes.
fn likeliest(head: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for byte in head {
        quoted ^= *byte == b'"';
        let place = DELIMITERS.iter().position(|one| one == byte && !quoted);
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    // Of equal ones the first.
    let most = counts.iter().max().copied().unwrap_or(0);
    let place = counts.iter().position(|count| *count == most);
    place
        .and_then(|place| DELIMITERS.get(place))
        .copied()
        .unwrap_or(b',')
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;

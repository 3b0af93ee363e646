//! A CSV file of refused rows: as they were, behind the line and the reasons, so that it can be mended and imported. Columns
//! whose names begin with # are not read.

use std::fs::File;
use std::path::Path;

use switchboard_proto::crm_cards::v1::{RefusedRow, RowProblem};

use super::unwritten;
use crate::error::CliError;

/// Where refused rows are written. There is no file before there is one.
pub(super) struct Refusals<'t> {
    path: &'t Path,
    columns: Vec<String>,
    file: Option<csv::Writer<File>>,
}

impl<'t> Refusals<'t> {
    /// Writes into a file of this name.
    pub fn new(path: &'t Path) -> Self {
        Self {
            path,
            columns: Vec::new(),
            file: None,
        }
    }

    /// Writes refused rows. The names of the columns come with the first answer.
    pub fn take(&mut self, columns: &[String], rows: &[RefusedRow]) -> Result<(), CliError> {
        self.columns.extend_from_slice(columns);
        if rows.is_empty() {
            return Ok(());
        }
        let path = self.path;
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let made = csv::WriterBuilder::new().flexible(true).from_path(path);
                let mut made = made.map_err(|error| unwritten(path, &error))?;
                let head = ["#line", "#reason"].into_iter();
                // Those of the file that the refused rows came from are made anew.
                let own = self.columns.iter().map(String::as_str);
                made.write_record(head.chain(own.filter(|name| !is_ours(name))))
                    .map_err(|error| unwritten(path, &error))?;
                none.insert(made)
            }
        };
        for row in rows {
            let told = [row.line.to_string(), reasons(&row.problems)];
            let cells = row.cells.iter().enumerate().filter(|(place, _)| {
                let name = self.columns.get(*place);
                !name.is_some_and(|name| is_ours(name))
            });
            let cells = cells.map(|(_, cell)| cell.clone());
            file.write_record(told.into_iter().chain(cells))
                .map_err(|error| unwritten(path, &error))?;
        }
        file.flush().map_err(|error| unwritten(path, &error))
    }
}

fn is_ours(name: &str) -> bool {
    matches!(name, "#line" | "#reason")
}

fn reasons(problems: &[RowProblem]) -> String {
    let one = |problem: &RowProblem| match problem.column.as_str() {
        "" => problem.reason.clone(),
        column => format!("{column}: {}", problem.reason),
    };
    problems.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i28_refused_rows_are_written_as_they_were_with_their_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("refused.csv");
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let row = |line, cells: &[&str]| RefusedRow {
            line,
            problems: vec![
                RowProblem {
                    column: "phones[0]".into(),
                    reason: "must be a phone".into(),
                },
                RowProblem {
                    column: String::new(),
                    reason: "is odd".into(),
                },
            ],
            cells: texts(cells),
        };
        let mut refusals = Refusals::new(&path);
        let columns: Vec<String> = texts(&["#line", "name", "phones"]);
        refusals.take(&columns, &[]).unwrap();
        assert!(!path.exists(), "nothing was refused yet");
        refusals
            .take(&[], &[row(3, &["9", "Bob\nand Sons", "12"])])
            .unwrap();
        refusals.take(&[], &[row(7, &[])]).unwrap();
        let reasons = "phones[0]: must be a phone; is odd";
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("#line,#reason,name,phones\n3,{reasons},\"Bob\nand Sons\",12\n7,{reasons}\n")
        );
    }
}

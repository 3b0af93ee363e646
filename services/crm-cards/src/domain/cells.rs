//! Cells of files: what a spreadsheet does not run, and several values in one.

use super::decimal;

/// What a cell begins with that a spreadsheet runs as a formula; the last four are the same signs as Asia types them.
const RUNS: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
/// What stands before such a cell, so that it is a text.
const GUARD: char = '\'';
/// What parts several values of one cell.
const PARTS: char = ';';
/// What takes the meaning of a sign within a value.
const ESCAPE: char = '\\';

/// Guards a cell that a spreadsheet would run. Plain numbers stay as they are: nothing can be run in them, and a table sums
/// them up. Phones are guarded: as a number one would lose its plus. A cell that looks guarded is guarded once more, so that
/// [`unguarded`] gives back each text as it was.
pub fn guarded(cell: String) -> String {
    let runs = cell.starts_with(RUNS) && decimal::read(&cell).is_none();
    if runs || unguarded(&cell).len() < cell.len() {
        return format!("{GUARD}{cell}");
    }
    cell
}

/// Returns a cell without its guard; one without it is itself.
pub fn unguarded(cell: &str) -> &str {
    let behind = cell.strip_prefix(GUARD);
    let guards = |rest: &&str| rest.starts_with(RUNS) || rest.starts_with(GUARD);
    behind.filter(guards).unwrap_or(cell)
}

/// Writes several values into one cell.
pub fn joined(values: &[String]) -> String {
    let mut cell = String::new();
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            cell.push(PARTS);
        }
        for sign in value.chars() {
            if matches!(sign, PARTS | ESCAPE) {
                cell.push(ESCAPE);
            }
            cell.push(sign);
        }
    }
    cell
}

/// Returns the values of a cell, without the white space around them and without blank ones.
pub fn parted(cell: &str) -> Vec<String> {
    let (mut values, mut value) = (Vec::new(), String::new());
    let mut signs = cell.chars();
    while let Some(sign) = signs.next() {
        match sign {
            PARTS => values.push(std::mem::take(&mut value)),
            // One that stands before nothing is itself.
            ESCAPE => value.push(signs.next().unwrap_or(ESCAPE)),
            _ => value.push(sign),
        }
    }
    values.push(value);
    let values = values.iter().map(|value| value.trim());
    values
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_would_be_run_is_guarded_and_comes_back_as_it_was() {
        for (cell, expected) in [
            ("Anna", "Anna"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+380441234567", "'+380441234567"),
            ("+380441234567;+15208782491", "'+380441234567;+15208782491"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
            ("\t=1", "'\t=1"),
            ("＝1", "'＝1"),
            ("-12.50", "-12.50"),
            ("-", "'-"),
            ("'t Hooft", "'t Hooft"),
            ("'=1", "''=1"),
            ("''", "'''"),
            ("'", "'"),
        ] {
            assert_eq!(guarded(cell.to_owned()), expected, "{cell}");
            assert_eq!(unguarded(expected), cell, "{cell}");
        }
        // What nobody has guarded is read as it is.
        assert_eq!(unguarded("+380441234567"), "+380441234567");
    }

    #[test]
    fn several_values_stand_in_one_cell_whatever_signs_they_have() {
        for values in [
            vec![],
            vec!["a"],
            vec!["a", "b c"],
            vec!["a;b", "c"],
            vec![r"a\", r"\;", r"\\"],
        ] {
            let values: Vec<String> = values.into_iter().map(str::to_owned).collect();
            assert_eq!(parted(&joined(&values)), values, "{values:?}");
        }
        assert_eq!(parted(" a ; ;b;"), ["a", "b"]);
        assert_eq!(parted(r"a\"), [r"a\"]);
        assert_eq!(joined(&["a;b".to_owned(), "c".to_owned()]), r"a\;b;c");
    }
}

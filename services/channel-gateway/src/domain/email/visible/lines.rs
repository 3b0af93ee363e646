//! Cutting quoted history and signature off a plain text. One pass; no line is looked at more than a few times.

use super::phrases::{self, Field};

/// Lines that the line before a quotation may be broken into.
const ATTRIBUTION_LINES: usize = 6;

/// Bytes of the line before a quotation at most.
const ATTRIBUTION_MAX: usize = 600;

/// Characters at the start of such a line within which its date begins.
const DATE_WITHIN: usize = 60;

/// Lines under a `--` that may be a signature; more are taken for text.
const SIGNATURE_LINES: usize = 15;

/// Returns the text without quoted history and signature; none where nothing is to be cut, or nothing would remain.
pub fn trimmed(text: &str) -> Option<String> {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        match shared(line) {
            Some(at) => lines.extend([
                line[..at].trim_end_matches([' ', '-']),
                line[at..].trim_start(),
            ]),
            None => lines.push(line),
        }
    }
    let mut cutter = Cutter {
        lines: &lines,
        kept: Vec::with_capacity(lines.len()),
        forwarded: false,
        cut: false,
    };
    cutter.run();
    cutter.trim_end();
    let kept = cutter.kept.join("\n");
    let kept = super::outer(&kept);
    (!kept.is_empty() && kept != super::outer(text)).then(|| kept.to_owned())
}

struct Cutter<'l, 't> {
    lines: &'l [&'t str],
    kept: Vec<&'t str>,
    /// A forwarded mail follows what is kept: nothing more is cut.
    forwarded: bool,
    /// History was cut: what is quoted besides it was quoted by hand.
    cut: bool,
}

impl Cutter<'_, '_> {
    fn run(&mut self) {
        let (mut at, mut fenced) = (0, false);
        while let Some(line) = self.lines.get(at) {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            }
            if fenced || line.trim().is_empty() {
                self.kept.push(line);
                at += 1;
                continue;
            }
            if phrases::is_forward(line) {
                self.forwarded = true;
                self.kept.extend_from_slice(&self.lines[at..]);
                return;
            }
            if is_reply_marker(line) {
                return;
            }
            // A quoted one belongs to the quotation.
            let announced = if is_quoted(line) {
                None
            } else {
                attribution(&self.lines[at..])
            };
            if let Some(length) = announced {
                self.cut = true;
                let behind = at + length;
                let quoted = self.quoted_run(behind);
                if quoted > behind {
                    at = quoted;
                } else if self.has_text() {
                    return;
                } else {
                    // What stands under it is all that there is.
                    at = behind;
                }
                continue;
            }
            let history = phrases::is_original(line) || is_head(&self.lines[at..]);
            if history && self.has_text() {
                self.cut = true;
                return;
            }
            self.kept.push(line);
            at += 1;
        }
    }

    fn has_text(&self) -> bool {
        self.kept
            .iter()
            .any(|line| !line.trim().is_empty() && !is_divider(line) && !is_quoted(line))
    }

    /// Returns where the quoted lines that begin here end, with the empty lines around them; `start` where there are
    /// none.
    fn quoted_run(&self, start: usize) -> usize {
        let mut end = start;
        let mut at = start;
        let mut open_link = false;
        while let Some(line) = self.lines.get(at) {
            let broken_link = end > start
                && (open_link
                    || (line.trim_start().starts_with("(http") && line.trim_end().ends_with('>')));
            if is_quoted(line) || (broken_link && !line.trim().is_empty()) {
                end = at + 1;
                open_link = is_quoted(line) && opens_link(line);
            } else if !line.trim().is_empty() {
                break;
            }
            at += 1;
        }
        if end == start { start } else { at.max(end) }
    }

    fn trim_end(&mut self) {
        if self.forwarded {
            return;
        }
        self.cut_signature();
        loop {
            while self.kept.last().is_some_and(|line| {
                line.trim().is_empty() || is_divider(line) || phrases::is_sent_from(line)
            }) {
                self.kept.pop();
            }
            let Some(last) = self.kept.last() else { return };
            if self.cut || !is_quoted(last) {
                return;
            }
            let run = self
                .kept
                .iter()
                .rev()
                .take_while(|line| is_quoted(line) || line.trim().is_empty())
                .count();
            let before = self.kept.len() - run;
            if before == 0 {
                return;
            }
            self.kept.truncate(before);
        }
    }

    fn cut_signature(&mut self) {
        let total = self.kept.len();
        let mut fenced = false;
        let found = self.kept.iter().enumerate().position(|(index, line)| {
            fenced ^= line.trim_start().starts_with("```");
            let exact = *line == "-- ";
            !fenced
                && (exact || line.trim_end() == "--")
                && (exact || total - index <= SIGNATURE_LINES)
        });
        if let Some(at) = found
            && self.kept[..at].iter().any(|line| !line.trim().is_empty())
        {
            self.kept.truncate(at);
        }
    }
}

/// Our own or another desk's line above which answers are to be written.
fn is_reply_marker(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("##-") && line.ends_with("-##")
}

fn is_quoted(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('>') && !line.starts_with(">>> >>>") || line.starts_with("| ") || line == "|"
}

/// Tells whether a quoted line ends inside of a link that the next line goes on with.
fn opens_link(line: &str) -> bool {
    line.rfind("(http")
        .or_else(|| line.rfind("<http"))
        .is_some_and(|at| !line[at..].contains([')', '>']))
}

/// A line that only divides.
fn is_divider(line: &str) -> bool {
    let line = line.trim();
    let mut count = 0;
    for c in line.chars() {
        if !"-*#~=_+ᐧ–—".contains(c) {
            return false;
        }
        count += 1;
    }
    count >= 2 || line == "ᐧ"
}

/// Tells whether the head of a quoted mail begins here: who, when, to whom, about what.
///
/// A customer may write `From: Kyiv` and `To: Lviv` about a journey: an address or a subject must be there as well.
fn is_head(lines: &[&str]) -> bool {
    let Some((Field::From | Field::Date | Field::Sent, _)) =
        lines.first().and_then(|line| phrases::field(line))
    else {
        return false;
    };
    let mut seen: Vec<Field> = Vec::new();
    let (mut address, mut strangers) = (false, 0);
    for line in lines.iter().take(14) {
        if line.trim().is_empty() {
            break;
        }
        address |= line.contains('@');
        if let Some((field, _)) = phrases::field(line) {
            strangers = 0;
            if !seen.contains(&field) {
                seen.push(field);
            }
        } else {
            strangers += 1;
            if strangers > 2 {
                break;
            }
        }
    }
    let has = |field: Field| seen.contains(&field);
    let people = has(Field::From) || has(Field::To);
    let mail = has(Field::Subject) || address || (has(Field::From) && has(Field::Sent));
    people && seen.len() >= 2 && mail
}

/// Returns of how many lines the line before a quotation is made that begins here; none where none does.
fn attribution(lines: &[&str]) -> Option<usize> {
    let starts = starts_attribution(lines.first()?.trim());
    let mut joined = String::new();
    let mut blanks = 0;
    for (index, line) in lines.iter().take(ATTRIBUTION_LINES).enumerate() {
        let line = line.trim();
        if joined.len() + line.len() > ATTRIBUTION_MAX {
            return None;
        }
        if line.is_empty() {
            blanks += 1;
            if blanks > 1 {
                return None;
            }
            continue;
        }
        if index > 0
            && (is_quoted(line) && !line.starts_with("> wrote") && !line.starts_with(">:")
                || !starts)
        {
            // `>:` and `> wrote:` close an address that was broken.
            return None;
        }
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(line);
        if is_attribution(&joined, starts) {
            return Some(index + 1);
        }
    }
    None
}

/// Tells whether a line may be the first of several before a quotation: it begins with a word for "on" and soon a date,
/// or names its writer, and says that he wrote.
fn starts_attribution(line: &str) -> bool {
    let line = line.trim_start_matches(['*', '_', '>', '-']).trim_start();
    let start: String = line.chars().take(DATE_WITHIN).collect();
    let lower = start.to_lowercase();
    if phrases::starts_like_attribution(&lower) && phrases::has_date(&start) {
        return true;
    }
    // `Name <a@b> schrieb am Fr., 28.`
    line.len() < ATTRIBUTION_MAX
        && line.contains('@')
        && phrases::behind_wrote(&line.to_lowercase()).is_some()
}

fn is_attribution(text: &str, starts: bool) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '*' || c == '_');
    let set_off = text.starts_with("--") && text.ends_with("--");
    let ends = text.ends_with([':', '：']);
    if !ends && !set_off {
        // `2013/7/20 Name <a@b>` without a word or a colon.
        let dated = phrases::starts_with_date(text) && text.len() < 200;
        return dated
            && ((text.ends_with('>') && text.contains('@'))
                || text.contains(" GMT+") && !text.ends_with('<'));
    }
    let (date, address) = (phrases::has_date(text), text.contains('@'));
    if !(date || address || set_off) {
        return false;
    }
    let lower = text.to_lowercase();
    let Some(behind) = phrases::behind_wrote(&lower) else {
        // `26.06.2014, 14:41, Name <a@b>:`
        let dated = phrases::starts_with_date(text) || (starts && date);
        return dated && address && text.ends_with([':', '：']) && text.contains('>');
    };
    let behind = behind.trim_matches(|c: char| c.is_whitespace() || ":：-*_>()[].".contains(c));
    if set_off || behind.is_empty() {
        return true;
    }
    // `schrieb Name <a@b>:`
    starts && date && behind.chars().count() < 160 && (address || !behind.contains(". "))
}

/// Returns where in a line the line before a quotation begins, where something else stands before it.
fn shared(line: &str) -> Option<usize> {
    let end = line.trim_end();
    if !end.ends_with("wrote:") || end.len() > ATTRIBUTION_MAX {
        return None;
    }
    let at = end
        .rfind(" On ")
        .map(|at| at + 1)
        .or_else(|| end.rfind("-On ").map(|at| at + 1))?;
    let before = end[..at].trim_matches([' ', '-', '>', '*']);
    let head = &end[at..];
    let dated = phrases::has_date(head);
    (!before.is_empty() && dated && !phrases::has_date(before)).then_some(at)
}

#[cfg(test)]
mod tests;

//! What was found, told once however many found it.

use switchboard_proto::operator::v1::{Finding, Level};

use crate::connect::SERVICES;
use crate::output::screen::{Screen, column, plain, toned};
use crate::output::table::Tone;

/// How good or bad something is; what could not be looked at from here is neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grade {
    /// It was not looked at.
    Skipped,
    /// As it should be.
    Ok,
    /// Somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

impl Grade {
    /// The word that starts a line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skip",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Skipped => Tone::Dim,
            Self::Ok => Tone::Good,
            Self::Warn => Tone::Attention,
            Self::Fail => Tone::Bad,
        }
    }
}

/// A finding with who found it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The services that found it, or `here`.
    pub from: Vec<String>,
    /// What was found.
    pub finding: Finding,
    /// The version of a replica: no finding by itself.
    pub version: Option<String>,
}

impl Found {
    /// What one found.
    pub fn new(from: &str, finding: Finding) -> Self {
        Self {
            from: vec![from.to_owned()],
            finding,
            version: None,
        }
    }

    /// A replica's version.
    pub fn version(from: &str, version: &str, commit: &str) -> Self {
        let version = format!("{version} {}", commit.get(..7).unwrap_or(commit));
        Self {
            version: Some(version.trim().to_owned()),
            ..Self::new(from, Finding::default())
        }
    }

    /// How it is.
    pub fn grade(&self) -> Grade {
        match self.finding.level() {
            Level::Unspecified => Grade::Skipped,
            Level::Ok => Grade::Ok,
            Level::Warn => Grade::Warn,
            Level::Fail => Grade::Fail,
        }
    }
}

/// The same with what several found told once, in the order in which it was first found, by subject.
pub(super) fn merged(found: Vec<Found>) -> Vec<Found> {
    let mut merged: Vec<Found> = Vec::new();
    for one in found.into_iter().filter(|one| one.version.is_none()) {
        let same = merged.iter_mut().find(|other| {
            let (a, b) = (&other.finding, &one.finding);
            (&a.subject, a.level, &a.text, &a.subject_id)
                == (&b.subject, b.level, &b.text, &b.subject_id)
        });
        match same {
            Some(same) => same.from.extend(one.from),
            None => merged.push(one),
        }
    }
    let subjects: Vec<String> = merged
        .iter()
        .map(|one| one.finding.subject.clone())
        .collect();
    let place = |one: &Found| {
        subjects
            .iter()
            .position(|subject| *subject == one.finding.subject)
    };
    merged.sort_by_key(place);
    merged
}

/// The worst of all.
pub(super) fn worst(found: &[Found]) -> Grade {
    found.iter().map(Found::grade).max().unwrap_or(Grade::Ok)
}

/// Who found something, in few words.
fn who(from: &[String]) -> String {
    let services = from.iter().filter(|one| *one != "here").count();
    let here = services < from.len();
    let told = match services {
        0 => return "here".into(),
        1 => from
            .iter()
            .find(|one| *one != "here")
            .cloned()
            .unwrap_or_default(),
        all if all == SERVICES.len() => "all".into(),
        some => format!("{some} services"),
    };
    if here { format!("{told}, here") } else { told }
}

/// A line each, with the next step below what is not well.
pub(super) fn render(found: &[Found], width: Option<u16>, colour: bool) -> Vec<String> {
    let mut screen = Screen::new(width, colour);
    let mut last = "";
    for one in found {
        let grade = one.grade();
        let subject = &one.finding.subject;
        let shown = if *subject == last { "" } else { subject };
        last = subject;
        let from = who(&one.from);
        let account = match one.finding.account.as_str() {
            "" => String::new(),
            account => format!("{account} / "),
        };
        screen.line(&[
            toned(column(grade.word(), 4), grade.tone()),
            plain(column(shown, 15)),
            toned(column(&from, 16), Tone::Dim),
        ]);
        let head = screen.take();
        let text = format!("{account}{}", one.finding.text);
        screen.continued(&head, 38, &text);
        if grade > Grade::Ok && !one.finding.next_step.is_empty() {
            let next = format!("→ {}", one.finding.next_step);
            screen.paragraph(38, &next, Tone::Attention);
        }
    }
    let (warnings, failures) = (count(found, Grade::Warn), count(found, Grade::Fail));
    let summary = match worst(found) {
        Grade::Fail => format!("{failures} failed, {warnings} to look at"),
        Grade::Warn => format!("works; {warnings} to look at"),
        Grade::Ok | Grade::Skipped => "all is well".into(),
    };
    screen.line(&[]);
    screen.line(&[toned(summary, worst(found).tone())]);
    screen.finish()
}

fn count(found: &[Found], grade: Grade) -> usize {
    found.iter().filter(|one| one.grade() == grade).count()
}

#[cfg(test)]
mod tests {
    use super::super::of;
    use super::*;

    fn four(finding: &Finding) -> Vec<Found> {
        SERVICES
            .iter()
            .map(|service| Found::new(service, finding.clone()))
            .collect()
    }

    #[test]
    fn o106_what_all_found_is_told_once_and_what_one_found_beside_it() {
        let mut found = four(&of("nats", Level::Ok, "2.15.1", ""));
        found.push(Found::new("here", of("clock", Level::Ok, "same", "")));
        found.push(Found::new(
            "crm-cards",
            of("nats", Level::Fail, "away", "start it"),
        ));
        found.push(Found::version("crm-cards", "0.1.0", "abcdef0123"));
        let merged = merged(found);
        let told: Vec<_> = merged
            .iter()
            .map(|one| (one.finding.text.as_str(), one.from.len()))
            .collect();
        assert_eq!(told, [("2.15.1", 4), ("away", 1), ("same", 1)]);
        assert_eq!(worst(&merged), Grade::Fail);
        let text = render(&merged, Some(80), false).join("\n");
        assert_eq!(
            text,
            "ok   nats            all              2.15.1\n\
             fail                 crm-cards        away\n\
             \x20                                     → start it\n\
             ok   clock           here             same\n\
             \n\
             1 failed, 0 to look at"
        );
    }

    #[test]
    fn o106_who_found_something_is_told_shortly() {
        for (from, expected) in [
            (&["here"][..], "here"),
            (&["conversation"], "conversation"),
            (&["here", "conversation"], "conversation, here"),
            (&["conversation", "crm-cards"], "2 services"),
            (
                &["assignment", "conversation", "crm-cards", "channel-gateway"],
                "all",
            ),
        ] {
            let from: Vec<String> = from.iter().map(ToString::to_string).collect();
            assert_eq!(who(&from), expected);
        }
    }

    #[test]
    fn o106_what_was_not_looked_at_is_no_warning() {
        let skipped = Found::new(
            "here",
            of("sync", Level::Unspecified, "not seen", "name it"),
        );
        let fine = Found::new("here", of("nats", Level::Ok, "x", ""));
        assert_eq!(worst(&[skipped.clone(), fine]), Grade::Ok);
        assert_eq!(skipped.grade().word(), "skip");
        let warned = Found::new("here", of("nats", Level::Warn, "x", "y"));
        assert_eq!(worst(&[skipped, warned]), Grade::Warn);
    }
}

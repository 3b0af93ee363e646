//! Quick replies: what may stand in one, and what becomes of it in a chat (F094, F096, B14).

pub mod search;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use super::AgentId;
use super::words::UnknownWord;

chassis::uuid_id!(
    /// A quick reply.
    pub struct QuickReplyId
);

/// Quick replies of an account at most.
pub const ACCOUNT_MAX: i64 = 5_000;

/// Quick replies of one agent's own at most, so that one cannot take what all have.
pub const AGENT_MAX: i64 = 500;

/// Variables of a text at most.
pub const VARIABLES_MAX: usize = 50;

/// Characters of a variable's value at most; what is longer is cut: clients choose their names.
pub const VALUE_MAX: usize = 200;

/// Characters of a wrong name that a refusal repeats.
const NAME_SHOWN: usize = 60;

/// Characters of a shortcut at most.
const SHORTCUT_MAX: usize = 40;

/// Whose a quick reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The account's.
    Account,
    /// A group's of assignment.
    Group(Uuid),
    /// One agent's.
    Agent(AgentId),
}

impl Owner {
    /// Returns the kind as it is stored, and the id; the nil id for the account.
    pub fn stored(self) -> (&'static str, Uuid) {
        match self {
            Self::Account => (OwnerKind::Account.as_str(), Uuid::nil()),
            Self::Group(group) => (OwnerKind::Group.as_str(), group),
            Self::Agent(agent) => (OwnerKind::Agent.as_str(), agent.uuid()),
        }
    }

    /// Reads what is stored.
    pub fn read(kind: &str, id: Uuid) -> Result<Self, UnknownWord> {
        match OwnerKind::ALL.into_iter().find(|one| one.as_str() == kind) {
            Some(OwnerKind::Account) => Ok(Self::Account),
            Some(OwnerKind::Group) => Ok(Self::Group(id)),
            Some(OwnerKind::Agent) => Ok(Self::Agent(id.into())),
            None => Err(UnknownWord(kind.to_owned(), "owner of a quick reply")),
        }
    }
}

/// Kinds of owners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerKind {
    /// The account.
    Account,
    /// A group.
    Group,
    /// An agent.
    Agent,
}

impl OwnerKind {
    const ALL: [Self; 3] = [Self::Account, Self::Group, Self::Agent];

    /// Returns the stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Group => "group",
            Self::Agent => "agent",
        }
    }
}

/// Takes a shortcut as it is typed: in lower case, without a stroke before it. Says what must hold where it does not.
pub fn shortcut(typed: &str) -> Result<String, &'static str> {
    let typed = typed.trim();
    let word = typed.strip_prefix('/').unwrap_or(typed).to_lowercase();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    if word.chars().count() > SHORTCUT_MAX || !word.chars().all(fits) {
        return Err("must have at most 40 letters, digits, - and _");
    }
    Ok(word)
}

/// What a text may speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// The client's name.
    ClientName,
    /// The first word of it.
    ClientFirstName,
    /// The client's nick.
    ClientUsername,
    /// The client's phone.
    ClientPhone,
    /// The client's e-mail address.
    ClientEmail,
    /// The name of the agent who writes.
    AgentName,
    /// The number of the open conversation.
    ConversationNumber,
}

impl Variable {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ClientName,
        Self::ClientFirstName,
        Self::ClientUsername,
        Self::ClientPhone,
        Self::ClientEmail,
        Self::AgentName,
        Self::ConversationNumber,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientName => "client.name",
            Self::ClientFirstName => "client.first_name",
            Self::ClientUsername => "client.username",
            Self::ClientPhone => "client.phone",
            Self::ClientEmail => "client.email",
            Self::AgentName => "agent.name",
            Self::ConversationNumber => "conversation.number",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What is known of a chat and of who writes; empty where nothing is.
#[derive(Debug, Clone, Default)]
pub struct Values<'v> {
    /// The client's name.
    pub client_name: &'v str,
    /// The client's nick.
    pub client_username: &'v str,
    /// The client's phone.
    pub client_phone: &'v str,
    /// The client's e-mail address.
    pub client_email: &'v str,
    /// The agent's name.
    pub agent_name: &'v str,
    /// The number of the open conversation.
    pub conversation_number: &'v str,
}

impl Values<'_> {
    /// Returns a value as it is shown: on one line, and not longer than a value may be.
    fn shown(&self, variable: Variable) -> String {
        let value = match variable {
            Variable::ClientName | Variable::ClientFirstName => self.client_name,
            Variable::ClientUsername => self.client_username,
            Variable::ClientPhone => self.client_phone,
            Variable::ClientEmail => self.client_email,
            Variable::AgentName => self.agent_name,
            Variable::ConversationNumber => self.conversation_number,
        };
        let mut words = value
            .split(|c: char| c.is_whitespace() || c.is_control())
            .filter(|word| !word.is_empty());
        let line = match variable {
            Variable::ClientFirstName => words.next().unwrap_or_default().to_owned(),
            _ => words.collect::<Vec<_>>().join(" "),
        };
        let cut: String = line.chars().take(VALUE_MAX).collect();
        cut.trim_end().to_owned()
    }
}

/// What is wrong with a text. Places count characters, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A variable begins and does not end.
    #[error("the `{{{{` at character {0} has no `}}}}` after it")]
    Unclosed(usize),
    /// One begins inside another.
    #[error("the `{{{{` at character {0} stands inside a variable: close the first one before it")]
    Nested(usize),
    /// There is no such variable.
    #[error("`{name}` at character {place} is no variable: there are {list}", list = names())]
    Unknown {
        /// What stands there.
        name: String,
        /// Where the variable begins.
        place: usize,
    },
    /// There are more than may be.
    #[error("has more than {VARIABLES_MAX} variables")]
    TooMany,
}

fn names() -> String {
    Variable::ALL.map(Variable::name).join(", ")
}

/// A stretch of a text.
enum Part<'t> {
    Literal(&'t str),
    Variable {
        /// How it is written.
        source: &'t str,
        variable: Variable,
        fallback: &'t str,
    },
}

/// Takes a text apart.
fn parts(text: &str) -> Result<Vec<Part<'_>>, Flaw> {
    let mut parts = Vec::new();
    let mut variables = 0;
    let mut rest = text;
    while let Some((literal, after)) = rest.split_once("{{") {
        let start = text.len() - after.len() - 2;
        let place = |byte: usize| text.get(..byte).unwrap_or(text).chars().count() + 1;
        let Some((inside, next)) = after.split_once("}}") else {
            return Err(Flaw::Unclosed(place(start)));
        };
        if let Some(nested) = inside.find("{{") {
            return Err(Flaw::Nested(place(start + 2 + nested)));
        }
        let (name, fallback) = inside.split_once('|').unwrap_or((inside, ""));
        let name = name.trim();
        let Some(variable) = Variable::of(name) else {
            return Err(Flaw::Unknown {
                name: name.chars().take(NAME_SHOWN).collect(),
                place: place(start),
            });
        };
        variables += 1;
        if variables > VARIABLES_MAX {
            return Err(Flaw::TooMany);
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        parts.push(Part::Variable {
            source: text.get(start..text.len() - next.len()).unwrap_or_default(),
            variable,
            fallback: fallback.trim(),
        });
        rest = next;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
}

/// Tells which variables a text has, each once, or what is wrong with it.
pub fn variables(text: &str) -> Result<Vec<Variable>, Flaw> {
    let mut found = Vec::new();
    for part in parts(text)? {
        if let Part::Variable { variable, .. } = part
            && !found.contains(&variable)
        {
            found.push(variable);
        }
    }
    Ok(found)
}

/// A range of a text in UTF-16 code units: its start and its end.
pub type Range = (usize, usize);

/// What a text became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Where the ranges of the text are now, in the same order; none for one that holds nothing any more.
    pub ranges: Vec<Option<Range>>,
    /// Variables without a value, each once.
    pub missing: Vec<Variable>,
}

/// A stretch of what a text becomes, with its place in the text, in UTF-16 code units.
struct Piece<'t> {
    start: usize,
    length: usize,
    literal: bool,
    shown: std::borrow::Cow<'t, str>,
    /// What was cut off before `shown`.
    cut: usize,
}

/// Puts values into a text, and moves its ranges along. A range that begins or ends inside a variable holds all of it.
///
/// Values are put in once: a variable that a client's name spells stays as it is spelt.
pub fn render(text: &str, ranges: &[Range], values: &Values<'_>) -> Result<Rendered, Flaw> {
    let mut missing = Vec::new();
    let mut pieces = Vec::new();
    let mut start = 0;
    for part in parts(text)? {
        let (source, literal, shown) = match part {
            Part::Literal(literal) => (literal, true, literal.into()),
            Part::Variable {
                source,
                variable,
                fallback,
            } => {
                let mut value = values.shown(variable);
                if value.is_empty() {
                    if !missing.contains(&variable) {
                        missing.push(variable);
                    }
                    fallback.clone_into(&mut value);
                }
                (source, false, value.into())
            }
        };
        let length = utf16(source);
        pieces.push(Piece {
            start,
            length,
            literal,
            shown,
            cut: 0,
        });
        start += length;
    }
    tidy(&mut pieces);
    let text = pieces.iter().map(|piece| &*piece.shown).collect();
    let places = places(&pieces);
    let ranges = ranges.iter().map(|range| moved(&places, *range)).collect();
    Ok(Rendered {
        text,
        ranges,
        missing,
    })
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// White space on one line.
fn is_space(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\n' | '\r')
}

/// What no space stands before.
fn is_stop(c: char) -> bool {
    matches!(
        c,
        ',' | '.' | '!' | '?' | ';' | ':' | '…' | ')' | ']' | '»' | '”'
    )
}

/// Closes spaces up around what became empty: none is left before a stop or an end of a line, none at a start of a line,
/// and one alone between words. The comma of an address that has nobody goes with it: `Hello, {{client.name}}!`.
fn tidy(pieces: &mut [Piece<'_>]) {
    for empty in 0..pieces.len() {
        let (before, after) = pieces.split_at_mut(empty);
        let Some((gap, after)) = after.split_first_mut() else {
            return;
        };
        if gap.literal || !gap.shown.is_empty() {
            continue;
        }
        let before = before.iter_mut().rfind(|piece| !piece.shown.is_empty());
        let after = after.iter_mut().find(|piece| !piece.shown.is_empty());
        let last = before
            .as_ref()
            .and_then(|piece| piece.shown.chars().next_back());
        let next = after.as_ref().and_then(|piece| piece.shown.chars().next());
        if last.is_none_or(|c| matches!(c, '\n' | '\r')) {
            if let Some(after) = after.filter(|piece| piece.literal) {
                let kept = after.shown.trim_start_matches(is_space);
                let kept = kept.strip_prefix(',').unwrap_or(kept);
                let kept = kept.trim_start_matches(is_space).to_owned();
                after.cut += utf16(&after.shown) - utf16(&kept);
                after.shown = kept.into();
            }
        } else if next.is_none_or(|c| c.is_whitespace() || is_stop(c))
            && let Some(before) = before.filter(|piece| piece.literal)
        {
            let kept = before.shown.trim_end_matches(is_space);
            let kept = match next {
                Some(next) if is_space(next) => kept,
                _ => kept.strip_suffix(',').unwrap_or(kept),
            };
            before.shown = kept.to_owned().into();
        }
    }
}

/// Where a piece was, and where it is.
struct Place {
    start: usize,
    end: usize,
    literal: bool,
    cut: usize,
    shown_start: usize,
    shown_length: usize,
}

fn places(pieces: &[Piece<'_>]) -> Vec<Place> {
    let mut shown_start = 0;
    let place = |piece: &Piece<'_>| {
        let shown_length = utf16(&piece.shown);
        shown_start += shown_length;
        Place {
            start: piece.start,
            end: piece.start + piece.length,
            literal: piece.literal,
            cut: piece.cut,
            shown_start: shown_start - shown_length,
            shown_length,
        }
    };
    pieces.iter().map(place).collect()
}

impl Place {
    /// Where a position inside of a literal stretch is now.
    fn inside(&self, position: usize) -> usize {
        let kept = position.saturating_sub(self.start + self.cut);
        self.shown_start + kept.min(self.shown_length)
    }
}

/// Where a range is now.
fn moved(places: &[Place], (start, end): Range) -> Option<Range> {
    let first = places.iter().rfind(|place| place.start <= start)?;
    let last = places.iter().find(|place| place.end >= end)?;
    let start = if first.literal {
        first.inside(start)
    } else {
        first.shown_start
    };
    let end = if last.literal {
        last.inside(end)
    } else {
        last.shown_start + last.shown_length
    };
    (start < end).then_some((start, end))
}

//! The table: how each method is asked for things of an account, and what each kind of asker is told.
//!
//! A method without a row fails the walk. A new one is one line: its name, the request about [`Things`], a thing that
//! stands in the answer of those who see it (or ""), and one of the profiles below, or a profile of its own.

mod assignment;
mod channel_gateway;
mod conversation;
mod crm_cards;
mod operator;

use std::sync::LazyLock;

use serde_json::Value;

use super::things::Things;

/// What an asker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Sees it: the answer holds the row's thing.
    Seen,
    /// Is answered, and nothing that is hidden from them stands in the answer.
    Without,
    /// May do it: whatever else is refused, it is not for rights.
    May,
    /// Is refused: `PERMISSION_DENIED`.
    Refused,
    /// For them it does not exist: `NOT_FOUND`.
    Hidden,
    /// The request names what their account has not: `INVALID_ARGUMENT`.
    Wrong,
}

use Told::{Hidden, May, Refused, Seen, Without};

/// Of the owner, full, own, limited, none, the administrator, elsewhere (in the order of `people::Kind`), and another
/// account.
pub type Profile = [Told; 8];

/// Only another kind of token.
const NOBODY: Profile = [Refused; 8];
/// A chat, and what hangs on it, is read.
const CHAT: Profile = [Seen, Seen, Seen, Seen, Refused, Hidden, Hidden, Hidden];
/// A list of what hangs on chats.
const CHATS: Profile = [Seen, Seen, Seen, Seen, Refused, Without, Without, Without];
/// What happened: it grows by itself.
const LOG: Profile = [
    Without, Without, Without, Without, Refused, Without, Without, Without,
];
/// Something that is the asker's own alone.
const TO_ONESELF: Profile = [May, May, May, May, Refused, May, May, May];
/// Something is done with a chat.
const DEED: Profile = [May, May, May, May, Refused, Hidden, Hidden, Hidden];
/// Everybody of the account reads it.
const STAFF: Profile = [Seen, Seen, Seen, Seen, Seen, Seen, Seen, Hidden];
/// A list that everybody of the account reads.
const STAFFS: Profile = [Seen, Seen, Seen, Seen, Seen, Seen, Seen, Without];
/// A setting of a channel is read.
const LINE: Profile = [Seen, Seen, Seen, Seen, Seen, Hidden, Hidden, Hidden];
/// A list of channels, or of their settings.
const LINES: Profile = [Seen, Seen, Seen, Seen, Seen, Without, Without, Without];
/// A setting is changed.
const SETTING: Profile = [
    May, Refused, Refused, Refused, Refused, May, Refused, Hidden,
];
/// A setting is made, by others in their own account.
const NEW: Profile = [May, Refused, Refused, Refused, Refused, May, Refused, May];
/// A bot of all channels is made or changed: settings alone open none of them (D21).
const NEW_BOT: Profile = [
    May, Refused, Refused, Refused, Refused, Refused, Refused, May,
];
const BOT: Profile = [
    May, Refused, Refused, Refused, Refused, Refused, Refused, Hidden,
];
/// A channel is changed: settings alone open none (D21).
const CHANNEL: Profile = [
    May, Refused, Refused, Refused, Refused, Hidden, Refused, Hidden,
];
/// A lead or contact is read.
const ENTITY: Profile = [Seen, Seen, Hidden, Refused, Refused, Seen, Seen, Hidden];
/// A list of leads or contacts.
const ENTITIES: Profile = [Seen, Seen, Without, Refused, Refused, Seen, Seen, Without];
/// A lead, contact or order is changed.
const CHANGE: Profile = [May, May, Hidden, Refused, Refused, May, May, Hidden];
/// A contact or company is made: who may create them does, whatever they see.
const PERSON: Profile = [May, May, May, May, Refused, May, May, May];
/// What CRM has of a chat.
const BOUND: Profile = [
    Seen, Seen, Without, Refused, Refused, Without, Without, Without,
];
/// Chats of an entity: of those who see it they are open in the channels that they have (X11).
const OF_ENTITY: Profile = [
    Seen, Seen, Hidden, Refused, Refused, Without, Without, Hidden,
];
/// Decisions, which are of a chat and of a card.
const DECISION: Profile = [Seen, Seen, Hidden, Refused, Refused, Hidden, Hidden, Hidden];

/// What all agents who use chats share is changed with settings, by others in their own account.
const SHARED_FILTER: Profile = [May, Refused, Refused, Refused, Refused, May, Refused, May];
/// Nobody's: there is none.
const FOREIGN: Profile = [
    Hidden, Hidden, Hidden, Hidden, Refused, Hidden, Hidden, Hidden,
];
/// What all agents who use chats share, and who may change settings sees.
const SHARED: Profile = [Seen, Seen, Seen, Seen, Refused, Seen, Seen, Hidden];
/// A list of it.
const SHAREDS: Profile = [Seen, Seen, Seen, Seen, Refused, Seen, Seen, Without];
/// What is of a group that none of them is in: who may change settings sees it.
const OF_GROUP: Profile = [Seen, Hidden, Hidden, Hidden, Refused, Seen, Hidden, Hidden];
/// The same, changed.
const OF_GROUP_CHANGED: Profile = [May, Hidden, Hidden, Hidden, Refused, May, Hidden, Hidden];
/// What is one agent's alone.
const OF_ONE: Profile = [
    Hidden, Hidden, Hidden, Hidden, Refused, Hidden, Hidden, Hidden,
];

/// Only services ask, each about its own account.
const OUTSIDE: Profile = [
    Refused, Refused, Refused, Refused, Refused, Refused, Refused, Without,
];

/// One question.
#[derive(Clone)]
pub struct Row {
    /// The method, as `assignment.v1.RoleService/GetRole`.
    pub method: String,
    /// The request.
    pub ask: fn(&Things) -> Value,
    /// The thing that stands in the answer of those who see it.
    pub shows: &'static str,
    /// What each asker is told.
    pub told: Profile,
}

fn row(method: &'static str, ask: fn(&Things) -> Value, shows: &'static str, told: Profile) -> Row {
    Row {
        method: method.to_owned(),
        ask,
        shows,
        told,
    }
}

/// Rows of one service, whose name stands before those of its methods.
fn service<const N: usize>(name: &str, rows: [Row; N]) -> Vec<Row> {
    let rows = rows.into_iter().map(|row| Row {
        method: format!("{name}/{}", row.method),
        ..row
    });
    rows.collect()
}

/// All questions, in the order in which they are asked. Hours are set after they were deleted: another account sets some
/// for the same channel, in its own name.
pub static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    [
        assignment::rows(),
        conversation::rows(),
        crm_cards::rows(),
        channel_gateway::rows(),
        operator::rows(),
    ]
    .concat()
});

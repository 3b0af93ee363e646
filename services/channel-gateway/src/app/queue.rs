//! Storing commands to providers, so that they go out in order (§10).

use std::collections::{BTreeMap, BTreeSet};

use chassis::id::AccountSlug;
use chassis::outbox::{self, Outgoing};
use sqlx::PgConnection;
use switchboard_proto::common::v1::ContentPart;
use switchboard_proto::conversation::v1::OutboundCommand;
use time::OffsetDateTime;
use uuid::Uuid;

use super::announce::{self, Note};
use super::around::Around;
use super::book::{Found, Known};
use super::mail::domain_of;
use super::{App, cancel, short_links, uploads};
use crate::domain::channel::ChannelKind;
use crate::domain::credentials::Credentials;
use crate::domain::delivery::{Outlet, PartState, Unfit, plan};
use crate::domain::viber::call::Sender;
use crate::error::{DOMAIN, Error};
use crate::store::attempts::SettledPart;
use crate::store::commands::{self, NewCommand, NewPart};
use crate::store::lanes::{self, Touched};

/// A command with what surrounds it.
#[derive(Debug, Clone)]
pub struct Queued {
    /// The account.
    pub account: AccountSlug,
    /// The command.
    pub command: OutboundCommand,
    /// When it was queued.
    pub time: OffsetDateTime,
    /// The event that brought it.
    pub cause: Option<Uuid>,
    /// The trace of that event.
    pub trace: String,
}

/// The ids of a command.
#[derive(Debug, Clone, Copy)]
struct Ids {
    chat: Uuid,
    channel: Uuid,
    message: Uuid,
}

/// Through what the commands of each channel go.
pub type Outlets = BTreeMap<Uuid, Outlet>;

const CHANNEL_UNKNOWN: Outlet = Outlet::Nowhere(Unfit {
    reason: "CHANNEL_UNKNOWN",
    detail: "The channel does not exist any more.",
});

/// Looks up through what commands go. Ask before a transaction begins: channels are looked up on another connection.
pub async fn outlets(app: &App, queued: &[Queued]) -> Result<Outlets, Error> {
    let mut outlets = Outlets::new();
    for entry in queued {
        let Some(ids) = ids(&entry.command) else {
            continue;
        };
        if outlets.contains_key(&ids.channel) {
            continue;
        }
        match app.book.find(ids.channel).await {
            Found::Known(known) if known.account == entry.account => {
                outlets.insert(ids.channel, outlet(&known));
            }
            Found::Known(_) | Found::Unknown => {}
            // The same as if the database did not answer here: the batch waits.
            Found::Away => return Err(sqlx::Error::PoolTimedOut.into()),
        }
    }
    Ok(outlets)
}

fn outlet(known: &Known) -> Outlet {
    match &known.access {
        Credentials::Telegram(_) => Outlet::Telegram,
        // Nothing goes out until it is connected again; how it is planned matters to nobody.
        Credentials::Forgotten(kind) => match kind {
            ChannelKind::TelegramBot => Outlet::Telegram,
            ChannelKind::ViberBot => Outlet::Viber(Sender {
                name: known.name.clone(),
                avatar: String::new(),
            }),
            ChannelKind::Instagram => Outlet::Instagram { human_agent: false },
            ChannelKind::Email => Outlet::Email {
                domain: domain_of(&known.provider_account).to_owned(),
                subject: known.name.clone(),
            },
        },
        Credentials::Viber(bot) => Outlet::Viber(Sender {
            name: if bot.sender_name.is_empty() {
                known.name.clone()
            } else {
                bot.sender_name.clone()
            },
            avatar: bot.sender_avatar.clone(),
        }),
        Credentials::Instagram(profile) => Outlet::Instagram {
            human_agent: profile.human_agent,
        },
        Credentials::Email(mailbox) => Outlet::Email {
            domain: domain_of(&mailbox.address).to_owned(),
            subject: if mailbox.display_name.is_empty() {
                known.name.clone()
            } else {
                mailbox.display_name.clone()
            },
        },
    }
}

/// Tells whether a command says enough to get its number in a lane.
pub fn is_placeable(command: &OutboundCommand) -> bool {
    ids(command).is_some() && command.out_seq > 0
}

fn ids(command: &OutboundCommand) -> Option<Ids> {
    Some(Ids {
        chat: command.chat_id.parse().ok()?,
        channel: command.channel_id.parse().ok()?,
        message: command.message_id.parse().ok()?,
    })
}

/// Stores commands, each as parts, within the caller's transaction; repeats change nothing.
///
/// One that cannot be handled is stored as failed, so that its successors have their turn. Returns the events, which
/// the caller writes last.
pub async fn store(
    connection: &mut PgConnection,
    queued: &[Queued],
    outlets: &Outlets,
    now: OffsetDateTime,
) -> Result<Vec<Outgoing>, Error> {
    let mut sorted: BTreeMap<(Uuid, i64), (&Queued, Ids)> = BTreeMap::new();
    for entry in queued {
        if let Some(ids) = ids(&entry.command).filter(|_| entry.command.out_seq > 0) {
            sorted
                .entry((ids.chat, entry.command.out_seq))
                .or_insert((entry, ids));
        }
    }
    if sorted.is_empty() {
        return Ok(Vec::new());
    }
    lanes::touch(connection, &touched(&sorted), now).await?;
    let commands: Vec<(Uuid, &OutboundCommand)> = sorted
        .values()
        .map(|(entry, ids)| (ids.channel, &entry.command))
        .filter(|(channel, _)| outlets.get(channel).is_some_and(Outlet::asks_around))
        .collect();
    let mut around = Around::load(connection, &commands, now).await?;
    let (mut rows, mut parts, mut failed) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (&(chat_id, out_seq), (entry, ids)) in &sorted {
        let outlet = outlets.get(&ids.channel).unwrap_or(&CHANNEL_UNKNOWN);
        let planned = plan(
            &entry.command,
            outlet,
            &around.of(ids.channel, &entry.command, now),
        );
        if let Ok(calls) = &planned {
            around.note_planned(ids.channel, &entry.command, calls);
        }
        rows.push(NewCommand {
            chat_id,
            out_seq,
            message_id: ids.message,
            attempt: entry.command.attempt,
            parts: planned
                .as_ref()
                .map_or(1, |calls| i32::try_from(calls.len()).unwrap_or(i32::MAX)),
            is_final: planned.is_err(),
            queued_at: entry.time,
            cause: entry.cause,
            trace: entry.trace.clone(),
        });
        match planned {
            Ok(calls) => parts.extend((0..).zip(calls).map(|(part, call)| NewPart {
                chat_id,
                out_seq,
                part,
                state: PartState::Queued.as_str(),
                method: call.method,
                params: call.params,
                reason: "",
            })),
            Err(unfit) => {
                parts.push(NewPart {
                    chat_id,
                    out_seq,
                    part: 0,
                    state: PartState::Failed.as_str(),
                    method: String::new(),
                    params: serde_json::Value::Null,
                    reason: unfit.reason,
                });
                failed.insert((chat_id, out_seq), unfit);
            }
        }
    }
    let new: std::collections::HashSet<(Uuid, i64)> = commands::insert(connection, &rows)
        .await?
        .into_iter()
        .collect();
    parts.retain(|part| new.contains(&(part.chat_id, part.out_seq)));
    commands::insert_parts(connection, &parts, now).await?;
    let mut events = Vec::new();
    for (key, unfit) in failed.iter().filter(|(key, _)| new.contains(key)) {
        if let Some((entry, ids)) = sorted.get(key) {
            events.extend(refused(entry, *ids, *unfit, now)?);
        }
    }
    let chats: Vec<Uuid> = new.iter().map(|(chat, _)| *chat).collect();
    events.extend(cancel::apply(connection, &chats, now).await?);
    Ok(events)
}

/// Makes transactions wait for each other that queue or take back commands of the same chats: else a command and its
/// being taken back, each in a transaction of its own, would not see one another, and lanes would be locked in any
/// order. Call it first, with all chats of the transaction.
pub async fn enter(
    connection: &mut PgConnection,
    queued: &[Queued],
    cancelled: &[(Uuid, i64)],
) -> Result<(), Error> {
    let chats: BTreeSet<Uuid> = queued
        .iter()
        .filter_map(|entry| Some(ids(&entry.command)?.chat))
        .chain(cancelled.iter().map(|(chat, _)| *chat))
        .collect();
    let chats: Vec<Uuid> = chats.into_iter().collect();
    if !chats.is_empty() {
        lanes::enter(connection, &chats).await?;
    }
    Ok(())
}

/// Stores commands, all at once if that can be; else one by one, and what the database refuses as failed: it would
/// block its chat for good.
pub async fn store_each(app: &App, queued: &[Queued], now: OffsetDateTime) -> Result<(), Error> {
    match store_and_commit(app, queued, now).await {
        Err(error) if is_content(&error) => {}
        done => return done,
    }
    for entry in queued {
        match store_and_commit(app, std::slice::from_ref(entry), now).await {
            Err(error) if is_content(&error) => {
                tracing::error!(chat.id = entry.command.chat_id, out_seq = entry.command.out_seq, %error, "a command cannot be stored: it fails");
                store_and_commit(app, &[emptied(entry)], now).await?;
            }
            done => done?,
        }
    }
    Ok(())
}

/// Tells whether the database refused values (`SQLSTATE` classes data exception, constraint, limit): the same again
/// would be refused again.
fn is_content(error: &Error) -> bool {
    let Error::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    let code = error.code().unwrap_or_default();
    ["22", "23", "54"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// A command with its place only, which is stored as failed.
fn emptied(entry: &Queued) -> Queued {
    let command = OutboundCommand {
        parts: vec![ContentPart::default()],
        reply: None,
        ..entry.command.clone()
    };
    Queued {
        command,
        ..entry.clone()
    }
}

/// Stores commands in a transaction of their own.
pub async fn store_and_commit(
    app: &App,
    queued: &[Queued],
    now: OffsetDateTime,
) -> Result<(), Error> {
    let outlets = outlets(app, queued).await?;
    let mut tx = app.pool.begin().await?;
    enter(&mut tx, queued, &[]).await?;
    let mut queued = queued.to_vec();
    let told = uploads::note_used(&mut tx, &mut queued, now).await?;
    short_links::shorten_all(&mut tx, app, &mut queued, now).await?;
    let mut events = store(&mut tx, &queued, &outlets, now).await?;
    events.extend(told);
    outbox::write(&mut tx, DOMAIN, events, now).await?;
    tx.commit().await?;
    app.relay.wake();
    Ok(())
}

/// A command that is only written down: it was queued in a time of which this database knows nothing, and never goes out again.
pub(super) fn lost(entry: &Queued) -> Option<NewCommand> {
    let ids = ids(&entry.command).filter(|_| entry.command.out_seq > 0)?;
    Some(NewCommand {
        chat_id: ids.chat,
        out_seq: entry.command.out_seq,
        message_id: ids.message,
        attempt: entry.command.attempt,
        parts: 1,
        is_final: true,
        queued_at: entry.time,
        cause: entry.cause,
        trace: entry.trace.clone(),
    })
}

/// The lanes of commands.
pub(super) fn lanes(queued: &[Queued]) -> Touched {
    let sorted = queued.iter().filter_map(|entry| {
        let ids = ids(&entry.command)?;
        Some(((ids.chat, entry.command.out_seq), (entry, ids)))
    });
    touched(&sorted.collect())
}

fn touched(sorted: &BTreeMap<(Uuid, i64), (&Queued, Ids)>) -> Touched {
    let mut touched = Touched::default();
    for (entry, ids) in sorted.values() {
        if touched.chats.last() != Some(&ids.chat) {
            touched.chats.push(ids.chat);
            touched.accounts.push(entry.account.to_string());
            touched.channels.push(ids.channel);
            // A command with a NUL here is stored as failed: its lane's key must be storable too.
            touched.keys.push(entry.command.chat_key.replace('\0', ""));
        }
    }
    touched
}

fn refused(
    entry: &Queued,
    ids: Ids,
    unfit: Unfit,
    now: OffsetDateTime,
) -> Result<Option<Outgoing>, Error> {
    let part = SettledPart {
        account: entry.account.to_string(),
        channel_id: ids.channel,
        chat_id: ids.chat,
        out_seq: entry.command.out_seq,
        part: 0,
        parts: 1,
        message_id: ids.message,
        attempt: entry.command.attempt,
        state: PartState::Failed.as_str().to_owned(),
        provider_key: String::new(),
        reason: unfit.reason.to_owned(),
        cause: entry.cause,
        trace: entry.trace.clone(),
    };
    announce::settled(
        &part,
        &Note {
            detail: unfit.detail,
            ..Note::default()
        },
        now,
    )
}

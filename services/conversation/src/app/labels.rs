//! `LabelChat` and `ListLabels` (B13).

use std::collections::BTreeSet;

use chassis::auth::Caller;
use chassis::outbox::Waker;
use sqlx::{PgConnection, PgPool};
use switchboard_proto::conversation::v1 as pb;
use time::OffsetDateTime;

use super::act::Act;
use super::read::{self, Page};
use super::{access, announce};
use crate::domain::ChatId;
use crate::domain::label::{self, Label, OF_ACCOUNT_MAX, Refusal};
use crate::error::Error;
use crate::store;

/// What shall become of a chat's labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Those that it gets.
    pub added: Vec<Label>,
    /// Keys of those that it loses.
    pub removed: BTreeSet<String>,
}

/// Adds labels to a chat, and takes others off. What is so already is no change.
pub async fn label(
    pool: &PgPool,
    waker: &Waker,
    caller: &Caller,
    (chat, wanted): (ChatId, Wanted),
    now: OffsetDateTime,
) -> Result<pb::LabelChatResponse, Error> {
    access::may_use_chats(caller)?;
    let mut act = Act::begin(pool, caller, chat, now).await?;
    let mut added = wanted.added;
    if !added.is_empty() {
        let account = act.chat.account.clone();
        let known = store::labels::learn(&mut act.tx, &account, &added, OF_ACCOUNT_MAX).await?;
        let known = known.ok_or(Error::NotLabelled(Refusal::TooManyOfAccount))?;
        // As it was written first: one label is not shown in two ways.
        for label in &mut added {
            if let Some(name) = known.get(&label.key) {
                label.name.clone_from(name);
            }
        }
    }
    let before = act.chat.labels.clone();
    act.chat.labels =
        label::changed(&before, &added, &wanted.removed).map_err(Error::NotLabelled)?;
    if act.chat.labels != before {
        let keys: BTreeSet<String> = act.chat.labels.iter().map(|it| label::key(it)).collect();
        store::labels::set(&mut act.tx, &act.chat, &keys).await?;
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            let new = these.iter().filter(|label| !others.contains(label));
            new.cloned().collect()
        };
        let event = pb::ChatLabelled {
            chat_id: act.chat.id.to_string(),
            channel_id: act.chat.channel.to_string(),
            labels: act.chat.labels.clone(),
            added_labels: only(&act.chat.labels, &before),
            removed_labels: only(&before, &act.chat.labels),
        };
        act.tell(announce::about_chat(&act.chat, &event, &act.cause));
        let of = announce::of_act(&act.chat);
        let facts = [
            ("added", event.added_labels.join(", ")),
            ("removed", event.removed_labels.join(", ")),
        ];
        act.note(of, "chat.labelled", &facts)?;
    }
    let chat = Some(act.shown().await?);
    act.finish(waker).await?;
    Ok(pb::LabelChatResponse { chat })
}

/// Lists the labels of chats that the caller may see (F062), by name: those that begin so.
pub async fn list(
    connection: &mut PgConnection,
    caller: &Caller,
    (beginning, after): (&str, &str),
    size: u32,
) -> Result<Page<pb::ChatLabel, String>, Error> {
    access::may_use_chats(caller)?;
    let limit = i64::from(size) + 1;
    let account = caller.account();
    let granted = access::granted(caller);
    let wanted = (beginning, after);
    let found = store::labels::list(connection, account, granted.as_deref(), wanted, limit).await?;
    let (found, next) = read::cut(found, size, |label| label.key.clone());
    let labels = found
        .into_iter()
        .map(|label| pb::ChatLabel { name: label.name });
    Ok((labels.collect(), next))
}

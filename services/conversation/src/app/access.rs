//! What a caller may see. What lies beyond an agent's record does not exist for the agent (§9).

use chassis::access::{AccessCopy, AccessSource as _, ChannelGrant, ChatAccess, View};
use chassis::auth::Caller;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::chat::Chat;
use crate::domain::{AgentId, ChatId};
use crate::error::Error;
use crate::store;

/// Refuses agents without access to chats (F175). A service's token sees all of its account.
pub fn may_use_chats(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if access.chats == ChatAccess::None => Err(Error::ChatAccessMissing),
        _ => Ok(()),
    }
}

/// Tells whether a chat is the caller's account's and within the caller's channels (F062).
pub fn sees(caller: &Caller, chat: &Chat) -> bool {
    let granted = caller
        .access()
        .is_none_or(|access| access.may_see_channel(chat.channel.uuid()));
    granted && caller.account_opt() == Some(&chat.account)
}

/// Tells whether the caller may know which cards were made from chats (F176). A service's token may.
pub fn sees_cards(caller: &Caller) -> bool {
    caller
        .access()
        .is_none_or(|access| access.chats == ChatAccess::Full && access.leads.view != View::None)
}

/// Tells whether the caller may know which contacts and companies cards belong to. A service's token may.
pub fn sees_people(caller: &Caller) -> bool {
    caller
        .access()
        .is_none_or(|access| access.contacts.view != View::None)
}

/// Tells whether the caller sees only own cards, and only own contacts.
pub fn sees_own_only(caller: &Caller) -> (bool, bool) {
    caller.access().map_or((false, false), |access| {
        (
            access.leads.view == View::Own,
            access.contacts.view == View::Own,
        )
    })
}

/// Returns the channels that the caller is narrowed to; none for all.
pub fn granted(caller: &Caller) -> Option<Vec<Uuid>> {
    match &caller.access()?.channels {
        ChannelGrant::All => None,
        ChannelGrant::Some(channels) => Some(channels.iter().copied().collect()),
    }
}

/// Agents change settings where their role has them; services where their token has the scope, which was looked at.
pub fn may_change_settings(caller: &Caller) -> Result<(), Error> {
    match caller.access() {
        Some(access) if !access.settings => Err(Error::SettingsAccessMissing),
        _ => Ok(()),
    }
}

/// Returns the agent who acts; only agents write to clients.
pub fn agent(caller: &Caller) -> Result<AgentId, Error> {
    caller.agent().ok_or(Error::AgentRequired)
}

/// Refuses to go on where the agent's rights are not those any more with which something began that lasts.
pub async fn still_may(copy: &AccessCopy, caller: &Caller) -> Result<(), Error> {
    let Some(began) = caller.access() else {
        return Ok(());
    };
    match copy.access(caller.account(), began.agent).await {
        Ok(Some(now)) if now.version == began.version => Ok(()),
        Ok(_) => Err(Error::AccessChanged),
        // Asked again at the next look.
        Err(error) => {
            tracing::warn!(%error, "rights of who watches could not be looked at");
            Ok(())
        }
    }
}

/// Returns a chat that the caller may see.
pub async fn chat(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ChatId,
) -> Result<Chat, Error> {
    may_use_chats(caller)?;
    let chat = store::chat::get(connection, caller.account(), id).await?;
    chat.filter(|chat| sees(caller, chat))
        .ok_or(Error::ChatNotFound)
}

/// Locks a chat that the caller may see.
pub async fn lock_chat(
    connection: &mut PgConnection,
    caller: &Caller,
    id: ChatId,
) -> Result<Chat, Error> {
    may_use_chats(caller)?;
    let chat = store::chat::lock(connection, &[id]).await?.remove(&id);
    chat.filter(|chat| sees(caller, chat))
        .ok_or(Error::ChatNotFound)
}

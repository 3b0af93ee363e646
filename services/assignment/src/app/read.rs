//! Asking: agents, who answers for a chat, and why.

use chassis::auth::Caller;
use chassis::id::AccountSlug;
use uuid::Uuid;

use super::App;
use super::access::{may_use_chats, sees_channel};
use crate::domain::ChatId;
use crate::domain::chat::Chat;
use crate::error::Error;
use crate::store::agents::{self, Agent};
use crate::store::chats;
use crate::store::choices::{self, ChoiceRow};

impl App {
    /// Returns agents after (name, id), by name.
    pub async fn list_agents(
        &self,
        account: &AccountSlug,
        after: (&str, Uuid),
        limit: i64,
    ) -> Result<Vec<Agent>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(agents::list_by_name(&mut connection, account, after, limit).await?)
    }

    /// Returns agents after an id, by id.
    pub async fn list_access(
        &self,
        account: &AccountSlug,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Agent>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(agents::list_by_id(&mut connection, account, after, limit).await?)
    }

    /// Returns a chat that exists for the caller (F062).
    pub async fn get_chat(&self, caller: &Caller, chat: ChatId) -> Result<Chat, Error> {
        may_use_chats(caller)?;
        let mut connection = self.pool.acquire().await?;
        chats::get(&mut connection, caller.account(), chat)
            .await?
            .filter(|found| found.number > 0 && sees_channel(caller, found.channel))
            .ok_or(Error::UnknownChat(chat))
    }

    /// Returns chats after an id, by id, for services that fill their copy.
    pub async fn list_chats(
        &self,
        account: &AccountSlug,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Chat>, Error> {
        let mut connection = self.pool.acquire().await?;
        Ok(chats::list(&mut connection, account, after, limit).await?)
    }

    /// Returns choices of a chat before one, newest first (B06).
    pub async fn explain(
        &self,
        caller: &Caller,
        chat: ChatId,
        before: i64,
        limit: i64,
    ) -> Result<Vec<(i64, ChoiceRow)>, Error> {
        self.get_chat(caller, chat).await?;
        let mut connection = self.pool.acquire().await?;
        Ok(choices::list(&mut connection, caller.account(), chat, before, limit).await?)
    }
}

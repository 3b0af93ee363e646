//! A chat that is not known yet is asked for once before anything is refused (architecture §2): an agent who sees a chat in
//! the list may act on it before the event of its opening has come here.

use chassis::auth::Caller;
use chassis::id::AccountSlug;
use time::OffsetDateTime;
use tonic::Status;

use super::App;
use super::assign::Origin;
use super::hear::Report;
use crate::domain::chat::Told;
use crate::domain::{ChannelId, ChatId};
use crate::error::Error;
use crate::figures;
use crate::store::chats;

/// Where chats are known first.
#[tonic::async_trait]
pub trait Source: Send + Sync {
    /// Returns a chat of an account that has an open conversation.
    async fn chat(&self, account: &AccountSlug, chat: ChatId)
    -> Result<Option<KnownThere>, Status>;
}

/// A chat as it is known there.
#[derive(Debug, Clone)]
pub struct KnownThere {
    /// Its channel.
    pub channel: ChannelId,
    /// Its open conversation.
    pub told: Told,
}

impl App {
    /// Tells whether what was refused is to be done once more: the chat was not known, and is now.
    pub async fn learned<A: Sync>(
        &self,
        caller: &Caller,
        chat: ChatId,
        done: &Result<A, Error>,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        match done {
            Err(Error::UnknownChat(_)) => self.learn(caller, chat, now).await,
            _ => Ok(false),
        }
    }

    /// Asks for a chat that is not known here at all; returns whether it is known now. That nobody answers is no reason to
    /// fail otherwise than for a chat that is not there.
    async fn learn(
        &self,
        caller: &Caller,
        chat: ChatId,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let Some(source) = &self.source else {
            return Ok(false);
        };
        let account = caller.account();
        let mut connection = self.pool.acquire().await?;
        if chats::get(&mut connection, account, chat).await?.is_some() {
            return Ok(false);
        }
        drop(connection);
        let found = match source.chat(account, chat).await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(false),
            Err(status) => {
                tracing::warn!(code = ?status.code(), error = status.message(), "conversation was not asked for a chat");
                return Ok(false);
            }
        };
        let report = Report {
            account: account.clone(),
            chat,
            channel: found.channel,
            told: found.told,
            row: None,
            linked: Vec::new(),
            origin: Origin::of_request(),
        };
        self.hear(vec![report], now).await?;
        figures::ASKED_FOR.increment(1);
        Ok(true)
    }
}

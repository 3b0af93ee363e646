//! Whose photos this process has noted to be looked for, in memory: who writes again and again costs no statement.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::id;
use chassis::seal::Sealer;
use moka::future::Cache;
use switchboard_proto::channel_gateway::v1::InboundEvent;
use uuid::Uuid;

use crate::domain::photo::{version, wanted};
use crate::error::Error;
use crate::store::photos::Wanted;

/// Chats in memory at most.
const CHATS_MAX: u64 = 50_000;

/// How long a chat is not noted again, unless another photo is told of.
const SERVES: Duration = Duration::from_hours(1);

/// Chats in memory, with what was told of their photos. Clones share them.
#[derive(Debug, Clone)]
pub struct Noted(Cache<Uuid, Option<Vec<u8>>>);

impl Default for Noted {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(CHATS_MAX)
                .time_to_live(SERVES)
                .build(),
        )
    }
}

/// What a sealed reference is bound to: it opens in its own row only.
pub fn aad(chat: Uuid) -> Vec<u8> {
    format!("client-photo:{chat}:reference").into_bytes()
}

impl Noted {
    /// Returns whose photos are to be looked for after these items, each chat once, sorted.
    pub async fn wanted<'a>(
        &self,
        sealer: &Sealer,
        items: impl Iterator<Item = (Uuid, &'a str, &'a InboundEvent)>,
    ) -> Result<Vec<Wanted>, Error> {
        let mut newest = BTreeMap::new();
        for (channel_id, account, item) in items {
            if let Some(it) = wanted(item) {
                let chat = id::v5("chat", &[&channel_id.to_string(), it.chat_key]);
                newest.insert(chat, (channel_id, account, it));
            }
        }
        let mut rows = Vec::new();
        for (chat_id, (channel_id, account, it)) in newest {
            let told = it.told.map(version);
            if self
                .0
                .get(&chat_id)
                .await
                .is_some_and(|noted| noted == told)
            {
                continue;
            }
            let reference = it.told.map(|told| sealer.seal(told, &aad(chat_id)));
            rows.push(Wanted {
                chat_id,
                channel_id,
                chat_key: it.chat_key.to_owned(),
                account: account.to_owned(),
                user_id: it.user_id.to_owned(),
                reference: reference.transpose()?,
                told,
            });
        }
        Ok(rows)
    }

    /// Remembers that these were noted; call it after the commit.
    pub async fn done(&self, noted: &[Wanted]) {
        for it in noted {
            self.0.insert(it.chat_id, it.told.clone()).await;
        }
    }
}

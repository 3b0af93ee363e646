//! Agents who answer beside the load, and how long an answer takes to the provider.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{Chat, ListChatsRequest, SendMessageRequest};
use time::OffsetDateTime;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::load::histogram;
use crate::world::{Account, World, within};

/// What became of the answers.
pub struct Answered {
    /// Answers admitted.
    pub admitted: u64,
    /// Answers refused or failed.
    pub refused: u64,
    /// From the call of `SendMessage` to the provider's receiving it, microseconds (the provider notes milliseconds).
    pub to_provider: Histogram<u64>,
}

/// When each admitted answer was asked for, in Unix milliseconds, and how many were refused.
type Asked = (HashMap<String, i64>, u64);

pub(super) struct Answers(Option<JoinHandle<anyhow::Result<Asked>>>);

impl Answers {
    /// Begins to answer at a rate for a time.
    pub fn start(account: &Arc<Account>, rate: u32, time: Duration) -> Self {
        let account = Arc::clone(account);
        Self((rate > 0).then(|| tokio::spawn(async move { answer(&account, rate, time).await })))
    }

    /// Waits until all answers are out.
    pub async fn finish(
        self,
        world: &World,
        account: &Account,
    ) -> anyhow::Result<Option<Answered>> {
        let Some(task) = self.0 else { return Ok(None) };
        let (called, refused) = task.await??;
        let mut to_provider = histogram();
        within(
            Duration::from_mins(1),
            "all answers at the provider",
            async || {
                let sent = world.telegram.sent(&account.bot_token);
                to_provider.reset();
                for call in &sent {
                    let text = call
                        .params
                        .get("text")
                        .and_then(|text| text.as_str())
                        .unwrap_or_default();
                    if let Some(began) = called.get(text) {
                        to_provider.saturating_record(
                            u64::try_from((call.at_ms - began).max(0)).unwrap_or(0) * 1_000,
                        );
                    }
                }
                Ok((to_provider.len() >= called.len() as u64).then_some(()))
            },
        )
        .await?;
        Ok(Some(Answered {
            admitted: called.len() as u64,
            refused,
            to_provider,
        }))
    }
}

async fn answer(account: &Account, rate: u32, time: Duration) -> anyhow::Result<Asked> {
    let start = Instant::now();
    let mut chats: Vec<Chat> = Vec::new();
    let mut called = HashMap::new();
    let mut refused = 0;
    let mut tasks: JoinSet<Option<(String, i64)>> = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut number = 0_usize;
    while start.elapsed() < time {
        ticks.tick().await;
        if number.is_multiple_of(rate as usize) {
            let request = ListChatsRequest {
                page_size: 200,
                ..Default::default()
            };
            chats = account
                .admin
                .conversation
                .clone()
                .list_chats(request)
                .await?
                .into_inner()
                .chats;
            chats.retain(|chat| !chat.responsible_agent_id.is_empty());
        }
        number += 1;
        let Some(chat) = (!chats.is_empty()).then(|| &chats[number % chats.len()]) else {
            continue;
        };
        let mut client = account
            .agent(&chat.responsible_agent_id)?
            .clients
            .conversation
            .clone();
        let text = format!("answer {number}");
        let request = SendMessageRequest {
            request_id: Uuid::new_v4().to_string(),
            chat_id: chat.chat_id.clone(),
            text: Some(Text {
                text: text.clone(),
                entities: Vec::new(),
            }),
            reply_to_message_id: String::new(),
            attachment_ids: Vec::new(),
        };
        tasks.spawn(async move {
            let began = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000)
                .unwrap_or(0);
            client
                .send_message(request)
                .await
                .is_ok()
                .then_some((text, began))
        });
    }
    while let Some(done) = tasks.join_next().await {
        match done? {
            Some((text, began)) => drop(called.insert(text, began)),
            None => refused += 1,
        }
    }
    Ok((called, refused))
}

//! Customers who write at a steady rate, and agents who answer and close.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use switchboard_proto::common::v1::Text;
use switchboard_proto::conversation::v1::{
    Chat, CloseConversationRequest, ListChatsRequest, SendMessageRequest, chat::State,
};
use switchboard_tests::telegram::StandIn;
use switchboard_tests::world::{Account, StoryAgent};
use tokio::task::JoinSet;
use tonic::Code;
use uuid::Uuid;

use super::{CUSTOMERS, RATE};

/// What customers wrote and the webhook accepted.
pub struct SentByCustomers {
    /// By text, which is unique: the customer.
    pub texts: BTreeMap<String, i64>,
    /// How many were delivered again though accepted.
    pub repeated: usize,
}

/// Customers write at [`RATE`]; the provider repeats what was not answered, and one in ten although it was.
pub async fn customers(
    telegram: &StandIn,
    account: &Arc<Account>,
    seed: u64,
    end: Instant,
) -> anyhow::Result<SentByCustomers> {
    let mut random = StdRng::seed_from_u64(seed ^ 1);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut texts = BTreeMap::new();
    let mut repeated = 0;
    let mut waiting = Vec::new();
    while Instant::now() < end {
        ticks.tick().await;
        let customer = 1_000 + random.random_range(0..CUSTOMERS);
        let text = format!("c{customer} m{}", texts.len());
        texts.insert(text.clone(), customer);
        let repeats = u32::from(random.random_bool(0.1));
        repeated += usize::try_from(repeats)?;
        waiting.push(telegram.enqueue_text(&account.bot_token, customer, &text, repeats)?);
    }
    // All that was sent is accepted at last: the provider keeps repeating.
    for accepted in join_all(waiting).await {
        accepted.map_err(|_| anyhow::anyhow!("an update was never accepted"))?;
    }
    Ok(SentByCustomers { texts, repeated })
}

/// What agents were told is on its way.
pub struct Answered {
    /// Per chat, in the order in which the answers were admitted: (message id, text).
    pub messages: BTreeMap<String, Vec<(String, String)>>,
    /// Answers refused for good, as when somebody else has the chat.
    pub refused: usize,
}

/// Agents answer chats in turn, each chat by one answer at a time, repeating a request until it has a definite answer.
pub async fn agents(account: &Arc<Account>, seed: u64, end: Instant) -> anyhow::Result<Answered> {
    let mut random = StdRng::seed_from_u64(seed ^ 2);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let mut under_way: JoinSet<(String, String, Option<String>)> = JoinSet::new();
    let mut busy = HashSet::new();
    let mut answered = Answered {
        messages: BTreeMap::new(),
        refused: 0,
    };
    let mut note = |busy: &mut HashSet<String>, done: (String, String, Option<String>)| {
        let (chat, text, message) = done;
        busy.remove(&chat);
        match message {
            Some(message) => answered
                .messages
                .entry(chat)
                .or_default()
                .push((message, text)),
            None => answered.refused += 1,
        }
    };
    let mut chats: Vec<Chat> = Vec::new();
    let mut number = 0_usize;
    while Instant::now() < end {
        ticks.tick().await;
        while let Some(done) = under_way.try_join_next() {
            note(&mut busy, done?);
        }
        if number.is_multiple_of(20) {
            let mut client = account.admin.conversation.clone();
            // The list may be away for a moment: the old one serves.
            if let Ok(page) = client
                .list_chats(ListChatsRequest {
                    page_size: 200,
                    ..Default::default()
                })
                .await
            {
                chats = page.into_inner().chats;
            }
        }
        number += 1;
        let Some(chat) = chats
            .choose(&mut random)
            .filter(|chat| !busy.contains(&chat.chat_id))
        else {
            continue;
        };
        let Ok(agent) = account.agent(&chat.responsible_agent_id) else {
            continue;
        };
        let (agent, chat) = (agent.clone(), chat.clone());
        if number.is_multiple_of(15) && chat.state() == State::Active {
            let request = CloseConversationRequest {
                chat_id: chat.chat_id.clone(),
                ..Default::default()
            };
            let mut client = agent.clients.conversation.clone();
            // Whether a close succeeds does not matter: the next message opens or continues either way.
            tokio::spawn(async move { drop(client.close_conversation(request).await) });
            continue;
        }
        busy.insert(chat.chat_id.clone());
        let text = format!("answer {number}");
        under_way.spawn(async move { answer(agent, chat.chat_id, text).await });
    }
    while let Some(done) = under_way.join_next().await {
        note(&mut busy, done?);
    }
    Ok(answered)
}

async fn answer(
    agent: StoryAgent,
    chat_id: String,
    text: String,
) -> (String, String, Option<String>) {
    let request = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat_id.clone(),
        text: Some(Text {
            text: text.clone(),
            entities: Vec::new(),
        }),
        reply_to_message_id: String::new(),
        attachment_ids: Vec::new(),
    };
    let mut client = agent.clients.conversation;
    loop {
        match client.send_message(request.clone()).await {
            Ok(answer) => {
                return (
                    chat_id,
                    text,
                    answer
                        .into_inner()
                        .message
                        .map(|message| message.message_id),
                );
            }
            Err(refused) if matches!(refused.code(), Code::FailedPrecondition | Code::NotFound) => {
                return (chat_id, text, None);
            }
            // Away, cut off or timed out: the same request id makes asking again harmless (B02).
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

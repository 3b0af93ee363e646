//! Customers who write at a steady rate, and agents who answer and close.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

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
use tonic::{Code, Status};
use uuid::Uuid;

use super::{CUSTOMERS, RATE};

/// What customers wrote and the webhook accepted.
pub struct SentByCustomers {
    /// By text, which is unique: the customer.
    pub texts: BTreeMap<String, i64>,
    /// How many were delivered again though accepted.
    pub repeated: usize,
    /// Statuses of attempts that were not accepted and had to be repeated; 0 where there was no answer.
    pub not_accepted: Vec<u16>,
}

/// Customers write at [`RATE`] as long as they are to; the provider repeats what was not answered, and one in ten although it was.
pub async fn customers(
    telegram: &StandIn,
    account: &Arc<Account>,
    seed: u64,
    go_on: impl Fn() -> bool,
) -> anyhow::Result<SentByCustomers> {
    let mut random = StdRng::seed_from_u64(seed ^ 1);
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    let mut texts = BTreeMap::new();
    let mut repeated = 0;
    let mut waiting = Vec::new();
    while go_on() {
        ticks.tick().await;
        let customer = 1_000 + random.random_range(0..CUSTOMERS);
        let text = format!("c{customer} m{}", texts.len());
        texts.insert(text.clone(), customer);
        let repeats = u32::from(random.random_bool(0.1));
        repeated += usize::try_from(repeats)?;
        waiting.push(telegram.enqueue_text(&account.bot_token, customer, &text, repeats)?);
    }
    // All that was sent is accepted at last: the provider keeps repeating.
    let mut not_accepted = Vec::new();
    for accepted in join_all(waiting).await {
        let accepted = accepted.map_err(|_| anyhow::anyhow!("an update was never accepted"))?;
        let statuses = accepted.statuses.into_iter();
        not_accepted.extend(statuses.filter(|status| !(200..300).contains(status)));
    }
    Ok(SentByCustomers {
        texts,
        repeated,
        not_accepted,
    })
}

/// What agents were told is on its way.
pub struct Answered {
    /// Per chat, in the order in which the answers were admitted: (message id, text).
    pub messages: BTreeMap<String, Vec<(String, String)>>,
    /// Answers refused for good, as when somebody else has the chat.
    pub refused: usize,
    /// Errors after which a request was repeated, and what the first of each code said.
    pub repeated: HashMap<Code, (usize, String)>,
}

impl Answered {
    fn repeat(&mut self, error: &Status) {
        let first = || (0, format!("{error:?}"));
        let repeated = self.repeated.entry(error.code()).or_insert_with(first);
        repeated.0 += 1;
    }
}

/// What became of one answer.
struct Done {
    chat: String,
    text: String,
    /// The message's id, unless it was refused for good.
    message: Option<String>,
    repeated: Vec<Status>,
}

/// Agents answer chats in turn, each chat by one answer at a time, repeating a request until it has a
/// definite answer, as long as they are to.
pub async fn agents(
    account: &Arc<Account>,
    seed: u64,
    go_on: impl Fn() -> bool,
) -> anyhow::Result<Answered> {
    let mut random = StdRng::seed_from_u64(seed ^ 2);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let mut under_way: JoinSet<Done> = JoinSet::new();
    let mut busy = HashSet::new();
    let mut answered = Answered {
        messages: BTreeMap::new(),
        refused: 0,
        repeated: HashMap::new(),
    };
    let note = |answered: &mut Answered, busy: &mut HashSet<String>, done: Done| {
        busy.remove(&done.chat);
        for error in &done.repeated {
            answered.repeat(error);
        }
        match done.message {
            Some(message) => answered
                .messages
                .entry(done.chat)
                .or_default()
                .push((message, done.text)),
            None => answered.refused += 1,
        }
    };
    let mut chats: Vec<Chat> = Vec::new();
    let mut number = 0_usize;
    while go_on() {
        ticks.tick().await;
        while let Some(done) = under_way.try_join_next() {
            note(&mut answered, &mut busy, done?);
        }
        if number.is_multiple_of(20) {
            let mut client = account.admin.conversation.clone();
            // The list may be away for a moment: the old one serves.
            let request = ListChatsRequest {
                page_size: 200,
                ..Default::default()
            };
            match client.list_chats(request).await {
                Ok(page) => chats = page.into_inner().chats,
                Err(error) => answered.repeat(&error),
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
        note(&mut answered, &mut busy, done?);
    }
    Ok(answered)
}

async fn answer(agent: StoryAgent, chat: String, text: String) -> Done {
    let request = SendMessageRequest {
        request_id: Uuid::new_v4().to_string(),
        chat_id: chat.clone(),
        text: Some(Text {
            text: text.clone(),
            entities: Vec::new(),
        }),
        reply_to_message_id: String::new(),
        attachment_ids: Vec::new(),
    };
    let mut client = agent.clients.conversation;
    let mut done = Done {
        chat,
        text,
        message: None,
        repeated: Vec::new(),
    };
    loop {
        match client.send_message(request.clone()).await {
            Ok(answer) => {
                let message = answer.into_inner().message;
                done.message = message.map(|message| message.message_id);
                return done;
            }
            Err(refused) if matches!(refused.code(), Code::FailedPrecondition | Code::NotFound) => {
                return done;
            }
            Err(error) => done.repeated.push(error),
        }
        // Away, cut off or timed out: the same request id makes asking again harmless (B02).
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

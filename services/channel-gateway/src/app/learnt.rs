//! What providers told of posts and people, in memory: an item that is accepted carries it at once where it is known,
//! and waits for nobody where it is not.

use std::collections::BTreeSet;
use std::time::Duration;

use moka::future::Cache;
use switchboard_proto::channel_gateway::v1::InboundEvent;
use uuid::Uuid;

use crate::domain::lookup::{About, Answer, fill, open};
use crate::store::lookups::{Had, Lookup};

/// Answers in memory at most.
const ANSWERS_MAX: u64 = 50_000;

/// How long an answer serves before the database is asked again.
const SERVES: Duration = Duration::from_hours(1);

type Key = (Uuid, About, String);

/// Answers in memory. Clones share them.
#[derive(Debug, Clone)]
pub struct Learnt(Cache<Key, Answer>);

impl Default for Learnt {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(ANSWERS_MAX)
                .time_to_live(SERVES)
                .build(),
        )
    }
}

impl Learnt {
    /// Puts what is known into items of a channel.
    pub async fn fill(&self, channel: Uuid, items: &mut [InboundEvent]) {
        for item in items {
            let Some((about, key)) = open(item) else {
                continue;
            };
            if let Some(answer) = self.0.get(&(channel, about, key.to_owned())).await {
                fill(item, &answer);
            }
        }
    }

    /// Returns what is to be asked about these items, each once.
    pub fn lookups<'a>(
        &self,
        items: impl Iterator<Item = (Uuid, &'a str, &'a InboundEvent)>,
    ) -> Vec<Lookup> {
        let wanted: BTreeSet<Lookup> = items
            .filter_map(|(channel_id, account, item)| {
                let (about, key) = open(item)?;
                // The same post again and again costs no statement.
                let known = self.0.contains_key(&(channel_id, about, key.to_owned()));
                (!known).then(|| Lookup {
                    channel_id,
                    kind: about.as_str().to_owned(),
                    key: key.to_owned(),
                    account: account.to_owned(),
                })
            })
            .collect();
        wanted.into_iter().collect()
    }

    /// Remembers what was said.
    pub async fn keep(&self, channel: Uuid, about: About, key: &str, answer: Answer) {
        self.0
            .insert((channel, about, key.to_owned()), answer)
            .await;
    }

    /// Remembers what the database knew.
    pub async fn keep_all(&self, had: Vec<Had>) {
        for had in had {
            let answer = serde_json::from_value(had.answer).ok();
            if let (Some(about), Some(answer)) = (About::parse(&had.kind), answer) {
                self.keep(had.channel_id, about, &had.key, answer).await;
            }
        }
    }
}

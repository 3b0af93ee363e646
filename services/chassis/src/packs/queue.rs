//! The bounded queue of one shard: round robin over accounts, in order within each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use switchboard_proto::common::v1 as proto;
use tokio::sync::{Notify, oneshot};

use super::PackError;
use crate::id::AccountSlug;

/// An item that waits, and who waits for it.
pub(super) struct Waiting {
    pub account: AccountSlug,
    pub item: proto::PackItem,
    /// Bytes in the pack.
    pub size: usize,
    pub answer: oneshot::Sender<Result<(), PackError>>,
}

pub(super) struct Queue {
    most: usize,
    most_per_account: usize,
    filled: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Never holds an empty line.
    lines: HashMap<AccountSlug, VecDeque<Waiting>>,
    /// The accounts that have a line, in the order in which they are served.
    turns: VecDeque<AccountSlug>,
    waiting: usize,
    closed: bool,
}

impl Queue {
    pub fn new(most: usize, most_per_account: usize) -> Self {
        Self {
            most,
            most_per_account,
            filled: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// Adds items, all or none.
    pub fn put(&self, items: Vec<Waiting>) -> Result<(), PackError> {
        let mut state = self.state();
        if state.waiting + items.len() > self.most {
            return Err(PackError::Full(format!(
                "{} items are waiting",
                state.waiting
            )));
        }
        let mut added: HashMap<&AccountSlug, usize> = HashMap::new();
        for item in &items {
            *added.entry(&item.account).or_default() += 1;
        }
        for (account, added) in added {
            let waiting = state.lines.get(account).map_or(0, VecDeque::len);
            if waiting + added > self.most_per_account {
                return Err(PackError::Full(format!(
                    "{waiting} items of this account are waiting"
                )));
            }
        }
        state.waiting += items.len();
        for item in items {
            if !state.lines.contains_key(&item.account) {
                state.turns.push_back(item.account.clone());
            }
            state
                .lines
                .entry(item.account.clone())
                .or_default()
                .push_back(item);
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes what is there, waiting for the first; none when the queue is closed and empty.
    ///
    /// At most `events` items and `bytes` bytes; one that is larger is taken alone.
    pub async fn take(&self, events: usize, bytes: usize) -> Option<Vec<Waiting>> {
        loop {
            let closed = {
                let mut state = self.state();
                let taken = state.take(events.max(1), bytes);
                if !taken.is_empty() {
                    return Some(taken);
                }
                state.closed
            };
            if closed {
                return None;
            }
            // One waiter, and a permit is kept for it: nothing put meanwhile is missed.
            self.filled.notified().await;
        }
    }

    /// Answers everything that waits with an error.
    pub fn fail_all(&self, error: &PackError) {
        let all = {
            let mut state = self.state();
            state.waiting = 0;
            state.turns.clear();
            std::mem::take(&mut state.lines)
        };
        for waiting in all.into_values().flatten() {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    /// Lets the taker end once the queue is empty.
    pub fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, events: usize, bytes: usize) -> Vec<Waiting> {
        let mut taken = Vec::new();
        let mut size = 0;
        while taken.len() < events {
            let Some(account) = self.turns.pop_front() else {
                break;
            };
            let Some(line) = self.lines.get_mut(&account) else {
                continue;
            };
            let fits = |item: &Waiting| taken.is_empty() || size + item.size <= bytes;
            let Some(item) = line.pop_front_if(|item| fits(item)) else {
                // What does not fit begins the next pack: its account keeps its turn.
                self.turns.push_front(account);
                break;
            };
            if line.is_empty() {
                self.lines.remove(&account);
            } else {
                self.turns.push_back(account);
            }
            self.waiting -= 1;
            // Nobody waits any more: the sender was told that it failed, and will repeat.
            if !item.answer.is_closed() {
                size += item.size;
                taken.push(item);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<(), PackError>>;

    fn waiting(account: &str, key: &str, size: usize) -> (Waiting, Answer) {
        let (answer, answered) = oneshot::channel();
        let item = proto::PackItem {
            key: key.into(),
            ..proto::PackItem::default()
        };
        (
            Waiting {
                account: AccountSlug::parse(account).unwrap(),
                item,
                size,
                answer,
            },
            answered,
        )
    }

    /// Puts items and returns the receivers, which must be kept: an item nobody waits for is dropped.
    fn fill(queue: &Queue, items: &[(&str, &str, usize)]) -> Vec<Answer> {
        let items = items
            .iter()
            .map(|(account, key, size)| waiting(account, key, *size));
        let (items, answers): (Vec<_>, Vec<_>) = items.unzip();
        queue.put(items).unwrap();
        answers
    }

    async fn keys(queue: &Queue, events: usize, bytes: usize) -> String {
        let taken = queue.take(events, bytes).await.unwrap();
        taken
            .iter()
            .map(|waiting| waiting.item.key.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[tokio::test]
    async fn accounts_take_turns_and_keep_their_own_order() {
        let queue = Queue::new(100, 100);
        let _answers = fill(
            &queue,
            &[
                ("a", "a1", 1),
                ("a", "a2", 1),
                ("a", "a3", 1),
                ("b", "b1", 1),
                ("c", "c1", 1),
                ("c", "c2", 1),
            ],
        );
        assert_eq!(keys(&queue, 4, 100).await, "a1 b1 c1 a2");
        assert_eq!(keys(&queue, 4, 100).await, "c2 a3");
    }

    #[tokio::test]
    async fn packs_are_bounded_in_bytes_and_a_larger_item_travels_alone() {
        let queue = Queue::new(100, 100);
        let _answers = fill(
            &queue,
            &[
                ("a", "a1", 40),
                ("a", "a2", 500),
                ("a", "a3", 60),
                ("a", "a4", 41),
            ],
        );
        assert_eq!(keys(&queue, 64, 100).await, "a1");
        assert_eq!(keys(&queue, 64, 100).await, "a2");
        assert_eq!(keys(&queue, 64, 100).await, "a3");
        assert_eq!(keys(&queue, 64, 100).await, "a4");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_one_account_cannot_fill_it() {
        let queue = Queue::new(5, 3);
        let _answers = fill(&queue, &[("a", "a1", 1), ("a", "a2", 1), ("a", "a3", 1)]);
        let put = |account: &str, count: usize| {
            let (items, answers): (Vec<_>, Vec<_>) =
                (0..count).map(|_| waiting(account, "x", 1)).unzip();
            let put: Result<(), PackError> = queue.put(items);
            put.map(|()| answers)
        };
        assert!(matches!(put("a", 1), Err(PackError::Full(_))));
        assert!(
            matches!(put("b", 3), Err(PackError::Full(_))),
            "all or none"
        );
        let _more = put("b", 2).unwrap();
        assert!(matches!(put("c", 1), Err(PackError::Full(_))));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_published() {
        let queue = Queue::new(10, 10);
        let mut answers = fill(&queue, &[("a", "a1", 1), ("a", "a2", 1), ("a", "a3", 1)]);
        answers.remove(1);
        assert_eq!(keys(&queue, 64, 100).await, "a1 a3");
    }

    #[tokio::test]
    async fn a_closed_queue_is_emptied_first() {
        let queue = Queue::new(10, 10);
        let answers = fill(&queue, &[("a", "a1", 1), ("a", "a2", 1)]);
        queue.close();
        assert_eq!(keys(&queue, 1, 100).await, "a1");
        assert_eq!(keys(&queue, 1, 100).await, "a2");
        assert!(queue.take(1, 100).await.is_none());
        drop(answers);
    }
}

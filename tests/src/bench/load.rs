//! Sends webhooks as a provider does: signed, on kept connections, each text unique.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Where webhooks go.
pub(super) struct Target {
    pub url: String,
    pub secret: String,
    pub connections: usize,
    pub new_chat_every: u32,
}

/// When each webhook was due, by its number, and how long the answers took.
#[derive(Default)]
pub(super) struct Sent {
    due: Mutex<Vec<Instant>>,
    /// Chats so far: customers are numbered from 1.
    chats: AtomicU64,
    latencies: Mutex<Option<Histogram<u64>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds up to ten minutes, three digits; what takes longer counts as ten minutes.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3)
        .unwrap_or_else(|_| unreachable!("constant bounds that the crate allows"))
}

impl Sent {
    /// When the webhook of this number was due.
    pub fn due(&self, number: usize) -> Option<Instant> {
        lock(&self.due).get(number).copied()
    }

    /// How many were sent.
    pub fn count(&self) -> usize {
        lock(&self.due).len()
    }

    /// Forgets how long answers took so far.
    pub fn forget_latencies(&self) {
        *lock(&self.latencies) = None;
    }

    /// How long answers took, in microseconds from the moment they were due.
    pub fn latencies(&self) -> Histogram<u64> {
        lock(&self.latencies).clone().unwrap_or_else(histogram)
    }

    fn next(&self, due: Instant, new_chat_every: u32) -> (usize, u64) {
        let mut all = lock(&self.due);
        all.push(due);
        let number = all.len() - 1;
        drop(all);
        let chats = self.chats.load(Ordering::Relaxed);
        if chats == 0 || number.is_multiple_of(new_chat_every.max(1) as usize) {
            return (number, self.chats.fetch_add(1, Ordering::Relaxed) + 1);
        }
        // Spread over all chats that exist, without a generator's state.
        (
            number,
            (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % chats + 1,
        )
    }

    fn took(&self, time: Duration) {
        let mut latencies = lock(&self.latencies);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        latencies
            .get_or_insert_with(histogram)
            .saturating_record(micros);
    }
}

/// What was driven.
#[derive(Clone, Copy, Debug)]
pub struct Driven {
    /// Webhooks answered 2xx.
    pub accepted: u64,
    /// Webhooks answered otherwise or not at all.
    pub refused: u64,
    /// When it began.
    pub begun: Instant,
    /// From the first to the last answer.
    pub took: Duration,
}

/// Drives at `rate` a second (0: as fast as answers come) for a time; returns when all are answered.
pub(super) async fn drive(
    target: &Target,
    sent: &Arc<Sent>,
    rate: u32,
    time: Duration,
) -> anyhow::Result<Driven> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(target.connections)
        .timeout(Duration::from_secs(10))
        .build()?;
    let begun = Instant::now();
    let free = Arc::new(Semaphore::new(target.connections));
    let mut tasks: JoinSet<bool> = JoinSet::new();
    let (mut accepted, mut refused) = (0, 0);
    let mut tally = |ok: bool| if ok { accepted += 1 } else { refused += 1 };
    let mut number = 0_u32;
    while begun.elapsed() < time {
        // Open loop: an answer's time counts from when the webhook was due, also while connections are busy.
        let due = if rate == 0 {
            Instant::now()
        } else {
            begun + Duration::from_secs(1) * number / rate
        };
        tokio::time::sleep_until(due.into()).await;
        let permit = Arc::clone(&free).acquire_owned().await?;
        let due = if rate == 0 { Instant::now() } else { due };
        let (text, customer) = sent.next(due, target.new_chat_every);
        let request = http
            .post(&target.url)
            .header("X-Telegram-Bot-Api-Secret-Token", &target.secret)
            .header("content-type", "application/json")
            .body(update(text, customer));
        let sent = Arc::clone(sent);
        tasks.spawn(async move {
            let ok = request
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success());
            sent.took(due.elapsed());
            drop(permit);
            ok
        });
        number += 1;
        while let Some(done) = tasks.try_join_next() {
            tally(done?);
        }
    }
    while let Some(done) = tasks.join_next().await {
        tally(done?);
    }
    Ok(Driven {
        accepted,
        refused,
        begun,
        took: begun.elapsed(),
    })
}

fn update(number: usize, customer: u64) -> String {
    let person = json!({ "id": customer, "is_bot": false, "first_name": "Олена", "username": format!("customer{customer}"), "language_code": "uk" });
    json!({ "update_id": 100_000 + number, "message": {
        // Far from the numbers that the stand-in gives to answers: in a chat no two messages share one.
        "message_id": 1_000_000_000 + number, "date": 1_790_000_000 + number / 1_000, "from": person,
        "chat": { "id": customer, "type": "private", "first_name": "Олена" },
        "text": format!("#{number} Добрий день, чи є 42 розмір? Доставка до Львова новою поштою.") } })
    .to_string()
}

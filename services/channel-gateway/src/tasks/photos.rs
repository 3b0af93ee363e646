//! Looking for clients' photos (F067).

use std::sync::Arc;
use std::time::Duration;

use chassis::clock;
use chassis::run::Service;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ASKED_EVERY;
use crate::app::{App, photos};
use crate::files::source::Sources;

/// Photos that are looked for at once.
const AT_ONCE: usize = 8;

/// How long photos are left alone where more of them wait: they are many where clients are, and nobody waits for one.
const NEXT: Duration = Duration::from_millis(250);

/// Looks for clients' photos, in the gaps that more urgent work leaves.
pub(super) fn look_for(service: &Service, app: &App, sources: Arc<Sources>) {
    let (app, stop) = (app.clone(), service.lifecycle.stop_token());
    service.lifecycle.spawn("client photos", async move {
        run(&app, &sources, stop).await;
        // What was broken off is taken back before the process ends.
        app.files.store.settled().await;
        Ok(())
    });
}

async fn run(app: &App, sources: &Sources, stop: CancellationToken) {
    let mut under_way = FuturesUnordered::new();
    let mut next = Instant::now() + ASKED_EVERY;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(looked) = under_way.next() => {
                if let Err(error) = looked {
                    tracing::warn!(%error, "a client's photo could not be looked for: trying again");
                }
            }
            () = tokio::time::sleep_until(next) => {
                let free = AT_ONCE.saturating_sub(under_way.len());
                let claimed = match photos::claim(app, free, clock::now()).await {
                    Ok(claimed) => claimed,
                    Err(error) => {
                        tracing::warn!(%error, "clients' photos could not be looked for: trying again");
                        Vec::new()
                    }
                };
                let pause = if claimed.is_empty() { ASKED_EVERY } else { NEXT };
                next = Instant::now() + pause;
                under_way.extend(claimed.into_iter().map(|work| photos::look_for(app, sources, work)));
            }
        }
    }
}

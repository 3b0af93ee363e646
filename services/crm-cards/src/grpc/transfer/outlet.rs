//! What is told while a file is read or written: by a task of its own, which waits for its reader for a bounded time.
//!
//! Were it done by the stream that the wire's own code asks for more, it would be done whenever that asks: it asks ahead, and
//! not again before the client has taken what came before. A client that takes nothing would leave a page or a transaction
//! half done, for as long as it likes.

use std::time::Duration;

use chassis::{clock, grpc};
use futures::stream::{self, BoxStream, StreamExt as _};
use time::OffsetDateTime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{self, Sender};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};
use tracing::Instrument as _;

use crate::error::SERVICE;

/// Answers that wait for the reader at most, but for the one in hand.
const AHEAD: usize = 1;

/// For how long a call goes on.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    /// Until then at most.
    pub until: OffsetDateTime,
    /// While nothing comes, or nothing is taken, for this long at most.
    pub silence: Duration,
    /// Until this replica stops.
    pub stop: CancellationToken,
}

/// Where the task of a call puts its answers.
pub(super) struct Outlet<T> {
    sender: Sender<T>,
    limits: Limits,
}

/// Runs the work of a call in a task of its own, which holds what it is made of until it ends; returns what it answers, and
/// then how it ended. The task ends also where what is returned is dropped.
pub(super) fn answers<T, F>(
    limits: Limits,
    work: impl FnOnce(Outlet<T>) -> F,
) -> BoxStream<'static, Result<T, Status>>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    // Whoever does not want the rest leaves it: what is half done is rolled back.
    let task = tokio::spawn(work(Outlet { sender, limits }).in_current_span());
    let task = AbortOnDropHandle::new(task);
    let answers = stream::unfold(receiver, async |mut receiver| {
        let answer = receiver.recv().await?;
        Some((Ok(answer), receiver))
    });
    let end = stream::once(async move {
        match task.await {
            Ok(ended) => ended.err(),
            Err(panicked) => Some(grpc::internal(SERVICE, &panicked)),
        }
    });
    let end = end.filter_map(async |error| error.map(Err));
    answers.chain(end).boxed()
}

impl<T> Outlet<T> {
    /// Refuses to go on where the time of a call is over, or that of this replica, or where its client has gone.
    pub fn goes_on(&self) -> Result<(), Status> {
        if self.limits.stop.is_cancelled() {
            return Err(stops());
        }
        if self.sender.is_closed() {
            return Err(gone());
        }
        if clock::now() > self.limits.until {
            return Err(over(
                "the call has lasted for half an hour: go on with another",
            ));
        }
        Ok(())
    }

    /// Puts an answer where the client takes it. Waits until there is room: nothing that others need may be held meanwhile.
    pub async fn put(&self, answer: T) -> Result<(), Status> {
        // What is done already is told also by a replica that stops.
        let answer = match self.sender.try_send(answer) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Closed(_)) => return Err(gone()),
            Err(TrySendError::Full(answer)) => answer,
        };
        match self.waited(self.sender.send(answer)).await? {
            None => Err(over(
                "no answer was taken for a minute: read them, or ask again",
            )),
            Some(Err(_)) => Err(gone()),
            Some(Ok(())) => Ok(()),
        }
    }

    /// Waits for the client's next part.
    pub async fn part<P>(
        &self,
        part: impl Future<Output = Result<P, Status>>,
    ) -> Result<P, Status> {
        let part = async {
            tokio::select! {
                part = part => part,
                () = self.sender.closed() => Err(gone()),
            }
        };
        match self.waited(part).await? {
            None => Err(over("nothing has come for a minute")),
            Some(part) => part,
        }
    }

    /// Waits for something while this replica runs; none after the time of silence.
    async fn waited<R>(&self, what: impl Future<Output = R>) -> Result<Option<R>, Status> {
        let waited = tokio::time::timeout(self.limits.silence, what);
        let waited = self.limits.stop.run_until_cancelled(waited).await;
        waited.map(Result::ok).ok_or_else(stops)
    }
}

fn stops() -> Status {
    grpc::unavailable(SERVICE, "this replica, which stops")
}

/// Nobody reads it any more.
fn gone() -> Status {
    Status::cancelled("the client has gone")
}

fn over(message: &str) -> Status {
    grpc::refusal(
        SERVICE,
        Code::DeadlineExceeded,
        "TRANSFER_OVER",
        message,
        &[],
    )
}

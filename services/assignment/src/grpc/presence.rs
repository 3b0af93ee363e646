//! Serves `switchboard.assignment.v1.PresenceService`, and reads what is set by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::auth::Caller;
use chassis::clock;
use chassis::grpc::timestamp_opt;
use chassis::id::{self, AgentId};
use chassis::lifecycle::Lifecycle;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use switchboard_proto::assignment::v1 as pb;
use switchboard_proto::assignment::v1::presence_service_server::PresenceService;
use time::OffsetDateTime;
use tokio::sync::{Notify, mpsc};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::app::presence::ByHand;
use crate::domain::availability::{Follows, Set};
use crate::error::Error;
use crate::store::availability::{AgentKey, Held};
use crate::wire::{self, PARSE};

/// Reasons are this long at most, in characters.
const REASON_MAX: usize = 200;

/// Longer than this presence is not set for a time.
const END_WITHIN: time::Duration = time::Duration::days(366);

/// A stream lasts this long at most: then the agent's token is asked for again.
const STREAM_LASTS: time::Duration = time::Duration::HOUR;

/// How often it is looked at whether those with open streams may still have them.
const LOOK_AT_RIGHTS: Duration = Duration::from_millis(500);

/// Reads what somebody sets an agent's presence to.
pub fn by_hand(request: &pb::SetPresenceRequest, now: OffsetDateTime) -> Result<ByHand, Status> {
    if request.automatic {
        let extra = [
            ("presence", request.presence != 0),
            ("reason", !request.reason.is_empty()),
            ("end_time", request.end_time.is_some()),
        ];
        if let Some((field, _)) = extra.iter().find(|(_, given)| *given) {
            return Err(PARSE.refuse(field, "must not be set with automatic"));
        }
        return Ok(ByHand::Automatic);
    }
    let presence = wire::presence_of(request.presence)?;
    let reason = PARSE.text_opt("reason", &request.reason, REASON_MAX)?;
    let end = PARSE.time_opt("end_time", request.end_time.as_ref())?;
    if end.is_some_and(|end| end <= now || end > now + END_WITHIN) {
        return Err(PARSE.refuse("end_time", "must be within the year to come"));
    }
    let reason = reason.unwrap_or_default().to_owned();
    Ok(ByHand::Set(Set { presence, reason }, end))
}

/// Serves `switchboard.assignment.v1.PresenceService`.
pub struct PresenceApi {
    app: App,
    grace: Duration,
    lifecycle: Lifecycle,
    open: OpenStreams,
}

impl PresenceApi {
    /// Makes the service. An agent stays online for the grace time after their last stream; streams, and the look at
    /// who may have one, are tasks of the lifecycle.
    pub fn new(app: App, grace: Duration, lifecycle: Lifecycle) -> Self {
        let open = OpenStreams::default();
        let (looked_at, asked, stop) = (open.clone(), app.clone(), lifecycle.stop_token());
        lifecycle.spawn("rights of presence streams", async move {
            while tokio::time::timeout(LOOK_AT_RIGHTS, stop.cancelled())
                .await
                .is_err()
            {
                if let Err(error) = looked_at.look(&asked).await {
                    tracing::warn!(%error, "rights of presence streams could not be looked at");
                }
            }
            Ok(())
        });
        Self {
            app,
            grace,
            lifecycle,
            open,
        }
    }
}

/// The streams that this process holds: one question for all of them tells whose must end.
#[derive(Clone, Default)]
struct OpenStreams(Arc<Mutex<Wakers>>);

/// How the keeper of each stream is told to look at its agent's rights.
type Wakers = BTreeMap<(AgentKey, Uuid), Arc<Notify>>;

impl OpenStreams {
    fn all(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the streams whose agents may not have them any more.
    async fn look(&self, app: &App) -> Result<(), sqlx::Error> {
        let agents: BTreeSet<AgentKey> =
            self.all().keys().map(|(agent, _)| agent.clone()).collect();
        if agents.is_empty() {
            return Ok(());
        }
        let barred = app.barred_from_streams(&agents).await?;
        if !barred.is_empty() {
            let all = self.all();
            let theirs = all.iter().filter(|((agent, _), _)| barred.contains(agent));
            theirs.for_each(|(_, wake)| wake.notify_one());
        }
        Ok(())
    }
}

type Answer = Result<pb::KeepPresenceResponse, Status>;

#[tonic::async_trait]
impl PresenceService for PresenceApi {
    type KeepPresenceStream = BoxStream<'static, Answer>;

    async fn keep_presence(
        &self,
        request: Request<pb::KeepPresenceRequest>,
    ) -> Result<Response<Self::KeepPresenceStream>, Status> {
        let caller = Caller::of(&request)?;
        let now = clock::now();
        let stream = id::v7(now);
        let renew = self.grace / 3;
        // Until the next renewal, and the grace time on top: whoever holds the stream may die right after this.
        let expires_at = now + renew + self.grace;
        let (agent, held) = self
            .app
            .open_stream(&caller, stream, expires_at, now)
            .await?;
        let (answers, mut answered) = mpsc::channel(1);
        let keeper = Keeper {
            app: self.app.clone(),
            agent,
            stream,
            renew,
            grace: self.grace,
            until: now + STREAM_LASTS,
            answers,
            look: Arc::default(),
        };
        let (stop, open) = (self.lifecycle.stop_token(), self.open.clone());
        let key = (keeper.agent.clone(), stream);
        open.all().insert(key.clone(), Arc::clone(&keeper.look));
        self.lifecycle.spawn("presence stream", async move {
            stop.run_until_cancelled(keeper.keep(held)).await;
            open.all().remove(&key);
            keeper.end().await;
            Ok(())
        });
        let stream = futures::stream::poll_fn(move |context| answered.poll_recv(context));
        Ok(Response::new(stream.boxed()))
    }

    async fn set_presence_options(
        &self,
        request: Request<pb::SetPresenceOptionsRequest>,
    ) -> Result<Response<pb::SetPresenceOptionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let options = request
            .into_inner()
            .options
            .ok_or_else(|| PARSE.refuse("options", "is required"))?;
        let id = PARSE.id("options.agent_id", &options.agent_id)?;
        let follows = Follows {
            calendar: options.follow_calendar,
            streams: options.follow_streams,
            away_gives_back: options.away_gives_back,
        };
        let agent = self
            .app
            .set_follows(&caller, id, follows, clock::now())
            .await?;
        Ok(Response::new(pb::SetPresenceOptionsResponse {
            options: Some(wire::presence_options(id, follows)),
            agent: Some(wire::agent(&agent)),
        }))
    }

    async fn get_presence_options(
        &self,
        request: Request<pb::GetPresenceOptionsRequest>,
    ) -> Result<Response<pb::GetPresenceOptionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let named: Option<AgentId> = PARSE.id_opt("agent_id", &request.get_ref().agent_id)?;
        let id = named.or_else(|| caller.agent());
        let id = id.ok_or_else(|| PARSE.refuse("agent_id", "is required"))?;
        let held = self
            .app
            .presence_of(caller.account(), id, clock::now())
            .await?;
        let options = Some(wire::presence_options(id, held.say.follows));
        Ok(Response::new(pb::GetPresenceOptionsResponse { options }))
    }
}

fn answer(held: &Held) -> pb::KeepPresenceResponse {
    pb::KeepPresenceResponse {
        presence: wire::presence(held.presence.presence).into(),
        source: wire::presence_source(held.presence.source).into(),
        reason: held.presence.reason.clone(),
        end_time: timestamp_opt(held.presence.end),
    }
}

/// Keeps a stream's lease while somebody listens.
struct Keeper {
    app: App,
    agent: AgentKey,
    stream: Uuid,
    renew: Duration,
    grace: Duration,
    until: OffsetDateTime,
    answers: mpsc::Sender<Answer>,
    /// The agent's rights have changed.
    look: Arc<Notify>,
}

impl Keeper {
    async fn keep(&self, mut held: Held) {
        loop {
            if self.answers.send(Ok(answer(&held))).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    () = self.answers.closed() => return,
                    // Who may not have the stream any more is told so now.
                    () = self.look.notified() => {}
                    () = tokio::time::sleep(self.renew) => {}
                }
                let now = clock::now();
                if now >= self.until {
                    return;
                }
                let expires_at = now + self.renew + self.grace;
                let kept = self
                    .app
                    .keep_stream(&self.agent, self.stream, expires_at, now);
                match kept.await {
                    Ok(kept) => {
                        held = kept;
                        break;
                    }
                    // The lease outlasts a short absence of the database.
                    Err(Error::Database(error)) => {
                        tracing::warn!(%error, "a presence stream's lease could not be renewed");
                    }
                    Err(error) => {
                        let _ = self.answers.send(Err(error.into())).await;
                        return;
                    }
                }
            }
        }
    }

    async fn end(&self) {
        self.app
            .end_stream(self.stream, clock::now() + self.grace)
            .await;
    }
}

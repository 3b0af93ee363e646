//! `SetPause`, `EndPause`, `GetPause`, `ListPauses`: what an operator stops for a while (O3.6).

use sqlx::PgPool;
use switchboard_proto::operator::v1 as wire;
use switchboard_proto::operator::v1::{
    EndPauseRequest, EndPauseResponse, GetPauseRequest, GetPauseResponse, ListPausesRequest,
    ListPausesResponse, SetPauseRequest, SetPauseResponse,
};
use time::OffsetDateTime;
use tonic::{Code, Status};

use super::status::Sources;
use crate::actor::Actor;
use crate::audit::{self, Entry, snapshot};
use crate::grpc::{self, Parse};
use crate::id::{self, AccountSlug};
use crate::pauses::{self, Pause, PauseKind};

/// Characters of a reason at most.
const REASON: usize = 300;

/// Characters of what names a subject at most.
const NAME: usize = 200;

/// Fields of a pause that are no setting.
const LEFT_OUT: &[&str] = &[
    "pause_id",
    "kind",
    "subject_id",
    "name",
    "account",
    "service",
    "actor",
    "ended_by",
];

/// Something that can be paused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pausable {
    /// What people call it.
    pub name: String,
    /// The account that it is of, where it is of one.
    pub account: Option<AccountSlug>,
}

impl Sources {
    pub(super) async fn set_pause(
        &self,
        request: SetPauseRequest,
        actor: Actor,
        now: OffsetDateTime,
    ) -> Result<SetPauseResponse, Status> {
        let parse = Parse::new(self.service);
        let (kind, subject) = self.named(request.kind, &request.subject_id)?;
        let reason = parse.text("reason", &request.reason, REASON)?;
        let lasting = time::Duration::seconds(request.lasting_seconds.into());
        let ends = pauses::ends(now, lasting)
            .map_err(|refused| parse.refuse("lasting_seconds", &refused.to_string()))?;
        let pool = self.paused_in()?;
        let found = self.pausable(kind, subject, now).await?;
        let found = found.ok_or_else(|| self.unknown(kind, subject))?;
        if kind == PauseKind::Replica && !request.last_replica && self.is_last(subject, now) {
            return Err(grpc::refusal(
                self.service,
                Code::FailedPrecondition,
                "LAST_REPLICA",
                "no other replica is ready: nobody would do its work",
                &[("replica", subject)],
            ));
        }
        let made = Pause {
            id: id::v7(now),
            kind,
            subject: subject.to_owned(),
            name: found.name,
            account: found
                .account
                .map(|slug| slug.to_string())
                .unwrap_or_default(),
            began: now,
            ends,
            actor: actor.to_string(),
            reason: reason.to_owned(),
            ended_by: String::new(),
        };
        let set = async {
            let mut tx = pool.begin().await?;
            alone(&mut tx, kind, subject).await?;
            let former = pauses::ended(&mut tx, (kind, subject), &made.actor, now).await?;
            pauses::set(&mut tx, &made, now).await?;
            self.audit(&mut tx, (former.as_ref(), Some(&made)), actor, now)
                .await?;
            tx.commit().await
        };
        set.await.map_err(|error| self.failed(&error))?;
        tracing::warn!(%kind, subject = made.subject, told = made.told(), "paused");
        self.heed(pool, now).await;
        Ok(SetPauseResponse {
            pause: Some(made.wire(self.service)),
        })
    }

    pub(super) async fn end_pause(
        &self,
        request: EndPauseRequest,
        actor: Actor,
        now: OffsetDateTime,
    ) -> Result<EndPauseResponse, Status> {
        let (kind, subject) = self.named(request.kind, &request.subject_id)?;
        let pool = self.paused_in()?;
        let by = actor.to_string();
        let end = async {
            let mut tx = pool.begin().await?;
            alone(&mut tx, kind, subject).await?;
            let former = pauses::ended(&mut tx, (kind, subject), &by, now).await?;
            self.audit(&mut tx, (former.as_ref(), None), actor, now)
                .await?;
            tx.commit().await?;
            Ok(former)
        };
        let former = end.await.map_err(|error| self.failed(&error))?;
        if former.is_some() {
            tracing::info!(%kind, subject, by, "resumed");
        }
        self.heed(pool, now).await;
        let ended = former.map(|pause| {
            let (ends, ended_by) = (now, by);
            let ended = Pause {
                ends,
                ended_by,
                ..pause
            };
            ended.wire(self.service)
        });
        Ok(EndPauseResponse { pause: ended })
    }

    pub(super) async fn get_pause(
        &self,
        request: GetPauseRequest,
        now: OffsetDateTime,
    ) -> Result<GetPauseResponse, Status> {
        let (kind, subject) = self.named(request.kind, &request.subject_id)?;
        let listed = pauses::listed(self.paused_in()?, false, now).await;
        let listed = listed.map_err(|error| self.failed(&error))?;
        let found = listed
            .iter()
            .find(|pause| pause.kind == kind && pause.subject == subject);
        let pause = found.ok_or_else(|| {
            grpc::refusal(
                self.service,
                Code::NotFound,
                "NOT_PAUSED",
                "that is not paused",
                &[("kind", kind.as_str()), ("subject", subject)],
            )
        })?;
        Ok(GetPauseResponse {
            pause: Some(pause.wire(self.service)),
        })
    }

    pub(super) async fn list_pauses(
        &self,
        request: ListPausesRequest,
        now: OffsetDateTime,
    ) -> Result<ListPausesResponse, Status> {
        let listed = pauses::listed(self.paused_in()?, request.ended, now).await;
        let listed = listed.map_err(|error| self.failed(&error))?;
        Ok(ListPausesResponse {
            pauses: listed
                .iter()
                .map(|pause| pause.wire(self.service))
                .collect(),
            consumers: self.consumers(),
        })
    }

    /// What is paused now, from memory: told while the database is away, too.
    pub(super) fn held(&self) -> Vec<wire::Pause> {
        let holding = self.pauses.holding();
        let held = holding.pauses().iter();
        held.map(|pause| pause.wire(self.service)).collect()
    }

    fn named<'r>(&self, kind: i32, subject: &'r str) -> Result<(PauseKind, &'r str), Status> {
        let parse = Parse::new(self.service);
        let kind = PauseKind::ALL
            .into_iter()
            .find(|known| i32::from(known.wire()) == kind)
            .ok_or_else(|| {
                parse.refuse(
                    "kind",
                    "must be a channel, a consumer, deliveries or a replica",
                )
            })?;
        Ok((kind, parse.text("subject_id", subject, NAME)?))
    }

    fn paused_in(&self) -> Result<&PgPool, Status> {
        self.pool
            .as_ref()
            .ok_or_else(|| grpc::unavailable(self.service, "database"))
    }

    fn consumers(&self) -> Vec<String> {
        let mut consumers: Vec<String> = self
            .registry
            .reading()
            .into_iter()
            .map(|(_, durable)| durable.to_owned())
            .collect();
        consumers.sort();
        consumers.dedup();
        consumers
    }

    /// Finds what is to be paused; none where this service has no such thing.
    async fn pausable(
        &self,
        kind: PauseKind,
        subject: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Pausable>, Status> {
        match kind {
            PauseKind::Consumer => {
                let known = self.consumers().iter().any(|durable| durable == subject);
                Ok(known.then(|| Pausable {
                    name: subject.to_owned(),
                    account: None,
                }))
            }
            PauseKind::Replica => {
                let all = self.replicas(now);
                let found = all.iter().find(|replica| replica.replica_id == subject);
                Ok(found.map(|replica| Pausable {
                    name: replica.host.clone(),
                    account: None,
                }))
            }
            PauseKind::Channel | PauseKind::Deliveries => {
                for own in &self.subjects {
                    let found = own.pausable(kind, subject).await;
                    let found = found.map_err(|error| self.failed(&error))?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                Ok(None)
            }
        }
    }

    fn is_last(&self, drained: &str, now: OffsetDateTime) -> bool {
        pauses::is_last(&self.replicas(now), drained, now)
    }

    fn replicas(&self, now: OffsetDateTime) -> Vec<wire::Replica> {
        let Some(replicas) = &self.replicas else {
            return Vec::new();
        };
        let mut all = vec![replicas.own(now)];
        all.extend(replicas.others());
        all
    }

    /// Writes what an account's administrator is to know. What is of no account stands in the list of pauses alone, with who
    /// began and who ended it.
    async fn audit(
        &self,
        connection: &mut sqlx::PgConnection,
        (before, after): (Option<&Pause>, Option<&Pause>),
        actor: Actor,
        now: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let Some(pause) = after.or(before) else {
            return Ok(());
        };
        let Some(account) = pauses::account_of(pause) else {
            return Ok(());
        };
        let setting = |pause: Option<&Pause>| {
            let told = pause.map(|pause| snapshot(&pause.wire(self.service), LEFT_OUT));
            told.unwrap_or(Ok(serde_json::Value::Null))
        };
        let (was, is) = (setting(before)?, setting(after)?);
        let action = match (pause.kind, after.is_some()) {
            (PauseKind::Channel, true) => "channel.pause",
            (PauseKind::Channel, false) => "channel.resume",
            (_, true) => "deliveries.pause",
            (_, false) => "deliveries.resume",
        };
        let subject = match pause.kind {
            PauseKind::Channel => {
                audit::Subject::new(audit::Subject::CHANNEL, &pause.subject, &pause.name)
            }
            _ => audit::Subject::new("account", &pause.subject, ""),
        };
        let entry = Entry::new(&account, actor, action, subject, (&was, &is));
        audit::write(connection, self.service, vec![entry], now).await
    }

    /// Has this replica follow at once; the others do within a second or so.
    async fn heed(&self, pool: &PgPool, now: OffsetDateTime) {
        if let Err(error) = self.pauses.refresh(pool, now).await {
            tracing::warn!(%error, "what was paused or resumed is followed a moment later");
        }
    }

    fn unknown(&self, kind: PauseKind, subject: &str) -> Status {
        grpc::refusal(
            self.service,
            Code::NotFound,
            "PAUSABLE_NOT_FOUND",
            &format!("{} has no such {kind}", self.service),
            &[("kind", kind.as_str()), ("subject", subject)],
        )
    }

    fn failed(&self, error: &sqlx::Error) -> Status {
        tracing::warn!(%error, "pauses cannot be read or written");
        grpc::unavailable(self.service, "database")
    }
}

/// Lets changes of one pause happen one after the other.
async fn alone(
    connection: &mut sqlx::PgConnection,
    kind: PauseKind,
    subject: &str,
) -> Result<(), sqlx::Error> {
    audit::alone(connection, &AccountSlug::none(), kind.as_str(), subject).await
}

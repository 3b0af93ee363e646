//! What may be paused and for how long, and what is held at a moment: pure.

use std::fmt;

use switchboard_proto::operator::v1 as wire;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::grpc::timestamp;

/// The longest pause. It can be set anew before it ends; one that nobody remembers ends within a day.
pub const LONGEST: Duration = Duration::days(1);

/// A replica that has told nothing for so long is gone.
const SILENT: Duration = Duration::seconds(15);

/// What can be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PauseKind {
    /// A channel, by its id.
    Channel,
    /// A durable consumer, by its name.
    Consumer,
    /// Deliveries of an account, by its slug.
    Deliveries,
    /// A replica, by its id.
    Replica,
}

impl PauseKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Channel,
        Self::Consumer,
        Self::Deliveries,
        Self::Replica,
    ];

    /// The word that stands in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Consumer => "consumer",
            Self::Deliveries => "deliveries",
            Self::Replica => "replica",
        }
    }

    /// The kind that the contract names.
    pub fn wire(self) -> wire::PauseKind {
        match self {
            Self::Channel => wire::PauseKind::Channel,
            Self::Consumer => wire::PauseKind::Consumer,
            Self::Deliveries => wire::PauseKind::Deliveries,
            Self::Replica => wire::PauseKind::Replica,
        }
    }
}

impl fmt::Display for PauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pause, that has ended or has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Its id.
    pub id: Uuid,
    /// What is paused.
    pub kind: PauseKind,
    /// Which.
    pub subject: String,
    /// What people call it.
    pub name: String,
    /// The account's slug; empty for none.
    pub account: String,
    /// When it began.
    pub began: OffsetDateTime,
    /// When it ends, or ended.
    pub ends: OffsetDateTime,
    /// Who began it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Who ended it before its time; empty for nobody.
    pub ended_by: String,
}

impl Pause {
    /// Tells whether it holds.
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.ends > now
    }

    /// Who, why and until when, for whoever wonders.
    pub fn told(&self) -> String {
        let until = self.ends.replace_nanosecond(0).unwrap_or(self.ends);
        let until = until
            .format(&time::format_description::well_known::Rfc3339)
            .unwrap_or_default();
        format!("by {} until {until}: {}", self.actor, self.reason)
    }

    /// Writes it for the wire.
    pub fn wire(&self, service: &str) -> wire::Pause {
        wire::Pause {
            pause_id: self.id.to_string(),
            kind: self.kind.wire().into(),
            subject_id: self.subject.clone(),
            name: self.name.clone(),
            account: self.account.clone(),
            service: service.to_owned(),
            begin_time: Some(timestamp(self.began)),
            end_time: Some(timestamp(self.ends)),
            actor: self.actor.clone(),
            reason: self.reason.clone(),
            ended_by: self.ended_by.clone(),
        }
    }
}

/// Why something is not paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPaused {
    /// It would not last, or for too long.
    #[error("must be between 1 and {} seconds, a day", LONGEST.whole_seconds())]
    Lasting,
}

/// When a pause ends that begins now (O3.6).
pub fn ends(now: OffsetDateTime, lasting: Duration) -> Result<OffsetDateTime, NotPaused> {
    if !lasting.is_positive() || lasting > LONGEST {
        return Err(NotPaused::Lasting);
    }
    now.checked_add(lasting).ok_or(NotPaused::Lasting)
}

/// What is held at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holding {
    pauses: Vec<Pause>,
    drained: Option<Pause>,
}

impl Holding {
    /// What is held now, of all that is known, for a replica.
    pub fn of(known: &[Pause], replica: &str, now: OffsetDateTime) -> Self {
        let pauses: Vec<Pause> = known
            .iter()
            .filter(|pause| pause.holds(now))
            .cloned()
            .collect();
        let drained = pauses
            .iter()
            .find(|pause| pause.kind == PauseKind::Replica && pause.subject == replica)
            .cloned();
        Self { pauses, drained }
    }

    /// Everything that is paused.
    pub fn pauses(&self) -> &[Pause] {
        &self.pauses
    }

    /// The pause that drains this replica, where one does.
    pub fn drained(&self) -> Option<&Pause> {
        self.drained.as_ref()
    }

    /// Tells whether a consumer of this replica takes nothing.
    pub fn consumer(&self, durable: &str) -> bool {
        self.drained.is_some() || self.subjects(PauseKind::Consumer).any(|it| it == durable)
    }

    /// Tells whether a channel is silent.
    pub fn channel(&self, channel: Uuid) -> bool {
        self.channels().contains(&channel)
    }

    /// The channels over which nothing goes out.
    pub fn channels(&self) -> Vec<Uuid> {
        self.subjects(PauseKind::Channel)
            .filter_map(|id| id.parse().ok())
            .collect()
    }

    /// The accounts whose deliveries wait.
    pub fn accounts(&self) -> Vec<String> {
        self.subjects(PauseKind::Deliveries)
            .map(str::to_owned)
            .collect()
    }

    fn subjects(&self, kind: PauseKind) -> impl Iterator<Item = &str> {
        self.pauses
            .iter()
            .filter(move |pause| pause.kind == kind)
            .map(|pause| pause.subject.as_str())
    }
}

/// When the last pause ended that held deliveries of a channel of an account.
pub fn freed(
    known: &[Pause],
    channel: &str,
    account: &str,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    let held = |pause: &&Pause| match pause.kind {
        PauseKind::Channel => pause.subject == channel,
        PauseKind::Deliveries => pause.subject == account,
        PauseKind::Consumer | PauseKind::Replica => false,
    };
    let ended = known.iter().filter(held).map(|pause| pause.ends);
    ended.filter(|ends| *ends <= now).max()
}

/// Tells whether no replica but this one would take over: the others are not ready, or silent.
pub fn is_last(replicas: &[wire::Replica], drained: &str, now: OffsetDateTime) -> bool {
    let heard = |replica: &wire::Replica| {
        let told = replica.report_time.map_or(0, |time| time.seconds);
        now.unix_timestamp() - told <= SILENT.whole_seconds()
    };
    !replicas
        .iter()
        .any(|replica| replica.replica_id != drained && replica.ready && heard(replica))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-02 18:00:00 UTC);
    const CHANNEL: &str = "00000000-0000-0000-0000-000000000007";

    fn pause(kind: PauseKind, subject: &str, ends_in: i64) -> Pause {
        Pause {
            id: Uuid::nil(),
            kind,
            subject: subject.into(),
            name: String::new(),
            account: String::new(),
            began: NOW - Duration::HOUR,
            ends: NOW + Duration::seconds(ends_in),
            actor: "service:operator".into(),
            reason: "maintenance".into(),
            ended_by: String::new(),
        }
    }

    #[test]
    fn o3_6_a_pause_has_an_end_within_a_day() {
        for (seconds, fits) in [
            (-1, false),
            (0, false),
            (1, true),
            (86_400, true),
            (86_401, false),
            (i64::MAX, false),
        ] {
            let ended = ends(NOW, Duration::seconds(seconds));
            assert_eq!(ended.is_ok(), fits, "{seconds}");
            if fits {
                assert_eq!(ended, Ok(NOW + Duration::seconds(seconds)));
            }
        }
        let never = ends(
            datetime!(9999-12-31 23:59:59 UTC),
            Duration::seconds(86_400),
        );
        assert_eq!(never, Err(NotPaused::Lasting));
    }

    #[test]
    fn o3_6_what_has_not_ended_is_held_and_nothing_else() {
        let known = [
            pause(PauseKind::Channel, CHANNEL, 1),
            pause(PauseKind::Channel, "no id", 1),
            pause(
                PauseKind::Channel,
                "00000000-0000-0000-0000-000000000008",
                0,
            ),
            pause(PauseKind::Consumer, "conversation-events", 1),
            pause(PauseKind::Consumer, "conversation-inbound", -1),
            pause(PauseKind::Deliveries, "acme", 1),
            pause(PauseKind::Deliveries, "kava", 0),
            pause(PauseKind::Replica, "a", 1),
            pause(PauseKind::Replica, "b", 0),
        ];
        let held = Holding::of(&known, "c", NOW);
        assert_eq!(held.channels(), [CHANNEL.parse::<Uuid>().unwrap()]);
        assert!(held.channel(CHANNEL.parse().unwrap()) && !held.channel(Uuid::nil()));
        assert_eq!(held.accounts(), ["acme"]);
        assert_eq!(held.pauses().len(), 5);
        for (replica, consumer, is_held) in [
            ("c", "conversation-events", true),
            ("c", "conversation-inbound", false),
            // Drained: it takes nothing at all.
            ("a", "conversation-inbound", true),
            ("b", "conversation-inbound", false),
        ] {
            let held = Holding::of(&known, replica, NOW);
            assert_eq!(held.consumer(consumer), is_held, "{replica} {consumer}");
            assert_eq!(held.drained().is_some(), replica == "a", "{replica}");
        }
        // All ends by itself.
        let later = Holding::of(&known, "a", NOW + Duration::SECOND);
        assert_eq!(later, Holding::default());
    }

    #[test]
    fn o3_6_what_waited_for_a_pause_has_not_aged_before_its_end() {
        let at = |seconds: i64| Some(NOW + Duration::seconds(seconds));
        for (what, known, expected) in [
            ("nothing", vec![], None),
            (
                "of the channel",
                vec![pause(PauseKind::Channel, CHANNEL, -5)],
                at(-5),
            ),
            (
                "of the account, ended now",
                vec![pause(PauseKind::Deliveries, "acme", 0)],
                at(0),
            ),
            (
                "the last of both",
                vec![
                    pause(PauseKind::Channel, CHANNEL, -5),
                    pause(PauseKind::Deliveries, "acme", -9),
                ],
                at(-5),
            ),
            (
                "it has not ended",
                vec![pause(PauseKind::Channel, CHANNEL, 5)],
                None,
            ),
            (
                "of others",
                vec![
                    pause(PauseKind::Channel, "x", -5),
                    pause(PauseKind::Deliveries, "kava", -5),
                    pause(PauseKind::Consumer, CHANNEL, -5),
                    pause(PauseKind::Replica, "acme", -5),
                ],
                None,
            ),
        ] {
            assert_eq!(freed(&known, CHANNEL, "acme", NOW), expected, "{what}");
        }
    }

    #[test]
    fn o3_6_the_last_ready_replica_is_known() {
        let replica = |id: &str, ready, told: i64| wire::Replica {
            replica_id: id.into(),
            ready,
            report_time: Some(timestamp(NOW - Duration::seconds(told))),
            ..wire::Replica::default()
        };
        for (what, replicas, last) in [
            ("alone", vec![replica("a", true, 0)], true),
            (
                "another is ready",
                vec![replica("a", true, 0), replica("b", true, 15)],
                false,
            ),
            (
                "another is not ready",
                vec![replica("a", true, 0), replica("b", false, 0)],
                true,
            ),
            (
                "another is silent",
                vec![replica("a", true, 0), replica("b", true, 16)],
                true,
            ),
        ] {
            assert_eq!(is_last(&replicas, "a", NOW), last, "{what}");
        }
    }
}

//! What of a page is new to the database, and what is not there at all.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::consumer::Delivery;

/// The last `ce-sbsequence` that the database knows, by account and subject.
pub(super) type Known = BTreeMap<(String, String), u64>;

/// An own event, and whether the database lacked it.
pub(super) struct Told {
    pub delivery: Delivery,
    pub is_new: bool,
}

/// A page, sorted.
pub(super) struct Sorted {
    /// What the service applies: own events that it lacks, and those of others, in the order of the stream.
    pub apply: Vec<Delivery>,
    /// Own events for the list: those that it lacked, and all since the moment.
    pub told: Vec<Told>,
}

/// The database knows less than a subject's events begin with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the database is older than {from}, or EVENTS no longer holds what it lacks: of {subject} it knows event {known}, and the next \
     one here is {found}. Give an earlier --from: the moment of the backup"
)]
pub(super) struct Older {
    subject: String,
    known: u64,
    found: u64,
    from: OffsetDateTime,
}

/// Tells whether a stream whose oldest message is this one holds all since a moment.
pub(super) fn reaches_back((sequence, time): (u64, OffsetDateTime), from: OffsetDateTime) -> bool {
    // A stream that never lost anything begins with 1, or is empty.
    sequence <= 1 || time <= from
}

/// Sorts a page by what the database knows, and raises that.
pub(super) fn sort(
    service: &str,
    page: Vec<Delivery>,
    known: &mut Known,
    from: OffsetDateTime,
) -> Result<Sorted, Older> {
    let mut sorted = Sorted {
        apply: Vec::with_capacity(page.len()),
        told: Vec::new(),
    };
    for delivery in page {
        if delivery.envelope.service != service {
            sorted.apply.push(delivery);
            continue;
        }
        let envelope = &delivery.envelope;
        let key = (envelope.account.to_string(), envelope.subject_id.clone());
        let last = known.entry(key).or_default();
        let is_new = envelope.sequence > *last;
        if is_new && envelope.sequence != *last + 1 {
            return Err(Older {
                subject: envelope.subject_id.clone(),
                known: *last,
                found: envelope.sequence,
                from,
            });
        }
        if is_new {
            *last = envelope.sequence;
        }
        if is_new || envelope.time >= from {
            sorted.told.push(Told {
                delivery: delivery.clone(),
                is_new,
            });
        }
        if is_new {
            sorted.apply.push(delivery);
        }
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;
    use crate::consumer::{Envelope, Origin};
    use crate::id::AccountSlug;
    use crate::trace::TraceContext;

    const T: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);

    fn event(service: &str, subject: &str, sequence: u64) -> Delivery {
        Delivery {
            envelope: Envelope {
                id: Uuid::from_u128(u128::from(sequence)),
                kind: "x".into(),
                service: service.into(),
                entity: "chat".into(),
                event: "created".into(),
                account: AccountSlug::parse("acme").unwrap(),
                subject_id: subject.into(),
                actor: None,
                cause: None,
                sequence,
                time: T - time::Duration::MINUTE,
                trace: TraceContext::none(),
            },
            payload: Bytes::new(),
            origin: Origin {
                stream: "EVENTS".into(),
                sequence,
                index: 0,
            },
        }
    }

    fn known(last: u64) -> Known {
        Known::from([(("acme".into(), "a".into()), last)])
    }

    #[test]
    fn o3_10_only_what_the_database_lacks_is_applied_and_in_order() {
        let page = || {
            vec![
                event("me", "a", 4),
                event("other", "a", 1),
                event("me", "a", 5),
                event("me", "b", 1),
            ]
        };
        let mut knows = known(4);
        let sorted = sort("me", page(), &mut knows, T).unwrap();
        let applied: Vec<_> = sorted
            .apply
            .iter()
            .map(|one| (&*one.envelope.service, one.envelope.sequence))
            .collect();
        assert_eq!(applied, [("other", 1), ("me", 5), ("me", 1)]);
        assert_eq!(
            sorted.told.len(),
            2,
            "what was known before the moment is listed nowhere"
        );
        // A second time nothing is left but what others told.
        let again = sort("me", page(), &mut knows, T).unwrap();
        assert_eq!(again.apply.len(), 1);
    }

    #[test]
    fn o3_10_a_database_that_is_older_than_said_is_refused() {
        let mut knows = known(4);
        let older = sort("me", vec![event("me", "a", 6)], &mut knows, T)
            .err()
            .unwrap();
        assert_eq!((older.known, older.found), (4, 6));
    }

    #[test]
    fn o3_10_a_stream_reaches_back_where_it_is_whole_or_begins_before() {
        let hour = time::Duration::HOUR;
        for (first, expected) in [
            ((1, T + hour), true),
            ((0, T + hour), true),
            ((9, T), true),
            ((9, T + hour), false),
        ] {
            assert_eq!(reaches_back(first, T), expected, "{first:?}");
        }
    }
}

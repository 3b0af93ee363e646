//! Settings of a pipeline connection: what a save is turned into, or why it is refused (F002, F018–F022).

use time::OffsetDateTime;

use super::connection::{Connection, Mode, Scope};
use super::ids::{PipelineId, SourceId};

/// What somebody wants to save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Mode.
    pub mode: Mode,
    /// Pipeline, where one was chosen.
    pub pipeline: Option<PipelineId>,
    /// Source, where one was chosen.
    pub source: Option<SourceId>,
    /// Which cards mode repeat looks at.
    pub scope: Scope,
    /// Whether older chats are included; the mode's default where not said.
    pub include_existing_chats: Option<bool>,
}

/// What the account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its only pipeline, where it has exactly one.
    pub only_pipeline: Option<PipelineId>,
    /// It has a pipeline at all.
    pub any_pipeline: bool,
    /// The wanted pipeline exists; false where none was wanted.
    pub pipeline_exists: bool,
    /// The wanted source exists; false where none was wanted.
    pub source_exists: bool,
}

/// A field that cannot be saved as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The field.
    pub field: &'static str,
    /// What is wrong, for a person.
    pub description: &'static str,
}

/// Turns what is wanted into a rule, or refuses it.
///
/// `activated_at` is `now` only when the mode changes: another pipeline, source or option keeps it (§6).
pub fn resolve(
    wanted: &Wanted,
    known: Known,
    current: Option<&Connection>,
    now: OffsetDateTime,
) -> Result<Connection, Refusal> {
    if wanted.source.is_some() && !known.source_exists {
        return Err(Refusal {
            field: "connection.source_id",
            description: "the account has no such source",
        });
    }
    let kept = current.filter(|connection| connection.mode == wanted.mode);
    let by_default = wanted.mode == Mode::ContactWithoutCards;
    Ok(Connection {
        mode: wanted.mode,
        pipeline: pipeline(wanted, known)?,
        source: wanted.source,
        scope: wanted.scope,
        include_existing_chats: wanted.include_existing_chats.unwrap_or(by_default),
        activated_at: kept.map_or(now, |connection| connection.activated_at),
    })
}

fn pipeline(wanted: &Wanted, known: Known) -> Result<Option<PipelineId>, Refusal> {
    let refuse = |description| {
        Err(Refusal {
            field: "connection.pipeline_id",
            description,
        })
    };
    match wanted.pipeline {
        Some(_) if !known.pipeline_exists => refuse("the account has no such pipeline"),
        Some(chosen) => Ok(Some(chosen)),
        None if wanted.mode == Mode::None => Ok(None),
        None if known.only_pipeline.is_some() => Ok(known.only_pipeline),
        None if known.any_pipeline => refuse("the account has several pipelines: choose one"),
        None => refuse("the account has no pipeline: create one first"),
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-05-01 12:00:00 UTC);

    fn wanted(mode: Mode, pipeline: Option<u128>) -> Wanted {
        Wanted {
            mode,
            pipeline: pipeline.map(|id| Uuid::from_u128(id).into()),
            source: None,
            scope: Scope::Chat,
            include_existing_chats: None,
        }
    }

    /// An account with the pipelines 1 to `count`, asked for `wanted`.
    fn known(count: u128, wanted: &Wanted) -> Known {
        let exists = |id: PipelineId| (1..=count).contains(&id.uuid().as_u128());
        Known {
            only_pipeline: (count == 1).then(|| Uuid::from_u128(1).into()),
            any_pipeline: count > 0,
            pipeline_exists: wanted.pipeline.is_some_and(exists),
            source_exists: false,
        }
    }

    #[test]
    fn f002_f018_f019_a_pipeline_is_picked_when_alone_and_asked_for_otherwise() {
        let refused = Err("connection.pipeline_id");
        for mode in [Mode::OneTime, Mode::Repeat, Mode::ContactWithoutCards] {
            for (name, pipelines, chosen, expected) in [
                ("no pipeline", 0, None, refused),
                ("no pipeline, one chosen", 0, Some(1), refused),
                ("one pipeline is picked", 1, None, Ok(Some(1))),
                ("one pipeline, chosen", 1, Some(1), Ok(Some(1))),
                ("one pipeline, another chosen", 1, Some(9), refused),
                ("two pipelines, none chosen", 2, None, refused),
                ("two pipelines, one chosen", 2, Some(2), Ok(Some(2))),
            ] {
                let wanted = wanted(mode, chosen);
                let saved = resolve(&wanted, known(pipelines, &wanted), None, NOW);
                let got = saved
                    .map(|connection| connection.pipeline.map(|id| id.uuid().as_u128()))
                    .map_err(|refusal| refusal.field);
                assert_eq!(got, expected, "{mode:?}: {name}");
            }
        }
        let off = wanted(Mode::None, None);
        assert_eq!(
            resolve(&off, known(0, &off), None, NOW).unwrap().pipeline,
            None
        );
    }

    #[test]
    fn f022_only_a_change_of_the_mode_activates_anew() {
        let before = NOW - Duration::DAY;
        for was in Mode::ALL.iter().copied() {
            let current = Connection {
                mode: was,
                activated_at: before,
                ..Connection::OFF
            };
            for is in Mode::ALL.iter().copied() {
                let mut wanted = wanted(is, Some(1));
                wanted.scope = Scope::Client;
                wanted.include_existing_chats = Some(true);
                let saved = resolve(&wanted, known(1, &wanted), Some(&current), NOW).unwrap();
                let expected = if was == is { before } else { NOW };
                assert_eq!(saved.activated_at, expected, "{was:?} to {is:?}");
            }
        }
        let first = wanted(Mode::None, None);
        assert_eq!(
            resolve(&first, known(0, &first), None, NOW)
                .unwrap()
                .activated_at,
            NOW
        );
    }

    #[test]
    fn d03_older_chats_are_left_out_by_default_but_in_mode_contact_without_cards() {
        for mode in Mode::ALL.iter().copied() {
            for (said, expected) in [
                (None, mode == Mode::ContactWithoutCards),
                (Some(true), true),
                (Some(false), false),
            ] {
                let wanted = Wanted {
                    include_existing_chats: said,
                    ..wanted(mode, Some(1))
                };
                let saved = resolve(&wanted, known(1, &wanted), None, NOW).unwrap();
                assert_eq!(saved.include_existing_chats, expected, "{mode:?} {said:?}");
            }
        }
    }

    #[test]
    fn an_unknown_source_is_refused_by_its_field() {
        let wanted = Wanted {
            source: Some(Uuid::from_u128(5).into()),
            ..wanted(Mode::Repeat, None)
        };
        let refusal = resolve(&wanted, known(1, &wanted), None, NOW).unwrap_err();
        assert_eq!(refusal.field, "connection.source_id");
    }
}

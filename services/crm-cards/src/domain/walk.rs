//! Looking for words in large lists, newest first.
//!
//! The index of words knows no order: of a common word it would bring all of a million entries for the newest fifty. So of a common
//! word the newest entries of the list are looked through, part by part as the list is asked for; a rare one is taken from the index
//! at once, as is one that the walk did not find often enough. Which of them a word is, the database's statistics tell.

use time::OffsetDateTime;
use uuid::Uuid;

/// Entries that are looked through at most, of all parts together.
pub const ENTRIES: usize = 8_000;

/// Of each part at least.
const EACH_MIN: usize = 100;

/// So many entries with the words are read from the index without a walk: it takes about as long as to look through the newest
/// `ENTRIES`.
const RARE: f64 = 1_000.0;

/// How many times as many entries are looked through as should hold a page: words are not spread evenly.
const MARGIN: f64 = 2.0;

/// How a page of entries with words is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By the index of words alone.
    Index,
    /// By looking through so many of the newest entries, of all parts together; then by the index.
    Walk(usize),
}

/// Chooses a way, where about `matching` of `all` entries have the words; the page holds `limit` at most.
pub fn way(matching: f64, all: f64, limit: usize) -> Way {
    if matching <= RARE {
        return Way::Index;
    }
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let needed = f64::from(limit) * (all / matching) * MARGIN;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number beyond the bounds of the type becomes its bound"
    )]
    let needed = needed as usize;
    Way::Walk(needed.min(ENTRIES))
}

/// Returns how many entries of each part are looked through.
pub fn each(entries: usize, parts: usize) -> usize {
    (entries / parts.max(1)).max(EACH_MIN)
}

/// An entry that was looked at and says something: it has the words, or it is the last one that was looked at of its part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The entry.
    pub id: Uuid,
    /// By what it is ordered.
    pub time: OffsetDateTime,
    /// It has the words.
    pub hit: bool,
    /// Nothing behind it was looked at, of its part.
    pub last: bool,
}

/// Returns the page that a walk found, of at most `limit` entries; none where it did not come far enough: what lies behind the
/// newest entry at which a part ended was not looked at.
pub fn page(mut steps: Vec<Step>, limit: usize) -> Option<Vec<(Uuid, OffsetDateTime)>> {
    let bound = steps
        .iter()
        .filter(|step| step.last)
        .map(|step| (step.time, step.id))
        .max();
    steps.retain(|step| step.hit && bound.is_none_or(|bound| (step.time, step.id) >= bound));
    if bound.is_some() && steps.len() < limit {
        return None;
    }
    steps.sort_by_key(|step| std::cmp::Reverse((step.time, step.id)));
    steps.truncate(limit);
    Some(steps.into_iter().map(|step| (step.id, step.time)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(second: i64, hit: bool, last: bool) -> Step {
        Step {
            id: Uuid::from_u128(u128::try_from(second).unwrap()),
            time: OffsetDateTime::from_unix_timestamp(second).unwrap(),
            hit,
            last,
        }
    }

    fn seconds(steps: &[(i64, bool, bool)], limit: usize) -> Option<Vec<i64>> {
        let steps = steps
            .iter()
            .map(|(second, hit, last)| step(*second, *hit, *last));
        let found = page(steps.collect(), limit)?;
        Some(
            found
                .into_iter()
                .map(|(_, time)| time.unix_timestamp())
                .collect(),
        )
    }

    #[test]
    fn a_walk_that_came_to_the_end_of_all_parts_is_the_page_whatever_it_found() {
        assert_eq!(seconds(&[], 3), Some(vec![]));
        assert_eq!(
            seconds(&[(5, true, false), (9, true, false)], 3),
            Some(vec![9, 5])
        );
        let many = [
            (1, true, false),
            (3, true, false),
            (2, true, false),
            (4, true, false),
        ];
        assert_eq!(seconds(&many, 3), Some(vec![4, 3, 2]));
    }

    #[test]
    fn what_lies_behind_the_place_where_a_part_ended_does_not_count() {
        // One part was looked through to 50, another one to 70: behind 70 entries of the second may be missing.
        let steps = [
            (90, true, false),
            (80, true, false),
            (60, true, false),
            (50, false, true),
            (70, false, true),
        ];
        assert_eq!(seconds(&steps, 2), Some(vec![90, 80]));
        assert_eq!(seconds(&steps, 3), None);
        // The last one may have the words itself.
        let steps = [(90, true, false), (70, true, true)];
        assert_eq!(seconds(&steps, 2), Some(vec![90, 70]));
        assert_eq!(seconds(&steps, 3), None);
    }

    #[test]
    fn few_parts_are_looked_through_far_and_many_a_little() {
        let each = |parts| each(8_000, parts);
        assert_eq!(
            (each(1), each(4), each(100), each(0)),
            (8_000, 2_000, 100, 8_000)
        );
    }

    #[test]
    fn a_rare_word_is_taken_from_the_index_and_a_common_one_among_the_newest() {
        for (matching, all, limit, expected) in [
            (0.0, 0.0, 51, Way::Index),
            (200.0, 1e6, 51, Way::Index),
            (1_000.0, 1e6, 51, Way::Index),
            (1_001.0, 1e6, 51, Way::Walk(8_000)),
            (20_000.0, 1e6, 51, Way::Walk(5_100)),
            (1e6, 1e6, 51, Way::Walk(102)),
            // Statistics of another hour: more have the words than there are entries.
            (2e6, 1e6, 51, Way::Walk(51)),
            (5_000.0, 0.0, 51, Way::Walk(0)),
            (20_000.0, 1e6, usize::MAX, Way::Walk(8_000)),
        ] {
            assert_eq!(way(matching, all, limit), expected, "{matching} of {all}");
        }
    }
}

//! The one answer to Direct that a comment allows (channels.md §4.4).

use time::{Duration, OffsetDateTime};

use super::comments::Comment;

/// A comment may be answered in Direct for so long.
pub const OPEN: Duration = Duration::days(7);

/// A broadcast lasts no longer: after it, comments that were written during it cannot be answered.
const LIVE: Duration = Duration::hours(4);

/// Returns the comment through which a customer can be reached who did not write in Direct: the newest that is not too
/// old. Those that were answered so before are not among them.
pub fn chosen(comments: &[(Comment, OffsetDateTime)], now: OffsetDateTime) -> Option<&str> {
    let open = comments.iter().filter(|(comment, at)| {
        let most = if comment.live { LIVE } else { OPEN };
        !comment.comment.is_empty() && now - *at < most
    });
    open.max_by_key(|(_, at)| *at)
        .map(|(comment, _)| comment.comment.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_answered_in_direct_for_seven_days_and_a_live_one_while_it_lasts() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let comment = |id: &str, live: bool, age: Duration| {
            let comment = Comment {
                comment: id.to_owned(),
                live,
                ..Comment::default()
            };
            (comment, now - age)
        };
        let second = Duration::SECOND;
        for (comments, expected) in [
            (vec![], None),
            (vec![comment("1", false, OPEN - second)], Some("1")),
            (vec![comment("1", false, OPEN)], None),
            (vec![comment("1", true, LIVE - second)], Some("1")),
            (vec![comment("1", true, LIVE)], None),
            (
                vec![
                    comment("1", false, Duration::days(2)),
                    comment("2", false, Duration::days(1)),
                    comment("3", true, Duration::hours(5)),
                ],
                Some("2"),
            ),
            (vec![comment("", false, second)], None),
        ] {
            assert_eq!(chosen(&comments, now), expected);
        }
    }
}

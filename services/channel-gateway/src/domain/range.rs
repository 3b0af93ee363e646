//! Parts of a file, as readers ask for them: pure and total.

use std::ops::Range;

/// What of a file is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// All of it; also where the range is of a form that need not be understood.
    Whole,
    /// A part.
    Part(Range<u64>),
    /// A part that the file does not have.
    Beyond,
}

/// Reads a `Range` header of one range (RFC 9110 §14.2).
pub fn asked(range: Option<&str>, size: u64) -> Asked {
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else {
        return Asked::Whole;
    };
    let Some((from, to)) = range.split_once('-') else {
        return Asked::Whole;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let part = match (from.trim(), to.trim()) {
        ("", last) => match number(last) {
            Some(0) => return Asked::Beyond,
            Some(last) => size.saturating_sub(last)..size,
            None => return Asked::Whole,
        },
        (from, "") => match number(from) {
            Some(from) => from..size,
            None => return Asked::Whole,
        },
        (from, to) => match (number(from), number(to)) {
            (Some(from), Some(to)) if from <= to => from..to.saturating_add(1).min(size),
            _ => return Asked::Whole,
        },
    };
    if part.start >= size {
        return Asked::Beyond;
    }
    Asked::Part(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        for (range, expected) in [
            (None, Asked::Whole),
            (Some("bytes=0-"), Asked::Part(0..10)),
            (Some("bytes=2-4"), Asked::Part(2..5)),
            (Some("bytes=2-400"), Asked::Part(2..10)),
            (Some("bytes=-3"), Asked::Part(7..10)),
            (Some("bytes=-30"), Asked::Part(0..10)),
            (Some("bytes=10-"), Asked::Beyond),
            (Some("bytes=-0"), Asked::Beyond),
            (Some("bytes=4-2"), Asked::Whole),
            (Some("bytes=0-1,3-4"), Asked::Whole),
            (Some("lines=0-1"), Asked::Whole),
            (Some("bytes=x-y"), Asked::Whole),
        ] {
            assert_eq!(asked(range, 10), expected, "{range:?}");
        }
        assert_eq!(asked(Some("bytes=0-"), 0), Asked::Beyond);
    }
}

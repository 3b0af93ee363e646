//! How far something has come that takes a while, on one line.

use std::time::Duration;

use super::table::harmless;
use super::words;

/// How far a file has come, on one line.
pub(crate) fn bar(name: &str, done: u64, size: u64) -> String {
    const WIDTH: usize = 24;
    let done = done.min(size);
    let part = |of: usize| {
        let part = u128::from(done) * of as u128 / u128::from(size.max(1));
        usize::try_from(part).unwrap_or(of)
    };
    format!(
        "{} [{:-<WIDTH$}] {:>3} % of {}",
        harmless(&words::short(name, 30)),
        "#".repeat(part(WIDTH)),
        part(100),
        words::bytes(size)
    )
}

/// How many of so many are done, how fast, and how long it will take.
pub(crate) fn counted(done: usize, all: usize, took: Duration) -> String {
    let done_of = u128::try_from(done).unwrap_or(0).max(1);
    let left = u128::try_from(all.saturating_sub(done)).unwrap_or(0);
    let took = took.as_millis().max(1);
    let rate = done_of * 1_000 / took;
    let left = i64::try_from(left * took / done_of / 1_000).unwrap_or(i64::MAX);
    let left = words::span(time::Duration::seconds(left));
    format!("{done} of {all}, {rate}/s, {left} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_file_has_come_fits_one_line() {
        for (done, expected) in [
            (0, "a.mp4 [------------------------]   0 % of 8 MiB"),
            (4 << 20, "a.mp4 [############------------]  50 % of 8 MiB"),
            (8 << 20, "a.mp4 [########################] 100 % of 8 MiB"),
            // A file that grew meanwhile.
            (9 << 20, "a.mp4 [########################] 100 % of 8 MiB"),
        ] {
            assert_eq!(bar("a.mp4", done, 8 << 20), expected);
        }
        let counted = |done| counted(done, 100, Duration::from_secs(10));
        assert_eq!(counted(50), "50 of 100, 5/s, 10 s left");
        assert_eq!(counted(100), "100 of 100, 10/s, 0 s left");
        assert!(bar("a\u{1b}[31m", 0, 0).chars().all(|c| !c.is_control()));
    }
}

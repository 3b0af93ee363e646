//! How far something has come that takes a while, on one line.

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
        assert!(bar("a\u{1b}[31m", 0, 0).chars().all(|c| !c.is_control()));
    }
}

//! What goes into one answer of a list: bounded in entries by the caller's wish, and in bytes by what clients accept.

use prost::Message;
use serde::Serialize;

use super::parse::page_token;

/// Bytes of a page's entries at most, unless one entry alone is larger. Clients of gRPC refuse messages of more than
/// 4 MiB unless told otherwise; what is not an entry (tokens, headings) has the rest.
pub const PAGE_BYTES: usize = 3 * 1024 * 1024;

/// Says how many of these entries, from the first on, fit into so many bytes of an answer.
pub fn fitting<'e, M: Message + 'e>(
    bytes: usize,
    entries: impl IntoIterator<Item = &'e M>,
) -> usize {
    let mut left = Some(bytes);
    let fits = |entry: &&M| {
        // Five bytes announce an entry: its tag and its length.
        left = left.and_then(|left| left.checked_sub(entry.encoded_len() + 5));
        left.is_some()
    };
    entries.into_iter().take_while(fits).count()
}

/// Says how many of these entries make a page: as many as fit, and the first always, so that a reader comes to the end.
pub fn fitting_page<'e, M: Message + 'e>(entries: impl IntoIterator<Item = &'e M>) -> usize {
    fitting(PAGE_BYTES, entries).max(1)
}

/// Makes a page of rows: the entries that fit, and the token of the next page, empty at the end.
///
/// `more` tells that there are rows beyond these; `entry` writes a row for the wire; `cursor` says where a page that
/// begins behind a row has to look.
pub fn page<R, M: Message, C: Serialize>(
    rows: &[R],
    more: bool,
    entry: impl FnMut(&R) -> M,
    cursor: impl FnOnce(&R) -> C,
) -> (Vec<M>, String) {
    let mut entries: Vec<M> = rows.iter().map(entry).collect();
    let kept = fitting_page(&entries).min(rows.len());
    entries.truncate(kept);
    let more = more || kept < rows.len();
    // Without any entry there is no place to go on from, and nothing that was left out either.
    let last = kept.checked_sub(1).and_then(|last| rows.get(last));
    let next = last.filter(|_| more).map(|row| page_token(&cursor(row)));
    (entries, next.unwrap_or_default())
}

/// [`page`] of rows that were read with one more than the page has, to know whether there are more.
pub fn page_of<R, M: Message, C: Serialize>(
    rows: &[R],
    size: u32,
    entry: impl FnMut(&R) -> M,
    cursor: impl FnOnce(&R) -> C,
) -> (Vec<M>, String) {
    let size = usize::try_from(size).unwrap_or(usize::MAX).min(rows.len());
    page(&rows[..size], size < rows.len(), entry, cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(sizes: &[usize]) -> Vec<String> {
        sizes.iter().map(|size| "a".repeat(*size)).collect()
    }

    #[test]
    fn as_many_entries_as_fit() {
        // An entry of 91 letters takes 93 bytes, and 5 are counted for announcing it.
        for (sizes, expected) in [
            (&[][..], 0),
            (&[10], 1),
            (&[91, 91], 2),
            (&[91, 92], 1),
            (&[91, 91, 1], 2),
            (&[500], 0),
            (&[500, 1], 0),
            (&[1, 500, 1], 1),
        ] {
            assert_eq!(fitting(196, &entries(sizes)), expected, "{sizes:?}");
        }
    }

    #[test]
    fn what_does_not_fit_begins_the_next_page() {
        let rows = [PAGE_BYTES / 2, PAGE_BYTES / 2, 1];
        let entry = |size: &usize| "a".repeat(*size);
        let (first, next) = page(&rows, false, entry, |size| *size);
        assert_eq!(first.len(), 1);
        assert_eq!(next, page_token(&(PAGE_BYTES / 2)));
        let (rest, next) = page(&rows[1..], false, entry, |size| *size);
        assert_eq!((rest.len(), next.as_str()), (2, ""));
    }

    #[test]
    fn an_entry_too_large_for_a_page_is_a_page() {
        let rows = [2 * PAGE_BYTES, 1];
        let (first, next) = page(&rows, false, |size| "a".repeat(*size), |size| *size);
        assert_eq!((first.len(), next), (1, page_token(&(2 * PAGE_BYTES))));
    }

    #[test]
    fn a_page_tells_whether_there_are_more() {
        let cursor = |row: &u32| *row;
        let entry = |row: &u32| *row;
        assert_eq!(
            page_of(&[1, 2, 3], 2, entry, cursor),
            (vec![1, 2], page_token(&2))
        );
        assert_eq!(
            page_of(&[1, 2], 2, entry, cursor),
            (vec![1, 2], String::new())
        );
        assert_eq!(page_of(&[], 2, entry, cursor), (vec![], String::new()));
        assert_eq!(page(&[7], true, entry, cursor), (vec![7], page_token(&7)));
    }
}

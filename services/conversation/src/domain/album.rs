//! Albums: what a provider tells item by item, without count or end, and shows as one message (channels.md §2.2).
//! Whatever the order in which items, edits and deletions come, the same album comes of them.

use time::OffsetDateTime;

use super::amendment::Moment;

/// Items of an album at most. Telegram has ten.
pub const ITEMS: usize = 20;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<P> {
    /// The provider's key of it.
    pub key: String,
    /// The provider's running number, by which items are ordered.
    pub number: i64,
    /// The newest edit.
    pub edited: Option<Moment>,
    /// When it was deleted.
    pub deleted_at: Option<OffsetDateTime>,
    /// What it holds; nothing once it is deleted.
    pub parts: Vec<P>,
}

/// An album.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Album<P>(Vec<Item<P>>);

impl<P> Default for Album<P> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<P: Clone> Album<P> {
    /// Adds an item; tells whether it was new and had room.
    pub fn add(&mut self, item: Item<P>) -> bool {
        if self.room() == 0 || self.0.iter().any(|known| known.key == item.key) {
            return false;
        }
        self.0.push(item);
        self.0
            .sort_by(|one, other| (one.number, &one.key).cmp(&(other.number, &other.key)));
        true
    }

    /// Returns the items, in their order.
    pub fn items(&self) -> &[Item<P>] {
        &self.0
    }

    /// Tells how many more items there is room for.
    pub fn room(&self) -> usize {
        ITEMS.saturating_sub(self.0.len())
    }

    /// Gives an item other content; tells whether that was newer than what is known of it.
    pub fn edit(&mut self, key: &str, moment: &Moment, parts: &[P]) -> bool {
        let item = self.0.iter_mut().find(|item| item.key == key);
        let Some(item) = item.filter(|item| item.deleted_at.is_none()) else {
            return false;
        };
        if item.edited.as_ref().is_some_and(|edited| edited >= moment) {
            return false;
        }
        item.parts = parts.to_vec();
        item.edited = Some(moment.clone());
        true
    }

    /// Takes an item back; tells whether that was new.
    pub fn delete(&mut self, key: &str, at: OffsetDateTime) -> bool {
        let item = self.0.iter_mut().find(|item| item.key == key);
        let Some(item) = item.filter(|item| item.deleted_at.is_none()) else {
            return false;
        };
        item.parts.clear();
        item.deleted_at = Some(at);
        true
    }

    /// Returns the newest edit of any item.
    pub fn edited(&self) -> Option<Moment> {
        self.0.iter().filter_map(|item| item.edited.clone()).max()
    }

    /// Returns when the last item was deleted; none while there is one left.
    pub fn deleted_at(&self) -> Option<OffsetDateTime> {
        let all: Option<Vec<OffsetDateTime>> = self.0.iter().map(|item| item.deleted_at).collect();
        all?.into_iter().max()
    }

    /// Lays the items out as one message: captions that stand above, the files, captions that stand below. Returns the
    /// parts, and of each item where its own are.
    pub fn layout(&self, is_text: impl Fn(&P) -> bool) -> (Vec<P>, Vec<Vec<u32>>) {
        let (mut above, mut files, mut below) = (Vec::new(), Vec::new(), Vec::new());
        for (number, item) in self.0.iter().enumerate() {
            let mut seen_file = false;
            for part in &item.parts {
                let band = match (is_text(part), seen_file) {
                    (false, _) => &mut files,
                    (true, false) => &mut above,
                    (true, true) => &mut below,
                };
                seen_file |= !is_text(part);
                band.push((number, part.clone()));
            }
        }
        let mut places = vec![Vec::new(); self.0.len()];
        let mut parts = Vec::new();
        for (number, part) in above.into_iter().chain(files).chain(below) {
            if let (Some(of_item), Ok(place)) = (places.get_mut(number), u32::try_from(parts.len()))
            {
                of_item.push(place);
            }
            parts.push(part);
        }
        (parts, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-05-01 12:00 UTC);

    fn item(number: i64, parts: &[&'static str]) -> Item<&'static str> {
        Item {
            key: format!("7:{number}"),
            number,
            edited: None,
            deleted_at: None,
            parts: parts.to_vec(),
        }
    }

    /// Texts are written in lower case here, files in upper case.
    fn laid_out(album: &Album<&'static str>) -> (Vec<&'static str>, Vec<Vec<u32>>) {
        album.layout(|part| part.chars().all(char::is_lowercase))
    }

    #[test]
    fn files_stand_in_the_order_of_their_numbers_and_captions_above_or_below() {
        for (items, parts, places) in [
            (vec![], vec![], vec![]),
            (
                vec![item(2, &["B"]), item(1, &["A", "caption"])],
                vec!["A", "B", "caption"],
                vec![vec![0, 2], vec![1]],
            ),
            (
                vec![
                    item(10, &["C"]),
                    item(9, &["above", "A"]),
                    item(11, &["D", "below"]),
                ],
                vec!["above", "A", "C", "D", "below"],
                vec![vec![0, 1], vec![2], vec![3, 4]],
            ),
        ] {
            let mut album = Album::default();
            for item in items {
                assert!(album.add(item));
            }
            assert_eq!(laid_out(&album), (parts, places));
        }
    }

    #[test]
    fn an_album_is_the_same_in_whatever_order_it_comes() {
        let moment = |second, key: &str| Moment::new(NOON + time::Duration::seconds(second), key);
        let mut expected: Option<Album<&'static str>> = None;
        for order in [
            [1, 2, 3],
            [1, 3, 2],
            [2, 1, 3],
            [2, 3, 1],
            [3, 1, 2],
            [3, 2, 1],
        ] {
            let mut album = Album::default();
            for number in order {
                album.add(item(number, &["A"]));
                assert!(!album.add(item(number, &["X"])), "a repeat");
                // What amends an item comes after it, in either order.
                if number == 2 {
                    assert!(album.edit("7:2", &moment(2, "b"), &["B", "new"]));
                    assert!(!album.edit("7:2", &moment(1, "a"), &["B", "old"]));
                }
                if number == 3 {
                    assert!(album.delete("7:3", NOON));
                    assert!(!album.edit("7:3", &moment(9, "z"), &["Z"]));
                    assert!(!album.delete("7:3", NOON + time::Duration::DAY));
                }
            }
            assert_eq!(laid_out(&album).0, ["A", "B", "new"]);
            assert_eq!(album.edited(), Some(moment(2, "b")));
            assert_eq!(album.deleted_at(), None, "two are left");
            assert_eq!(*expected.get_or_insert_with(|| album.clone()), album);
        }
    }

    #[test]
    fn an_album_is_deleted_with_its_last_item_and_has_a_bound() {
        let mut album = Album::default();
        for number in 0..30 {
            assert_eq!(album.add(item(number, &["A"])), number < 20);
        }
        assert_eq!(album.room(), 0);
        let mut two = Album::default();
        two.add(item(1, &["A"]));
        two.add(item(2, &["B"]));
        two.delete("7:2", NOON + time::Duration::HOUR);
        assert_eq!(two.deleted_at(), None);
        two.delete("7:1", NOON);
        assert_eq!(two.deleted_at(), Some(NOON + time::Duration::HOUR));
        assert!(laid_out(&two).0.is_empty());
    }
}

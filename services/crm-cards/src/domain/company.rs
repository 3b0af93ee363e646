//! Which company may belong to which.

use std::collections::HashMap;

use super::ids::CompanyId;

/// How deep companies belong to each other at most.
pub const DEPTH_MAX: usize = 20;

/// Says what is wrong with a company's belonging to another one, if something is. `above` are the other company and
/// those that it belongs to itself, nearest first; `below` is how deep others belong to the company, itself counted.
pub fn wrong_parent(company: CompanyId, above: &[CompanyId], below: usize) -> Option<&'static str> {
    if above.first() == Some(&company) {
        return Some("a company does not belong to itself");
    }
    if above.contains(&company) {
        return Some("belongs to this company itself: that would be a circle");
    }
    (above.len() + below > DEPTH_MAX).then_some("companies belong to each other at most 20 deep")
}

/// Which company belongs to which, as far as it matters to those that are moved.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    parents: HashMap<CompanyId, Option<CompanyId>>,
    below: HashMap<CompanyId, usize>,
}

impl Tree {
    /// Makes a tree of companies with those that they belong to, and of how deep others belong to those that may be moved.
    pub fn new(
        parents: impl IntoIterator<Item = (CompanyId, Option<CompanyId>)>,
        below: impl IntoIterator<Item = (CompanyId, usize)>,
    ) -> Self {
        Self {
            parents: parents.into_iter().collect(),
            below: below.into_iter().collect(),
        }
    }

    /// Returns a company and those that it belongs to, nearest first; one more than fits at most.
    fn above(&self, company: CompanyId) -> Vec<CompanyId> {
        let parent = |id: &CompanyId| self.parents.get(id).copied().flatten();
        std::iter::successors(Some(company), parent)
            .take(DEPTH_MAX + 1)
            .collect()
    }

    fn below(&self, company: CompanyId) -> usize {
        self.below.get(&company).copied().unwrap_or(1)
    }

    /// Says what is wrong with a company's belonging to another one, if something is.
    pub fn wrong(&self, company: CompanyId, parent: CompanyId) -> Option<&'static str> {
        wrong_parent(company, &self.above(parent), self.below(company))
    }

    /// Lets a company belong to another one, or to none.
    pub fn put(&mut self, company: CompanyId, parent: Option<CompanyId>) {
        self.parents.insert(company, parent);
        // Those above are as deep now as what they got below them.
        let depths = (self.below(company)..).zip(self.above(company));
        for (depth, id) in depths.collect::<Vec<_>>() {
            let below = self.below.entry(id).or_insert(depth);
            *below = depth.max(*below);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn companies_belong_to_each_other_in_no_circle_and_not_too_deep() {
        let id = |number: u128| CompanyId::from(Uuid::from_u128(number));
        let chain = |numbers: std::ops::Range<u128>| numbers.map(id).collect::<Vec<_>>();
        for (name, above, below, fits) in [
            ("an own one", chain(2..3), 1, true),
            ("itself", chain(1..2), 1, false),
            ("one that belongs to it", chain(2..4), 1, true),
            ("a circle", vec![id(3), id(2), id(1)], 3, false),
            ("just deep enough", chain(2..21), 1, true),
            ("too deep", chain(2..22), 1, false),
            ("too deep with those below", chain(2..12), 11, false),
        ] {
            assert_eq!(wrong_parent(id(1), &above, below).is_none(), fits, "{name}");
        }
    }

    #[test]
    fn companies_of_a_file_are_put_under_each_other_one_after_the_other() {
        let id = |number: u128| CompanyId::from(Uuid::from_u128(number));
        // 1 above 2 above 3, and 4 with two levels below it.
        let known = [(id(1), None), (id(2), Some(id(1))), (id(3), Some(id(2)))];
        let mut tree = Tree::new(known, [(id(1), 3), (id(4), 3)]);
        assert_eq!(tree.wrong(id(1), id(1)), wrong_parent(id(1), &[id(1)], 3));
        assert!(tree.wrong(id(1), id(3)).is_some(), "a circle");
        assert!(tree.wrong(id(4), id(3)).is_none());
        tree.put(id(4), Some(id(3)));
        assert!(
            tree.wrong(id(1), id(4)).is_some(),
            "a circle by what was put"
        );
        // Six deep by now: fifteen levels above leave no room for one more.
        let mut top = id(100);
        for number in 101..114 {
            tree.put(id(number), Some(top));
            top = id(number);
        }
        assert!(tree.wrong(id(1), top).is_none(), "fourteen and six");
        tree.put(id(200), Some(top));
        assert!(tree.wrong(id(1), id(200)).is_some(), "fifteen and six");
    }
}

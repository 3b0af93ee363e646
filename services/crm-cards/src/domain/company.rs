//! Which company may belong to which.

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
}

//! First names for customers, so that a transcript reads like one.

const NAMES: [&str; 12] = [
    "Daryna", "Maksym", "Sofiia", "Andrii", "Yana", "Bohdan", "Kateryna", "Denys", "Zlata",
    "Marko", "Olha", "Petro",
];

/// A name for a customer; the same id has the same name.
pub(crate) fn name_of(id: i64) -> &'static str {
    let count = i64::try_from(NAMES.len()).unwrap_or(1);
    usize::try_from(id.rem_euclid(count))
        .ok()
        .and_then(|at| NAMES.get(at))
        .copied()
        .unwrap_or("Daryna")
}

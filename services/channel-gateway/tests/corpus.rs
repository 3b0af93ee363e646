//! The seeds of the fuzz targets: every real payload and mail (`SWITCHBOARD_FIXTURES`), our own cases, and each of them
//! damaged a little, through every target. What libFuzzer ever finds is added to `tests/fixtures/fuzz`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on must fail"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../../../tests/fuzz/src/targets.rs"]
mod targets;

/// Seeds above this are left to the tests of large mails: here they would cost a minute, not find anything.
const LARGEST: usize = 200_000;

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.file_name().is_none_or(|name| name != "index.json") {
            into.push(path);
        }
    }
}

fn seeds() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&here.join("tests/cases"), &mut found);
    files(&here.join("../../tests/fixtures/fuzz"), &mut found);
    let fixtures = std::env::var_os("SWITCHBOARD_FIXTURES")
        .map_or_else(|| here.join("../../../shared/fixtures"), PathBuf::from);
    if fixtures.is_dir() {
        for channel in ["telegram", "viber", "instagram", "email"] {
            files(&fixtures.join(channel), &mut found);
        }
    } else {
        assert!(
            std::env::var_os("CI").is_none(),
            "no fixtures in {}",
            fixtures.display()
        );
        println!("skipped: no fixtures, only our own seeds");
    }
    found.sort();
    found
}

/// The seed itself, its beginning, and one with a byte turned.
fn damaged(seed: &[u8]) -> [Vec<u8>; 3] {
    let mut turned = seed.to_vec();
    let place = seed.len() / 3;
    if let Some(byte) = turned.get_mut(place) {
        *byte ^= 0x55;
    }
    let half = seed.get(..seed.len() / 2).unwrap_or_default().to_vec();
    [seed.to_vec(), half, turned]
}

#[test]
fn every_seed_passes_every_fuzz_target() {
    let seeds = seeds();
    assert!(seeds.len() > 5, "only {} seeds", seeds.len());
    let mut failures = Vec::new();
    for path in &seeds {
        let seed = std::fs::read(path).unwrap();
        if seed.len() > LARGEST {
            continue;
        }
        for (damage, input) in damaged(&seed).iter().enumerate() {
            for (name, target) in targets::TARGETS {
                if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
                    failures.push(format!("{name}: {} (damage {damage})", path.display()));
                }
            }
        }
    }
    println!("{} seeds", seeds.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_target_has_its_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/fuzz_targets");
    let mut programs = Vec::new();
    files(&folder, &mut programs);
    let mut programs: Vec<String> = programs
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let mut names: Vec<&str> = targets::TARGETS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(programs, names);
}

//! Responsibles of chats and entities against a model (architecture §8, X05): whatever is said where, in CRM, in dialogs or in a
//! CRM outside, and whatever way the news of it takes, twice, crossed or late, everything settles in few steps, and each chat and
//! each entity has the responsible of the latest act that reaches it.
//!
//! `PROPTEST_CASES` says how many stories are tried. One that fails is told as the shortest that does, with the seed by which
//! `SWITCHBOARD_MODEL_SEED` tries the same ones again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod machine;
mod oracle;
mod post;
mod services;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};

use machine::{Plan, Stage};

/// Stories in a usual run.
const CASES: u32 = 100;

/// Steps of one story at most.
const STEPS: usize = 40;

/// A number that the environment names.
fn named(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

#[test]
fn x05_whatever_crosses_all_settle_to_the_latest_act_that_reaches_them() {
    let cases = named("PROPTEST_CASES").and_then(|cases| cases.try_into().ok());
    let seed = named("SWITCHBOARD_MODEL_SEED");
    let seed = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    let config = Config {
        cases: cases.unwrap_or(CASES),
        // Each try of a shorter story is a story played.
        max_shrink_iters: 150,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let stories = Plan::sequential_strategy(1..=STEPS);
    let told = runner.run(&stories, |(plan, steps, seen)| {
        Stage::test_sequential(config.clone(), plan, steps, seen);
        Ok(())
    });
    if let Err(error) = told {
        panic!("SWITCHBOARD_MODEL_SEED={seed}: {error}");
    }
}

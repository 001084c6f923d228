//! The generated histories reach every row of the apply table.

use domain::{MemoryState, Outcome, apply, testing::history};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

#[test]
fn histories_reach_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut reached = domain::Tally::default();
    for _ in 0..500 {
        let records = history(60).new_tree(&mut runner).unwrap().current();
        let mut state = MemoryState::default();
        for record in &records {
            let Ok(_) = record.with_ref(|record| apply(&mut state, record));
        }
        for (outcome, times) in state.tally().iter() {
            reached.add(outcome, times);
        }
    }
    for (outcome, times) in reached.iter() {
        println!("{:>6} {}", times, outcome.as_str());
    }
    let rare: Vec<Outcome> = reached
        .iter()
        .filter(|(_, n)| *n < 20)
        .map(|(o, _)| o)
        .collect();
    assert!(rare.is_empty(), "{rare:?}");
}

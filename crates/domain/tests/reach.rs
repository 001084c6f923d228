//! The generated histories reach every row of the apply table.

use domain::testing::{History, Probe, history};
use domain::{Outcome, Tally, apply};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn fold<const LANE: usize, const PROFILES: usize>(records: &History) -> Tally {
    let mut probe = Probe::<LANE, PROFILES>::default();
    for record in records {
        let Ok(_) = record.with_ref(|record| apply(&mut probe, record));
    }
    *probe.state.tally()
}

#[test]
fn histories_reach_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut reached = Tally::default();
    for _ in 0..500 {
        let records = history(60).new_tree(&mut runner).unwrap().current();
        // Where there is room for everything, and where there is not.
        for tally in [fold::<256, 256>(&records), fold::<3, 2>(&records)] {
            for (outcome, times) in tally.iter() {
                reached.add(outcome, times);
            }
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

//! Properties of the fold over random histories.

mod oracle;

use domain::testing::{history, identity_history};
use domain::{MemoryState, Record, apply};
use oracle::Oracle;
use proptest::prelude::*;

fn agrees(records: &[Record]) -> Result<(), TestCaseError> {
    let mut oracle = Oracle::default();
    let mut state = MemoryState::default();
    for record in records {
        let expected = oracle.take(record);
        let Ok(outcome) = record.with_ref(|record| apply(&mut state, record));
        prop_assert_eq!(outcome, expected, "at {}", record.sequence);
        prop_assert_eq!(
            oracle::seen(&state),
            oracle.seen(),
            "after {}",
            record.sequence
        );
        prop_assert!(oracle.is_settled(), "after {}", record.sequence);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_is_what_the_contract_says(records in history(50)) {
        agrees(&records)?;
    }

    #[test]
    fn the_fold_is_what_the_contract_says_of_identities(records in identity_history(50)) {
        agrees(&records)?;
    }
}

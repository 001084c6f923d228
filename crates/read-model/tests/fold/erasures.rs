//! Erasures where identities met, in files.

use std::collections::BTreeSet;

use domain::testing::{
    Form, history, identity_history, meeting_history, profile_erased, user_erased,
};
use domain::{Folds, Lane, Record, Sequence, UserId};
use proptest::prelude::*;
use read_model::testing::ForgetfulDisk;
use read_model::{ReadModel, differences};

use crate::{commit, cut, fold_by, on_disk};

/// A stream with everything, and what is left of it after a person was erased from it. The erasure comes
/// last, and is all that is left of the person.
fn erased_from(history: &[Record], user: &UserId) -> [Vec<Record>; 2] {
    let is_theirs = |record: &Record| {
        let lane = Lane::of_subject(&record.subject);
        lane.is_some_and(|lane| lane.user == *user)
    };
    let profiles = history
        .iter()
        .any(|record| is_theirs(record) && record.subject.ends_with(".profile"));
    let ids = ["p0", "p1", "p2"].into_iter().filter(|_| profiles);
    let erasures = ids.map(|id| profile_erased(user.as_str(), id, 99));
    let erasures = erasures.chain([user_erased(user.as_str(), 99)]);
    let last = history.last().map_or(0, |record| record.sequence.get());
    let places = (last + 1..).filter_map(Sequence::new);
    let erasures: Vec<_> = places
        .zip(erasures)
        .map(|(at, erasure)| erasure.message(Form::Binary).at(at))
        .collect();
    let left = history.iter().filter(|record| !is_theirs(record));
    let left = left.cloned().chain(erasures.clone()).collect();
    [[history, &erasures].concat(), left]
}

/// Whose rows two folds do not have alike, by what the files hold.
fn differing(one: &ReadModel, other: &ReadModel) -> BTreeSet<String> {
    let found = differences(&one.reader(), &other.reader(), usize::MAX).unwrap();
    found.into_iter().map(|row| row.user).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// In files, however they were written: a rebuild from what an erasure leaves differs for those alone
    /// whom the command names beforehand, and for those of the person in nothing.
    #[test]
    fn a_rebuild_after_an_erasure_differs_for_whom_it_named(
        history in prop_oneof![meeting_history(40), identity_history(40), history(40)],
        cuts in prop::collection::vec((1_usize..9, cut()), 20),
    ) {
        let user = UserId::parse("u0").unwrap();
        let [all, left] = erased_from(&history, &user);
        let mut folds = Folds::default();
        for record in &all {
            let stays = left.iter().any(|kept| kept.sequence == record.sequence);
            record.with_ref(|record| folds.take(record, stays));
        }
        let named: BTreeSet<String> = folds.differing().iter().map(ToString::to_string).collect();
        let live = fold_by(ForgetfulDisk::default(), &all, &cuts).unwrap();
        let mut rebuilt = on_disk(ForgetfulDisk::default());
        commit(&mut rebuilt, &left).unwrap();
        prop_assert_eq!(differing(&live, &rebuilt), named);
    }
}

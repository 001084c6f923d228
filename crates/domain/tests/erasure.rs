//! Whoever an erasure changes beside the person is named beforehand, over random histories.
//! `PROPTEST_CASES` scales them (256 for once).

use std::collections::{BTreeMap, BTreeSet};

use domain::testing::{
    Form, History, Message, history, identity_history, meeting_history, profile_erased, user_erased,
};
use domain::{Circle, Folds, Lane, MemoryState, Record, Sequence, UserId, apply, erased_document};
use proptest::prelude::*;

/// Every record with whether it stays, and behind them the erasures that are missing.
fn erased(history: &History, user: &UserId) -> Vec<(Record, bool)> {
    let mut profiles = BTreeSet::new();
    let mut there = BTreeSet::new();
    let mut all: Vec<(Record, bool)> = Vec::new();
    for record in history {
        let theirs = Lane::of_subject(&record.subject).is_some_and(|lane| lane.user == *user);
        let document = theirs.then(|| record.with_ref(erased_document)).flatten();
        all.push((record.clone(), !theirs || document.is_some()));
        there.extend(document);
        if theirs && record.subject.ends_with(".profile") {
            profiles.extend(["p0", "p1", "p2"]);
        }
    }
    let missing = |document: &str| !there.contains(document);
    let profiles = profiles
        .into_iter()
        .filter(|id| missing(&format!("profile:{id}")));
    let profiles = profiles.map(|id| profile_erased(user.as_str(), id, 99));
    let of_user = missing(&format!("user:{user}")).then(|| user_erased(user.as_str(), 99));
    let last = history.iter().map(|record| record.sequence.get()).max();
    let places = (last.unwrap_or(0) + 1..).filter_map(Sequence::new);
    let erasures: Vec<Message> = profiles
        .chain(of_user)
        .map(|draft| draft.message(Form::Binary))
        .collect();
    all.extend(
        places
            .zip(&erasures)
            .map(|(at, erasure)| (erasure.at(at), true)),
    );
    all
}

/// As the command does it: the circle first, then the folds of its records.
fn named(records: &[(Record, bool)], user: &UserId) -> BTreeSet<String> {
    let mut circle = Circle::of(user.clone());
    loop {
        let mut grew = false;
        for (record, _) in records {
            grew |= record.with_ref(|record| circle.see(record));
        }
        if !grew {
            break;
        }
    }
    let mut folds = Folds::default();
    for (record, stays) in records {
        let lane = Lane::of_subject(&record.subject);
        if lane.is_some_and(|lane| circle.users().contains(&lane.user)) {
            record.with_ref(|record| folds.take(record, *stays));
        }
    }
    folds.differing().iter().map(ToString::to_string).collect()
}

/// What a fold of everything holds of each user, in words of its own.
fn rows<'r>(records: impl Iterator<Item = &'r Record>) -> BTreeMap<String, Vec<String>> {
    let mut state = MemoryState::default();
    for record in records {
        let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    }
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut add = |user: String, row: String| rows.entry(user).or_default().push(row);
    for (user, row) in state.users() {
        add(user.to_string(), format!("{row:?}"));
    }
    for (user, row) in state.profiles() {
        add(user.to_string(), format!("{row:?}"));
    }
    for (identity, user) in state.owners() {
        add(user.to_string(), format!("owns {}", identity.as_str()));
    }
    for parked in state.all_parked() {
        if let Some(lane) = &parked.lane {
            let (at, reason) = (parked.sequence(), parked.reason.as_str());
            add(lane.user.to_string(), format!("parked {at} {reason}"));
        }
    }
    rows
}

/// Whether exactly those who are named have other rows after a rebuild. Says whether somebody has.
fn names_exactly(history: &History, user: &str) -> Result<bool, TestCaseError> {
    let user = UserId::parse(user).map_err(|bad| TestCaseError::fail(bad.to_string()))?;
    let records = erased(history, &user);
    let live = rows(records.iter().map(|(record, _)| record));
    let stays = records.iter().filter(|(_, stays)| *stays);
    let rebuilt = rows(stays.map(|(record, _)| record));
    let users: BTreeSet<&String> = live.keys().chain(rebuilt.keys()).collect();
    let differ = users
        .into_iter()
        .filter(|user| live.get(*user) != rebuilt.get(*user));
    let differ: BTreeSet<String> = differ.cloned().collect();
    prop_assert_eq!(&named(&records, &user), &differ);
    prop_assert!(!differ.contains(user.as_str()), "the person's own rows");
    Ok(!differ.is_empty())
}

proptest! {
    #[test]
    fn whom_an_erasure_changes_is_named_before(records in meeting_history(40)) {
        names_exactly(&records, "u0")?;
    }

    #[test]
    fn also_where_sources_do_what_they_like(records in history(50)) {
        names_exactly(&records, "u0")?;
    }

    #[test]
    fn also_where_identities_alone_are_passed_around(records in identity_history(50)) {
        names_exactly(&records, "u0")?;
    }
}

#[test]
fn some_histories_change_somebody() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = meeting_history(40);
    let changed = (0..200).filter(|_| {
        let history = strategy.new_tree(&mut runner).unwrap().current();
        names_exactly(&history, "u0").unwrap()
    });
    assert!(changed.count() > 0);
}

//! Properties of the fold over random histories. `PROPTEST_CASES` scales them (256 for once).

use std::collections::BTreeMap;

use domain::testing::{
    Form, History, Message, Oracle, Probe, Seen, broken_invariant, history, identity_history,
    named, profile_deleted, profile_state, user_state,
};
use domain::{
    Family, Gone, MemoryState, ParkReason, Record, Sequence, UserDocument, WorkosUserId, apply,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// How far above what is held the next whole states are.
const ABOVE: u64 = 1000;

fn fold<'r>(state: &mut MemoryState, records: impl IntoIterator<Item = &'r Record>) {
    for record in records {
        let Ok(_) = record.with_ref(|record| apply(state, record));
    }
}

/// What each document holds: a version, or that it is erased, which is above every version.
fn held(state: &MemoryState) -> BTreeMap<String, Option<u64>> {
    let mut held = BTreeMap::new();
    for (user, row) in state.users() {
        let version = match &row.document {
            UserDocument::Absent => continue,
            UserDocument::Live { version, .. } | UserDocument::Deleted { version } => Some(version),
            UserDocument::Erased => None,
        };
        held.insert(user.to_string(), version.map(|version| version.get()));
    }
    for (user, row) in state.profiles() {
        if let Some(live) = &row.live {
            held.insert(format!("{user} {}", live.id), Some(live.version.get()));
        }
        for (id, gone) in &row.gone {
            let version = match gone {
                Gone::Deleted(version) => Some(version.get()),
                Gone::Erased => None,
            };
            held.insert(format!("{user} {id}"), version);
        }
    }
    held
}

/// Whether no document went back, but for those of users who are erased now.
fn only_forward(before: &MemoryState, after: &MemoryState) -> bool {
    let after = held(after);
    held(before).into_iter().all(|(name, before)| {
        let user = name.split(' ').next().unwrap_or_default();
        if after.get(user) == Some(&None) {
            return true;
        }
        match (before, after.get(&name)) {
            (_, Some(None)) => true,
            (Some(before), Some(Some(after))) => before <= *after,
            (_, None) | (None, Some(Some(_))) => false,
        }
    })
}

/// The history, and then copies of some of its records as new ones.
fn repeated(history: &History, again: &[Index]) -> Vec<Record> {
    let copies = again.iter().map(|index| index.get(history));
    domain::testing::records(
        &history
            .iter()
            .chain(copies)
            .map(Message::from)
            .collect::<Vec<_>>(),
    )
}

fn agrees(records: &[Record]) -> Result<(), TestCaseError> {
    agrees_within::<256, 256>(records)
}

/// The same where a lane keeps so many records, and a user has so many profiles.
fn agrees_within<const LANE: usize, const PROFILES: usize>(
    records: &[Record],
) -> Result<(), TestCaseError> {
    let mut oracle = Oracle::bounded(LANE, PROFILES);
    let mut probe = Probe::<LANE, PROFILES>::default();
    for record in records {
        let at = record.sequence;
        let expected = oracle.take(record);
        let Ok(outcome) = record.with_ref(|record| apply(&mut probe, record));
        prop_assert_eq!(outcome, expected, "at {}", at);
        prop_assert_eq!(Seen::from(&probe.state), oracle.seen(), "after {}", at);
        prop_assert!(oracle.is_settled(), "after {}", at);
        prop_assert_eq!(broken_invariant(&mut probe.state), None, "after {}", at);
    }
    Ok(())
}

/// A version of a document, named as [`held`] does, that is above what is held and not below what is parked.
fn next_version(state: &MemoryState, name: &str) -> u64 {
    let held = held(state).get(name).copied().flatten().unwrap_or(0);
    let parked = state.all_parked().filter(|parked| {
        let (Some(lane), Some(document)) = (&parked.lane, &parked.document) else {
            return false;
        };
        let theirs = match lane.family {
            Family::Profile => format!("{} {}", lane.user, document.id),
            Family::User | Family::Quarantine => document.id.to_string(),
        };
        theirs == name && parked.reason != ParkReason::VersionJump
    });
    let versions = parked.filter_map(|parked| Some(parked.document.as_ref()?.version.get()));
    versions.max().unwrap_or(0).max(held + ABOVE)
}

/// Publishes the next whole state of every document that is not erased, behind `last`: the users first,
/// each with an identity of its own, then for each user the live profile, then the others. Gives what
/// every identity is to be answered, and the last sequence.
fn publish_next_states(
    state: &mut MemoryState,
    mut last: u64,
) -> (BTreeMap<WorkosUserId, String>, u64) {
    let mut answers = BTreeMap::new();
    let users = ["u0", "u1", "u2"].map(|user| {
        let row = state.users().find(|(id, _)| id.as_str() == user);
        let is_erased = row.is_some_and(|(_, row)| row.document == UserDocument::Erased);
        (!is_erased).then_some(user)
    });
    let users: Vec<&str> = users.into_iter().flatten().collect();
    let mut publish = |state: &mut MemoryState, message: Message| {
        last += 1;
        fold(state, Sequence::new(last).map(|at| message.at(at)).iter());
    };
    let mut rows = Vec::new();
    for user in &users {
        let row = state.profiles().find(|(id, _)| id.as_str() == *user);
        rows.push(row.map(|(_, row)| row.clone()).unwrap_or_default());
    }
    for user in &users {
        let version = next_version(state, user);
        let next = user_state(user, version, &format!("own-{user}"));
        publish(state, next.message(Form::Binary));
    }
    for (user, row) in users.iter().zip(rows) {
        let live = row.live.as_ref().map(|live| live.id.as_str());
        let is_erased = |id: &str| {
            let mut gone = row.gone.iter();
            gone.any(|(other, gone)| other.as_str() == id && *gone == Gone::Erased)
        };
        let others = ["p0", "p1", "p2"]
            .into_iter()
            .filter(|id| Some(*id) != live);
        let mut ids: Vec<&str> = live
            .into_iter()
            .chain(others)
            .filter(|id| !is_erased(id))
            .collect();
        // What nobody can decode waits for any whole state of the lane, and there is none of the erased.
        if ids.is_empty() {
            ids.push("p3");
        }
        let identity = WorkosUserId::parse(&format!("own-{user}"));
        if let (Some(first), Ok(identity)) = (ids.first(), identity) {
            answers.insert(identity, format!("{user} {first}"));
        }
        for id in ids {
            let name = format!("{user} {id}");
            let next = profile_state(user, id, next_version(state, &name), &named(&name));
            publish(state, next.message(Form::Binary));
        }
    }
    (answers, last)
}

/// The ids of the generated profiles that are not the user's live one.
fn beside_live(state: &MemoryState, user: &str) -> Vec<&'static str> {
    let row = state.profiles().find(|(id, _)| id.as_str() == user);
    let live = row
        .and_then(|(_, row)| row.live.as_ref())
        .map(|live| live.id.as_str());
    ["p0", "p1", "p2"]
        .into_iter()
        .filter(|id| Some(*id) != live)
        .collect()
}

/// What is parked in `user` and `profile` lanes: all but decodable records of profiles for which
/// `counts`, asked with the live profile's id and the record's, says no.
fn parked_documents(state: &MemoryState, counts: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for parked in state.all_parked() {
        let Some(lane) = parked
            .lane
            .as_ref()
            .filter(|lane| lane.family != Family::Quarantine)
        else {
            continue;
        };
        let row = state.profiles().find(|(user, _)| **user == lane.user);
        let live = row.and_then(|(_, row)| row.live.as_ref());
        let live = live.map_or("", |live| live.id.as_str());
        let document = parked
            .document
            .as_ref()
            .filter(|_| lane.family == Family::Profile);
        if document.is_none_or(|document| counts(live, &document.id)) {
            found.push(format!("{parked:?}"));
        }
    }
    found
}

fn cases(times: u32) -> ProptestConfig {
    let once = ProptestConfig::default();
    ProptestConfig {
        cases: once.cases.saturating_mul(times),
        ..once
    }
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn the_fold_is_what_the_contract_says(records in history(50)) {
        agrees(&records)?;
    }

    #[test]
    fn the_fold_of_identities_is_what_the_contract_says(records in identity_history(50)) {
        agrees(&records)?;
    }

    #[test]
    fn full_lanes_and_users_with_all_profiles_are_what_the_contract_says(records in history(90)) {
        agrees_within::<3, 2>(&records)?;
        agrees_within::<1, 1>(&records)?;
    }

    #[test]
    fn full_lanes_of_identities_are_what_the_contract_says(records in identity_history(60)) {
        agrees_within::<2, 1>(&records)?;
    }

    #[test]
    fn repeated_records_take_nothing_back(
        records in history(40),
        again in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let mut state = MemoryState::default();
        for record in &repeated(&records, &again) {
            let before = state.clone();
            fold(&mut state, [record]);
            prop_assert!(only_forward(&before, &state), "at {}", record.sequence);
            prop_assert_eq!(broken_invariant(&mut state), None, "after {}", record.sequence);
        }
    }

    #[test]
    fn same_records_give_the_same_state(records in history(40)) {
        let mut states = [MemoryState::default(), MemoryState::default()];
        for state in &mut states {
            fold(state, &records);
        }
        let [one, other] = states;
        prop_assert_eq!(one, other);
    }

    #[test]
    fn next_whole_states_heal_everything_but_other_profiles_of_a_user(records in history(40)) {
        let mut state = MemoryState::default();
        fold(&mut state, &records);
        let last = records.iter().map(|record| record.sequence.get()).max().unwrap_or(0);
        let (expected, last) = publish_next_states(&mut state, last);

        prop_assert_eq!(parked_documents(&state, |live, id| live == id), Vec::<String>::new());
        let mut answers = BTreeMap::new();
        for (identity, _) in state.owners() {
            if let Some((user, live)) = state.profile_of(identity) {
                prop_assert_eq!(live.profile.members().display_name, format!("{user} {}", live.id));
                answers.insert(identity.clone(), format!("{user} {}", live.id));
            }
        }
        prop_assert_eq!(answers, expected);

        // What is left is about profiles beside the live one, and goes when they are given up.
        let places = (last + 1..).filter_map(Sequence::new);
        let deletions: Vec<Message> = ["u0", "u1", "u2"].into_iter().flat_map(|user| {
            let others = beside_live(&state, user);
            let state = &state;
            others.into_iter().map(move |id| {
                let version = next_version(state, &format!("{user} {id}"));
                profile_deleted(user, id, version).into()
            })
        }).collect();
        let next: Vec<Record> =
            places.zip(&deletions).map(|(at, message)| message.at(at)).collect();
        fold(&mut state, &next);
        prop_assert_eq!(parked_documents(&state, |_, _| true), Vec::<String>::new());
    }
}

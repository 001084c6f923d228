//! Properties of the fold over random histories. `PROPTEST_CASES` scales them (256 for once).

use std::collections::BTreeMap;

use domain::testing::{
    Form, History, Message, Oracle, Seen, broken_invariant, history, identity_history, named,
    profile_deleted, profile_state, user_state,
};
use domain::{Family, Gone, MemoryState, Record, Sequence, UserDocument, WorkosUserId, apply};
use proptest::prelude::*;
use proptest::sample::Index;

/// Above every version that a history gives.
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
    let mut oracle = Oracle::default();
    let mut state = MemoryState::default();
    for record in records {
        let at = record.sequence;
        let expected = oracle.take(record);
        let Ok(outcome) = record.with_ref(|record| apply(&mut state, record));
        prop_assert_eq!(outcome, expected, "at {}", at);
        prop_assert_eq!(Seen::from(&state), oracle.seen(), "after {}", at);
        prop_assert!(oracle.is_settled(), "after {}", at);
    }
    Ok(())
}

/// The next whole state of every document that is not erased: the users first, each with an identity
/// of its own, then for each user the live profile, then the others.
fn next_states(state: &MemoryState) -> (Vec<Message>, BTreeMap<WorkosUserId, String>) {
    let (mut users, mut profiles) = (Vec::new(), Vec::new());
    let mut answers = BTreeMap::new();
    for user in ["u0", "u1", "u2"] {
        let row = state.users().find(|(id, _)| id.as_str() == user);
        if row.is_some_and(|(_, row)| row.document == UserDocument::Erased) {
            continue;
        }
        let identity = format!("own-{user}");
        users.push(user_state(user, ABOVE, &identity).message(Form::Binary));
        let row = state.profiles().find(|(id, _)| id.as_str() == user);
        let row = row.map(|(_, row)| row.clone()).unwrap_or_default();
        let live = row.live.as_ref().map(|live| live.id.as_str());
        let is_erased = |id: &str| {
            let mut gone = row.gone.iter();
            gone.any(|(other, gone)| other.as_str() == id && *gone == Gone::Erased)
        };
        let others = ["p0", "p1", "p2"]
            .into_iter()
            .filter(|id| Some(*id) != live);
        let ids: Vec<&str> = live
            .into_iter()
            .chain(others)
            .filter(|id| !is_erased(id))
            .collect();
        if let (Some(first), Ok(identity)) = (ids.first(), WorkosUserId::parse(&identity)) {
            answers.insert(identity, format!("{user} {first}"));
        }
        profiles.extend(ids.into_iter().map(|id| {
            let members = named(&format!("{user} {id}"));
            profile_state(user, id, ABOVE, &members).message(Form::Binary)
        }));
    }
    users.extend(profiles);
    (users, answers)
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
        let (messages, expected) = next_states(&state);
        let last = records.iter().map(|record| record.sequence.get()).max().unwrap_or(0);
        let places = (last + 1..).filter_map(Sequence::new);
        let next: Vec<Record> = places.zip(&messages).map(|(at, message)| message.at(at)).collect();
        fold(&mut state, &next);

        prop_assert_eq!(parked_documents(&state, |live, id| live == id), Vec::<String>::new());
        let mut answers = BTreeMap::new();
        for (identity, _) in state.owners() {
            if let Some((user, live)) = state.profile_of(identity) {
                prop_assert_eq!(&*live.profile.display_name, format!("{user} {}", live.id));
                answers.insert(identity.clone(), format!("{user} {}", live.id));
            }
        }
        prop_assert_eq!(answers, expected);

        // What is left is about profiles beside the live one, and goes when they are given up.
        let last = last + u64::try_from(next.len()).unwrap_or(u64::MAX);
        let places = (last + 1..).filter_map(Sequence::new);
        let deletions: Vec<Message> = ["u0", "u1", "u2"].into_iter().flat_map(|user| {
            let others = beside_live(&state, user);
            others.into_iter().map(move |id| profile_deleted(user, id, ABOVE + 1).into())
        }).collect();
        let next: Vec<Record> =
            places.zip(&deletions).map(|(at, message)| message.at(at)).collect();
        fold(&mut state, &next);
        prop_assert_eq!(parked_documents(&state, |_, _| true), Vec::<String>::new());
    }
}

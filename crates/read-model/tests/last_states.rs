//! The last record of each subject gives what all of them give, or is refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use domain::testing::{
    Form, Message, history, identity_history, named, profile_deleted, profile_erased,
    profile_patched, profile_state, records, user_deleted, user_erased, user_state,
};
use domain::{
    Checkpoint, Decoded, Event, Fingerprint, NotWhole, Outcome, ParkReason, ProfileChange, Record,
    StreamId, UserChange, apply, decode, stands_for_all,
};
use proptest::prelude::*;
use read_model::{ReadModel, Totals, differences};

/// Applies records as one batch; what became of each.
fn fold(model: &mut ReadModel, records: &[&Record], last_states: bool) -> Vec<Outcome> {
    let mut batch = model.begin();
    if last_states {
        batch.of_last_states();
    }
    let stream = StreamId {
        name: "S".into(),
        created_ns: 1,
    };
    let held = batch.checkpoint().cloned();
    let mut to = held.unwrap_or_else(|| Checkpoint::start_of(stream));
    let mut outcomes = Vec::new();
    for record in records {
        outcomes.push(record.with_ref(|record| apply(&mut batch, record)).unwrap());
        to = to.advanced(Fingerprint {
            sequence: record.sequence,
            time_ns: 1,
        });
    }
    if !records.is_empty() {
        batch.commit(to).unwrap();
    }
    outcomes
}

/// What the last record of each subject gives; why it is refused.
fn bootstrapped(history: &[Record]) -> Result<ReadModel, String> {
    let mut lanes: BTreeMap<&str, (u64, &Record)> = BTreeMap::new();
    for record in history {
        let lane = lanes.entry(&record.subject).or_insert((0, record));
        *lane = (lane.0 + 1, record);
    }
    let mut last: Vec<_> = lanes.into_values().collect();
    last.sort_by_key(|(_, record)| record.sequence);
    for (records, record) in &last {
        let judged = record.with_ref(|record| stands_for_all(record, *records, *records));
        judged.map_err(|why| why.to_string())?;
    }
    let mut model = ReadModel::in_memory().unwrap();
    let last: Vec<&Record> = last.into_iter().map(|(_, record)| record).collect();
    let outcomes = fold(&mut model, &last, true);
    match outcomes
        .into_iter()
        .find(|outcome| matches!(outcome, Outcome::Parked(_)))
    {
        Some(parked) => Err(parked.as_str().to_owned()),
        None => Ok(model),
    }
}

fn in_full(history: &[Record]) -> ReadModel {
    let mut model = ReadModel::in_memory().unwrap();
    fold(&mut model, &history.iter().collect::<Vec<_>>(), false);
    model
}

fn count(totals: &Totals, wanted: Outcome) -> u64 {
    let mut counts = totals.outcomes.iter();
    counts.find(|(outcome, _)| *outcome == wanted).unwrap().1
}

/// What the last records cannot show: a version that was never published, and what the fold of all
/// records counts.
fn is_unseen(history: &[Record], full: &Totals) -> bool {
    let mut versions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for record in history {
        if let Some((document, version)) = document_of(record) {
            versions.entry(document).or_default().insert(version);
        }
    }
    let has_hole = |versions: &BTreeSet<u64>| {
        !versions
            .iter()
            .copied()
            .eq(1..=u64::try_from(versions.len()).unwrap())
    };
    let conflict = Outcome::Parked(ParkReason::MappingConflict);
    versions.values().any(has_hole)
        || count(full, Outcome::Resurrect) != 0
        || count(full, conflict) != 0
}

/// Which document an event is about, and its version; an erasure has none.
fn document_of(record: &Record) -> Option<(String, u64)> {
    let Decoded::Event(event) = record.with_ref(decode) else {
        return None;
    };
    let (id, version) = match event {
        Event::User { user, change } => match change {
            UserChange::State { version, .. } | UserChange::Deleted { version } => {
                (user.to_string(), version)
            }
            UserChange::Erased => return None,
        },
        Event::Profile {
            profile, change, ..
        } => match change {
            ProfileChange::State { version, .. }
            | ProfileChange::Patch { version, .. }
            | ProfileChange::Deleted { version } => (profile.to_string(), version),
            ProfileChange::Erased => return None,
        },
        Event::Dropped { .. } => return None,
    };
    Some((format!("{} {id}", record.subject), version.get()))
}

/// The records of a history that hold whole states, numbered anew.
fn whole_states(history: &[Record]) -> Vec<Record> {
    let is_whole = |record: &&Record| match record.with_ref(decode) {
        Decoded::Event(Event::Profile { change, .. }) => {
            !matches!(change, ProfileChange::Patch { .. })
        }
        Decoded::Event(Event::User { .. }) => true,
        Decoded::Event(Event::Dropped { .. })
        | Decoded::UnknownType(_)
        | Decoded::Invalid { .. } => false,
    };
    let messages: Vec<Message> = history.iter().filter(is_whole).map(Message::from).collect();
    records(&messages)
}

fn assert_same(one: &ReadModel, other: &ReadModel) -> Result<(), TestCaseError> {
    let (one, other) = (one.reader(), other.reader());
    prop_assert_eq!(differences(&one, &other, 5).unwrap(), []);
    let (one, other) = (one.totals(), other.totals());
    prop_assert_eq!(one.digest, other.digest);
    prop_assert_eq!((one.users, one.profiles), (other.users, other.profiles));
    prop_assert_eq!(count(&other, Outcome::VersionGap), 0);
    Ok(())
}

/// What a well-behaved source does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The user with one of its own two identities, so that nobody else's is ever taken.
    User(bool),
    UserDeleted,
    UserErased,
    Profile(u8),
    ProfileDeleted,
}

fn acts() -> impl Strategy<Value = Vec<(u8, Act)>> {
    let act = prop_oneof![
        8 => any::<bool>().prop_map(Act::User),
        1 => Just(Act::UserDeleted),
        1 => Just(Act::UserErased),
        8 => (0_u8..9).prop_map(Act::Profile),
        1 => Just(Act::ProfileDeleted),
    ];
    prop::collection::vec((0_u8..8, act), 1..60)
}

/// A stream of whole states as the contract wants it: each version once, nothing after an erasure.
fn source(acts: &[(u8, Act)]) -> Vec<Record> {
    let mut versions: BTreeMap<(u8, bool), u64> = BTreeMap::new();
    let mut erased = Vec::new();
    let mut messages = Vec::new();
    for (n, act) in acts {
        if erased.contains(n) {
            continue;
        }
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        let is_user = matches!(act, Act::User(_) | Act::UserDeleted | Act::UserErased);
        let version = versions.entry((*n, is_user)).or_default();
        *version += 1;
        let draft = match act {
            Act::User(other) => user_state(&user, *version, &format!("w{n}{other}")),
            Act::UserDeleted => user_deleted(&user, *version),
            Act::UserErased => {
                erased.push(*n);
                user_erased(&user, *version)
            }
            Act::Profile(name) => {
                profile_state(&user, &profile, *version, &named(&name.to_string()))
            }
            Act::ProfileDeleted => profile_deleted(&user, &profile, *version),
        };
        messages.push(draft.message(Form::Binary));
    }
    records(&messages)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whole_states_in_order_are_taken_and_go_on_as_all_of_them(
        acts in acts(),
        cut in 0_usize..60,
    ) {
        let history = source(&acts);
        let cut = cut.min(history.len());
        let (first, rest) = history.split_at(cut);
        let mut model = bootstrapped(first).map_err(TestCaseError::fail)?;
        assert_same(&in_full(first), &model)?;
        fold(&mut model, &rest.iter().collect::<Vec<_>>(), false);
        assert_same(&in_full(&history), &model)?;
    }

    #[test]
    fn any_whole_states_give_the_same_or_are_refused(history in history(14)) {
        let history = whole_states(&history);
        let full = in_full(&history);
        if let Ok(model) = bootstrapped(&history)
            && !is_unseen(&history, &full.reader().totals())
        {
            assert_same(&full, &model)?;
        }
    }

    #[test]
    fn identities_that_change_hands_give_the_same_or_are_refused(history in identity_history(24)) {
        let full = in_full(&history);
        if let Ok(model) = bootstrapped(&history)
            && !is_unseen(&history, &full.reader().totals())
        {
            assert_same(&full, &model)?;
        }
    }
}

#[test]
fn each_reason_is_named() {
    let judge = |message: &Message, records_on_it: u64| {
        let record = records([message]).remove(0);
        record
            .with_ref(|record| stands_for_all(record, records_on_it, records_on_it))
            .map_err(|why| why.to_string())
    };
    let profile = |version| profile_state("u", "p", version, &named("a")).message(Form::Bare);
    assert_eq!(judge(&profile(1), 1), Ok(()));
    assert_eq!(judge(&profile(7), 1), Ok(()), "it is all that there is");
    assert_eq!(judge(&profile(7), 7), Ok(()));
    assert_eq!(
        judge(&profile(1), 3).unwrap_err(),
        "its subject holds 3 events and it is version 1"
    );
    let patch = profile_patched("u", "p", 3, &named("x")).message(Form::Bare);
    assert_eq!(judge(&patch, 3).unwrap_err(), NotWhole::Patch.to_string());
    let erased = profile_erased("u", "p", 3).message(Form::Bare);
    assert_eq!(judge(&erased, 1), Ok(()));
    assert!(judge(&erased, 3).is_err());
    assert_eq!(judge(&user_erased("u", 3).message(Form::Bare), 9), Ok(()));
    let dropped = domain::testing::dropped("u", 1).message(Form::Bare);
    assert!(judge(&dropped, 1).unwrap_err().contains("decision"));
    let broken = Message::bare("identity.v1.u.profile", "{");
    assert_eq!(judge(&broken, 1).unwrap_err(), "it cannot be decoded");
}

#[test]
fn two_users_with_one_identity_are_refused() {
    let messages = [
        user_state("u1", 1, "w").message(Form::Binary),
        user_state("u2", 1, "w").message(Form::Binary),
    ];
    let refused = bootstrapped(&records(&messages)).err().unwrap();
    assert_eq!(refused, "parked{mapping_conflict}");
}

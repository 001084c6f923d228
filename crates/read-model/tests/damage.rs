//! No row is used whose bytes are not what was written (R8).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use domain::testing::{
    Form, Message, dropped, history, named, profile_deleted, profile_patched, profile_state,
    records, user_deleted, user_erased, user_state,
};
use domain::{Checkpoint, Fingerprint, PackedProfile, Record, StreamId, WorkosUserId, apply};
use proptest::prelude::*;
use read_model::{CommitError, Options, Place, ReadModel, Reader, SnapshotError};
use serde_json::json;

const OPTIONS: Options = Options {
    cache_bytes: 1024 * 1024,
};
const USERS: u64 = 90;
/// How many bits are flipped, each in a file of its own.
const FLIPS: u64 = 300;
/// What the engine reads and writes at once.
const PAGE: usize = 4096;

/// People with long and short profiles, some deleted, erased, parked, and waiting for an identity.
fn people() -> Vec<Record> {
    let mut messages: Vec<Message> = Vec::new();
    for version in 1..=3 {
        for number in 0..USERS {
            let (user, profile) = (format!("u{number:04}"), format!("p{number:04}"));
            let bio = "bio ".repeat(usize::try_from(number * version % 60).unwrap());
            let mut members = named(&format!("Name {number} {version}"));
            members["bio"] = json!(bio);
            messages
                .push(user_state(&user, version, &format!("user_{number}")).message(Form::Binary));
            messages.push(profile_state(&user, &profile, version, &members).message(Form::Binary));
        }
    }
    for number in 0..USERS / 3 {
        let (user, profile) = (format!("u{number:04}"), format!("p{number:04}"));
        let patch = json!({ "bio": "never" });
        messages.push(match number % 5 {
            0 => user_deleted(&user, 4).message(Form::Binary),
            1 => user_erased(&user, 4).message(Form::Binary),
            2 => profile_deleted(&user, &profile, 4).message(Form::Binary),
            3 => profile_patched(&user, &profile, 9, &patch).message(Form::Binary),
            _ => user_state(&format!("w{number:04}"), 1, "user_80").message(Form::Binary),
        });
    }
    messages.push(Message::bare("identity.v1.u0050.profile", "{"));
    messages.push(Message::bare("identity.v1.u0050.quarantine", "{"));
    messages.push(Message::bare("identity.v1", "{"));
    messages.push(dropped("u0050", 1).message(Form::Binary));
    records(&messages)
}

/// A file of these records, in several commits or with runs that are not merged.
fn made(folder: &Path, spilled: bool) -> ReadModel {
    let mut model = ReadModel::open(folder, OPTIONS).unwrap();
    for records in people().chunks(170) {
        fold(&mut model, records, spilled).unwrap();
    }
    model
}

fn fold(model: &mut ReadModel, records: &[Record], spilled: bool) -> Result<(), CommitError> {
    let mut batch = model.begin();
    let start = Checkpoint::start_of(StreamId {
        name: "S".into(),
        created_ns: 5,
    });
    let mut to = batch.checkpoint().cloned().unwrap_or(start);
    for record in records {
        let at = Fingerprint {
            sequence: record.sequence,
            time_ns: 7,
        };
        batch.arrives(at);
        record.with_ref(|record| apply(&mut batch, record))?;
        to = to.advanced(at);
    }
    if spilled {
        batch.spill(to, 0)?;
    } else {
        batch.commit(to)?;
    }
    Ok(())
}

type Answered = Option<(String, String, PackedProfile)>;

/// What everybody and a few strangers are answered; `Err` for an error.
fn answers(reader: &Reader) -> Vec<Result<Answered, ()>> {
    let known = (0..USERS).map(|number| format!("user_{number}"));
    let strangers = (0..40).map(|number| format!("user_{}0x", number * 3));
    known
        .chain(strangers)
        .map(|identity| {
            let identity = WorkosUserId::parse(&identity).unwrap();
            let answer = reader.profile_of(&identity).map_err(drop)?;
            let profile = answer.profile().map_err(drop)?;
            Ok(profile.map(|found| {
                let profile = PackedProfile::from(&found.profile);
                (found.user.to_owned(), found.id.to_owned(), profile)
            }))
        })
        .collect()
}

fn snapshot_of(model: &ReadModel) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    let inspection = model.reader().inspect();
    inspection.write_snapshot(&mut bytes, |_| ControlFlow::Continue(()))?;
    Ok(bytes)
}

/// Numbers that look random and follow from a seed (`SplitMix64`).
fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[derive(Debug, Default)]
struct Came {
    refused: u64,
    named: u64,
    without_effect: u64,
    answered_with_an_error: usize,
}

/// Where bits are: in pages that hold anything, all of them equally often.
fn places(whole: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let pages = whole.chunks(PAGE).enumerate();
    let used = pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    let used: Vec<usize> = used.map(|(number, _)| number).collect();
    (0..FLIPS).map(move |flip| {
        let page = used[usize::try_from(flip).unwrap() % used.len()];
        let chance = usize::try_from(mixed(flip) >> 1).unwrap();
        let bit = u32::try_from(chance / PAGE % 8).unwrap();
        (page * PAGE + chance % PAGE, bit)
    })
}

fn flip_everywhere(spilled: bool, compacted: bool) -> Came {
    let folder = tempfile::tempdir().unwrap();
    let mut model = made(folder.path(), spilled);
    if compacted {
        model.compact().unwrap();
        model = ReadModel::open(folder.path(), OPTIONS).unwrap();
    }
    let expected = answers(&model.reader());
    assert!(expected.iter().all(Result::is_ok));
    let audit = model.reader().inspect().audit().unwrap();
    assert_eq!(audit.damages, []);
    let snapshot = snapshot_of(&model).unwrap();
    drop(model);
    let whole = fs::read(Place::Live.path(folder.path())).unwrap();
    let mut came = Came::default();
    for (at, bit) in places(&whole) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << bit;
        fs::write(Place::Live.path(folder.path()), &bytes).unwrap();
        let Ok(model) = ReadModel::open(folder.path(), OPTIONS) else {
            came.refused += 1;
            continue;
        };
        let found = answers(&model.reader());
        for (found, expected) in found.iter().zip(&expected) {
            if found.is_ok() {
                assert_eq!(found, expected, "bit {bit} of byte {at}");
            }
        }
        let errors = found.iter().filter(|found| found.is_err()).count();
        came.answered_with_an_error += errors;
        let audit = model.reader().inspect().audit();
        let clean = audit.is_ok_and(|audit| audit.is_clean());
        let shown = snapshot_of(&model);
        let shown_error = shown.is_err();
        if clean {
            let same = shown.is_ok_and(|shown| shown == snapshot);
            assert!(
                same && errors == 0,
                "bit {bit} of byte {at} has an effect that is not named"
            );
            came.without_effect += 1;
        } else {
            // What is in memory already may be whole.
            let is_right = shown.is_ok_and(|shown| shown == snapshot) || shown_error;
            assert!(
                is_right,
                "bit {bit} of byte {at}: a snapshot was made of it"
            );
            came.named += 1;
        }
        // Closing it would write what the damage made of it.
        std::mem::forget(model);
    }
    came
}

#[test]
fn r8_no_single_bit_makes_a_wrong_answer_and_each_is_named_or_without_effect() {
    let came = flip_everywhere(false, false);
    assert!(
        20 < came.named && 10 < came.answered_with_an_error,
        "{came:?}"
    );
}

#[test]
fn r8_nor_does_one_in_a_file_that_is_no_larger_than_its_rows() {
    let came = flip_everywhere(false, true);
    assert!(
        40 < came.named && 20 < came.answered_with_an_error,
        "{came:?}"
    );
}

#[test]
fn r8_nor_does_one_in_rows_that_are_spilled() {
    let came = flip_everywhere(true, false);
    assert!(3 < came.named, "{came:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Any history, a bit that flips in the middle of it, and the rest: an error, or damage that is named, or
    /// the rows of the fold.
    #[test]
    fn r8_nothing_is_folded_on_a_row_that_changed_by_itself(
        history in history(60),
        chances in prop::collection::vec(any::<u64>(), 4),
    ) {
        let (first, rest) = history.split_at(history.len() / 2);
        prop_assume!(!first.is_empty() && !rest.is_empty());
        let folder = tempfile::tempdir().unwrap();
        let mut model = ReadModel::open(folder.path(), OPTIONS).unwrap();
        fold(&mut model, first, false).unwrap();
        drop(model);
        let path = Place::Live.path(folder.path());
        let whole = fs::read(&path).unwrap();
        let mut model = ReadModel::in_memory().unwrap();
        fold(&mut model, first, false).unwrap();
        fold(&mut model, rest, false).unwrap();
        let expected = snapshot_of(&model).unwrap();
        let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        for chance in chances {
            let chance = usize::try_from(chance >> 3).unwrap();
            let mut bytes = whole.clone();
            bytes[used[chance / 8 % used.len()]] ^= 1 << (chance % 8);
            fs::remove_file(&path).unwrap();
            fs::write(&path, bytes).unwrap();
            let Ok(mut model) = ReadModel::open(folder.path(), OPTIONS) else {
                continue;
            };
            let folded = fold(&mut model, rest, false);
            let audit = model.reader().inspect().audit();
            if folded.is_ok() && audit.is_ok_and(|audit| audit.is_clean()) {
                prop_assert!(snapshot_of(&model).unwrap() == expected);
            }
            // Closing it would write what the damage made of it.
            std::mem::forget(model);
        }
    }
}

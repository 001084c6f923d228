//! A snapshot holds the state it was made of, or is refused.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::testing::{History, history};
use domain::{Checkpoint, Fingerprint, Record, StreamId, apply};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use read_model::{Incoming, Options, Place, ReadModel, RestoreError, SnapshotError};

const OPTIONS: Options = Options {
    cache_bytes: 4 * 1024 * 1024,
};

fn fold(model: &mut ReadModel, history: &History, batch_length: usize) {
    for records in history.chunks(batch_length) {
        let mut batch = model.begin();
        let start = || {
            Checkpoint::start_of(StreamId {
                name: "S".into(),
                created_ns: 5,
            })
        };
        let mut to = batch.checkpoint().cloned().unwrap_or_else(start);
        for record in records {
            let at = place_of(record);
            batch.arrives(at);
            record.with_ref(|record| apply(&mut batch, record)).unwrap();
            to = to.advanced(at);
        }
        batch.commit(to).unwrap();
    }
}

fn place_of(record: &Record) -> Fingerprint {
    Fingerprint {
        sequence: record.sequence,
        time_ns: 7,
    }
}

fn snapshot_of(model: &ReadModel) -> Vec<u8> {
    let mut bytes = Vec::new();
    let inspection = model.reader().inspect();
    let on = |_| ControlFlow::Continue(());
    inspection.write_snapshot(&mut bytes, on).unwrap();
    bytes
}

fn restore(bytes: &[u8], folder: &Path) -> Result<(), RestoreError> {
    Incoming::open(bytes)?.restore(folder, OPTIONS, |_| ControlFlow::Continue(()))
}

fn sample() -> Vec<u8> {
    let history = history(60).new_tree(&mut TestRunner::deterministic());
    let mut model = ReadModel::in_memory().unwrap();
    fold(&mut model, &history.unwrap().current(), 60);
    snapshot_of(&model)
}

/// What is in the folder, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn spilled_rows_are_in_it_too() {
    let history = history(60).new_tree(&mut TestRunner::deterministic());
    let history = history.unwrap().current();
    let mut model = ReadModel::in_memory().unwrap();
    fold(&mut model, &History(history[..5].to_vec()), 5);
    let mut to = model.reader().checkpoint().unwrap();
    let mut batch = model.begin();
    for records in history[5..].chunks(3) {
        for record in records {
            let at = place_of(record);
            batch.arrives(at);
            record.with_ref(|record| apply(&mut batch, record)).unwrap();
            to = to.advanced(at);
        }
        batch.spill(to.clone(), 0).unwrap();
    }
    drop(batch);
    let spilled = snapshot_of(&model);
    model.begin().settle().unwrap();
    assert_eq!(spilled, snapshot_of(&model));
    let folder = tempfile::tempdir().unwrap();
    restore(&spilled, folder.path()).unwrap();
    let restored = ReadModel::open(folder.path(), OPTIONS).unwrap();
    assert_eq!(spilled, snapshot_of(&restored), "one state has one form");
    assert!(!restored.reader().was_live(), "it was not live itself");
}

#[test]
fn another_batching_makes_the_same_bytes() {
    let history = history(60).new_tree(&mut TestRunner::deterministic());
    let history = history.unwrap().current();
    let of = |batch| {
        let mut model = ReadModel::in_memory().unwrap();
        fold(&mut model, &history, batch);
        snapshot_of(&model)
    };
    assert_eq!(of(60), of(1));
}

#[test]
fn r6_a_snapshot_that_was_cut_off_or_changed_leaves_nothing() {
    let bytes = sample();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let step = bytes.len() / 15;
    for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        let refused = restore(&bytes[..length], &folder).unwrap_err();
        let cut_off = matches!(refused, RestoreError::CutOff | RestoreError::Foreign);
        assert!(cut_off, "{length}: {refused}");
        assert!(names(&folder).is_empty());
    }
    for at in (0..bytes.len()).step_by(step).chain(17..40) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x40;
        restore(&changed, &folder).unwrap_err();
        assert!(names(&folder).is_empty());
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    let refused = restore(&longer, &folder).unwrap_err().to_string();
    assert_eq!(refused, "it is damaged: something stands behind its end");
}

#[test]
fn r6_a_hash_is_judged_without_believing_anything_else() {
    let bytes = sample();
    let check = |bytes: &[u8]| Incoming::open(bytes).and_then(Incoming::check);
    check(&bytes).unwrap();
    // Behind magic, layout and rows stands the checkpoint: stream, times, places.
    for at in (28..bytes.len()).step_by(7) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x01;
        let refused = check(&changed).unwrap_err();
        let is_named = matches!(refused, RestoreError::Damaged(_) | RestoreError::CutOff);
        assert!(is_named, "{at}: {refused}");
    }
    for length in [bytes.len() - 1, bytes.len() - 40] {
        check(&bytes[..length]).unwrap_err();
    }
    check(&[&bytes[..], b"x"].concat()).unwrap_err();
}

#[test]
fn r4_a_snapshot_of_another_layout_or_of_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = sample();
    other[16] = 200;
    let refused = restore(&other, folder.path()).unwrap_err();
    let RestoreError::OtherLayout { found: 200, .. } = refused else {
        panic!("{refused}");
    };
    let refused = restore(
        b"{\"hello\": \"world, this is no snapshot\"}",
        folder.path(),
    );
    assert!(matches!(refused, Err(RestoreError::Foreign)));
}

#[test]
fn the_file_is_private_and_the_one_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = sample();
    restore(&bytes, folder.path()).unwrap();
    restore(&bytes, folder.path()).unwrap();
    let mut found = names(folder.path());
    found.sort();
    assert_eq!(found, ["read-model.previous.redb", "read-model.redb"]);
    let metadata = Place::Live.path(folder.path()).metadata().unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[test]
fn an_empty_read_model_gives_none_and_both_ways_can_be_stopped() {
    let model = ReadModel::in_memory().unwrap();
    let inspection = model.reader().inspect();
    let made = inspection.write_snapshot(&mut Vec::new(), |_| ControlFlow::Continue(()));
    assert!(matches!(made, Err(SnapshotError::Empty)));

    let mut model = ReadModel::in_memory().unwrap();
    let users = (0..5_000).map(|n| {
        let user = format!("u{n}");
        domain::testing::user_state(&user, 1, &user).message(domain::testing::Form::Binary)
    });
    let users: Vec<_> = users.collect();
    fold(
        &mut model,
        &History(domain::testing::records(&users)),
        5_000,
    );
    let inspection = model.reader().inspect();
    let made = inspection.write_snapshot(&mut Vec::new(), |_| ControlFlow::Break(()));
    assert!(matches!(made, Err(SnapshotError::Stopped)));
    let bytes = snapshot_of(&model);
    let folder = tempfile::tempdir().unwrap();
    let incoming = Incoming::open(bytes.as_slice()).unwrap();
    let stopped = incoming.restore(folder.path(), OPTIONS, |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(RestoreError::Stopped)));
    assert!(names(folder.path()).is_empty());
}

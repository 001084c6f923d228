//! A look at a file tells what it holds, and changes nothing.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use domain::{Checkpoint, Fingerprint, Sequence, StreamId};
use read_model::{OpenError, Options, Place, ReadModel};

/// A live file whose rows end at this message.
fn made(folder: &Path, sequence: u64) -> ReadModel {
    let mut model = ReadModel::open(folder, Options::default()).unwrap();
    let stream = StreamId {
        name: "S".into(),
        created_ns: 7,
    };
    let last = Fingerprint {
        sequence: Sequence::new(sequence).unwrap(),
        time_ns: 1,
    };
    let to = Checkpoint::start_of(stream).advanced(last);
    model.begin().commit(to).unwrap();
    model
}

#[test]
fn what_a_closed_file_holds_is_seen_and_not_a_byte_of_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let model = made(folder.path(), 4711);
    let held = model.reader().checkpoint();
    drop(model);
    let path = Place::Live.path(folder.path());
    let before = fs::read(&path).unwrap();
    let glance = Place::Live.look(folder.path()).unwrap().unwrap();
    assert_eq!(glance.checkpoint, held);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn r3_a_file_that_is_open_is_not_looked_into_and_its_owner_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let model = made(folder.path(), 1);
    let refused = Place::Live.look(folder.path()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    model.reader().inspect().manifest().unwrap();
}

/// The file as a crash leaves it after a commit, and after it was marked live: its next opening need
/// not walk it, so it can be looked into.
#[test]
fn a_file_that_was_never_closed_is_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = made(folder.path(), 1);
    for step in ["committed", "marked live"] {
        if step == "marked live" {
            model.mark_live().unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        let (path, copied) = (
            Place::Live.path(folder.path()),
            Place::Live.path(copy.path()),
        );
        fs::copy(&path, &copied).unwrap();
        let glance = Place::Live.look(copy.path()).unwrap().expect(step);
        assert_eq!(fs::read(&copied).unwrap(), fs::read(&path).unwrap());
        assert_eq!(glance.checkpoint.unwrap().sequence(), 1, "{step}");
    }
}

#[test]
fn what_is_no_read_model_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let look = || Place::Live.look(folder.path()).unwrap_err();
    assert!(matches!(look(), OpenError::Folder { .. }), "there is none");
    fs::write(Place::Live.path(folder.path()), [7; 9000]).unwrap();
    assert!(matches!(look(), OpenError::Damaged { .. }), "{}", look());
}

/// The engine panics over some of these.
#[test]
fn a_damaged_file_is_told_by_looking_and_by_opening() {
    let folder = tempfile::tempdir().unwrap();
    drop(made(folder.path(), 1));
    let whole = fs::read(Place::Live.path(folder.path())).unwrap();
    let is_told = |error: &OpenError| {
        matches!(
            error,
            OpenError::Damaged { .. } | OpenError::OtherLayout { .. }
        )
    };
    let mut refused = (0, 0);
    for at in (0..whole.len()).filter(|at| at % 388 == 291 || at % 4096 == 53) {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x80;
        fs::write(Place::Live.path(folder.path()), &bytes).unwrap();
        let Err(error) = Place::Live.look(folder.path()) else {
            continue;
        };
        assert!(is_told(&error), "byte {at}: {error}");
        refused.0 += 1;
        match ReadModel::open(folder.path(), Options::default()) {
            // Closing it would write what the damage made of it.
            Ok(model) => std::mem::forget(model),
            Err(error) => {
                assert!(is_told(&error), "byte {at}: {error}");
                refused.1 += 1;
            }
        }
    }
    assert!(10 < refused.0 && 5 < refused.1, "{refused:?}");
}

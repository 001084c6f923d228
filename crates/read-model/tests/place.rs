//! Another file takes the live one's place: at any interruption one of the two is live, and no reader
//! notices.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::testing::{Form, named, profile_state, records, user_state};
use domain::{Checkpoint, Fingerprint, StreamId, WorkosUserId, apply};
use read_model::{Difference, DifferenceKind, Options, Place, ReadModel, differences};

/// Puts the user `u` with this name into the read model.
fn fill(model: &mut ReadModel, name: &str) {
    fill_with(model, name, 0);
}

/// The same, and so many others without a profile.
fn fill_with(model: &mut ReadModel, name: &str, others: u32) {
    let user = [
        user_state("u", 1, "w"),
        profile_state("u", "p", 1, &named(name)),
    ];
    let others = (0..others).map(|n| user_state(&format!("u{n}"), 1, &format!("w{n}")));
    let messages = user.into_iter().chain(others);
    let messages: Vec<_> = messages.map(|one| one.message(Form::Binary)).collect();
    let mut batch = model.begin();
    let history = records(&messages);
    for record in &history {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
    }
    let stream = StreamId {
        name: "S".into(),
        created_ns: 1,
    };
    let last = Fingerprint {
        sequence: history.last().unwrap().sequence,
        time_ns: 1,
    };
    let to = Checkpoint::start_of(stream).advanced(last);
    batch.commit(to).unwrap();
}

fn made(folder: &Path, place: Place, name: &str) -> ReadModel {
    let mut model = ReadModel::open_at(folder, place, Options::default()).unwrap();
    fill(&mut model, name);
    model
}

fn name_in(model: &ReadModel) -> String {
    let answer = model
        .reader()
        .profile_of(&WorkosUserId::parse("w").unwrap())
        .unwrap();
    let found = answer.profile().unwrap().unwrap();
    found.profile.display_name.to_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn r7_interrupted_anywhere_one_file_is_live_and_the_other_is_kept() {
    for interrupted_at in 0..=4 {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        drop(made(folder, Place::Live, "old"));
        drop(made(folder, Place::Rebuild, "new"));
        let mut steps = 0;
        let ended = Place::Rebuild.put_live_interrupted(folder, |_| {
            steps += 1;
            if steps > interrupted_at {
                Err(io::Error::other("killed"))
            } else {
                Ok(())
            }
        });
        assert_eq!(ended.is_ok(), interrupted_at == 4);
        let live = ReadModel::open(folder, Options::default()).unwrap();
        let swapped = interrupted_at >= 2;
        assert_eq!(name_in(&live), if swapped { "new" } else { "old" });
        let other = if swapped {
            Place::Previous
        } else {
            Place::Rebuild
        };
        assert_eq!(
            files(folder),
            [other.file_name(), Place::Live.file_name()],
            "step {interrupted_at}"
        );
        drop(live);
        if !swapped {
            Place::Rebuild.put_live(folder).unwrap();
        }
        // And back again: what was live before is kept once more.
        Place::Previous.put_live(folder).unwrap();
        let live = ReadModel::open(folder, Options::default()).unwrap();
        assert_eq!(name_in(&live), "old");
        let kept = ReadModel::open_at(folder, Place::Previous, Options::default()).unwrap();
        assert_eq!(name_in(&kept), "new");
    }
}

#[test]
fn r7_no_reader_fails_or_waits_while_files_change_places() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut live = made(folder, Place::Live, "0");
    let reader = live.reader();
    let done = AtomicBool::new(false);
    let (reads, live) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let identity = WorkosUserId::parse("w").unwrap();
                    let (mut reads, mut seen) = (0_u64, 0);
                    while !done.load(Ordering::Relaxed) {
                        let answer = reader.profile_of(&identity).unwrap();
                        let found = answer.profile().unwrap().unwrap();
                        let swap: u32 = found.profile.display_name.parse().unwrap();
                        assert!(seen <= swap, "an older file was seen again");
                        seen = swap;
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for swap in 1..20 {
            let mut next = made(folder, Place::Rebuild, &swap.to_string());
            Place::Rebuild.put_live(folder).unwrap();
            next.succeed(live);
            live = next;
        }
        done.store(true, Ordering::Relaxed);
        let reads = readers.into_iter().map(|r| r.join().unwrap());
        (reads.sum::<u64>(), live)
    });
    assert!(reads > 100, "{reads}");
    assert_eq!(name_in(&live), "19");
    let second = ReadModel::open(folder, Options::default());
    assert!(second.is_err(), "the file in its new place is still locked");
}

#[test]
fn r7_a_read_under_way_ends_in_the_file_it_began_in() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // More than a page, or all of it is in memory.
    let mut live = ReadModel::open(folder, Options::default()).unwrap();
    fill_with(&mut live, "old", 1_000);
    let reader = live.reader();
    let under_way = reader.inspect();
    let reading = std::thread::spawn(move || {
        let identity = WorkosUserId::parse("w").unwrap();
        let is_old = || {
            let answer = reader.profile_of(&identity).unwrap();
            let found = answer.profile().unwrap().unwrap();
            found.profile.display_name == "old"
        };
        while is_old() {
            std::thread::yield_now();
        }
        for _ in 0..2_000 {
            assert!(under_way.owner(&identity).unwrap().is_some());
        }
    });
    let mut next = made(folder, Place::Rebuild, "new");
    Place::Rebuild.put_live(folder).unwrap();
    next.succeed(live);
    reading.join().unwrap();
    assert_eq!(name_in(&next), "new");
}

#[test]
fn differences_are_named_by_user_and_table() {
    let mut first = ReadModel::in_memory().unwrap();
    let mut second = ReadModel::in_memory().unwrap();
    fill(&mut first, "Ada");
    fill(&mut second, "Ada");
    let compare = |first: &ReadModel, second: &ReadModel| {
        differences(&first.reader(), &second.reader(), 10).unwrap()
    };
    assert_eq!(compare(&first, &second), []);
    let mut third = ReadModel::in_memory().unwrap();
    fill(&mut third, "Grace");
    let found = |table, kind| Difference {
        user: "u".into(),
        table,
        kind,
    };
    assert_eq!(
        compare(&first, &third),
        [found("profiles", DifferenceKind::Content)]
    );
    let empty = ReadModel::in_memory().unwrap();
    assert_eq!(
        compare(&empty, &first),
        [
            found("users", DifferenceKind::OnlySecond),
            found("profiles", DifferenceKind::OnlySecond)
        ]
    );
}

//! Another file takes the live one's place: at any interruption one of the two is live, and no reader
//! notices.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use domain::testing::{Form, named, profile_state, records, user_state};
use domain::{Checkpoint, Fingerprint, StreamId, WorkosUserId, apply};
use read_model::{
    Difference, DifferenceKind, Incoming, OpenError, Options, Outgoing, Place, ReadModel,
    differences,
};

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
    model.finish().unwrap();
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
        let ended = Place::Rebuild.put_live_interrupted(folder, Outgoing::Previous, |_| {
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
            Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
        }
        // And back again: what was live before is kept once more.
        Place::Previous
            .put_live(folder, Outgoing::Previous)
            .unwrap();
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
            Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
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
    Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
    next.succeed(live);
    reading.join().unwrap();
    assert_eq!(name_in(&next), "new");
}

#[test]
fn a_read_that_takes_long_neither_holds_up_nor_fails() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut live = ReadModel::open(folder, Options::default()).unwrap();
    fill_with(&mut live, "old", 1_000);
    let mut pinned = Vec::new();
    let identity = WorkosUserId::parse("w").unwrap();
    for swap in 0..4 {
        pinned.push(live.reader().pinned());
        // One of an earlier commit holds the file as well.
        let further = live_at(&live, 2_000);
        live.begin().commit(further).unwrap();
        let mut next = ReadModel::open_at(folder, Place::Rebuild, Options::default()).unwrap();
        fill_with(&mut next, &swap.to_string(), 1_000);
        assert!(live.may_be_succeeded());
        Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
        let since = std::time::Instant::now();
        next.succeed(live);
        assert!(since.elapsed().as_secs() < 2, "{:?}", since.elapsed());
        live = next;
    }
    assert!(!live.may_be_succeeded(), "each file of before is open");
    let names = pinned.iter().map(|reader| {
        let answer = reader.profile_of(&identity).unwrap();
        answer
            .profile()
            .unwrap()
            .unwrap()
            .profile
            .display_name
            .to_owned()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["old", "0", "1", "2"]);
    // The latest of them is closed when its reader is done.
    let again = || ReadModel::open_at(folder, Place::Previous, Options::default());
    assert!(matches!(again().err(), Some(OpenError::InUse { .. })));
    drop(pinned);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while again().is_err() {
        assert!(std::time::Instant::now() < until, "it is never closed");
        std::thread::yield_now();
    }
    while !live.may_be_succeeded() {
        std::thread::yield_now();
    }
}

/// The place so far on in the stream of a model.
fn live_at(model: &ReadModel, sequence: u64) -> Checkpoint {
    let held = model.reader().checkpoint().unwrap();
    held.advanced(Fingerprint {
        sequence: domain::Sequence::new(sequence).unwrap(),
        time_ns: 2,
    })
}

#[test]
fn what_a_job_never_accepted_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    drop(made(folder, Place::Live, "old"));
    let mut half = ReadModel::open_at(folder, Place::Rebuild, Options::default()).unwrap();
    fill(&mut half, "half");
    let origin = half.origin().unwrap();
    assert!(origin.is_ours() && origin.is_unfinished());
    drop(half);
    // By hand, or by a step that was left out.
    Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
    let refused = ReadModel::open(folder, Options::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Unfinished { .. }), "{refused}");
    Place::Previous
        .put_live(folder, Outgoing::Previous)
        .unwrap();
    let live = ReadModel::open(folder, Options::default()).unwrap();
    assert_eq!(name_in(&live), "old");
}

#[test]
fn the_last_good_file_stays_until_it_is_live_again() {
    for interrupted_at in 0..=4 {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        drop(made(folder, Place::Live, "good"));
        drop(made(folder, Place::Rebuild, "1"));
        let mut steps = 0;
        let ended = Place::Rebuild.put_live_interrupted(folder, Outgoing::LastGood, |_| {
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
        assert_eq!(name_in(&live), if swapped { "1" } else { "good" });
        drop(live);
        assert_eq!(Place::LastGood.is_there(folder).unwrap(), swapped);
        if !swapped {
            Place::Rebuild.put_live(folder, Outgoing::LastGood).unwrap();
        }
        for swap in ["2", "3"] {
            drop(made(folder, Place::Rebuild, swap));
            Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
        }
        drop(made(folder, Place::Rebuild, "4"));
        let second = Place::Rebuild.put_live(folder, Outgoing::LastGood);
        assert!(matches!(second, Err(OpenError::LastGoodKept { .. })));
        Place::LastGood
            .put_live(folder, Outgoing::LastGood)
            .unwrap();
        let live = ReadModel::open(folder, Options::default()).unwrap();
        assert_eq!(name_in(&live), "good");
        let kept = |place| {
            let kept = ReadModel::open_at(folder, place, Options::default());
            name_in(&kept.unwrap())
        };
        assert_eq!(kept(Place::LastGood), "3", "it was blocked as well");
        assert_eq!(kept(Place::Previous), "3");
        let names = files(folder);
        assert_eq!(names.len(), 4, "{names:?}");
    }
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

/// A disk that takes nothing more until it is told to.
struct Slow {
    written: Vec<u8>,
    begun: Option<mpsc::Sender<()>>,
    goes_on: mpsc::Receiver<()>,
}

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).map_err(io::Error::other)?;
            self.goes_on.recv().map_err(io::Error::other)?;
        }
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_snapshot_to_a_slow_disk_neither_holds_a_swap_up_nor_is_broken_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut live = ReadModel::open(folder, Options::default()).unwrap();
    fill_with(&mut live, "old", 1_000);
    let inspection = live.reader().inspect();
    let (begun, has_begun) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let writing = std::thread::spawn(move || {
        let mut slow = Slow {
            written: Vec::new(),
            begun: Some(begun),
            goes_on,
        };
        let made = inspection.write_snapshot(&mut slow, |_| ControlFlow::Continue(()));
        made.map(|_hash| slow.written)
    });
    has_begun.recv().unwrap();
    let mut next = made(folder, Place::Rebuild, "new");
    Place::Rebuild.put_live(folder, Outgoing::Previous).unwrap();
    // It would wait here for ever if the swap waited for the snapshot.
    next.succeed(live);
    assert_eq!(name_in(&next), "new");
    go_on.send(()).unwrap();
    let snapshot = writing.join().unwrap().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let incoming = Incoming::open(snapshot.as_slice()).unwrap();
    let restored = incoming.restore(elsewhere.path(), Options::default(), |_| {
        ControlFlow::Continue(())
    });
    restored.unwrap();
    let restored = ReadModel::open(elsewhere.path(), Options::default()).unwrap();
    assert_eq!(
        name_in(&restored),
        "old",
        "it is of the state it began with"
    );
}

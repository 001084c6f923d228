//! However much is parked, and however large: what is held at once is bounded by the budget. One test, since
//! it counts every byte that this process has allocated.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and shows what it measured"
)]

use domain::testing::{
    Form, Message, named, profile_patched, profile_state, user_erased, user_state,
};
use domain::{Checkpoint, Fingerprint, Sequence, StreamId, apply};
use peak_alloc::PeakAlloc;
use read_model::{Options, Place, ReadModel};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
/// For rows on the way to the tail.
const BUDGET: usize = 4 * MIB;
/// For pages of the file.
const CACHE: usize = 2 * MIB;
/// What a record is decoded in, a batch is written from, and the engine takes beside its pages.
const REST: usize = 2 * MIB;
/// In each part of the stream.
const RECORDS: u64 = 400;
/// Of a record's body, or of headers that are too many.
const LARGE: usize = 128 * 1024;
/// Of headers that are not.
const LARGE_HEADERS: usize = 60 * 1024;

/// Folds messages as catching up does, each made when it is needed; the most bytes held meanwhile.
fn most_held(model: &mut ReadModel, what: &str, messages: impl Iterator<Item = Message>) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let mut batch = model.begin();
    let stream = StreamId {
        name: "S".into(),
        created_ns: 1,
    };
    let held = batch.checkpoint().cloned();
    let mut to = held.unwrap_or_else(|| Checkpoint::start_of(stream));
    for message in messages {
        let sequence = Sequence::new(to.sequence() + 1).unwrap();
        let record = message.at(sequence);
        drop(message);
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
        to = to.advanced(Fingerprint {
            sequence,
            time_ns: 1,
        });
        if BUDGET <= batch.memory_bytes() {
            batch.spill(to.clone(), BUDGET / 2).unwrap();
        }
    }
    if batch.checkpoint().map(Checkpoint::sequence) == Some(to.sequence()) {
        batch.settle().unwrap();
    } else {
        batch.commit(to).unwrap();
    }
    let most = ALLOCATED.peak_usage() - before;
    println!("{what}: {} KiB at most", most / 1024);
    most
}

#[test]
fn what_is_parked_keeps_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { cache_bytes: CACHE };
    let mut model = ReadModel::open_at(folder.path(), Place::Live, options).unwrap();
    let bad_bodies = (0..RECORDS).map(|n| {
        let body = vec![b'x'; LARGE];
        Message::bare(&format!("identity.v1.u{n}.profile"), body)
    });
    let bad_headers = (0..RECORDS).map(|_| {
        let message = Message::bare("identity.v1.u0.user", "{");
        message.header("note", &"x".repeat(LARGE))
    });
    let behind = (2..RECORDS).map(|version| {
        let patch = profile_patched("held", "p", version + 1, &named("b"));
        let message = patch.message(Form::Binary);
        message.header("note", &"x".repeat(LARGE_HEADERS))
    });
    let one_user = (0..RECORDS).map(|n| {
        let user = format!("w{n}");
        let message = user_state(&user, 1, "everybody").message(Form::Binary);
        message.header("note", &"x".repeat(LARGE_HEADERS))
    });
    let mended = (0..RECORDS).map(|n| {
        let user = format!("w{n}");
        user_state(&user, 2, &user).message(Form::Binary)
    });
    let base = [
        profile_state("held", "p", 2, &named("a")).message(Form::Binary),
        user_erased("u0", 1).message(Form::Binary),
    ];
    let large = usize::try_from(RECORDS).unwrap() * LARGE;
    let parts: [(&str, Box<dyn Iterator<Item = Message>>); 6] = [
        ("bad bodies, a lane each", Box::new(bad_bodies)),
        ("bad headers in one lane", Box::new(bad_headers)),
        ("patches whose base is missing", Box::new(behind)),
        ("users with one identity", Box::new(one_user)),
        ("users with their own", Box::new(mended)),
        ("the base, and an erasure", Box::new(base.into_iter())),
    ];
    let mut parked = Vec::new();
    for (what, messages) in parts {
        let most = most_held(&mut model, what, messages);
        assert!(most < BUDGET + CACHE + REST, "{what}: {most} of {large}");
        parked.push(model.reader().totals().parked_records);
    }
    // A lane keeps 256 of them.
    assert_eq!(parked, [400, 656, 912, 1311, 912, 399]);
}

//! A damaged snapshot is refused, or is one state whole.

use std::fs;
use std::ops::ControlFlow;
use std::sync::LazyLock;

use domain::testing::{Form, named, profile_patched, profile_state, user_state};
use domain::{Checkpoint, Fingerprint, Sequence, StreamId, apply};
use read_model::{Incoming, Options, ReadModel};
use serde_json::json;

const HASH_BYTES: usize = 32;

/// A snapshot of two users, a profile and a parked record.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let mut model = ReadModel::open(folder.path(), Options::default()).unwrap();
    let stream = StreamId {
        name: "S".into(),
        created_ns: 1,
    };
    let mut to = Checkpoint::start_of(stream);
    let mut batch = model.begin();
    let events = [
        user_state("u1", 1, "user_1"),
        profile_state("u1", "p1", 1, &named("Ada")),
        user_state("u2", 1, "user_2"),
        profile_patched("u2", "p2", 9, &json!({"bio": "x"})),
    ];
    for (sequence, event) in (1..).zip(events) {
        let at = Fingerprint {
            sequence: Sequence::new(sequence).unwrap(),
            time_ns: 1_700_000_000_000_000_000,
        };
        let record = event.message(Form::Binary).at(at.sequence);
        batch.arrives(at);
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
        to = to.advanced(at);
    }
    batch.commit(to).unwrap();
    written(&model)
});

fn written(model: &ReadModel) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reader = model.reader();
    reader
        .pinned()
        .inspect()
        .write_snapshot(&mut bytes, |_| ControlFlow::Continue(()))
        .unwrap();
    bytes
}

/// The bytes as they are, and as changes of a good snapshot whose hash is made right again: each four are a place
/// and what stands there.
pub fn snapshot(bytes: &[u8]) {
    restored(bytes);
    let mut changed = GOOD.clone();
    let content = changed.len() - HASH_BYTES;
    for change in bytes.chunks_exact(4) {
        let at = u32::from_le_bytes([change[0], change[1], change[2], 0]);
        let at = usize::try_from(at).unwrap() % content;
        changed[at] ^= change[3];
    }
    let hash = blake3::hash(&changed[..content]);
    changed[content..].copy_from_slice(hash.as_bytes());
    restored(&changed);
}

/// What is restored gives the same bytes again.
fn restored(bytes: &[u8]) {
    let Ok(incoming) = Incoming::open(bytes) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let restoring = incoming.restore(&path, Options::default(), |_| ControlFlow::Continue(()));
    if restoring.is_err() {
        let left = fs::read_dir(&path).map_or(0, Iterator::count);
        assert_eq!(left, 0, "a refused snapshot leaves nothing");
        return;
    }
    let model = ReadModel::open(&path, Options::default()).unwrap();
    let again = written(&model);
    let differs = again
        .iter()
        .zip(bytes)
        .position(|(one, other)| one != other);
    assert_eq!(
        (differs, again.len()),
        (None, bytes.len()),
        "one state has one form"
    );
}

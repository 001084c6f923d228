//! Whatever jobs were cut off or refused before, a rebuild is the fold of the stream.

use std::path::Path;

use domain::testing::{History, history, identity_history, meeting_history};
use domain::{Checkpoint, Fingerprint, Record, StreamId, apply};
use proptest::prelude::*;
use read_model::{Digest, Place, ReadModel};

use crate::keeper::{Job, JobFault, JobKind};

/// How an attempt before the last one goes.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    kind: JobKind,
    /// How many records it takes in.
    records: usize,
    /// Records that its stream has lost: its rows are wrong, and it is refused for that.
    lost: Option<usize>,
    /// Asked for by a start of the process that found a file, and not by a person.
    resumes: bool,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let kind = prop_oneof![3 => Just(JobKind::Rebuild), 1 => Just(JobKind::Verify)];
    let lost = prop::option::of(1_usize..9);
    (kind, 0_usize..50, lost, any::<bool>()).prop_map(|(kind, records, lost, resumes)| Attempt {
        kind,
        records,
        lost,
        resumes,
    })
}

/// Folds what is behind the checkpoint, and spills or keeps it.
fn fold(model: &mut ReadModel, records: &[Record], is_spilled: bool) {
    let held = model.reader().checkpoint();
    let applied = held.as_ref().map_or(0, Checkpoint::sequence);
    let mut to = held.unwrap_or_else(|| {
        Checkpoint::start_of(StreamId {
            name: "S".into(),
            created_ns: 1,
        })
    });
    let mut batch = model.begin();
    let behind = records
        .iter()
        .filter(|record| applied < record.sequence.get());
    for record in behind {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
        to = to.advanced(Fingerprint {
            sequence: record.sequence,
            time_ns: 1,
        });
    }
    if to.sequence() <= applied {
        return;
    }
    if is_spilled {
        batch.spill(to, 0).unwrap();
    } else {
        batch.commit(to).unwrap();
    }
}

fn run(attempt: Attempt, stream: &History, folder: &Path) {
    let job = Job {
        resumes: attempt.resumes && attempt.kind == JobKind::Rebuild,
        ..Job::of(attempt.kind)
    };
    let mut seen: Vec<Record> = stream.iter().take(attempt.records).cloned().collect();
    if let Some(lost) = attempt.lost {
        seen.drain(..lost.min(seen.len()));
    }
    let mut model = job.open_in(folder).unwrap();
    fold(&mut model, &seen, attempt.records.is_multiple_of(2));
    drop(model);
    let fault = match attempt.lost {
        Some(_) => JobFault::Refused("fewer people".to_owned()),
        None => JobFault::Stopped,
    };
    job.discard_failed(&fault, folder);
    if attempt.lost.is_some() {
        assert!(!job.place().is_there(folder).unwrap(), "what was refused");
    }
}

fn digest(model: &ReadModel) -> Digest {
    let audit = model.reader().inspect().audit().unwrap();
    assert_eq!(audit.damages, []);
    audit.digest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_failed_before_leaves_no_trace(
        stream in prop_oneof![history(50), identity_history(50), meeting_history(50)],
        attempts in prop::collection::vec(attempt(), 1..5),
        resumes in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for attempt in attempts {
            run(attempt, &stream, folder.path());
        }
        let job = Job { resumes, ..Job::of(JobKind::Rebuild) };
        let mut model = job.open_in(folder.path()).unwrap();
        fold(&mut model, &stream, false);
        model.begin().settle().unwrap();
        let mut fresh = ReadModel::in_memory().unwrap();
        fold(&mut fresh, &stream, false);
        prop_assert_eq!(digest(&model), digest(&fresh));
        prop_assert!(Place::Rebuild.is_there(folder.path()).unwrap());
    }
}

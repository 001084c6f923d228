//! The read model is the fold, whatever the batches, restarts and crashes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod disk;
mod erasures;

use std::sync::{Arc, Mutex, OnceLock};
use std::{fmt, io};

use domain::testing::{
    Form, history, identity_history, meeting_history, named, profile_state, records, user_state,
};
use domain::{
    Checkpoint, Fingerprint, MemoryState, PackedProfile, Parked, Record, Sequence, StreamId,
    UserId, WorkosUserId, apply,
};
use proptest::prelude::*;
use read_model::testing::{Fault, ForgetfulDisk};
use read_model::{
    Batch, CommitError, Digest, OpenError, Place, ReadModel, Reader, StorageError, differences,
};

fn stream() -> StreamId {
    StreamId {
        name: "IDENTITY_EVENTS".into(),
        created_ns: 1,
    }
}

fn time_of(sequence: Sequence) -> i64 {
    i64::try_from(sequence.get()).unwrap() * 10
}

fn fingerprint(record: &Record) -> Fingerprint {
    Fingerprint {
        sequence: record.sequence,
        time_ns: time_of(record.sequence),
    }
}

/// Applies one batch and commits it.
fn commit(model: &mut ReadModel, records: &[Record]) -> Result<(), CommitError> {
    let mut batch = model.begin();
    take(&mut batch, records)?;
    let to = checkpoint_of(&batch, records.last().expect("a batch has a record"));
    batch.commit(to)?;
    Ok(())
}

fn take(batch: &mut Batch<'_>, records: &[Record]) -> Result<(), StorageError> {
    for record in records {
        batch.arrives(fingerprint(record));
        record.with_ref(|record| apply(batch, record))?;
    }
    Ok(())
}

/// The checkpoint of a batch that ends with a record.
fn checkpoint_of(batch: &Batch<'_>, last: &Record) -> Checkpoint {
    let held = batch.checkpoint().cloned();
    let held = held.unwrap_or_else(|| Checkpoint::start_of(stream()));
    held.advanced(fingerprint(last))
}

fn in_memory(records: &[Record]) -> MemoryState {
    let mut state = MemoryState::default();
    for record in records {
        record.with_ref(|record| apply(&mut state, record)).unwrap();
    }
    state
}

fn on_disk(disk: ForgetfulDisk) -> ReadModel {
    ReadModel::on_storage(disk).expect("the disk has power")
}

/// Whatever a reader can see is what the fold in memory says.
fn assert_same(model: &ReadModel, state: &MemoryState) {
    let reader = model.reader();
    for (identity, _) in state.owners() {
        let answer = reader.profile_of(identity).unwrap();
        let expected = state.profile_of(identity);
        let answered = answer.profile().unwrap();
        let answered =
            answered.map(|found| (found.user, found.id, PackedProfile::from(&found.profile)));
        let expected = expected.map(|(user, live)| {
            let profile = live.profile.clone();
            (user.as_str(), live.id.as_str(), profile)
        });
        assert_eq!(answered, expected);
    }
    let parked: Vec<_> = state.all_parked().cloned().collect();
    let inspection = reader.inspect();
    let audit = inspection.audit().unwrap();
    assert_eq!(audit.damages, []);
    assert_eq!(audit.digest, reader.totals().digest);
    let held = inspection.parked_after(0).unwrap().map(|row| {
        let arrived = row.unwrap();
        assert_eq!(arrived.time_ns, Some(time_of(arrived.parked.sequence())));
        arrived.parked
    });
    let mut held: Vec<_> = held.collect();
    assert!(held.is_sorted_by_key(Parked::sequence));
    let oldest = inspection.oldest().unwrap().map(|(sequence, _)| sequence);
    assert_eq!(oldest, held.first().map(Parked::sequence));
    held.sort_by_key(|parked| (parked.lane.clone(), parked.sequence()));
    let mut expected = parked;
    expected.sort_by_key(|parked| (parked.lane.clone(), parked.sequence()));
    assert_eq!(held, expected);
    let totals = reader.totals();
    for (reason, count) in totals.parked_by_reason() {
        let known = held.iter().filter(|parked| parked.reason == reason).count();
        assert_eq!(count, u64::try_from(known).unwrap());
    }
    assert_eq!(totals.outcomes, *state.tally());
    let live = state.owners().count();
    assert_eq!(totals.users, u64::try_from(live).unwrap());
    let profiles = state
        .profiles()
        .filter(|(_, row)| row.live.is_some())
        .count();
    assert_eq!(totals.profiles, u64::try_from(profiles).unwrap());
    let lanes = state
        .users()
        .filter(|(_, row)| !row.parked.is_empty())
        .count()
        + state
            .profiles()
            .filter(|(_, row)| !row.parked.is_empty())
            .count();
    assert_eq!(totals.parked_lanes, u64::try_from(lanes).unwrap());
    assert_eq!(
        totals.parked_records,
        u64::try_from(expected.len()).unwrap()
    );
}

fn digest_of(records: &[Record]) -> Digest {
    let mut model = on_disk(ForgetfulDisk::default());
    if !records.is_empty() {
        commit(&mut model, records).unwrap();
    }
    model.reader().totals().digest
}

/// How a batch is kept, and what follows.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Commit,
    /// Spills, and goes on with at most this many bytes of rows.
    Spill(usize),
    /// Spills, and begins another batch.
    SpillAndEnd,
    /// Spills; then the power goes.
    SpillAndCrash,
    CommitAndCrash,
    /// Leaves what was not kept.
    Crash,
}

fn cut() -> impl Strategy<Value = Cut> {
    prop_oneof![
        2 => Just(Cut::Commit),
        6 => prop_oneof![Just(0), Just(5_000), Just(usize::MAX)].prop_map(Cut::Spill),
        3 => Just(Cut::SpillAndEnd),
        1 => Just(Cut::SpillAndCrash),
        1 => Just(Cut::CommitAndCrash),
        1 => Just(Cut::Crash),
    ]
}

/// Applies records from behind the checkpoint as `cuts` say, then commits the rest.
fn fold_by(
    mut disk: ForgetfulDisk,
    history: &[Record],
    cuts: &[(usize, Cut)],
) -> Result<ReadModel, CommitError> {
    let mut model = on_disk(disk.clone());
    let mut cuts = cuts.iter();
    loop {
        let mut batch = model.begin();
        let mut applied = batch.checkpoint().map_or(0, Checkpoint::sequence);
        let mut crashed = false;
        for (length, cut) in cuts.by_ref() {
            let at = usize::try_from(applied).unwrap();
            let records = &history[at..history.len().min(at + length)];
            let Some(last) = records.last() else { break };
            take(&mut batch, records)?;
            let to = checkpoint_of(&batch, last);
            applied = last.sequence.get();
            match cut {
                Cut::Spill(keep) => {
                    batch.spill(to, *keep)?;
                    assert_eq!(batch.checkpoint().map(Checkpoint::sequence), Some(applied));
                    continue;
                }
                Cut::SpillAndEnd => drop(batch.spill(to, 0)?),
                Cut::SpillAndCrash => {
                    batch.spill(to, 0)?;
                    crashed = true;
                }
                Cut::Commit => drop(batch.commit(to)?),
                Cut::CommitAndCrash => {
                    batch.commit(to)?;
                    crashed = true;
                }
                Cut::Crash => crashed = true,
            }
            break;
        }
        if crashed {
            drop(model);
            // The new process has a disk of its own.
            disk = disk.after_power_cut();
            model = on_disk(disk.clone());
        }
        if cuts.len() == 0 {
            break;
        }
        let applied = model
            .reader()
            .checkpoint()
            .map_or(0, |held| held.sequence());
        if usize::try_from(applied).unwrap() == history.len() {
            break;
        }
        assert_same(
            &model,
            &in_memory(&history[..usize::try_from(applied).unwrap()]),
        );
    }
    let applied = model
        .reader()
        .checkpoint()
        .map_or(0, |held| held.sequence());
    let rest = &history[usize::try_from(applied).unwrap()..];
    if !rest.is_empty() {
        commit(&mut model, rest)?;
    }
    Ok(model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_batches_spills_and_crashes_end_in_the_same_rows(
        history in prop_oneof![
            2 => history(80),
            1 => identity_history(80),
            1 => meeting_history(80),
        ],
        cuts in prop::collection::vec((1_usize..9, cut()), 40),
    ) {
        let model = fold_by(ForgetfulDisk::default(), &history, &cuts).unwrap();
        assert_same(&model, &in_memory(&history));
        prop_assert_eq!(model.reader().totals().digest, digest_of(&history));
    }
}

#[test]
fn spilled_rows_are_seen_by_whoever_looks_and_settled_into_the_tables() {
    let history = sample();
    let mut committed = on_disk(ForgetfulDisk::default());
    commit(&mut committed, &history).unwrap();
    let disk = ForgetfulDisk::default();
    let mut spilled = on_disk(disk.clone());
    let mut batch = spilled.begin();
    for records in history.chunks(20) {
        take(&mut batch, records).unwrap();
        let to = checkpoint_of(&batch, records.last().unwrap());
        batch.spill(to, 0).unwrap();
    }
    drop(batch);
    let look = |model: &ReadModel| {
        assert_same(model, &in_memory(&history));
        let found = differences(&model.reader(), &committed.reader(), 10).unwrap();
        assert_eq!(found, []);
        let user = UserId::parse("u1").unwrap();
        let left = |model: &ReadModel| model.reader().inspect().left_of(&user).unwrap();
        assert_eq!(left(model), left(&committed));
        assert_eq!(left(model).identities, 1);
    };
    look(&spilled);
    drop(spilled);
    let mut again = on_disk(disk.after_power_cut());
    look(&again);
    again.begin().settle().unwrap();
    look(&again);
    again.begin().settle().unwrap();
    look(&again);
}

fn sample() -> Vec<Record> {
    let messages: Vec<_> = (1..=6_u64)
        .flat_map(|version| {
            (0..5).flat_map(move |user| {
                let (user, profile) = (format!("u{user}"), format!("p{user}"));
                let identity = format!("user_{user}_{}", version / 3);
                [
                    user_state(&user, version, &identity).message(Form::Binary),
                    profile_state(&user, &profile, version, &named(&"x".repeat(600)))
                        .message(Form::Binary),
                ]
            })
        })
        .collect();
    records(&messages)
}

#[test]
fn r2_a_checkpoint_only_moves_forward_in_one_stream() {
    let history = sample();
    let mut model = on_disk(ForgetfulDisk::default());
    commit(&mut model, &history[..10]).unwrap();
    let at = |record: &Record| Checkpoint::start_of(stream()).advanced(fingerprint(record));
    for earlier in &history[..10] {
        let refused = model.begin().commit(at(earlier)).unwrap_err();
        assert!(
            matches!(refused, CommitError::Backward { held: 10, .. }),
            "{refused}"
        );
    }
    let mut other = at(&history[20]);
    other.stream.created_ns += 1;
    let refused = model.begin().commit(other).unwrap_err();
    assert!(
        matches!(refused, CommitError::OtherStream { .. }),
        "{refused}"
    );
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    let history = sample();
    let mut model = on_disk(ForgetfulDisk::default());
    let mut batch = model.begin();
    for record in &history {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
    }
    drop(batch);
    assert_eq!(model.reader().checkpoint(), None);
    assert_eq!(model.reader().totals(), read_model::Totals::default());
}

#[test]
fn r5_a_reader_keeps_its_commit_and_sees_the_next() {
    let history = sample();
    let mut model = on_disk(ForgetfulDisk::default());
    let reader = model.reader();
    let identity = WorkosUserId::parse("user_u0_0").unwrap();
    assert_eq!(reader.profile_of(&identity).unwrap().sequence, 0);
    commit(&mut model, &history[..2]).unwrap();
    let answer = reader.profile_of(&identity).unwrap();
    assert_eq!(answer.sequence, 2);
    assert_eq!(answer.profile().unwrap().unwrap().user, "u0");
}

#[test]
fn a_commit_names_whose_answer_may_have_changed() {
    let mut model = on_disk(ForgetfulDisk::default());
    let messages = [
        user_state("u1", 1, "user_a").message(Form::Binary),
        profile_state("u2", "p2", 1, &named("Grace")).message(Form::Binary),
    ];
    let mut batch = model.begin();
    let history = records(&messages);
    for record in &history {
        record.with_ref(|record| apply(&mut batch, record)).unwrap();
    }
    let to = Checkpoint::start_of(stream()).advanced(fingerprint(&history[1]));
    let committed = batch.commit(to).unwrap();
    let users: Vec<&str> = committed
        .changes
        .users
        .iter()
        .map(domain::UserId::as_str)
        .collect();
    let identities: Vec<&str> = committed
        .changes
        .identities
        .iter()
        .map(domain::WorkosUserId::as_str)
        .collect();
    assert_eq!((users, identities), (vec!["u2"], vec!["user_a"]));
}

#[test]
fn r3_a_folder_has_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let _model = ReadModel::open(folder.path(), read_model::Options::default()).unwrap();
    let second = ReadModel::open(folder.path(), read_model::Options::default());
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
}

#[test]
fn r6_a_file_is_created_whole_private_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let open = || ReadModel::open(&folder, read_model::Options::default());
    drop(open().unwrap());
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = Place::Live.path(&folder);
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    // What a crash in the middle of creation leaves does not stand in the way.
    std::fs::rename(&file, folder.join("read-model.redb.unfinished")).unwrap();
    drop(open().unwrap());
    let names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [Place::Live.file_name()]);
}

#[test]
fn a_file_that_is_none_of_ours_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(Place::Live.path(folder.path()), b"hello").unwrap();
    let error = ReadModel::open(folder.path(), read_model::Options::default())
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("cannot be read as a read model"),
        "{error}"
    );
}

#[test]
fn r4_another_layout_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ReadModel::open(folder.path(), read_model::Options::default());
    drop(open().unwrap());
    let database = redb::Database::open(Place::Live.path(folder.path())).unwrap();
    let transaction = database.begin_write().unwrap();
    let table: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("meta");
    let layout = u32::MAX.to_le_bytes();
    transaction
        .open_table(table)
        .unwrap()
        .insert(b"layout".as_slice(), layout.as_slice())
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = open().err().unwrap();
    assert!(
        matches!(
            error,
            OpenError::OtherLayout {
                found: u32::MAX,
                ..
            }
        ),
        "{error}"
    );
    Place::Live.discard(folder.path()).unwrap();
    assert!(open().is_ok());
}

/// A disk that notes whether a reader says, at each sync, that a commit is under way.
#[derive(Debug, Clone, Default)]
struct Watched {
    disk: ForgetfulDisk,
    said: Arc<Mutex<Vec<bool>>>,
    reader: Arc<OnceLock<Seen>>,
}

struct Seen(Reader);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reader")
    }
}

impl redb::StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if let Some(Seen(reader)) = self.reader.get() {
            self.said.lock().unwrap().push(reader.is_writing());
        }
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(offset, data)
    }
}

#[test]
fn a_reader_knows_that_a_commit_is_under_way() {
    let history = sample();
    let disk = Watched::default();
    let mut model = ReadModel::on_storage(disk.clone()).unwrap();
    disk.reader.set(Seen(model.reader())).unwrap();
    let check = || {
        let said = std::mem::take(&mut *disk.said.lock().unwrap());
        assert!(
            !said.is_empty() && said.iter().all(|said| *said),
            "{said:?}"
        );
        let Seen(reader) = disk.reader.get().unwrap();
        assert!(!reader.is_writing());
    };
    commit(&mut model, &history[..10]).unwrap();
    check();
    let mut batch = model.begin();
    take(&mut batch, &history[10..20]).unwrap();
    let to = checkpoint_of(&batch, &history[19]);
    batch.spill(to, 0).unwrap();
    check();
    batch.settle().unwrap();
    check();
    // One that fails is over, too.
    disk.disk.set_fault(Some(Fault::PowerCut { at: 0 }));
    commit(&mut model, &history[20..]).unwrap_err();
    let Seen(reader) = disk.reader.get().unwrap();
    assert!(!reader.is_writing());
}

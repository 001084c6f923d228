//! Whatever the disk does, the file holds rows and checkpoint of one commit, can be opened, and goes on.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use domain::Record;
use read_model::testing::{Fault, ForgetfulDisk};
use read_model::{CommitError, Digest, ReadModel};

use super::{assert_same, checkpoint_of, commit, digest_of, in_memory, on_disk, sample, take};

/// How batches are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Each is committed.
    Committed,
    /// Each but the last is spilled: so many that runs are merged on the way.
    Spilled,
}

impl Keep {
    /// Records in a batch.
    fn length(self) -> usize {
        match self {
            Self::Committed => 7,
            Self::Spilled => 4,
        }
    }
}

/// Runs `history` in batches; gives up at the first failure, as a process does.
fn run(model: &mut ReadModel, history: &[Record], keep: Keep) -> Result<(), CommitError> {
    let applied = model
        .reader()
        .checkpoint()
        .map_or(0, |held| held.sequence());
    let rest: Vec<Record> = history
        .iter()
        .filter(|record| record.sequence.get() > applied)
        .cloned()
        .collect();
    let mut parts: Vec<&[Record]> = rest.chunks(keep.length()).collect();
    if keep == Keep::Spilled {
        let last = parts.pop();
        let mut batch = model.begin();
        for (turn, records) in parts.drain(..).enumerate() {
            take(&mut batch, records)?;
            let to = checkpoint_of(&batch, &records[records.len() - 1]);
            batch.spill(to, if turn % 3 == 0 { 0 } else { usize::MAX })?;
        }
        parts.extend(last);
    }
    parts.into_iter().try_for_each(|batch| commit(model, batch))
}

fn applied(model: &ReadModel) -> u64 {
    let checkpoint = model.reader().checkpoint();
    checkpoint.map_or(0, |held| held.sequence())
}

/// A run that nothing disturbs.
struct Undisturbed {
    history: Vec<Record>,
    /// A disk with an empty read model.
    fresh: ForgetfulDisk,
    /// How many calls it takes to fold the history into it.
    calls: u64,
    /// The digest after each commit, by the sequence it ends at.
    digests: BTreeMap<u64, Digest>,
    expected: Digest,
    keep: Keep,
}

impl Undisturbed {
    fn new(keep: Keep) -> Self {
        let history = sample();
        let fresh = ForgetfulDisk::default();
        drop(on_disk(fresh.clone()));
        let disk = fresh.after_power_cut();
        run(&mut on_disk(disk.clone()), &history, keep).unwrap();
        let mut digests = BTreeMap::from([(0, Digest::default())]);
        for end in (keep.length()..history.len())
            .step_by(keep.length())
            .chain([history.len()])
        {
            digests.insert(u64::try_from(end).unwrap(), digest_of(&history[..end]));
        }
        let expected = *digests.values().next_back().unwrap();
        let calls = disk.calls();
        Self {
            history,
            fresh,
            calls,
            digests,
            expected,
            keep,
        }
    }

    /// The rows are those of one commit, all that was told is there, and the rest can be applied.
    fn assert_sound(&self, disk: ForgetfulDisk, told: u64, what: &str) {
        let mut model = on_disk(disk);
        let applied = applied(&model);
        assert!(
            told <= applied,
            "{what}: {told} was told, {applied} is kept"
        );
        let digest = model.reader().totals().digest;
        assert_eq!(Some(&digest), self.digests.get(&applied), "{what}");
        run(&mut model, &self.history, self.keep).unwrap();
        assert_eq!(model.reader().totals().digest, self.expected, "{what}");
        assert_same(&model, &in_memory(&self.history));
    }
}

#[test]
fn r1_a_crash_at_any_call_leaves_rows_and_checkpoint_of_one_commit() {
    println!("{}", crash_at_any_call(Keep::Committed, 6));
}

#[test]
fn r1_a_crash_at_any_call_of_a_run_that_spills_leaves_rows_and_checkpoint_of_one() {
    println!("{}", crash_at_any_call(Keep::Spilled, 1));
}

fn crash_at_any_call(keep: Keep, torn_ways: u64) -> String {
    let undisturbed = Undisturbed::new(keep);
    let (fresh, calls) = (&undisturbed.fresh, undisturbed.calls);
    let history = &undisturbed.history;
    let mut interrupted = 0;
    for at in 0..calls {
        let disk = fresh.after_power_cut();
        disk.set_fault(Some(Fault::PowerCut { at }));
        let mut told = 0;
        if let Ok(mut model) = ReadModel::on_storage(disk.clone()) {
            interrupted += u32::from(run(&mut model, history, keep).is_err());
            told = applied(&model);
        }
        let lost = disk.after_power_cut();
        undisturbed.assert_sound(lost, told, &format!("unsynced is lost, call {at}"));
        for seed in 0..torn_ways {
            let torn = disk.after_torn_power_cut(at * torn_ways + seed);
            undisturbed.assert_sound(torn, told, &format!("torn by {seed}, call {at}"));
        }
        let killed = disk.after_kill();
        undisturbed.assert_sound(killed, told, &format!("killed, call {at}"));
    }
    let points = calls * (torn_ways + 2);
    assert!(interrupted > 20);
    format!("{points} crash points of {calls} calls, {interrupted} calls cut a run short")
}

/// Goes on after every failure, as the projector does; gives how often it had to.
fn run_on(model: &mut ReadModel, history: &[Record], keep: Keep) -> u32 {
    for failures in 0..100 {
        if run(model, history, keep).is_ok() {
            return failures;
        }
        let told = applied(model);
        model.reopen().unwrap();
        let kept = applied(model);
        assert!(told <= kept, "{told} was told, {kept} kept");
    }
    unreachable!("it does not get on");
}

#[test]
fn r1_a_call_that_fails_once_loses_nothing() {
    let kinds = [ErrorKind::Other, ErrorKind::StorageFull];
    println!("{}", fail_at_any_call(Keep::Committed, &kinds));
}

#[test]
fn r1_a_call_of_a_run_that_spills_that_fails_once_loses_nothing() {
    println!(
        "{}",
        fail_at_any_call(Keep::Spilled, &[ErrorKind::StorageFull])
    );
}

fn fail_at_any_call(keep: Keep, kinds: &[ErrorKind]) -> String {
    let undisturbed = Undisturbed::new(keep);
    let (fresh, calls) = (&undisturbed.fresh, undisturbed.calls);
    let mut failed = 0;
    for kind in kinds.iter().copied() {
        for at in 0..calls {
            let disk = fresh.after_power_cut();
            disk.set_fault(Some(Fault::Error { at, kind }));
            let mut opened = ReadModel::on_storage(disk.clone());
            if opened.is_err() {
                opened = ReadModel::on_storage(disk.clone());
            }
            let mut model = opened.unwrap();
            failed += run_on(&mut model, &undisturbed.history, keep);
            assert_eq!(
                model.reader().totals().digest,
                undisturbed.expected,
                "call {at}"
            );
            drop(model);
            let later = disk.after_power_cut();
            undisturbed.assert_sound(later, 60, &format!("{kind}, call {at}"));
        }
    }
    assert!(failed > 20);
    format!("of {calls} calls each failed, {failed} times a batch with it")
}

#[test]
fn a_full_disk_leaves_what_was_there_to_read_and_takes_more_when_it_can() {
    let undisturbed = Undisturbed::new(Keep::Committed);
    let Undisturbed { fresh, history, .. } = &undisturbed;
    let mut full = 0;
    for blocks in 0.. {
        let disk = fresh.after_power_cut();
        disk.set_fault(Some(Fault::Full { blocks }));
        let mut model = ReadModel::on_storage(disk.clone()).unwrap();
        let Err(error) = run(&mut model, history, Keep::Committed) else {
            break;
        };
        full += 1;
        assert!(error.is_disk_full(), "{blocks} blocks: {error:?}");
        model.reopen().unwrap();
        let applied = usize::try_from(applied(&model)).unwrap();
        assert_same(&model, &in_memory(&history[..applied]));
        assert!(
            run(&mut model, history, Keep::Committed)
                .unwrap_err()
                .is_disk_full()
        );
        disk.set_fault(None);
        model.reopen().unwrap();
        run(&mut model, history, Keep::Committed).unwrap();
        assert_eq!(model.reader().totals().digest, undisturbed.expected);
    }
    println!("the disk was full at {full} sizes");
    assert!(full > 3);
}

#[test]
fn r1_a_crash_at_any_call_while_room_is_given_back_loses_nothing() {
    let undisturbed = Undisturbed::new(Keep::Spilled);
    let disk = undisturbed.fresh.after_power_cut();
    let mut model = on_disk(disk.clone());
    run(&mut model, &undisturbed.history, Keep::Spilled).unwrap();
    drop(model);
    let length = |disk: &ForgetfulDisk| redb::StorageBackend::len(disk).unwrap();
    let spilled = length(&disk);
    let compact = |disk: &ForgetfulDisk, at| {
        let disk = disk.after_power_cut();
        let model = on_disk(disk.clone());
        disk.set_fault(at);
        (model.compact(), disk)
    };
    let (compacted, whole) = compact(&disk, None);
    compacted.unwrap();
    assert!(
        length(&whole) * 2 < spilled,
        "{} of {spilled}",
        length(&whole)
    );
    let calls = whole.calls();
    let told = u64::try_from(undisturbed.history.len()).unwrap();
    undisturbed.assert_sound(whole, told, "undisturbed");
    let mut failed = 0;
    for at in 0..calls {
        let (compacted, disk) = compact(&disk, Some(Fault::PowerCut { at }));
        failed += u32::from(compacted.is_err());
        let what = format!("call {at}");
        undisturbed.assert_sound(disk.after_power_cut(), told, &what);
        undisturbed.assert_sound(disk.after_torn_power_cut(at), told, &what);
        undisturbed.assert_sound(disk.after_kill(), told, &what);
    }
    println!("{} crash points of {calls} calls", calls * 3);
    assert!(failed > 20);
}

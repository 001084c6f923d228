//! What an event costs without a broker: decoded, applied, committed, by number of users.
//!
//! Prints microseconds of processor time per event and bytes per user on disk. `BENCH_EVENTS` and
//! `BENCH_FOLD_USERS` (a list) set the size.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark prints figures and reads its size from the environment"
)]

use anyhow::Context;
use domain::testing::workload;
use domain::{Checkpoint, Fingerprint, Record, Sequence, StreamId, apply, decode};
use read_model::{Options, Place, ReadModel};

/// Records made at once; making them is not measured.
const CHUNK: u64 = 10_000;

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// Seconds that this thread was on a processor: other programs do not count.
fn now() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = text
        .split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0);
    nanos / 1e9
}

fn main() -> anyhow::Result<()> {
    let events: u64 = setting("BENCH_EVENTS", "1000000").parse()?;
    for users in setting("BENCH_FOLD_USERS", "10000,100000,1000000").split(',') {
        for budget in setting("BENCH_FOLD_BUDGETS", "0").split(',') {
            fold(events, users.trim().parse()?, budget.trim().parse()?)?;
        }
    }
    Ok(())
}

fn fold(events: u64, users: u64, budget_mib: usize) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut model = ReadModel::open(folder.path(), Options::default())?;
    let stream = StreamId {
        name: "IDENTITY_EVENTS".into(),
        created_ns: 1,
    };
    let budget = if budget_mib == 0 {
        usize::MAX
    } else {
        budget_mib * 1024 * 1024
    };
    let mut spills = 0;
    let (mut decoding, mut applying) = (0.0, 0.0);
    let mut batch = model.begin();
    for from in (0..events).step_by(usize::try_from(CHUNK)?) {
        let records: Vec<Record> = (from..events.min(from + CHUNK))
            .filter_map(|number| Some(workload(number, users).at(Sequence::new(number + 1)?)))
            .collect();
        let started = now();
        for record in &records {
            std::hint::black_box(record.with_ref(decode));
        }
        decoding += now() - started;
        let started = now();
        for record in &records {
            record.with_ref(|record| apply(&mut batch, record))?;
        }
        if budget < batch.memory_bytes() && from + CHUNK < events {
            let last = records.last().context("there are records")?;
            let at = Fingerprint {
                sequence: last.sequence,
                time_ns: 1,
            };
            let held = batch.checkpoint().cloned();
            let held = held.unwrap_or_else(|| Checkpoint::start_of(stream.clone()));
            batch.spill(held.advanced(at), budget)?;
            spills += 1;
        }
        applying += now() - started;
    }
    let memory = batch.memory_bytes();
    let last = Fingerprint {
        sequence: Sequence::new(events).context("there are events")?,
        time_ns: 1,
    };
    let started = now();
    let held = batch.checkpoint().cloned();
    let held = held.unwrap_or_else(|| Checkpoint::start_of(stream));
    batch.commit(held.advanced(last))?;
    let committing = now() - started;
    let each = |seconds: f64| seconds * 1e6 / events as f64;
    let bytes = std::fs::metadata(Place::Live.path(folder.path()))?.len();
    println!(
        "{events} events, {users} users: decode {:.2} µs, decode and apply {:.2} µs, commit {:.2} µs \
         an event; {} bytes a user on disk, {} in memory, {spills} spills; digest {}",
        each(decoding),
        each(applying),
        each(committing),
        bytes / users,
        u64::try_from(memory)? / users,
        model.reader().totals().digest,
    );
    Ok(())
}

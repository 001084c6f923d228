//! What the look-up of an answer costs, and what of it is the checks of its two rows.
//!
//! Prints nanoseconds of one run. `BENCH_USERS` sets how many people there are.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark prints figures and reads its size from the environment"
)]

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context;
use domain::testing::workload;
use domain::{Checkpoint, Fingerprint, Sequence, StreamId, WorkosUserId, apply};
use read_model::{Options, ReadModel};

const LOOKUPS: u32 = 1_000_000;

fn main() -> anyhow::Result<()> {
    let users = std::env::var("BENCH_USERS").ok();
    let users: u64 = users.map_or(Ok(100_000), |users| users.parse())?;
    let folder = tempfile::tempdir()?;
    let mut model = ReadModel::open(folder.path(), Options::default())?;
    let mut batch = model.begin();
    let events = users * 2;
    for number in 0..events {
        let sequence = Sequence::new(number + 1).context("above 0")?;
        let record = workload(number, users).at(sequence);
        record.with_ref(|record| apply(&mut batch, record))?;
    }
    let last = Fingerprint {
        sequence: Sequence::new(events).context("there are events")?,
        time_ns: 1,
    };
    let stream = StreamId {
        name: "IDENTITY_EVENTS".into(),
        created_ns: 1,
    };
    batch.commit(Checkpoint::start_of(stream).advanced(last))?;
    let reader = model.reader();
    let ids = (0..users).map(|user| WorkosUserId::parse(&format!("user_u{user:031}")));
    let ids: Vec<_> = ids.collect::<Result<_, _>>()?;
    let mut found = 0_usize;
    let begun = Instant::now();
    for id in ids.iter().cycle().take(LOOKUPS as usize) {
        found += reader.profile_of(id)?.row_bytes();
    }
    let lookup = begun.elapsed() / LOOKUPS;
    let row = vec![7; found / LOOKUPS as usize];
    let begun = Instant::now();
    for id in ids.iter().cycle().take(LOOKUPS as usize) {
        // The owner's row holds a user's id, and has a key as long as an identity.
        let id = id.as_str().as_bytes();
        for (key, row) in [(id, id), (id, row.as_slice())] {
            let mut check = crc32fast::Hasher::new_with_initial(1);
            check.update(key);
            check.update(row);
            black_box(check.finalize());
        }
    }
    let checks = begun.elapsed() / LOOKUPS;
    println!(
        "{users} users, {} bytes an answer's row: a look-up takes {lookup:.0?}, its checks {checks:.0?}",
        row.len()
    );
    Ok(())
}

//! Three routes to one state: live, rebuilt, and from a snapshot with the tail.

use std::ops::ControlFlow;
use std::time::Duration;

use domain::testing::{Message, Oracle, Seen, history, identity_history};
use domain::{Checkpoint, MemoryState, PackedProfile, Phase, Record, WorkosUserId, apply};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use read_model::testing::ForgetfulDisk;
use read_model::{Arrived, Incoming, Options, ReadModel, Totals, differences};
use tokio::time::{Instant, sleep};

use super::broker::Broker;
use super::process::Process;
use super::{in_simulated_time, keep_running};
use crate::config::BatchLimits;

/// Histories.
const CASES: u32 = 100;
/// Longest time, of the simulated kind, until a route is at its end.
const WITHIN: Duration = Duration::from_mins(2);

const OPTIONS: Options = Options {
    cache_bytes: 4 * 1024 * 1024,
};

/// What the routes came to.
struct Ends {
    live: ReadModel,
    rebuilt: ReadModel,
    /// From a snapshot at the cut, and the tail.
    restored: ReadModel,
}

/// A broker that has stored these, each at the time that another of this seed stored it.
fn broker_with(records: &[Record], seed: u64) -> Broker {
    let broker = Broker::new(seed);
    for record in records {
        broker.publish(Message::from(record));
    }
    keep_running(&broker);
    broker
}

/// Runs a process until it is live at the stream's end.
async fn until_live(process: &mut Process, last: usize) {
    let deadline = Instant::now() + WITHIN;
    let is_there = |process: &Process| {
        let progress = process.progress.borrow();
        progress.phase == Phase::Live && progress.applied() == u64::try_from(last).unwrap()
    };
    while !is_there(process) {
        assert!(!process.writer.is_finished(), "it ended before {last}");
        assert!(Instant::now() < deadline, "{:?}", process.progress.borrow());
        sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a process of `model` until it is live at the stream's end, then ends it.
async fn follow(broker: &Broker, model: ReadModel, last: usize, seed: u64) -> ReadModel {
    let mut process = Process::start(broker, model, BatchLimits::default(), seed);
    until_live(&mut process, last).await;
    process.end().await.unwrap()
}

/// Publishes in small groups to a process that is live, which is ended or killed between some. Gives the
/// rows, and a snapshot of those at `cut`.
async fn live(
    broker: &Broker,
    records: &[Record],
    cut: usize,
    chance: &mut SmallRng,
) -> (ReadModel, Vec<u8>) {
    let mut disk = ForgetfulDisk::default();
    let limits = BatchLimits {
        live_records_max: chance.random_range(1..6),
        ..BatchLimits::default()
    };
    let start = |disk: &ForgetfulDisk| {
        let model = ReadModel::on_storage(disk.clone()).unwrap();
        Process::start(broker, model, limits, 1)
    };
    let mut process = start(&disk);
    let mut snapshot = Vec::new();
    let mut published = 0;
    while published < records.len() {
        let end = (published + chance.random_range(1..8)).min(records.len());
        // The snapshot is of exactly the cut.
        let end = if published < cut { end.min(cut) } else { end };
        for record in &records[published..end] {
            broker.publish(Message::from(record));
        }
        published = end;
        if published == cut {
            until_live(&mut process, cut).await;
            let model = ReadModel::on_storage(disk.after_kill()).unwrap();
            let on = |_| ControlFlow::Continue(());
            let inspection = model.reader().inspect();
            inspection.write_snapshot(&mut snapshot, on).unwrap();
        }
        match chance.random_range(0..6_u32) {
            0 => drop(process.end().await.unwrap()),
            1 => process.kill(),
            2 => {
                sleep(Duration::from_millis(chance.random_range(1..900))).await;
                process.kill();
                disk = disk.after_power_cut();
            }
            _ => {
                sleep(Duration::from_millis(chance.random_range(1..900))).await;
                continue;
            }
        }
        disk = disk.after_kill();
        process = start(&disk);
    }
    until_live(&mut process, records.len()).await;
    (process.end().await.unwrap(), snapshot)
}

/// Reads the whole stream as catching up does, with so little memory that rows are spilled on the way, and
/// is killed on the way at times.
async fn rebuilt(broker: &Broker, last: usize, chance: &mut SmallRng) -> ReadModel {
    broker.0.borrow_mut().pace = Some(chance.random_range(1..9));
    let limits = BatchLimits {
        memory_bytes_max: *[0, 2_000, 300_000, 400_000]
            .get(chance.random_range(0..4))
            .unwrap(),
        time_max: Duration::from_millis(chance.random_range(100..4_000)),
        ..BatchLimits::default()
    };
    let mut disk = ForgetfulDisk::default();
    for _ in 0..chance.random_range(0..3_u32) {
        let model = ReadModel::on_storage(disk.clone()).unwrap();
        let process = Process::start(broker, model, limits, 2);
        sleep(Duration::from_millis(chance.random_range(1..1_500))).await;
        process.kill();
        disk = disk.after_power_cut();
    }
    let model = ReadModel::on_storage(disk.clone()).unwrap();
    let mut process = Process::start(broker, model, limits, 2);
    until_live(&mut process, last).await;
    broker.0.borrow_mut().pace = None;
    // As a rebuild does at its end.
    process.end().await.unwrap().compact().unwrap();
    ReadModel::on_storage(disk).unwrap()
}

fn ends(records: &[Record], cut: usize, seed: u64) -> Ends {
    in_simulated_time(async {
        let mut chance = SmallRng::seed_from_u64(seed);
        let last = records.len();
        let broker = broker_with(&[], seed);
        let (live, snapshot) = live(&broker, records, cut, &mut chance).await;
        let rebuilt = rebuilt(&broker, last, &mut chance).await;

        let folder = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(snapshot.as_slice()).unwrap();
        let on = |_| ControlFlow::Continue(());
        incoming.restore(folder.path(), OPTIONS, on).unwrap();
        let restored = ReadModel::open(folder.path(), OPTIONS).unwrap();
        let restored = follow(&broker, restored, last, 4).await;

        Ends {
            live,
            rebuilt,
            restored,
        }
    })
}

/// All that can be seen of a model beside its rows.
#[derive(Debug, PartialEq)]
struct Look {
    totals: Totals,
    checkpoint: Option<Checkpoint>,
    parked: Vec<Arrived>,
}

fn look(model: &ReadModel) -> Look {
    let reader = model.reader();
    let inspection = reader.inspect();
    let parked = inspection.parked_after(0).unwrap();
    Look {
        totals: reader.totals(),
        checkpoint: reader.checkpoint(),
        parked: parked.map(Result::unwrap).collect(),
    }
}

fn assert_same(one: &ReadModel, other: &ReadModel) {
    assert_eq!(look(one), look(other));
    let found = differences(&one.reader(), &other.reader(), 5).unwrap();
    assert_eq!(found, []);
}

/// Rows, parked records, answers and counts are those of the oracle.
fn assert_is_fold(model: &ReadModel, records: &[Record]) {
    let (mut oracle, mut state) = (Oracle::default(), MemoryState::default());
    for record in records {
        oracle.take(record);
        let Ok(_) = record.with_ref(|record| apply(&mut state, record));
    }
    assert_eq!(Seen::from(&state), oracle.seen());
    assert_holds(model, &state);
    let look = look(model);
    assert_eq!(look.totals.outcomes, *state.tally());
    let mut parked: Vec<_> = state.all_parked().cloned().collect();
    parked.sort_by_key(domain::Parked::sequence);
    assert!(look.parked.into_iter().map(|held| held.parked).eq(parked));
}

/// Rows and answers are those of a state.
fn assert_holds(model: &ReadModel, state: &MemoryState) {
    let reader = model.reader();
    let inspection = reader.inspect();
    for (user, row) in state.users() {
        assert_eq!(inspection.user(user).unwrap(), *row);
    }
    for (user, row) in state.profiles() {
        assert_eq!(inspection.profiles(user).unwrap(), *row);
    }
    let free = (0..4).map(|n| WorkosUserId::parse(&format!("w{n}")).unwrap());
    let owned = state.owners().map(|(identity, _)| identity.clone());
    for identity in owned.chain(free) {
        let answer = reader.profile_of(&identity).unwrap();
        let profile = answer.profile().unwrap();
        let answered =
            profile.map(|found| (found.user, found.id, PackedProfile::from(&found.profile)));
        let expected = state.profile_of(&identity);
        let expected =
            expected.map(|(user, live)| (user.as_str(), live.id.as_str(), live.profile.clone()));
        assert_eq!(answered, expected);
    }
    let totals = reader.totals();
    let count = |of: usize| u64::try_from(of).unwrap();
    let profiles = state.profiles().filter(|(_, row)| row.live.is_some());
    assert_eq!(totals.users, count(state.owners().count()));
    assert_eq!(totals.profiles, count(profiles.count()));
    assert_eq!(totals.parked_records, count(state.all_parked().count()));
}

/// Runs a history by all routes and compares where they end.
fn assert_one_end(records: &[Record], cut: Index, seed: u64) {
    let cut = 1 + cut.index(records.len());
    let ends = ends(records, cut, seed);
    assert_is_fold(&ends.live, records);
    assert_same(&ends.live, &ends.rebuilt);
    assert_same(&ends.live, &ends.restored);
}

#[test]
fn three_routes_end_in_one_state() {
    let histories = prop_oneof![
        2 => history(60).prop_map(|history| history.0),
        1 => identity_history(24).prop_map(|history| history.0),
    ];
    let mut runner = TestRunner::new(ProptestConfig {
        // The inputs are printed, and no file is written.
        failure_persistence: None,
        ..ProptestConfig::with_cases(CASES)
    });
    let inputs = (histories, any::<Index>(), any::<u64>());
    let ran = runner.run(&inputs, |(records, cut, seed)| {
        assert_one_end(&records, cut, seed);
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
}

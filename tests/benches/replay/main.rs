//! How fast a stream becomes a read model, against readers of the same stream that only count (a bare
//! parser, and the client library), and against `PostgreSQL` that is fed from it.
//!
//! Each runs in turn, in a process of its own, on the same stream and server; what is told are ratios.
//! `BENCH_SIZES` lists `events:users`, `BENCH_ROUNDS` says how often reader and projector run.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark prints figures and reads its size from the environment"
)]

mod drain;
mod postgres;
mod projector;
mod reader;
mod role;

use anyhow::{Context, ensure};
use domain::testing::workload;
use tests::broker::Broker;
use tokio::runtime::Builder;

use postgres::Postgres;
use role::{Figures, Role};
use tests::bench::setting;

/// Parts of the state's size that the projector is given as memory.
const PARTS: [u64; 2] = [2, 8];

fn main() -> anyhow::Result<()> {
    if let Some(role) = Role::of_this_process()? {
        return role.play();
    }
    let sizes = setting("BENCH_SIZES", "1000000:100000,5000000:1000000".to_owned());
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    for size in sizes.split(',') {
        let (events, users) = size
            .split_once(':')
            .context("BENCH_SIZES lists events:users")?;
        let (events, users): (u64, u64) = (events.trim().parse()?, users.trim().parse()?);
        let broker = runtime.block_on(fill(events, users.min(events)))?;
        compare(&broker, events, users)?;
    }
    Ok(())
}

async fn fill(events: u64, users: u64) -> anyhow::Result<Broker> {
    let broker = Broker::start().await?;
    let sample = workload(users * 2 + 1, users);
    let headers = sample.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.len() + value.len() + 4)
        .sum();
    broker
        .publish((0..events).map(|number| workload(number, users)))
        .await?;
    println!(
        "\n{events} events of about {} bytes over {users} users",
        sample.payload.len() + headers
    );
    Ok(broker)
}

fn compare(broker: &Broker, events: u64, users: u64) -> anyhow::Result<()> {
    // Warms the page cache that the broker reads from.
    Role::Reader.run(broker, events)?;
    let rounds: usize = setting("BENCH_ROUNDS", if events < 2_000_000 { 3 } else { 1 });
    let (mut ratios, mut of_drain, mut of_parser) = (Vec::new(), Vec::new(), Vec::new());
    let (mut readers, mut whole) = (Vec::new(), None);
    for _ in 0..rounds {
        let drain = Role::Drain.run(broker, events)?;
        let records = Role::Records.run(broker, events)?;
        let reader = Role::Reader.run(broker, events)?;
        let ours = Role::Projector { budget: None }.run(broker, events)?;
        print_line("a parser that only counts", events, &drain, &reader);
        print_line("our reader, counted", events, &records, &reader);
        print_line("bare reader", events, &reader, &reader);
        print_line("projector, all rows in memory", events, &ours, &reader);
        ratios.push(reader.seconds / ours.seconds);
        of_drain.push(drain.seconds / ours.seconds);
        of_parser.push(records.cpu_seconds / drain.cpu_seconds);
        readers.push(reader);
        whole = Some(ours);
    }
    let whole = whole.context("BENCH_ROUNDS is 0")?;
    readers.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let reader = readers.get(rounds / 2).context("there was a round")?;
    let mut slowest = whole.seconds;
    for part in PARTS {
        let budget = Some(whole.file_bytes / part);
        let ours = Role::Projector { budget }.run(broker, events)?;
        ensure!(ours.digest == whole.digest, "another budget, other rows");
        let name = format!(
            "projector, memory for 1/{part} of the state ({} MiB)",
            whole.file_bytes / part / 1024 / 1024
        );
        print_line(&name, events, &ours, reader);
        slowest = slowest.max(ours.seconds);
    }
    for (name, mut ratios) in [
        ("rate of the projector beside the bare reader's", ratios),
        ("beside that of the parser that only counts", of_drain),
        (
            "processor time of our reader beside that parser's",
            of_parser,
        ),
    ] {
        ratios.sort_by(f64::total_cmp);
        let median = ratios.get(rounds / 2).copied().unwrap_or_default();
        println!("{name}: median {median:.2} of {ratios:.2?}");
    }
    println!("{} bytes a user on disk", whole.file_bytes / users);
    let server = Postgres::start()?;
    let upserted = Role::Postgres {
        socket: server.socket(),
    }
    .run(broker, events)?;
    print_line(
        "PostgreSQL, upserts in batches of 5,000",
        events,
        &upserted,
        reader,
    );
    println!(
        "the projector is {:.1} times as fast as PostgreSQL, {:.1} times at its slowest",
        upserted.seconds / whole.seconds,
        upserted.seconds / slowest,
    );
    Ok(())
}

fn print_line(name: &str, events: u64, figures: &Figures, reader: &Figures) {
    let each = |seconds: f64| seconds * 1e6 / events as f64;
    println!(
        "{name}: {:.0} events/s, ratio {:.2}, processor {:.1} µs an event here and {:.1} µs in the \
         broker, {} MiB at most",
        events as f64 / figures.seconds,
        reader.seconds / figures.seconds,
        each(figures.cpu_seconds),
        each(figures.broker_cpu_seconds),
        figures.peak_kib / 1024,
    );
}

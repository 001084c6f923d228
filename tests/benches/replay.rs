//! How fast a stream becomes a read model, against a reader of the same stream that only counts.
//!
//! Both run in turn on the same stream and server; what is told is the ratio. `BENCH_EVENTS` and
//! `BENCH_USERS` set the size, `BENCH_ROUNDS` how often each runs.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a benchmark prints figures and reads its size from the environment"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_nats::jetstream::consumer::{AckPolicy, pull};
use domain::testing::workload;
use futures::StreamExt;
use projector::{BatchLimits, Config, NoLogin, Projector};
use read_model::{Options, ReadModel};
use tests::broker::{Broker, STREAM};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Records that the bare reader asks for at once, as the projector does.
const PULL_RECORDS: u64 = 5_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn main() -> anyhow::Result<()> {
    let events = setting("BENCH_EVENTS", 1_000_000);
    let users = setting("BENCH_USERS", 100_000).min(events);
    let rounds = setting("BENCH_ROUNDS", 3);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let broker = runtime.block_on(fill(events, users))?;
    let url = broker.server.url();
    let mut ratios = Vec::new();
    for round in 1..=rounds {
        let reader = rate(events, read_bare(&url, events)?);
        let (elapsed, digest) = runtime.block_on(replay(&url, events))?;
        let projector = rate(events, elapsed);
        let ratio = projector / reader;
        ratios.push(ratio);
        println!(
            "round {round}: bare reader {reader:.0} events/s, projector {projector:.0} events/s, \
             ratio {ratio:.2}, digest {digest}"
        );
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).context("no round was run")?;
    println!("{events} events over {users} users: median ratio {median:.2}");
    Ok(())
}

fn rate(events: u64, elapsed: Duration) -> f64 {
    events as f64 / elapsed.as_secs_f64()
}

async fn fill(events: u64, users: u64) -> anyhow::Result<Broker> {
    let broker = Broker::start().await?;
    let started = Instant::now();
    let sample = workload(users * 2 + 1, users);
    let bytes = sample.payload.len()
        + sample
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum::<usize>();
    broker
        .publish((0..events).map(|number| workload(number, users)))
        .await?;
    println!(
        "published {events} events of about {bytes} bytes in {:?}",
        started.elapsed()
    );
    Ok(broker)
}

/// The fastest reader known: the client's own stream with large batches, on a runtime of one thread.
fn read_bare(url: &str, events: u64) -> anyhow::Result<Duration> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = async_nats::connect(url).await?;
        let stream = async_nats::jetstream::new(client)
            .get_stream(STREAM)
            .await?;
        let started = Instant::now();
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let batch = usize::try_from(PULL_RECORDS)?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(batch)
            .messages()
            .await?;
        let mut messages = messages.ready_chunks(1_024);
        let (mut count, mut bytes) = (0, 0);
        while count < events {
            for message in messages.next().await.context("the stream ended")? {
                count += 1;
                bytes += message?.payload.len();
            }
        }
        std::hint::black_box(bytes);
        Ok(started.elapsed())
    })
}

/// A projector from nothing to the tail, durable.
async fn replay(url: &str, events: u64) -> anyhow::Result<(Duration, String)> {
    let folder = tempfile::tempdir()?;
    let model = ReadModel::open(folder.path(), Options::default())?;
    let reader = model.reader();
    let config = Config {
        servers: vec![url.parse()?],
        login: Arc::new(NoLogin),
        stream: STREAM.to_owned(),
        consumer: "bench".to_owned(),
        limits: BatchLimits::default(),
    };
    let started = Instant::now();
    let (projector, mut handle) = Projector::new(config, model);
    let stop = CancellationToken::new();
    let running = tokio::spawn(projector.run(stop.clone()));
    handle
        .progress
        .wait_for(|progress| events <= progress.applied())
        .await?;
    let elapsed = started.elapsed();
    stop.cancel();
    running.await??;
    let digest = reader.totals().digest.to_string();
    Ok((elapsed, digest))
}

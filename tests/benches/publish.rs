//! How fast `publish` stores a file of events, against a bare publisher of the same client that hands
//! everything over in order and awaits the acks out of order.
//!
//! The command reads, checks and counts as well, and keeps the order of each document whatever is lost on
//! the way, which the bare publisher does not.
//! `BENCH_EVENTS` sets the size, `BENCH_ROUNDS` how often each runs.

#![allow(clippy::print_stdout, reason = "a benchmark prints figures")]

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use domain::testing::{Draft, Form, named, profile_state};
use tests::bench::setting;
use tests::broker::Broker;
use tests::service::run_to_end;
use tokio::runtime::Builder;

/// Versions of each document, in a row, where there are many documents.
const VERSIONS: u64 = 5;

fn main() -> anyhow::Result<()> {
    let events: u64 = setting("BENCH_EVENTS", 100_000);
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        compare(
            "many documents, five versions of each in a row",
            events,
            VERSIONS,
        )
        .await?;
        let events = events / 5;
        compare("one document", events, events).await
    })
}

async fn compare(name: &str, events: u64, versions: u64) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.ndjson");
    let lines = drafts(events, versions).map(|draft| format!("{}\n", draft.envelope()));
    std::fs::write(&file, lines.collect::<String>())?;
    let mut ratios = Vec::new();
    for _ in 0..setting("BENCH_ROUNDS", 3) {
        let bare = bare(events, versions).await?;
        let ours = command(&file, events).await?;
        println!("{name}: bare publisher {bare:.0} events/s, command {ours:.0} events/s");
        ratios.push(ours / bare);
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).context("BENCH_ROUNDS is 0")?;
    println!("{name}: median ratio {median:.2} of {ratios:.2?}");
    Ok(())
}

fn drafts(events: u64, versions: u64) -> impl Iterator<Item = Draft> {
    (0..events).map(move |number| {
        let (user, version) = (number / versions, number % versions + 1);
        profile_state(
            &format!("u{user}"),
            &format!("p{user}"),
            version,
            &named("Ada"),
        )
    })
}

/// Events a second, its file read, checked, and every event acknowledged.
async fn command(file: &Path, events: u64) -> anyhow::Result<f64> {
    let broker = Broker::start().await?;
    let (url, file) = (broker.server.url(), file.to_str().context("a path")?);
    let started = Instant::now();
    let (code, said) = run_to_end(&["publish", file, "--nats-url", &url]).await?;
    let rate = rate(events, started);
    ensure!(code == Some(0), "{said}");
    stored(&broker, events).await?;
    Ok(rate)
}

async fn bare(events: u64, versions: u64) -> anyhow::Result<f64> {
    let broker = Broker::start().await?;
    let messages: Vec<_> = drafts(events, versions)
        .map(|draft| draft.message(Form::Binary))
        .collect();
    let started = Instant::now();
    broker.publish(&messages).await?;
    let rate = rate(events, started);
    stored(&broker, events).await?;
    Ok(rate)
}

#[allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a rate needs no last digit"
)]
fn rate(events: u64, started: Instant) -> f64 {
    events as f64 / started.elapsed().as_secs_f64()
}

async fn stored(broker: &Broker, events: u64) -> anyhow::Result<()> {
    let stored = broker.stream().await?.cached_info().state.messages;
    ensure!(stored == events, "{stored} of {events} events are stored");
    Ok(())
}

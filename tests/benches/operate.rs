//! What operating it costs: from a kill to the first right answer, from a publish's acknowledgement to
//! the answer that has it, both of them and reads while a rebuild or a verification runs, and how long
//! those take. The longest from a publish to its answer beside a rebuild is the pause of the swap.
//!
//! `BENCH_USERS` sets the size; each user has a user event and a profile event.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a benchmark prints figures"
)]

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::testing::workload;
use tests::bench::setting;
use tests::service::{Service, run_to_end};
use tests::world::World;
use tokio::runtime::Builder;

/// Connections that read all the time.
const READERS: usize = 8;
const PUBLISHES: usize = 1_000;
/// Between publishes while something else runs.
const PUBLISH_EVERY: Duration = Duration::from_millis(20);
const KILLS: usize = 5;

fn main() -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(operate(setting("BENCH_USERS", 1_000_000)))
}

async fn operate(users: u64) -> anyhow::Result<()> {
    let world = World::new().await?;
    let events = users * 2;
    let publish = (0..events).map(|number| workload(number, users));
    let last = world.broker.publish(publish).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    let token = world.token(&format!("user_u{:031}", 0))?;
    println!(
        "{users} users, {events} events; the service took {} at most to read them",
        memory(&service)?
    );
    let mut producer = Producer {
        world: &world,
        users,
        next: events,
        token: &token,
    };
    let mut times = Vec::new();
    for _ in 0..PUBLISHES {
        times.push(producer.publish(&service).await?);
    }
    println!("acknowledgement to answer over HTTP: {}", Times::of(times));
    let service = killed_to_answered(&world, service, &token).await?;
    reads_beside_jobs(&mut producer, &service).await?;
    service.stop().await?;
    Ok(())
}

/// The most that it had in memory since its start.
fn memory(service: &Service) -> anyhow::Result<String> {
    Ok(format!("{} MiB", service.memory_bytes()? / 1024 / 1024))
}

/// Publishes one event at a time and reads it.
struct Producer<'w> {
    world: &'w World,
    users: u64,
    /// The number of the next event.
    next: u64,
    token: &'w str,
}

impl Producer<'_> {
    /// The time from the acknowledgement to an answer that is of this event's sequence or later.
    async fn publish(&mut self, service: &Service) -> anyhow::Result<Duration> {
        let event = workload(self.next, self.users);
        self.next += 1;
        let sequence = self.world.broker.publish([event]).await?;
        let started = Instant::now();
        let answer = service.client.query_from(self.token, sequence).await?;
        ensure!(
            answer.sequence >= Some(sequence),
            "the answer is older: {answer:?}"
        );
        Ok(started.elapsed())
    }
}

async fn killed_to_answered(
    world: &World,
    mut service: Service,
    token: &str,
) -> anyhow::Result<Service> {
    let mut times = Vec::new();
    let expected = service.client.query(Some(token)).await?.body;
    for _ in 0..KILLS {
        let client = service.client.clone();
        let public = client.public;
        service.kill().await?;
        let started = Instant::now();
        let answered = async {
            loop {
                if let Ok(answer) = client.query(Some(token)).await
                    && answer.status.is_success()
                {
                    ensure!(answer.body == expected, "another answer than before");
                    return Ok(started.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let (again, answered) = tokio::join!(world.serve_at("model", public), answered);
        times.push(answered?);
        service = again?;
    }
    println!(
        "start after kill -9 to the first right answer: {}",
        Times::of(times)
    );
    Ok(service)
}

async fn reads_beside_jobs(producer: &mut Producer<'_>, service: &Service) -> anyhow::Result<()> {
    let admin = format!("http://{}", service.client.admin);
    let token = producer.token;
    let rest = reads(service, token, tokio::time::sleep(Duration::from_secs(10))).await?;
    println!(
        "reads at rest over {READERS} connections: {}; {} at most",
        rest.0,
        memory(service)?
    );
    for command in ["rebuild", "verify"] {
        let started = Instant::now();
        let arguments = [command, "--admin", &admin];
        let is_over = Cell::new(false);
        let run = async {
            let ended = run_to_end(&arguments).await;
            is_over.set(true);
            ended
        };
        let publish = async {
            let mut times = Vec::new();
            while !is_over.get() {
                times.push(producer.publish(service).await?);
                tokio::time::sleep(PUBLISH_EVERY).await;
            }
            anyhow::Ok(times)
        };
        let both = async { tokio::join!(run, publish) };
        let (times, (ended, published)) = reads(service, token, Box::pin(both)).await?;
        let (code, said) = ended?;
        ensure!(code == Some(0), "{command} ended with {code:?}: {said}");
        println!(
            "{command} took {:.1} s; reads beside it: {times}, {:.2} of those at rest; \
             acknowledgement to answer: {}; {} at most since the start",
            started.elapsed().as_secs_f64(),
            times.per_second / rest.0.per_second,
            Times::of(published?),
            memory(service)?
        );
    }
    Ok(())
}

/// Reads over all connections until `meanwhile` is over; none may fail.
async fn reads<T>(
    service: &Service,
    token: &str,
    meanwhile: impl Future<Output = T>,
) -> anyhow::Result<(Times, T)> {
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (client, token, stop) =
                (service.client.clone(), token.to_owned(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    let answer = client.query(Some(&token)).await?;
                    ensure!(answer.status.is_success(), "a read failed");
                    times.push(started.elapsed());
                }
                Ok(times)
            })
        })
        .collect();
    let started = Instant::now();
    let done = meanwhile.await;
    let elapsed = started.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    for reader in readers {
        times.extend(reader.await??);
    }
    let per_second = times.len() as f64 / elapsed.as_secs_f64();
    Ok((
        Times {
            per_second,
            ..Times::of(times)
        },
        done,
    ))
}

struct Times {
    per_second: f64,
    sorted: Vec<Duration>,
}

impl Times {
    fn of(mut sorted: Vec<Duration>) -> Self {
        sorted.sort_unstable();
        let sum: Duration = sorted.iter().sum();
        let per_second = sorted.len() as f64 / sum.as_secs_f64();
        Self { per_second, sorted }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.sorted.len().saturating_sub(1);
        let at = |part: f64| self.sorted[(last as f64 * part) as usize];
        write!(
            f,
            "{:.0}/s, p50 {:.1?}, p99 {:.1?}, longest {:.1?}",
            self.per_second,
            at(0.5),
            at(0.99),
            at(1.0)
        )
    }
}

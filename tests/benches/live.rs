//! How soon a subscribed client hears of an event, and what a client costs that only listens.
//!
//! Told is the time from a publish's acknowledgement to the Transition that shows it, against what cannot be done
//! without: the message seen by a plain NATS subscriber, and one durable commit of a read model. Some sockets' users
//! change, the others idle. `BENCH_SOCKETS`, `BENCH_EVENTS_PER_SECOND` and `BENCH_SECONDS` set the size.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a benchmark prints figures"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use async_nats::HeaderMap;
use domain::testing::{Form, Message, profile_state, records, user_state};
use domain::{Checkpoint, Fingerprint, StreamId, apply};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use read_model::{Options, ReadModel};
use serde_json::json;
use tests::bench::{memory_kib, percentile, setting};
use tests::broker::eventually;
use tests::client::subscribing;
use tests::service::{SOON, Service};
use tests::world::World;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Of many sockets, so many belong to users that change.
const BUSY: u64 = 100;
/// Events are sent in bursts, so many a second.
const BURSTS: u64 = 100;
/// Commits that are timed for the floor.
const COMMITS: u64 = 200;
/// Sockets that open at a time.
const OPENING: usize = 64;

type Socket = WebSocketStream<TcpStream>;

fn main() -> anyhow::Result<()> {
    let files = service::open_files::raise();
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let sockets = setting("BENCH_SOCKETS", 5_000);
    ensure!(
        sockets + 200 < files,
        "{sockets} sockets need more than {files} open files: raise the hard limit (ulimit -Hn) or lower BENCH_SOCKETS"
    );
    runtime.block_on(measure(sockets))
}

async fn measure(sockets: u64) -> anyhow::Result<()> {
    let seconds = setting("BENCH_SECONDS", 5);
    let fast = setting("BENCH_EVENTS_PER_SECOND", 5_000);
    let commit = durable_commit(sockets)?;
    println!(
        "a durable commit of one changed row: p50 {:?} p99 {:?}",
        commit.0, commit.1
    );
    let world = World::new().await?;
    let messages = (0..sockets).flat_map(|user| {
        let registered = user_state(&id(user), 1, &sub(user));
        [registered.message(Form::Binary), changed(user, 1, 0)]
    });
    let last = world.broker.publish(messages).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    // What a user's profile counts up from one load to the next.
    let mut version = 1;
    for number in [1, sockets] {
        let empty = memory_kib(service.id()?)?;
        let opened = open_all(&world, &service, number).await?;
        let each = memory_kib(service.id()?)?.saturating_sub(empty) as f64 / number as f64;
        if number > 1 {
            println!("{number} idle sockets: {each:.1} KiB each");
        }
        let mut idle = JoinSet::new();
        let mut busy = Vec::new();
        for (user, socket) in (0..).zip(opened) {
            if user < BUSY {
                busy.push(socket);
            } else {
                idle.spawn(socket.try_for_each(async |_| Ok(())));
            }
        }
        for rate in [100, fast] {
            let load = Load {
                rate,
                events: rate * seconds,
                users: number.min(BUSY),
                version,
            };
            let (told, floor) = run(&world, &mut busy, &load).await?;
            let floor = [floor.0 + commit.0, floor.1 + commit.1];
            println!(
                "{rate} events/s, {number} sockets: p50 {:?} p99 {:?}; floor p50 {:?} p99 {:?}",
                told.0, told.1, floor[0], floor[1]
            );
            version += load.events;
        }
        ensure!(idle.try_join_next().is_none(), "an idle socket ended");
        drop((busy, idle));
        eventually("the sockets' end", SOON, async || {
            let metrics = service.client.operator("/metrics").await.ok()?.1;
            metrics
                .contains("profile_projector_sync_sockets 0\n")
                .then_some(())
        })
        .await?;
    }
    Ok(())
}

fn id(user: u64) -> String {
    format!("u{user:031}")
}

fn sub(user: u64) -> String {
    format!("user_{user}")
}

/// A whole profile whose `updatedAt` is the event's number.
fn changed(user: u64, version: u64, number: u64) -> Message {
    let members = json!({
        "displayName": "Ada Lovelace", "languages": ["English", "French"],
        "bio": "I build looms, and sometimes engines that weave algebraic patterns.",
        "createdAt": 1_795_420_800_000_u64, "updatedAt": number,
    });
    profile_state(&id(user), &format!("p{user:031}"), version, &members).message(Form::Binary)
}

/// The number of the event that a text shows.
fn number_in(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(r#""updatedAt":"#)?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// How long a commit takes that changes one row of so many.
fn durable_commit(users: u64) -> anyhow::Result<Percentiles> {
    let folder = tempfile::tempdir()?;
    let mut model = ReadModel::open(folder.path(), Options::default())?;
    let stream = StreamId {
        name: "IDENTITY_EVENTS".into(),
        created_ns: 1,
    };
    let mut checkpoint = Checkpoint::start_of(stream);
    let rows = (0..users).map(|user| changed(user, 1, 0));
    let messages: Vec<_> = rows
        .chain((2..COMMITS + 2).map(|n| changed(0, n, n)))
        .collect();
    let records = records(&messages);
    let (rows, changes) = records.split_at(usize::try_from(users)?);
    let mut times = Vec::new();
    for batch in [rows].into_iter().chain(changes.chunks(1)) {
        let started = Instant::now();
        let mut open = model.begin();
        for record in batch {
            record.with_ref(|record| apply(&mut open, record))?;
        }
        let last = batch.last().context("a batch has records")?;
        checkpoint = checkpoint.advanced(Fingerprint {
            sequence: last.sequence,
            time_ns: 1,
        });
        open.commit(checkpoint.clone())?;
        if batch.len() == 1 {
            times.push(started.elapsed());
        }
    }
    Ok((percentile(&mut times, 50)?, percentile(&mut times, 99)?))
}

/// Opens a socket for each of the first users; each has heard its answer.
async fn open_all(world: &World, service: &Service, number: u64) -> anyhow::Result<Vec<Socket>> {
    let opening = (0..number).map(|user| {
        let token = world
            .issuer
            .mint(&sub(user), SystemTime::now(), Duration::from_hours(1));
        async move { open(service, &token?).await }
    });
    stream::iter(opening).buffered(OPENING).try_collect().await
}

async fn open(service: &Service, token: &str) -> anyhow::Result<Socket> {
    let stream = TcpStream::connect(service.client.public).await?;
    stream.set_nodelay(true)?;
    // The library's own choice would take 128 KiB for each.
    let config = WebSocketConfig::default().read_buffer_size(4 * 1024);
    let url = service.client.sync_url();
    let (mut socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    for message in subscribing(token) {
        socket.send(tungstenite::Message::text(message)).await?;
    }
    heard(&mut socket).await?;
    Ok(socket)
}

/// The number in the next text that shows one.
async fn heard(socket: &mut Socket) -> anyhow::Result<u64> {
    loop {
        let message = socket.next().await.context("the socket ended")??;
        if let tungstenite::Message::Text(text) = message
            && let Some(number) = number_in(&text)
        {
            return Ok(number);
        }
    }
}

/// So many events at this rate, for these users in turn.
struct Load {
    rate: u64,
    events: u64,
    users: u64,
    version: u64,
}

/// When what happened to each event, in microseconds since the beginning; 0 for not yet.
struct Marks {
    begin: Instant,
    acknowledged: Vec<AtomicU64>,
    seen: Vec<AtomicU64>,
    told: Vec<AtomicU64>,
}

impl Marks {
    fn new(events: u64) -> Arc<Self> {
        let new = || (0..events).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            begin: Instant::now(),
            acknowledged: new(),
            seen: new(),
            told: new(),
        })
    }

    fn mark(&self, marks: &[AtomicU64], event: u64) {
        let now = u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mark = usize::try_from(event).ok().and_then(|at| marks.get(at));
        if let Some(mark) = mark {
            // The first time counts.
            let _ = mark.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Median and 99th percentile of the time since the acknowledgement. What came before it took no time.
    fn since_acknowledged(&self, marks: &[AtomicU64]) -> anyhow::Result<(Duration, Duration)> {
        let of = |mark: &AtomicU64| mark.load(Ordering::Relaxed);
        let both = marks.iter().zip(&self.acknowledged);
        let took = both.map(|(mark, acknowledged)| of(mark).saturating_sub(of(acknowledged)));
        let mut times: Vec<_> = took.map(Duration::from_micros).collect();
        Ok((percentile(&mut times, 50)?, percentile(&mut times, 99)?))
    }
}

type Percentiles = (Duration, Duration);

async fn run(
    world: &World,
    busy: &mut [Socket],
    load: &Load,
) -> anyhow::Result<(Percentiles, Percentiles)> {
    let marks = Marks::new(load.events);
    let plain = world.broker.client().await?;
    let mut plain = plain.subscribe("identity.v1.*.profile").await?;
    let seeing = async {
        for _ in 0..load.events {
            let message = plain.next().await.context("the subscription ended")?;
            let number = number_in(std::str::from_utf8(&message.payload)?);
            let event = number.context("an event has a number")? - load.version;
            marks.mark(&marks.seen, event);
        }
        anyhow::Ok(())
    };
    let hearing = busy.iter_mut().zip(0..load.users).map(|(socket, user)| {
        let marks = &marks;
        async move {
            let mut event = user;
            while event < load.events {
                let last = heard(socket).await?.saturating_sub(load.version);
                // A Transition shows the newest state, and with it all before.
                while event <= last {
                    marks.mark(&marks.told, event);
                    event += load.users;
                }
            }
            anyhow::Ok(())
        }
    });
    let hearing = futures::future::try_join_all(hearing);
    tokio::try_join!(publish(world, load, &marks), seeing, hearing)?;
    let told = marks.since_acknowledged(&marks.told)?;
    Ok((told, marks.since_acknowledged(&marks.seen)?))
}

async fn publish(world: &World, load: &Load, marks: &Arc<Marks>) -> anyhow::Result<()> {
    let jetstream = world.broker.jetstream().await?;
    let mut acknowledgements = JoinSet::new();
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(BURSTS)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for event in 0..load.events {
        if event % (load.rate / BURSTS).max(1) == 0 {
            ticks.tick().await;
        }
        let number = load.version + event;
        let message = changed(event % load.users, number + 1, number);
        let mut headers = HeaderMap::new();
        for (name, value) in &message.headers {
            headers.append(name.as_str(), value.as_str());
        }
        let sent = jetstream
            .publish_with_headers(message.subject, headers, message.payload.into())
            .await?;
        let marks = Arc::clone(marks);
        acknowledgements.spawn(async move {
            sent.await?;
            marks.mark(&marks.acknowledged, event);
            anyhow::Ok(())
        });
    }
    while let Some(acknowledged) = acknowledgements.join_next().await {
        acknowledged??;
    }
    Ok(())
}

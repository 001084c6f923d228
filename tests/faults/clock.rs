//! The wall clock of the service jumps: hours ahead and back, hours behind, and to before 1970.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use axum::Router;
use axum::routing::get;
use devkit::issuer::{AUDIENCE, ISSUER};
use domain::testing::{Form, Message, profile_patched, user_state};
use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::json;
use tests::broker::eventually;
use tests::client::subscribing;
use tests::fake_clock::FakeClock;
use tests::service::{SOON, Service};
use tests::world::World;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::matrix::Seen;
use crate::people::{change, live, registrations, sound};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// A person whose profile waits for one that never comes.
fn parked() -> [Message; 2] {
    let patch = profile_patched("lost", "plost", 9, &json!({"bio": "x"}));
    [
        user_state("lost", 1, "user_lost").message(Form::Binary),
        patch.message(Form::Binary),
    ]
}

/// Serves the issuer's key set, as an identity provider does, and has the service load it from there.
struct KeyServer {
    loads: Arc<AtomicU64>,
    _stop: DropGuard,
}

impl KeyServer {
    async fn of(world: &World) -> anyhow::Result<Self> {
        let config = world.issuer.auth_config();
        let keys = std::fs::read_to_string(config.with_file_name("jwks.json"))?;
        let loads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&loads);
        let answer = async move || {
            counted.fetch_add(1, Ordering::Relaxed);
            ([("content-type", "application/json")], keys)
        };
        let routes = Router::new().route("/jwks", get(answer));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let jwks = format!("http://{}/jwks", listener.local_addr()?);
        let issuers = json!([{"issuer": ISSUER, "jwks": jwks, "audience": AUDIENCE}]);
        std::fs::write(config, json!({"issuers": issuers}).to_string())?;
        let stop = CancellationToken::new();
        let serving =
            axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
        tokio::spawn(async move { serving.await.unwrap() });
        Ok(Self {
            loads,
            _stop: stop.drop_guard(),
        })
    }
}

/// A page that has subscribed.
struct Page(WebSocketStream<TcpStream>);

impl Page {
    async fn open(service: &Service, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(service.client.public).await?;
        let (mut socket, _) = client_async(service.client.sync_url(), stream).await?;
        for message in subscribing(token) {
            socket.send(tungstenite::Message::text(message)).await?;
        }
        Ok(Self(socket))
    }

    /// The next message that is more than a sign of life and holds `part`.
    async fn hears(&mut self, part: &str) -> anyhow::Result<()> {
        let heard = async {
            loop {
                let message = self.0.next().await.context("the socket ended")??;
                if let tungstenite::Message::Text(text) = message {
                    if text.contains(part) {
                        return Ok(());
                    }
                    ensure!(!text.contains("Error"), "{text}, and no {part}");
                }
            }
        };
        tokio::time::timeout(SOON, heard)
            .await
            .with_context(|| format!("no {part}"))?
    }
}

/// What a token gives.
async fn status(service: &Service, token: &str) -> anyhow::Result<StatusCode> {
    Ok(service.client.query(Some(token)).await?.status)
}

/// The service is live and its ages are none that cannot be. Gives that of the oldest parked record.
async fn ages(service: &Service) -> anyhow::Result<u64> {
    let status = service.client.status().await?;
    ensure!(
        status["phase"] == "live" && status["connection"] == "connected",
        "{status}"
    );
    let lag = status["lag_seconds"].as_f64().context("it is known")?;
    ensure!(0.0 <= lag, "{status}");
    let age = &status["parked_oldest_seconds"];
    age.as_u64().with_context(|| format!("no age: {status}"))
}

/// A token that is issued now is good, once that is later than the last one was.
async fn a_new_token_is_good(world: &World, service: &Service) -> anyhow::Result<String> {
    eventually("a new token's answer", SOON, async || {
        let token = world.token("user_0").ok()?;
        let good = status(service, &token).await.ok()? == StatusCode::OK;
        good.then_some(token)
    })
    .await
}

/// A start while the issuer is away uses the keys of the last run, until they are too old.
pub(crate) async fn kept_keys_grow_too_old() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let keys = KeyServer::of(&world).await?;
    let clock = FakeClock::new(&world.data("")).await?;
    let service = world.serve_by(&clock, "model").await?;
    live(&service).await?;
    let kept = world.data("model").join("signing-keys");
    let files = || std::fs::read_dir(&kept).ok()?.next();
    eventually("the kept keys", SOON, async || files()).await??;
    service.kill().await?;
    drop(keys);
    for (hours, expected) in [
        (0, StatusCode::OK),
        (23, StatusCode::OK),
        (25, StatusCode::SERVICE_UNAVAILABLE),
        (-1, StatusCode::SERVICE_UNAVAILABLE),
        (1, StatusCode::OK),
    ] {
        clock.set(hours * HOUR)?;
        let service = world.serve_by(&clock, "model").await?;
        let now = SystemTime::now();
        let hour = Duration::from_hours(hours.unsigned_abs());
        let now = if hours < 0 { now - hour } else { now + hour };
        let token = world.issuer.mint("user_0", now, Duration::from_mins(5))?;
        let found = status(&service, &token).await?;
        ensure!(found == expected, "{found} at a clock of {hours:+} h");
        service.kill().await?;
    }
    Ok(Seen {
        note: "kept keys are used at 0, 1 and 23 h, not at 25 h and not an hour before".to_owned(),
        ..Seen::default()
    })
}

pub(crate) async fn jumps_under_load() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let keys = KeyServer::of(&world).await?;
    let clock = FakeClock::new(&world.data("")).await?;
    world.broker.publish(registrations()).await?;
    let last = world.broker.publish(parked()).await?;
    let service = world.serve_by(&clock, "model").await?;
    service.applied(last).await?;
    live(&service).await?;
    let done = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let load = async {
        while !done.load(Ordering::Relaxed) {
            let round = rounds.fetch_add(1, Ordering::Relaxed);
            world.broker.publish([change(round)]).await?;
        }
        anyhow::Ok(())
    };
    let jumping = async {
        let ended = jumps(&world, &service, &clock).await;
        done.store(true, Ordering::Relaxed);
        ended
    };
    tokio::try_join!(load, jumping)?;
    sound(&world, &service).await?;
    let undisturbed = world.serve("other").await?;
    sound(&world, &undisturbed).await?;
    let (here, there) = (
        service.client.status().await?,
        undisturbed.client.status().await?,
    );
    for member in ["digest", "outcomes"] {
        ensure!(
            here[member] == there[member],
            "{member}: {here}, not {there}"
        );
    }
    // Nothing that measures a span was put off.
    let loads = keys.loads.load(Ordering::Relaxed);
    ensure!(loads == 2, "the keys were loaded {loads} times by two");
    let log = std::fs::read_to_string(&service.log)?;
    let attached = log.matches("attached to the stream").count();
    ensure!(attached == 1, "attached {attached} times: {log}");
    service.stop().await?;
    Ok(Seen {
        note: format!(
            "5 h ahead, back, 3 h behind, before 1970, right again; {} events, each applied once, attached once, keys loaded once",
            rounds.into_inner()
        ),
        ..Seen::default()
    })
}

/// Hours ahead and back, hours behind, before 1970, and right again.
async fn jumps(world: &World, service: &Service, clock: &FakeClock) -> anyhow::Result<()> {
    let applied = async || {
        let now = service.client.status().await?["applied_sequence"].as_u64();
        service.applied(now.context("it is a number")? + 50).await
    };
    let day = Duration::from_hours(24);
    let long = world.issuer.mint("user_1", SystemTime::now(), day)?;
    let short = world.token("user_0")?;
    for token in [&short, &long] {
        ensure!(status(service, token).await? == StatusCode::OK, "not yet");
    }
    let mut page = Page::open(service, &short).await?;
    page.hears("Person 0").await?;
    ensure!(ages(service).await? < 600, "an old record");

    clock.set(5 * HOUR)?;
    ensure!(status(service, &short).await? == StatusCode::UNAUTHORIZED);
    ensure!(status(service, &long).await? == StatusCode::OK);
    page.hears("AuthError").await?;
    applied().await?;
    let age = ages(service).await?;
    ensure!((18_000..19_000).contains(&age), "{age} s");

    clock.set(0)?;
    for _ in 0..2 {
        let expired = status(service, &short).await?;
        ensure!(expired == StatusCode::UNAUTHORIZED, "it came alive again");
    }
    let fresh = a_new_token_is_good(world, service).await?;
    let mut page = Page::open(service, &fresh).await?;
    for _ in 0..3 {
        page.hears("Person 0").await?;
    }
    applied().await?;
    ensure!(ages(service).await? < 600, "an old record");

    clock.set(-3 * HOUR)?;
    let early = world.token("user_0")?;
    ensure!(status(service, &early).await? == StatusCode::UNAUTHORIZED);
    applied().await?;
    let age = ages(service).await?;
    ensure!(age == 0, "from the future it is {age} s old");

    clock.set(-60 * YEAR)?;
    let unjudged = status(service, &fresh).await?;
    ensure!(unjudged == StatusCode::SERVICE_UNAVAILABLE, "{unjudged}");
    let ready = service.client.operator("/readyz").await?;
    ensure!(ready.0 == StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
    page.hears("AuthError").await?;
    applied().await?;
    let oldest = service.client.status().await?["parked_oldest_seconds"].clone();
    ensure!(oldest.is_null(), "before 1970 it is {oldest} s old");

    clock.set(0)?;
    let fresh = a_new_token_is_good(world, service).await?;
    let mut page = Page::open(service, &fresh).await?;
    page.hears("Person 0").await?;
    applied().await?;
    Ok(())
}

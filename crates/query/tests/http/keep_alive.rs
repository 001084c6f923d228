//! Connections that are kept between requests: long enough for the pools of proxies and clients, while a header
//! that has begun is still bounded.

use std::time::{Duration, Instant};

use query::Limits;
use query::metrics::CONNECTIONS_ENDED;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::exchange::{PATIENCE, ask, rest};
use crate::running::{Running, Setup};
use crate::sync::counting::Counters;

/// The limit on a header.
const HEADER: Duration = Duration::from_millis(200);
/// The limit on an idle connection.
const IDLE: Duration = Duration::from_millis(1_500);

async fn running(connection_age: Duration) -> Running {
    let limits = Limits {
        header_timeout: HEADER,
        idle_timeout: IDLE,
        connection_age,
        farewell: HEADER,
        ..Limits::default()
    };
    Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await
}

/// A connection that is kept.
struct Kept(TcpStream);

impl Kept {
    async fn open(running: &Running) -> Self {
        Self(TcpStream::connect(running.address).await.unwrap())
    }

    /// Sends these bytes and gives the header of the answer.
    async fn answer(&mut self, sent: &[u8]) -> String {
        self.0.write_all(sent).await.unwrap();
        let answered = timeout(PATIENCE, async {
            let mut got = Vec::new();
            while !got.ends_with(b"}") {
                let read = self.0.read_buf(&mut got).await.unwrap();
                assert_ne!(read, 0, "closed: {:?}", String::from_utf8_lossy(&got));
            }
            got
        });
        let answer = String::from_utf8(answered.await.expect("an answer in time")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        answer.to_ascii_lowercase()
    }

    /// Waits for the end and gives how long it took.
    async fn end(&mut self) -> Duration {
        let started = Instant::now();
        assert_eq!(rest(&mut self.0).await, b"");
        started.elapsed()
    }
}

fn asked() -> Vec<u8> {
    let asked = String::from_utf8(ask()).unwrap();
    asked.replace("Connection: close\r\n", "").into_bytes()
}

#[tokio::test]
async fn an_idle_connection_outlives_the_limit_on_headers() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let ended = |reason| counters.get(&format!("{CONNECTIONS_ENDED} public {reason}"));
    let running = running(Limits::default().connection_age).await;
    let mut kept = Kept::open(&running).await;
    for _ in 0..3 {
        kept.answer(&asked()).await;
        sleep(HEADER * 2).await;
    }
    kept.answer(&asked()).await;
    let took = kept.end().await;
    assert!(IDLE / 2 < took && took < IDLE * 5, "{took:?}");
    assert_eq!((ended("idle"), ended("slow")), (1, 0));
    running.stop().await;
}

#[tokio::test]
async fn a_header_that_has_begun_is_bounded_on_a_kept_connection_too() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let running = running(Limits::default().connection_age).await;
    let mut kept = Kept::open(&running).await;
    kept.answer(&asked()).await;
    sleep(HEADER * 2).await;
    // With the next header's first bytes, though a byte comes again and again.
    kept.0
        .write_all(b"POST /api/query HTTP/1.1\r\nA: ")
        .await
        .unwrap();
    let started = Instant::now();
    while kept.0.write_all(b"x").await.is_ok() && started.elapsed() < PATIENCE {
        sleep(HEADER / 20).await;
    }
    let took = started.elapsed();
    assert!(HEADER / 2 < took && took < IDLE, "{took:?}");
    let ended = |reason| counters.get(&format!("{CONNECTIONS_ENDED} public {reason}"));
    assert_eq!((ended("idle"), ended("slow")), (0, 1));
    running.stop().await;
}

#[tokio::test]
async fn a_header_in_pieces_is_answered_on_a_kept_connection() {
    let running = running(Limits::default().connection_age).await;
    let mut kept = Kept::open(&running).await;
    let asked = asked();
    for _ in 0..3 {
        sleep(HEADER * 2).await;
        let (first, rest) = asked.split_at(asked.len() / 2);
        kept.0.write_all(first).await.unwrap();
        sleep(HEADER / 4).await;
        kept.answer(rest).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_connection_of_age_ends_with_an_answer_and_not_while_it_idles() {
    let age = HEADER * 2;
    let running = running(age).await;
    let mut kept = Kept::open(&running).await;
    let first = kept.answer(&asked()).await;
    assert!(!first.contains("connection: close"), "{first}");
    sleep(age * 2).await;
    let second = kept.answer(&asked()).await;
    assert!(second.contains("connection: close"), "{second}");
    let took = kept.end().await;
    assert!(took < IDLE, "{took:?}");
    running.stop().await;
}

#[tokio::test]
async fn the_usual_time_is_longer_than_a_pools() {
    assert!(Limits::default().idle_timeout >= Duration::from_secs(75));
}

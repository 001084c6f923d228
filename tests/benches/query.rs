//! How fast the query is answered, against a bare axum handler that returns the same bytes.
//!
//! Each server is a process of its own; both are asked in turn by the same client over the same number
//! of connections, and what is told is the ratio. `BENCH_SECONDS` and `BENCH_ROUNDS` set the size.

#![allow(
    clippy::print_stdout,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a benchmark prints figures"
)]

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::post;
use domain::testing::{Form, profile_state, user_state};
use serde_json::json;
use tests::bench::{percentile, processor_time, setting};
use tests::client::RUN;
use tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

const CONNECTIONS: usize = 32;
const TOKENS: usize = 5_000;
/// Set for the process that is the bare server; holds the body it answers with.
const BARE: &str = "BENCH_BARE_BODY";

fn main() -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    match std::env::var(BARE) {
        Ok(body) => runtime.block_on(serve_bare(body)),
        Err(_) => runtime.block_on(compare()),
    }
}

/// Answers every request with the same bytes; tells its port on standard output.
async fn serve_bare(body: String) -> anyhow::Result<()> {
    let body: &'static str = body.leak();
    let answer = move || async move {
        (
            [
                (CONTENT_TYPE, "application/json"),
                (CACHE_CONTROL, "private, no-store"),
            ],
            body,
        )
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().route(RUN, post(answer))).await?;
    Ok(())
}

/// A server in a process of its own, ended with this handle.
struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_bare(body: &str) -> anyhow::Result<(Bare, SocketAddr)> {
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.env(BARE, body).stdout(Stdio::piped()).spawn()?;
    let mut bare = Bare(child);
    let said = bare.0.stdout.take().context("it has a standard output")?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(said), &mut line)?;
    let address = line.trim().parse()?;
    Ok((bare, address))
}

async fn compare() -> anyhow::Result<()> {
    let rounds = setting("BENCH_ROUNDS", 3);
    let length = Duration::from_secs(setting("BENCH_SECONDS", 5));
    let world = World::new().await?;
    let sub = |number: usize| format!("user_{number}");
    let members = json!({
        "displayName": "Ada Lovelace", "languages": ["English", "French"], "age": 36,
        "bio": "I build looms, and sometimes engines that weave algebraic patterns.",
        "gender": "female", "company": "Analytical Engines",
        "createdAt": 1_795_420_800_000_u64, "updatedAt": 1_795_420_920_000.5,
    });
    let messages = (0..TOKENS).flat_map(|number| {
        let user = format!("u{number:031}");
        let profile = profile_state(&user, &format!("p{number:031}"), 1, &members);
        [
            user_state(&user, 1, &sub(number)).message(Form::Binary),
            profile.message(Form::Binary),
        ]
    });
    let last = world.broker.publish(messages).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    let lifetime = Duration::from_hours(1);
    let now = std::time::SystemTime::now();
    let tokens: Vec<String> = (0..TOKENS)
        .map(|number| world.issuer.mint(&sub(number), now, lifetime))
        .collect::<Result<_, _>>()?;
    let answer = service
        .client
        .request(Some(&tokens[0]))
        .send()
        .await?
        .text()
        .await?;
    let (bare, address) = start_bare(&answer)?;
    let bare = Server {
        process: bare.0.id(),
        address,
        _held: Some(bare),
    };
    let ours = Server {
        process: service.id()?,
        address: service.client.public,
        _held: None,
    };
    println!(
        "{CONNECTIONS} connections, {} bytes an answer",
        answer.len()
    );
    let one: Arc<[Vec<u8>]> = Arc::new([request(&tokens[0])]);
    let many: Arc<[Vec<u8>]> = tokens.iter().map(|token| request(token)).collect();
    for (name, requests) in [("one token", one), ("5,000 tokens", many)] {
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let floor = load(&bare, &requests, length).await?;
            let answered = load(&ours, &requests, length).await?;
            println!("{name}: bare {floor}; service {answered}");
            ratios.push(answered.per_second / floor.per_second);
        }
        ratios.sort_by(f64::total_cmp);
        println!("{name}: median ratio {:.2}", ratios[ratios.len() / 2]);
    }
    Ok(())
}

fn request(token: &str) -> Vec<u8> {
    let body = r#"{"args":{}}"#;
    format!(
        "POST {RUN} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Who is asked.
struct Server {
    process: u32,
    address: SocketAddr,
    _held: Option<Bare>,
}

struct Load {
    per_second: f64,
    /// Of the server, for a request.
    processor: Duration,
    p50: Duration,
    p99: Duration,
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0}/s p50 {:?} p99 {:?} processor {:?} a request",
            self.per_second, self.p50, self.p99, self.processor
        )
    }
}

/// Asks over all connections for `length`, each the next request as soon as it is answered.
async fn load(
    server: &Server,
    requests: &Arc<[Vec<u8>]>,
    length: Duration,
) -> anyhow::Result<Load> {
    let before = processor_time(server.process)?;
    let until = Instant::now() + length;
    let asking: Vec<_> = (0..CONNECTIONS)
        .map(|first| {
            tokio::spawn(ask(
                server.address,
                Arc::clone(requests),
                first * 157,
                until,
            ))
        })
        .collect();
    let mut times = Vec::new();
    for connection in asking {
        times.extend(connection.await??);
    }
    let per_second = times.len() as f64 / length.as_secs_f64();
    let processor = processor_time(server.process)?.saturating_sub(before);
    Ok(Load {
        processor: processor.div_f64(times.len() as f64),
        per_second,
        p50: percentile(&mut times, 50)?,
        p99: percentile(&mut times, 99)?,
    })
}

async fn ask(
    server: SocketAddr,
    requests: Arc<[Vec<u8>]>,
    first: usize,
    until: Instant,
) -> anyhow::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let mut times = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    let mut next = first;
    while Instant::now() < until {
        let started = Instant::now();
        stream.write_all(&requests[next % requests.len()]).await?;
        next += 1;
        let mut filled = 0;
        let mut wanted = None;
        while wanted.is_none_or(|wanted| filled < wanted) {
            let read = stream.read(&mut buffer[filled..]).await?;
            ensure!(read != 0, "the server closed the connection");
            filled += read;
            wanted = wanted.or(answer_length(&buffer[..filled])?);
        }
        times.push(started.elapsed());
    }
    Ok(times)
}

/// Header and body together; `None` while the header is not all there.
fn answer_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let header = std::str::from_utf8(&bytes[..end])?;
    ensure!(
        header.starts_with("HTTP/1.1 200"),
        "not answered well: {header}"
    );
    let length = header
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.context("an answer has a length")?;
    Ok(Some(end + 4 + length.trim().parse::<usize>()?))
}

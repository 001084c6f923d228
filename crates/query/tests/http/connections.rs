//! Connections of every bad kind end in time, and good clients are answered all the while.

use std::time::{Duration, Instant};

use query::server::Server;
use query::{Limits, TrustedProxies};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::exchange::{PATIENCE, ask, ask_with, exchange, request, rest};
use crate::running::{Running, Setup};

const SHORT: Duration = Duration::from_millis(300);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Limits that are short, each told from the others by what is tried.
fn short() -> Limits {
    Limits {
        first_byte_timeout: SHORT,
        header_timeout: SHORT,
        idle_timeout: SHORT,
        body_timeout: SHORT,
        farewell: SHORT,
        ..Limits::default()
    }
}

async fn with(limits: Limits) -> Running {
    Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await
}

/// Sends the bytes and sees the connection end without more being sent, soon but not at once.
async fn ends_after(limits: Limits, sent: &[u8]) -> Vec<u8> {
    let running = with(limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let started = Instant::now();
    stream.write_all(sent).await.unwrap();
    let got = rest(&mut stream).await;
    let took = started.elapsed();
    println!("ended after {took:?}");
    assert!(took > SHORT / 2, "{took:?} is no time");
    assert!(took < SHORT * 10, "{took:?} is too long");
    running.stop().await;
    got
}

#[tokio::test]
async fn a_silent_connection() {
    assert_eq!(ends_after(short(), b"").await, b"");
}

#[tokio::test]
async fn a_lone_letter_that_could_begin_either_protocol() {
    assert_eq!(ends_after(short(), b"P").await, b"");
}

#[tokio::test]
async fn half_a_preface() {
    assert_eq!(ends_after(short(), &PREFACE[..20]).await, b"");
}

#[tokio::test]
async fn a_preface_and_silence() {
    ends_after(short(), PREFACE).await;
}

#[tokio::test]
async fn an_idle_connection_of_http2() {
    ends_after(short(), &[PREFACE, SETTINGS].concat()).await;
}

#[tokio::test]
async fn half_a_header() {
    ends_after(short(), b"POST /api/query HTTP/1.1\r\nHost: x\r\nA").await;
}

#[tokio::test]
async fn an_idle_connection_after_a_request() {
    let asked = String::from_utf8(ask())
        .unwrap()
        .replace("Connection: close\r\n", "");
    let got = ends_after(short(), asked.as_bytes()).await;
    assert!(got.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_body_that_does_not_come() {
    let head = "POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let got = ends_after(short(), head.as_bytes()).await;
    let got = String::from_utf8(got).unwrap();
    assert!(got.starts_with("HTTP/1.1 408"), "{got}");
    assert!(got.ends_with("\r\n\r\n"), "the body is empty");
}

#[tokio::test]
async fn a_connection_that_trickles() {
    let running = with(short()).await;
    let (mut read, mut write) = TcpStream::connect(running.address)
        .await
        .unwrap()
        .into_split();
    let trickle = tokio::spawn(async move {
        let mut sent: u32 = 0;
        while write
            .write_all(b"GET / HTTP/1.1\r\nA: b\r\n"[..1].as_ref())
            .await
            .is_ok()
        {
            sent += 1;
            tokio::time::sleep(SHORT / 20).await;
        }
        sent
    });
    let mut got = Vec::new();
    drop(read.read_to_end(&mut got).await);
    assert!(trickle.await.unwrap() < 400);
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads() {
    let running = with(Limits {
        write_timeout: SHORT,
        ..Limits::default()
    })
    .await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let body = format!(r#"{{"args":{{"a":"{}"}}}}"#, "x".repeat(60_000));
    let json = [("Content-Type".to_owned(), "application/json".to_owned())];
    let target = "/api/run/profiles/queries/getCurrentUserProfile";
    let asked = String::from_utf8(request("POST", target, &json, body.as_bytes())).unwrap();
    let asked = asked.replace("Connection: close\r\n", "");
    let asking = async { while stream.write_all(asked.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("the connection ends");
    running.stop().await;
}

#[tokio::test]
async fn a_busy_connection_that_never_ends() {
    let limits = Limits {
        connection_age: SHORT,
        ..Limits::default()
    };
    let running = with(limits).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let asked = String::from_utf8(ask())
        .unwrap()
        .replace("Connection: close\r\n", "");
    let mut answers: u32 = 0;
    let mut buffer = vec![0; 4096];
    let last = loop {
        if stream.write_all(asked.as_bytes()).await.is_err() {
            break 0;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break answers,
            Ok(_) => answers += 1,
        }
    };
    assert!(answers > 1, "{last} answers before it was ended");
    running.stop().await;
}

#[tokio::test]
async fn a_header_of_200_kilobytes() {
    let running = with(Limits::default()).await;
    let large = "x".repeat(200 * 1024);
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    // The answer may come, and the connection end, before all is sent.
    let _ = stream.write_all(&ask_with(&[("A", large.as_str())])).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 431");
    running.stop().await;
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_told_so() {
    let running = with(Limits {
        body_bytes: 100,
        ..Limits::default()
    })
    .await;
    let json = [("Content-Type".to_owned(), "application/json".to_owned())];
    let asked = request("POST", "/api/query", &json, &[b' '; 101]);
    let reply = exchange(running.address, &asked).await;
    let body = r#"{"code":"BadJsonBody","message":"Failed to buffer the request body: length limit exceeded"}"#;
    assert_eq!((reply.status, reply.body.as_str()), (400, body));

    // Whoever asks first hears it before anything is sent.
    let head = "POST /api/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Type: application/json\r\nContent-Length: 999999\r\n\r\n";
    let reply = exchange(running.address, head.as_bytes()).await;
    assert_eq!((reply.status, reply.body.as_str()), (400, body));
    running.stop().await;
}

#[tokio::test]
async fn bodies_share_their_memory() {
    let limits = Limits {
        own_bytes: 1000,
        part_bytes: 50_000,
        requests_bytes: 60_000,
        ..Limits::default()
    };
    let running = with(limits).await;
    let json = [("Content-Type".to_owned(), "application/json".to_owned())];
    let sized = |bytes| request("POST", "/api/query", &json, &vec![b' '; bytes]);
    assert_eq!(exchange(running.address, &sized(50_001)).await.status, 503);
    // One that does not end holds what it has sent.
    let asked = sized(40_000);
    let (last, most) = asked.split_last().unwrap();
    let mut endless = TcpStream::connect(running.address).await.unwrap();
    endless.write_all(most).await.unwrap();
    until(&running, &sized(40_000), 503).await;
    // What is small has room all the same.
    assert_eq!(running.ask().await.status, 200);
    endless.write_all(&[*last]).await.unwrap();
    until(&running, &sized(40_000), 400).await;
    running.stop().await;
}

async fn until(running: &Running, asked: &[u8], status: u16) {
    while exchange(running.address, asked).await.status != status {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn good_clients_are_answered_while_1000_connections_idle() {
    let running = with(Limits::default()).await;
    let mut idle = Vec::new();
    for number in 0..1000_u32 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        let head: &[u8] = match number % 4 {
            0 => b"",
            1 => b"P",
            2 => b"POST /api/query HTTP/1.1\r\nHost: x\r\n",
            _ => b"POST /api/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        };
        stream.write_all(head).await.unwrap();
        idle.push(stream);
    }
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(running.ask().await.status, 200);
    }
    println!(
        "50 answers beside 1000 idle connections took {:?}",
        started.elapsed()
    );
    drop(idle);
    running.stop().await;
}

#[tokio::test]
async fn the_idlest_connection_makes_room() {
    let running = with(Limits {
        connections: 2,
        ..Limits::default()
    })
    .await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    for _ in 0..3 {
        assert_eq!(running.ask().await.status, 200);
        tokio::task::yield_now().await;
    }
    let _second = TcpStream::connect(running.address).await.unwrap();
    let reply = running.ask().await;
    assert_eq!(reply.status, 200, "the silent one was ended to make room");
    assert_eq!(rest(&mut silent).await, b"");
    running.stop().await;
}

#[tokio::test]
async fn an_address_has_its_part_of_the_connections() {
    let running = with(Limits {
        per_address: 1,
        ..Limits::default()
    })
    .await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(rest(&mut second).await, b"");
    let asked = crate::exchange::ask();
    first.write_all(&asked).await.unwrap();
    assert!(rest(&mut first).await.starts_with(b"HTTP/1.1 200"));
    running.stop().await;
}

/// A request of a client that a proxy names, whose body does not end.
async fn unended(running: &Running, client: &str) -> TcpStream {
    let mut asked = ask_with(&[("X-Forwarded-For", client)]);
    asked.pop();
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(&asked).await.unwrap();
    stream
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_part() {
    let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let running = with(Limits {
        per_address: 2,
        trusted_proxies: proxies,
        ..Limits::default()
    })
    .await;
    let greedy = "198.51.100.1";
    let held = [
        unended(&running, greedy).await,
        unended(&running, &format!("1.2.3.4, {greedy}")).await,
    ];
    let asks = async |client: &str| {
        let asked = ask_with(&[("X-Forwarded-For", client)]);
        exchange(running.address, &asked).await.status
    };
    // Both are under way once a third is refused.
    timeout(PATIENCE, async { while asks(greedy).await != 503 {} })
        .await
        .unwrap();
    assert_eq!(asks("198.51.100.2").await, 200);
    assert_eq!(asks(&format!("{greedy}, 198.51.100.3")).await, 200);
    drop(held);
    timeout(PATIENCE, async { while asks(greedy).await != 200 {} })
        .await
        .unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_off_those_that_do_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, mut seen) = tokio::sync::mpsc::channel(2);
    let slow = move |target: axum::http::Uri| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            match target.path() {
                "/slow" => tokio::time::sleep(SHORT).await,
                _ => std::future::pending().await,
            }
            "done"
        }
    };
    let router = axum::Router::new().fallback(slow);
    let server = Server {
        name: "test",
        router,
        limits: Limits::default(),
        tls: None,
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(listener, SHORT * 3, stop.clone()));
    let ask = |target| async move { exchange(address, &request("GET", target, &[], b"")).await };
    let slow = tokio::spawn(ask("/slow"));
    let mut endless = TcpStream::connect(address).await.unwrap();
    endless
        .write_all(&request("GET", "/endless", &[], b""))
        .await
        .unwrap();
    seen.recv().await.unwrap();
    seen.recv().await.unwrap();
    stop.cancel();
    assert_eq!(slow.await.unwrap().body, "done");
    assert_eq!(rest(&mut endless).await, b"");
    serving.await.unwrap();
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

//! Answers are bounded, and held no longer than their clients take to take them.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo};
use query::Limits;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::{PATIENCE, exchange, request};
use crate::running::{Running, Setup, ada, set_profile};
use crate::tokens;

const USER: &str = "j57bq0g31py2qjnt6amgqwq20x6dpzyk";
const BIO_BYTES: usize = 250_000;

/// A service whose `user_1` has a large profile.
async fn with_large_profile(limits: Limits) -> Running {
    let mut running = Running::start(Setup {
        limits,
        ..Setup::default()
    })
    .await;
    let mut profile = ada();
    profile.bio = Some("b".repeat(BIO_BYTES).into());
    running.commit(|batch| set_profile(batch, USER, Some(profile)));
    running
}

fn headers() -> Vec<(String, String)> {
    let bearer = format!("Bearer {}", tokens::token_of("user_1"));
    vec![
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Authorization".to_owned(), bearer),
    ]
}

fn batch(queries: usize) -> Vec<u8> {
    let query = json!({"path": "profiles/queries:getCurrentUserProfile", "args": {}});
    json!({"queries": vec![query; queries]})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn equal_queries_share_their_bytes_up_to_a_bound() {
    let limits = Limits {
        // Room for one of them.
        answers_bytes: 500_000,
        answer_bytes: 1_100_000,
        ..Limits::default()
    };
    let running = with_large_profile(limits).await;
    let asked = request("POST", "/api/query_batch", &headers(), &batch(800));
    let reply = exchange(running.address, &asked).await;
    assert_eq!(reply.status, 200);
    let reply: Value = serde_json::from_str(&reply.body).unwrap();
    let results = reply["results"].as_array().unwrap();
    assert_eq!(results.len(), 800);
    for (at, result) in results.iter().enumerate() {
        if at < 4 {
            assert_eq!(result["value"]["bio"].as_str().unwrap().len(), BIO_BYTES);
        } else {
            let text = result["errorMessage"].as_str().unwrap();
            assert!(
                text.contains("Too many bytes returned by one request (limit: 1100000 bytes)"),
                "{text}"
            );
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let short = Duration::from_millis(300);
    let limits = Limits {
        // Room for two of them.
        answers_bytes: 600_000,
        body_timeout: short,
        sequence_timeout: short,
        write_timeout: short,
        ..Limits::default()
    };
    let running = with_large_profile(limits).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut sender, connection) = Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let driving = tokio::spawn(connection);
    let mut ask = || {
        let asked = Request::post("http://test/api/run/profiles/queries/getCurrentUserProfile");
        let asked = headers()
            .into_iter()
            .fold(asked, |asked, (name, value)| asked.header(name, value));
        let body = Full::new(Bytes::from_static(br#"{"args":{}}"#));
        sender.send_request(asked.body(body).unwrap())
    };
    let (first, second, third) = (ask(), ask(), ask());
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    // The two are held for their client, so there is no room for others.
    assert_eq!(third.await.unwrap().status(), 503);
    let alone = request(
        "POST",
        "/api/run/profiles/queries/getCurrentUserProfile",
        &headers(),
        br#"{"args":{}}"#,
    );
    assert_eq!(exchange(running.address, &alone).await.status, 503);
    assert_eq!(running.ask().await.status, 200, "what is small has room");
    for held in [first, second] {
        assert_eq!(held.status(), 200);
        let body = timeout(PATIENCE, held.into_body().collect()).await.unwrap();
        assert!(body.is_err(), "the stream is reset");
    }
    while exchange(running.address, &alone).await.status != 200 {
        tokio::task::yield_now().await;
    }
    drop(sender);
    driving.await.unwrap().ok();
    running.stop().await;
}

/// The same over HTTP/1.
#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    use tokio::io::AsyncWriteExt as _;

    let short = Duration::from_millis(300);
    let limits = Limits {
        answers_bytes: 300_000,
        answer_bytes: 100_000_000,
        write_timeout: short,
        ..Limits::default()
    };
    let running = with_large_profile(limits).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(running.address).await.unwrap();
    let asked = request("POST", "/api/query_batch", &headers(), &batch(300));
    stream.write_all(&asked).await.unwrap();
    let alone = request("POST", "/api/query_batch", &headers(), &batch(1));
    while exchange(running.address, &alone).await.status != 503 {
        tokio::task::yield_now().await;
    }
    while exchange(running.address, &alone).await.status != 200 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    running.stop().await;
}

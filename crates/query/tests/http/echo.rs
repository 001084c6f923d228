//! `POST /echo`, with which clients' own tools measure a connection.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::{PATIENCE, exchange, request};
use crate::running::{Running, Setup};

#[tokio::test]
async fn what_is_sent_comes_back() {
    let running = Running::start(Setup::default()).await;
    for body in ["", "x", "some bytes"] {
        let reply = exchange(
            running.address,
            &request("POST", "/echo", &[], body.as_bytes()),
        )
        .await;
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("content-type"),
            Some("application/octet-stream")
        );
        assert!(reply.body.contains(body), "{}", reply.body);
    }
    let reply = exchange(running.address, &request("GET", "/echo", &[], b"")).await;
    assert_eq!(reply.status, 405);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_comes_back_while_it_is_sent() {
    const BYTES: usize = 64 << 20;
    let running = Running::start(Setup::default()).await;
    let (mut read, mut write) = TcpStream::connect(running.address)
        .await
        .unwrap()
        .into_split();
    let mut head = String::from("POST /echo HTTP/1.0\r\n");
    write!(head, "Content-Length: {BYTES}\r\n\r\n").unwrap();
    let sending = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..BYTES >> 20 {
            write.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
        }
        write
    });
    let mut got = Vec::new();
    let reading = timeout(PATIENCE, read.read_to_end(&mut got));
    reading.await.expect("an answer in time").unwrap();
    drop(sending.await.unwrap());
    let body = got.iter().rev().take_while(|byte| **byte == b'x').count();
    assert_eq!(body, BYTES);
    running.stop().await;
}

#[tokio::test]
async fn one_beyond_the_limit_is_refused_before_it_is_sent() {
    let running = Running::start(Setup::default()).await;
    let head =
        "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 134217729\r\n\r\n";
    assert_eq!(exchange(running.address, head.as_bytes()).await.status, 413);
    running.stop().await;
}

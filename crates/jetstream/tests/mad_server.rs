//! A server that sends what no server should: the reader ends with a name for it, within a bound of memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use jetstream::frame::FrameError;
use jetstream::{Access, ReadError, Reader, ServerAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Takes one connection, says what a server says first, then `sent` as often as it is taken. Reads nothing more.
async fn serve(listener: TcpListener, sent: Vec<u8>, times: usize) -> TcpStream {
    let (mut client, _) = listener.accept().await.unwrap();
    client
        .write_all(b"INFO {\"max_payload\":1048576}\r\n")
        .await
        .unwrap();
    let mut greeting = Vec::new();
    while !greeting.ends_with(b"PING\r\n") {
        assert_ne!(client.read_buf(&mut greeting).await.unwrap(), 0);
    }
    client.write_all(b"PONG\r\n").await.unwrap();
    for _ in 0..times {
        if client.write_all(&sent).await.is_err() {
            break;
        }
    }
    client
}

/// How a reader ends that such a server serves, and how many messages it gave before.
async fn end_of(sent: Vec<u8>, times: usize) -> (usize, ReadError) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve(listener, sent, times));
    let server: ServerAddr = format!("nats://{at}").parse().unwrap();
    let mut reader = Reader::connect(&server, "test", &Access::anonymous())
        .await
        .unwrap();
    let mut messages = 0;
    let reading = async {
        loop {
            match reader.next().await {
                Ok(frames) => messages += frames.len(),
                Err(end) => return end,
            }
        }
    };
    let end = timeout(Duration::from_secs(30), reading).await.unwrap();
    drop(reader);
    drop(serving.await.unwrap());
    (messages, end)
}

#[tokio::test]
async fn what_is_no_frame_ends_reading_behind_the_frames_before() {
    let good = b"MSG a 1 2\r\n{}\r\n";
    for (bad, expected) in [
        (&b"\0\xff"[..], FrameError::UnknownWord),
        (b"MSG a 1 18446744073709551615\r\n", FrameError::TooLarge),
        (b"MSG a 1 100663297\r\n", FrameError::TooLarge),
        (b"HMSG a 1 9 5\r\n", FrameError::Line),
        (b"MSG a 1 1\r\nabc\r\n", FrameError::End),
    ] {
        let sent = [&good[..], good, bad].concat();
        let (messages, end) = end_of(sent, 1).await;
        let ReadError::Frame(found) = end else {
            panic!("{end}");
        };
        assert_eq!((messages, found), (2, expected), "{}", bad.escape_ascii());
    }
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let (_, end) = end_of([&b"INFO "[..], &[b'x'; 4096]].concat(), 4096).await;
    assert!(
        matches!(end, ReadError::Frame(FrameError::LineTooLong)),
        "{end}"
    );
}

#[tokio::test]
async fn pings_of_a_server_that_takes_no_answer_are_given_up() {
    let (_, end) = end_of(b"PING\r\n".repeat(4096), 4096).await;
    assert!(matches!(end, ReadError::Stalled), "{end}");
}

#[tokio::test]
async fn an_end_in_mid_frame_is_the_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let serving = tokio::spawn(async {
        drop(serve(listener, b"MSG a 1 9\r\nab".to_vec(), 1).await);
    });
    let server: ServerAddr = format!("nats://{at}").parse().unwrap();
    let access = Access::anonymous();
    let mut reader = Reader::connect(&server, "test", &access).await.unwrap();
    let end = reader.next().await.unwrap_err();
    assert!(matches!(end, ReadError::Io(_)), "{end}");
    serving.await.unwrap();
}

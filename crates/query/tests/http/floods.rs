//! Frames of HTTP/2 that ask for nothing: who sends them without end is cut off, and who asks beside them is not.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::exchange::PATIENCE;
use crate::running::{Running, Setup};

/// More than any connection may send.
const FRAMES_MAX: usize = 10_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Sends these frames again and again, and reads what is answered; whether it was cut off.
async fn is_cut_off(running: &Running, first: &[Vec<u8>], frames: &[u8], count: usize) -> bool {
    let stream = TcpStream::connect(running.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let mut begun = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begun.extend(frame(4, 0, 0, &[]));
    begun.extend(first.concat());
    let flood = async {
        write.write_all(&begun).await?;
        for _ in 0..FRAMES_MAX / count {
            write.write_all(frames).await?;
        }
        // What it was sent is not read at once.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok::<_, std::io::Error>(())
    };
    let mut scrap = vec![0; 1 << 16];
    let reading = async { while read.read(&mut scrap).await.is_ok_and(|bytes| bytes != 0) {} };
    let ended = timeout(PATIENCE, async {
        tokio::select! {
            flooded = flood => flooded.is_err(),
            () = reading => true,
        }
    });
    ended.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_with_frames_that_ask_for_nothing_is_cut_off() {
    let running = Running::start(Setup::default()).await;
    // GET / of localhost, all fields in the static table but the name.
    let get = [0x82, 0x84, 0x86, 0x41, 1, b'x'];
    let post = [0x83, 0x84, 0x86, 0x41, 1, b'x'];
    let floods = [
        ("SETTINGS", vec![], frame(4, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("PING", vec![], frame(6, 0, 0, &[0; 8])),
        ("PING that answers", vec![], frame(6, 1, 0, &[0; 8])),
        ("PRIORITY", vec![], frame(2, 0, 3, &[0; 5])),
        ("WINDOW_UPDATE", vec![], frame(8, 0, 0, &[0, 0, 0, 1])),
        ("an unknown kind", vec![], frame(0x42, 0, 0, &[])),
        (
            "empty DATA",
            vec![frame(1, 4, 1, &post)],
            frame(0, 0, 1, &[]),
        ),
        (
            "DATA of one byte",
            vec![frame(1, 4, 1, &post)],
            frame(0, 0, 1, b" "),
        ),
        (
            "empty CONTINUATION",
            vec![frame(1, 0, 1, &get[..1])],
            frame(9, 0, 1, &[]),
        ),
    ];
    for (name, first, frame) in floods {
        let many = frame.repeat(100);
        assert!(is_cut_off(&running, &first, &many, 100).await, "{name}");
    }
    assert_eq!(running.ask().await.status, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_may_send_any_number_of_frames() {
    let running = Running::start(Setup::default()).await;
    let stream = TcpStream::connect(running.address).await.unwrap();
    let connected = handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.unwrap();
    tokio::spawn(connection);
    for number in 0..2500_u32 {
        let asked = Request::get("http://test/version").body(Full::<Bytes>::default());
        let response = sender.send_request(asked.unwrap()).await;
        let response = response.unwrap_or_else(|error| panic!("request {number}: {error}"));
        response.into_body().collect().await.unwrap();
    }
    running.stop().await;
}

//! A server of key sets on this machine that can be told to misbehave in any way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the server writes to each connection, piece by piece with a pause before each.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) pause: Duration,
}

impl Answer {
    pub(super) fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            pieces: vec![bytes.into()],
            pause: Duration::ZERO,
        }
    }

    pub(super) fn new(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::bytes(format!("{head}{body}"))
    }

    pub(super) fn document(body: &str) -> Self {
        Self::new("200 OK", "content-type: application/jwk-set+json\r\n", body)
    }

    /// One byte at a time.
    pub(super) fn dripping(mut self, pause: Duration) -> Self {
        self.pieces = self.pieces.concat().chunks(1).map(<[u8]>::to_vec).collect();
        self.pause = pause;
        self
    }

    pub(super) fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

/// The server; it ends with this value.
pub(super) struct Server {
    pub(super) url: String,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
    _stop: DropGuard,
}

impl Server {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let accepting = accept(listener, Arc::clone(&answer), Arc::clone(&requests));
        tokio::spawn(stop.clone().run_until_cancelled_owned(accepting));
        Self {
            url,
            answer,
            requests,
            _stop: stop.drop_guard(),
        }
    }

    pub(super) fn set(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, answer: Arc<Mutex<Answer>>, requests: Arc<AtomicUsize>) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        requests.fetch_add(1, Ordering::SeqCst);
        let answer = answer.lock().unwrap().clone();
        tokio::spawn(serve(connection, answer));
    }
}

/// Ends when everything is written or the client has gone.
async fn serve(mut connection: TcpStream, answer: Answer) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        match connection.read(&mut buffer).await {
            Ok(read @ 1..) => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    for piece in answer.pieces {
        sleep(answer.pause).await;
        if connection.write_all(&piece).await.is_err() {
            return;
        }
    }
}

/// Answers that give no keys: name, answer, what the status says of it (K01 to K09 and K15).
pub(super) fn bad_answers(good: &str) -> Vec<(&'static str, Answer, &'static str)> {
    let json = "content-type: application/json\r\n";
    let ok = "200 OK";
    let gzip = format!("{json}content-encoding: gzip\r\n");
    let redirect = "location: http://127.0.0.1:9/jwks\r\n";
    let cut = format!("HTTP/1.1 200 OK\r\n{json}content-length: 9999\r\n\r\n{good}");
    let endless = format!("HTTP/1.1 200 OK\r\n{json}\r\n{}", " ".repeat(1 << 20));
    let many: Vec<String> = (0..100)
        .map(|n| format!(r#"{{"kty":"RSA","kid":"{n}"}}"#))
        .collect();
    vec![
        (
            "K01 redirect",
            Answer::new("302 Found", redirect, ""),
            "302",
        ),
        (
            "K03 1 MiB",
            Answer::new(ok, json, &" ".repeat(1 << 20)),
            "more than",
        ),
        (
            "K03 1 MiB without length",
            Answer::bytes(endless),
            "more than",
        ),
        (
            "K04 slow",
            Answer::new(ok, json, good).dripping(Duration::from_millis(20)),
            "request failed",
        ),
        ("K05 500", Answer::new("500 Oops", json, good), "500"),
        ("204", Answer::new("204 No Content", json, ""), "204"),
        (
            "K06 html",
            Answer::new(ok, "content-type: text/html\r\n", good),
            "text/html",
        ),
        ("no type", Answer::new(ok, "", good), "the answer's type"),
        ("K07 gzip", Answer::new(ok, &gzip, good), "compressed"),
        (
            "K08 no keys",
            Answer::new(ok, json, r#"{"keys":[]}"#),
            "none of its 0 keys",
        ),
        (
            "K09 100 keys",
            Answer::new(ok, json, &super::key_set(&many)),
            "holds 100 keys",
        ),
        ("K15 cut", Answer::bytes(cut), "request failed"),
        ("not HTTP", Answer::bytes("hello\r\n\r\n"), "request failed"),
        ("closed at once", Answer::bytes(""), "request failed"),
        (
            "not JSON",
            Answer::new(ok, json, "<html>"),
            "not a JSON object",
        ),
        ("a list", Answer::new(ok, json, "[]"), "not a JSON object"),
    ]
}

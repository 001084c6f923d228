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

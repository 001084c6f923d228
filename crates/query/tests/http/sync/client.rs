//! A client that believes nothing: it holds every Transition against the one before, and against the clock.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use convex_wire::Timestamp;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::exchange::PATIENCE;
use crate::tokens;

pub(crate) const OURS: &str = "profiles/queries:getCurrentUserProfile";

/// What a client hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Text(Value, String),
    Ping,
    Closed(Option<CloseFrame>),
    /// The connection broke off.
    Gone,
}

pub(crate) struct Client<S = TcpStream> {
    stream: WebSocketStream<S>,
    version: Value,
    pub(crate) ts: Timestamp,
    query_set: u32,
}

pub(crate) fn now_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_nanos()).unwrap()
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        Self::open_on(stream).await
    }

    /// One that has connected, signed in as `subject` if there is one, and subscribed; it has heard the value.
    pub(crate) async fn subscribed(address: SocketAddr, subject: Option<&str>) -> (Self, Value) {
        let mut client = Self::open(address).await;
        let value = client.subscribe(subject).await;
        (client, value)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn open_on(stream: S) -> Self {
        let (stream, _) = client_async("ws://localhost/api/1.48.0/sync", stream)
            .await
            .unwrap();
        Self {
            stream,
            version: json!({"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}),
            ts: Timestamp::ZERO,
            query_set: 0,
        }
    }

    /// Connects, signs in as `subject` if there is one, subscribes, and hears the value.
    pub(crate) async fn subscribe(&mut self, subject: Option<&str>) -> Value {
        self.say(connect(None)).await;
        if let Some(subject) = subject {
            self.authenticate(0, tokens::token_of(subject)).await;
            assert_eq!(self.transition().await, json!([]));
        }
        self.add(0).await;
        self.transition().await[0]["value"].clone()
    }

    pub(crate) async fn authenticate(&mut self, base: u32, token: String) {
        self.say(json!({"type": "Authenticate", "baseVersion": base, "tokenType": "User", "value": token}))
            .await;
    }

    /// Subscribes to our query.
    pub(crate) async fn add(&mut self, id: u32) {
        self.add_many(id..id + 1).await;
    }

    pub(crate) async fn add_many(&mut self, ids: std::ops::Range<u32>) {
        let add = |id| json!({"type": "Add", "queryId": id, "udfPath": OURS, "args": [{}]});
        let base = self.query_set;
        self.query_set += 1;
        self.say(
            json!({"type": "ModifyQuerySet", "baseVersion": base, "newVersion": base + 1,
            "modifications": ids.map(add).collect::<Vec<_>>()}),
        )
        .await;
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.say_text(message.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: String) {
        self.send(Message::text(text)).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends bytes that may be no frame.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
    }

    /// Whatever comes next.
    pub(crate) async fn hear(&mut self) -> Heard {
        let message = timeout(PATIENCE, self.stream.next()).await;
        match message.expect("a message in time") {
            Some(Ok(Message::Text(text))) => {
                let message = serde_json::from_str(&text).unwrap();
                self.check(&message, &text);
                Heard::Text(message, text.to_string())
            }
            Some(Ok(Message::Ping(_))) => Heard::Ping,
            Some(Ok(Message::Close(frame))) => Heard::Closed(frame),
            Some(Err(_)) | None => Heard::Gone,
            Some(Ok(other)) => panic!("{other:?}"),
        }
    }

    /// Whatever comes next; `None` for a pong.
    pub(crate) async fn hear_or_pong(&mut self) -> Option<Heard> {
        let message = timeout(PATIENCE, self.stream.next()).await;
        match message.expect("a message in time") {
            Some(Ok(Message::Close(frame))) => Some(Heard::Closed(frame)),
            Some(Ok(_)) => None,
            Some(Err(_)) | None => Some(Heard::Gone),
        }
    }

    /// Whatever comes next but pings.
    pub(crate) async fn hear_more(&mut self) -> Heard {
        loop {
            match self.hear().await {
                Heard::Ping => {}
                heard @ (Heard::Text(..) | Heard::Closed(_) | Heard::Gone) => return heard,
            }
        }
    }

    /// The modifications of a Transition that has to come next.
    pub(crate) async fn transition(&mut self) -> Value {
        let heard = self.hear_more().await;
        let Heard::Text(message, _) = &heard else {
            panic!("no Transition: {heard:?}");
        };
        assert_eq!(message["type"], "Transition");
        message["modifications"].clone()
    }

    /// The close frame that has to come, after anything else.
    pub(crate) async fn closed(&mut self) -> Option<CloseFrame> {
        loop {
            match self.hear().await {
                Heard::Closed(frame) => return frame,
                Heard::Text(..) | Heard::Ping => {}
                Heard::Gone => panic!("no close frame"),
            }
        }
    }

    fn check(&mut self, message: &Value, text: &str) {
        if message["type"] != "Transition" {
            return;
        }
        assert_eq!(message["startVersion"], self.version);
        self.version = message["endVersion"].clone();
        let ts = Timestamp::parse(self.version["ts"].as_str().unwrap()).unwrap();
        assert!(ts > self.ts, "{text}");
        self.ts = ts;
        let server_ts = message["serverTs"].as_u64().unwrap();
        assert!(server_ts.abs_diff(now_ns()) < 20_000_000_000, "{text}");
        if let Some(skew) = message["clientClockSkew"].as_i64() {
            assert!(skew.abs() < 20_000, "{text}");
        }
    }
}

/// A Connect with a truthful clock.
pub(crate) fn connect(max_observed: Option<Timestamp>) -> Value {
    let mut message = json!({"type": "Connect", "sessionId": "00000000-0000-4000-8000-000000000001",
        "connectionCount": 0, "lastCloseReason": "InitialConnect", "clientTs": now_ns() / 1_000_000});
    if let Some(ts) = max_observed {
        message["maxObservedTimestamp"] = json!(ts.to_string());
    }
    message
}

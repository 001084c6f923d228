//! What hostile neighbours do, one kind at a time. Each goes on until it is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use domain::testing::{Form, Message, profile_deleted, profile_patched, profile_state};
use serde_json::{Value, json};
use tests::client::{RUN, subscribing};
use tests::world::World;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A kind of attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// What stands against it.
    pub(super) bound: &'static str,
    pub(super) begin: fn(&Target, &mut JoinSet<()>),
}

/// Who is attacked, with the token of a user whose profile is large.
pub(super) struct Target {
    pub(super) public: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) token: String,
    pub(super) broker: async_nats::jetstream::Context,
}

impl Target {
    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }
}

pub(super) const ATTACKS: [Attack; 12] = [
    Attack {
        name: "a socket sends pings and never reads",
        bound: "one pong owed, 64 pings in 5 s",
        begin: |target, tasks| {
            for _ in 0..4 {
                tasks.spawn(flood(target.public, UPGRADE.to_vec(), ping().repeat(50)));
            }
        },
    },
    Attack {
        name: "a batch of 800 equal queries, never read",
        bound: "4 MiB an answer, equal values once",
        begin: |target, tasks| {
            let query = json!({"path": "profiles/queries:getCurrentUserProfile", "args": {}});
            let batch = json!({"queries": vec![query; 800]}).to_string();
            let batch = post("/api/query_batch", &target.bearer(), &batch);
            for _ in 0..8 {
                tasks.spawn(flood(target.public, batch.clone(), batch.clone()));
            }
        },
    },
    Attack {
        name: "HTTP/2 with a window of 0",
        bound: "2 MiB a connection, 24 MiB of answers",
        begin: |target, tasks| {
            let asked = http2(&target.token, Some(br#"{"args":{}}"#));
            for _ in 0..8 {
                tasks.spawn(hold(target.public, 4, asked.clone()));
            }
        },
    },
    Attack {
        name: "HTTP/2 requests whose bodies never come",
        bound: "4 streams a connection, 2,048 beyond",
        begin: |target, tasks| {
            let asked = http2("none", None);
            for _ in 0..8 {
                tasks.spawn(hold(target.public, 4, asked.clone()));
            }
        },
    },
    Attack {
        name: "sockets of one user with 12 equal queries, never read",
        bound: "1 MiB a Transition, equal values once",
        begin: |target, tasks| {
            let said = [UPGRADE, &subscription(&target.token)].concat();
            tasks.spawn(hold(target.public, 120, said));
        },
    },
    Attack {
        name: "sockets with a message of 1 MiB that does not end",
        bound: "24 MiB of requests",
        begin: |target, tasks| {
            let mut said = UPGRADE.to_vec();
            said.extend([0x81, 0x80 | 0x7f]);
            said.extend((1_u64 << 20).to_be_bytes());
            said.extend([0; 4]);
            said.extend(vec![b' '; (1 << 20) - 1]);
            tasks.spawn(hold(target.public, 100, said));
        },
    },
    Attack {
        name: "more idle connections than places",
        bound: "--max-connections, the idlest leaves",
        begin: |target, tasks| drop(tasks.spawn(hold(target.public, 400, Vec::new()))),
    },
    Attack {
        name: "more sockets than places, none says Connect",
        bound: "--max-sockets, 10 s for Connect",
        begin: |target, tasks| drop(tasks.spawn(hold(target.public, 200, UPGRADE.to_vec()))),
    },
    Attack {
        name: "bodies below the limit that never end",
        bound: "8 KiB each, 24 MiB beyond, 5 s",
        begin: |target, tasks| {
            let mut half = post(RUN, "", &" ".repeat(60_000));
            half.pop();
            tasks.spawn(hold(target.public, 200, half));
        },
    },
    Attack {
        name: "waits for a sequence that never comes",
        bound: "a token, near the tail, 16 of one",
        begin: |target, tasks| {
            for bearer in [String::new(), target.bearer()] {
                for sequence in [900_000_000_u64, 200_000] {
                    let headers = format!("{bearer}Read-Model-Min-Sequence: {sequence}\r\n");
                    let never = post(RUN, &headers, r#"{"args":{}}"#);
                    for _ in 0..4 {
                        tasks.spawn(ask(target.public, never.clone()));
                    }
                }
            }
        },
    },
    Attack {
        name: "a page gives orders at the admin port",
        bound: "the token, Host, Origin",
        begin: |target, tasks| {
            for headers in ["Origin: http://evil.example\r\n", ""] {
                let order = post("/jobs", headers, r#"{"kind":"rebuild"}"#);
                for _ in 0..4 {
                    tasks.spawn(ask(target.admin, order.clone()));
                }
            }
        },
    },
    Attack {
        name: "a producer of junk, patches and profiles without end",
        bound: "256 a lane, 256 profiles a user",
        begin: |target, tasks| {
            for _ in 0..8 {
                let broker = target.broker.clone();
                tasks.spawn(async move {
                    for message in junk().into_iter().cycle() {
                        let sent = broker.publish(message.subject, message.payload.into());
                        let Ok(stored) = sent.await else { return };
                        if stored.await.is_err() {
                            return;
                        }
                    }
                });
            }
        },
    },
];

/// A connection whose system buffers are small, so that what is not read stays with the service.
async fn narrow(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    socket.connect(address).await
}

fn post(target: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const UPGRADE: &[u8] = b"GET /api/1.48.0/sync HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

fn ping() -> Vec<u8> {
    let mut ping = vec![0x89, 0x80 | 0x7d, 0, 0, 0, 0];
    ping.extend([b'x'; 125]);
    ping
}

/// The messages of a socket that subscribes twelve times to one query.
fn subscription(token: &str) -> Vec<u8> {
    let [connect, authenticate, subscribe] = subscribing(token);
    let mut subscribe: Value = serde_json::from_str(&subscribe).unwrap();
    let add = subscribe["modifications"][0].clone();
    let adds = (0..12).map(|id| {
        let mut add = add.clone();
        add["queryId"] = json!(id);
        add
    });
    subscribe["modifications"] = adds.collect();
    let mut frames = Vec::new();
    for text in [connect, authenticate, subscribe.to_string()] {
        let length = u16::try_from(text.len()).unwrap();
        frames.extend([0x81, 0x80 | 0x7e]);
        frames.extend(length.to_be_bytes());
        frames.extend([0; 4]);
        frames.extend(text.into_bytes());
    }
    frames
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A header's field, neither indexed nor compressed (RFC 7541).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        if let Some(mut rest) = text.len().checked_sub(127) {
            bytes.push(127);
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).unwrap());
        } else {
            bytes.push(u8::try_from(text.len()).unwrap());
        }
        bytes.extend(text.as_bytes());
        bytes
    };
    [vec![0], text(name), text(value)].concat()
}

/// A connection that lets nothing be sent to it and asks as often as it may.
fn http2(token: &str, body: Option<&[u8]>) -> Vec<u8> {
    // INITIAL_WINDOW_SIZE: 0.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    let bearer = format!("Bearer {token}");
    let header = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", RUN),
        ("content-type", "application/json"),
        ("authorization", &bearer),
    ];
    let header: Vec<u8> = header
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect();
    for stream in (1..128).step_by(2) {
        bytes.extend(frame(1, 4, stream, &header));
        if let Some(body) = body {
            bytes.extend(frame(0, 1, stream, body));
        }
    }
    bytes
}

/// What no projector can apply, and what it should not keep without end.
fn junk() -> Vec<Message> {
    let mut all = Vec::new();
    let state = json!({"displayName": "x", "languages": [], "createdAt": 1, "updatedAt": 1});
    for number in 0..2_000_u64 {
        let patch = json!({"bio": "x"});
        let user = format!("junk{}", number % 20);
        all.push(profile_patched("hostile", "p1", number + 10, &patch).message(Form::Structured));
        let profile = format!("own{number}");
        all.push(profile_state("hostile", &profile, 1, &state).message(Form::Structured));
        let made_up = format!("gone{number}");
        all.push(profile_deleted("ghost", &made_up, 1).message(Form::Structured));
        let mut junk = profile_state(&user, "p", 1, &state).message(Form::Structured);
        junk.payload = b"{\"junk".to_vec();
        all.push(junk);
    }
    all
}

/// Sends and sends, and never reads; again when it is cut off.
async fn flood(address: SocketAddr, first: Vec<u8>, then: Vec<u8>) {
    loop {
        if let Ok(mut stream) = narrow(address).await
            && stream.write_all(&first).await.is_ok()
        {
            while stream.write_all(&then).await.is_ok() {}
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Opens so many, sends this on each, and holds them; then again.
async fn hold(address: SocketAddr, count: usize, sent: Vec<u8>) {
    loop {
        let mut held = Vec::new();
        for _ in 0..count {
            if let Ok(mut stream) = narrow(address).await {
                let sending = stream.write_all(&sent);
                // One that is not read is held all the same.
                let _ = timeout(Duration::from_millis(50), sending).await;
                held.push(stream);
            }
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Asks all the time, and reads the answers.
async fn ask(address: SocketAddr, asked: Vec<u8>) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let mut answer = [0; 4096];
            while stream.write_all(&asked).await.is_ok()
                && stream.read(&mut answer).await.is_ok_and(|bytes| bytes != 0)
            {
                sleep(Duration::from_millis(10)).await;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Target {
    pub(super) async fn of(
        world: &World,
        service: &tests::service::Service,
        subject: &str,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            public: service.client.public,
            admin: service.client.admin,
            token: world.token(subject)?,
            broker: world.broker.jetstream().await?,
        })
    }
}

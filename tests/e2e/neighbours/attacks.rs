//! What hostile neighbours do, one kind at a time. Each goes on until it is dropped.

use std::net::SocketAddr;

use domain::testing::{Form, Message, profile_deleted, profile_patched, profile_state};
use serde_json::json;
use tests::client::RUN;
use tests::world::World;
use tokio::task::JoinSet;

use super::bytes::{UPGRADE, client_hello, frame, http2, ping, post, preface, subscription};
use super::means::{ask, deluge, flood, hold, knock, trickle};

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

pub(super) const ATTACKS: [Attack; 15] = [
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
        name: "requests at the admin port whose answers are never read",
        bound: "a thread of its own, one writing for all",
        begin: |target, tasks| {
            let asked = ["/metrics", "/status"]
                .map(|path| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            for asked in asked {
                for _ in 0..5 {
                    let many = asked.repeat(100).into_bytes();
                    tasks.spawn(flood(target.admin, Vec::new(), many.clone()));
                    tasks.spawn(deluge(target.admin, Vec::new(), many));
                }
            }
        },
    },
    Attack {
        name: "requests ahead of their answers",
        bound: "a turn for each",
        begin: |target, tasks| {
            let many = b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
            for _ in 0..8 {
                tasks.spawn(deluge(target.public, Vec::new(), many.clone()));
            }
        },
    },
    Attack {
        name: "HTTP/2 settings, pings, priorities, windows without end",
        bound: "2,048 frames that ask for nothing",
        begin: |target, tasks| {
            let frames = [
                frame(4, 0, 0, &[0, 4, 0, 1, 0, 0]),
                frame(6, 0, 0, &[0; 8]),
                frame(2, 0, 3, &[0; 5]),
                frame(8, 0, 0, &[0, 0, 0, 1]),
            ];
            for frame in frames {
                for _ in 0..2 {
                    tasks.spawn(deluge(target.public, preface(), frame.repeat(100)));
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

/// Against listeners that speak TLS.
pub(super) const TLS_ATTACKS: [Attack; 5] = [
    Attack {
        name: "TLS that is opened and left",
        bound: "5 s, the idlest leaves",
        begin: |target, tasks| {
            let hello = client_hello();
            let half = hello.get(..60).unwrap().to_vec();
            for address in [target.public, target.admin] {
                tasks.spawn(hold(address, 100, Vec::new()));
                tasks.spawn(hold(address, 100, half.clone()));
                // The server's answer is never taken.
                tasks.spawn(hold(address, 100, hello.clone()));
            }
        },
    },
    Attack {
        name: "handshakes a byte at a time",
        bound: "5 s",
        begin: |target, tasks| {
            for address in [target.public, target.admin] {
                tasks.spawn(trickle(address, 50, client_hello()));
            }
        },
    },
    Attack {
        name: "handshakes that are begun and given up",
        bound: "one at a time",
        begin: |target, tasks| {
            for address in [target.public, target.admin] {
                for _ in 0..8 {
                    tasks.spawn(knock(address, client_hello()));
                }
            }
        },
    },
    Attack {
        name: "bytes that are no hello",
        bound: "closed at once",
        begin: |target, tasks| {
            let wrong = [
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
                [&[22, 3, 1, 0x3f, 0xff][..], &[0xa5; 4096]].concat(),
                [0x16, 3, 3, 0, 0].repeat(200),
            ];
            for address in [target.public, target.admin] {
                for bytes in &wrong {
                    tasks.spawn(knock(address, bytes.clone()));
                }
            }
        },
    },
    Attack {
        name: "records without end after half a handshake",
        bound: "5 s, a turn for each",
        begin: |target, tasks| {
            // Records of change_cipher_spec, alerts that warn, and empty data.
            let records = [
                [20, 3, 3, 0, 1, 1].repeat(200),
                [21, 3, 3, 0, 2, 1, 90].repeat(200),
                [23, 3, 3, 0, 0].repeat(200),
            ];
            for address in [target.public, target.admin] {
                for records in &records {
                    tasks.spawn(deluge(address, client_hello(), records.clone()));
                }
            }
        },
    },
];

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

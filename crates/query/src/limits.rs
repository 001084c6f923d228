//! Every bound of the door, in one place, and what they come to: [`Limits::memory`].
//!
//! An operator sets the counts (`--max-connections`, `--max-sockets`, `--max-sockets-per-identity`, `--max-per-address`);
//! the sizes are the same everywhere. What is refused or ended because of a bound is counted by
//! `profile_projector_shed_total`.

use std::time::Duration;

use crate::TrustedProxies;

/// What a client may take: time, bytes, places. [`Limits::default`] suits a service behind a proxy
/// as well as one without; a test takes shorter ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; for another one the idlest is closed. 1,024.
    pub connections: usize,
    /// Connections, and sockets, of one address; 0 is no limit. Behind a trusted proxy requests at a time, and sockets.
    /// It must be 0 behind any other proxy, which is one address. 0.
    pub per_address: usize,
    /// Whose word about a client's address is taken. Nobody's.
    pub trusted_proxies: TrustedProxies,
    /// From accepting a connection to knowing its protocol: the TLS handshake, then the bytes that
    /// tell HTTP/1 from HTTP/2. 5 s.
    pub first_byte_timeout: Duration,
    /// From the first byte of an HTTP/1 request to the end of its header. 15 s.
    pub header_timeout: Duration,
    /// How long a connection stays without a request. A proxy in front must give up idle connections sooner: most
    /// keep them for 60 s. 75 s.
    pub idle_timeout: Duration,
    /// For a request's whole body. 5 s, then 408.
    pub body_timeout: Duration,
    /// How long a client may take to take an answer, once it leaves us unable to send. 30 s.
    pub write_timeout: Duration,
    /// After this a connection is told to end, HTTP/1 with its next answer; clients open another one. 10 min.
    pub connection_age: Duration,
    /// What a connection that is told to end has left for the requests under way. 5 s.
    pub farewell: Duration,
    /// The size of an HTTP/1 header, and of an HTTP/2 header list. 32 KiB, then 431, as for more
    /// than 100 fields.
    pub header_bytes: usize,
    /// Requests at a time on one HTTP/2 connection. 64.
    pub streams: u32,
    /// Those that each HTTP/2 connection has for itself. 4.
    pub own_streams: usize,
    /// Those beyond, of all connections. 2,048, then a request is reset.
    pub shared_streams: usize,
    /// The size of a request's body; Convex allows 16 MiB. 64 KiB, then 400.
    pub body_bytes: usize,
    /// What each connection has for itself of requests, and again of answers: what is small never waits for others.
    /// 8 KiB.
    pub own_bytes: usize,
    /// What one connection may have of what all share. 2 MiB, then 503.
    pub part_bytes: usize,
    /// Headers and bodies of requests, and messages of sockets, beyond `own_bytes`, of all connections. 24 MiB, then 503.
    pub requests_bytes: usize,
    /// Answers beyond `own_bytes` that are not taken yet, of all connections and sockets. 24 MiB, then 503.
    pub answers_bytes: usize,
    /// The values in one answer to several queries. 4 MiB, then the next query fails.
    pub answer_bytes: usize,
    /// Requests that are being answered, waiting ones included. 1,024, then 503.
    pub in_flight: usize,
    /// Requests that wait for a sequence. 512, then 503.
    pub waiting: usize,
    /// Those of one identity. 16, then 503.
    pub waiting_of_one: usize,
    /// How far above the stream's known end a sequence is waited for: an acknowledgement may be newer than what we know.
    /// 100,000, then 503 at once.
    pub waiting_ahead: u64,
    /// How long a request waits for a sequence. 5 s, then 503.
    pub sequence_timeout: Duration,
    /// What a socket may take.
    pub sync: SyncLimits,
}

/// What the sockets of the sync protocol may take. The times are Convex's.
#[derive(Debug, Clone)]
pub struct SyncLimits {
    /// Sockets at a time, beside [`Limits::connections`]; for another one the one of least use is closed. 4,096.
    pub sockets: usize,
    /// Those of one identity, and never more than a quarter of all; 0 is that quarter. 256, then 1013.
    pub sockets_of_one: usize,
    /// Queries of one socket. 256, then it is closed with 1013.
    pub queries: usize,
    /// The size of a message of a client; Convex allows 64 MiB. 1 MiB, then the socket is closed with 1009.
    pub message_bytes: usize,
    /// The values in one Transition. 1 MiB, then the next query fails.
    pub transition_bytes: usize,
    /// From the handshake to Connect, until the socket is closed with 1013. 10 s.
    pub connect_timeout: Duration,
    /// From the handshake to the first query. 60 s.
    pub query_timeout: Duration,
    /// Pings and pongs of a client between two pings of ours. 64, then the socket is closed with 1013.
    pub pings: u32,
    /// How long a client may take to take a message, until the socket is closed with 1013. Nothing more is made for
    /// it in the meantime. 10 s.
    pub send_timeout: Duration,
    /// From one ping frame to the next. 5 s.
    pub ping_interval: Duration,
    /// After so long without a message to a client it gets one that says nothing: a page cannot see ping frames, and
    /// gives up after 60 s. 15 s.
    pub quiet: Duration,
    /// After so long without a frame from a client its socket is closed. 120 s.
    pub silence: Duration,
    /// What a socket that is closed has left to say goodbye. 2 s.
    pub farewell: Duration,
}

/// What a connection takes beside its header and its allowances: its task, its TLS, its timers, and of HTTP/2 what it may
/// send ahead.
const CONNECTION_BYTES: usize = 80 * 1024;
/// What a socket takes beside its allowances: its task, its session, the frames that it reads and sends.
const SOCKET_BYTES: usize = 32 * 1024;
/// What a request takes beside its header and its body.
const REQUEST_BYTES: usize = 16 * 1024;
/// What a stream of HTTP/2 takes until its request is at hand, and after it was answered.
const STREAM_BYTES: usize = 4 * 1024;

/// What something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// What.
    pub what: &'static str,
    /// The flag that sets it, if one does.
    pub flag: Option<&'static str>,
    /// The most memory, in bytes.
    pub bytes: usize,
}

impl Limits {
    /// What the connections alone may take: all that there is at a listener without sockets and large answers.
    pub fn memory_bytes_of_connections(&self) -> usize {
        let own = 2 * self.own_bytes;
        let streams = self.own_streams.saturating_mul(STREAM_BYTES);
        // A buffer that grows holds up to twice what is in it.
        let each = CONNECTION_BYTES + streams + 2 * self.header_bytes + own;
        self.connections.saturating_mul(each)
    }

    /// The most memory that clients can make a listener take. What the read model and the metrics take is beside it.
    pub fn memory(&self) -> [Bound; 6] {
        let own = 2 * self.own_bytes;
        let bound = |what, flag, count: usize, each: usize| Bound {
            what,
            flag,
            bytes: count.saturating_mul(each),
        };
        [
            bound(
                "connections",
                Some("--max-connections"),
                1,
                self.memory_bytes_of_connections(),
            ),
            bound(
                "sockets",
                Some("--max-sockets"),
                self.sync.sockets,
                SOCKET_BYTES + own,
            ),
            bound("requests in flight", None, self.in_flight, REQUEST_BYTES),
            bound(
                "streams of HTTP/2 beyond each connection's own",
                None,
                self.shared_streams,
                STREAM_BYTES,
            ),
            // What is read is then taken apart.
            bound(
                "requests beyond each connection's own bytes",
                None,
                self.requests_bytes,
                3,
            ),
            bound(
                "answers beyond each connection's own bytes",
                None,
                self.answers_bytes,
                2,
            ),
        ]
    }

    /// The sum of [`Limits::memory`], in bytes.
    pub fn memory_bytes(&self) -> usize {
        let bounds = self.memory().into_iter().map(|bound| bound.bytes);
        bounds.fold(0, usize::saturating_add)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_address: 0,
            trusted_proxies: TrustedProxies::default(),
            first_byte_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(30),
            connection_age: Duration::from_mins(10),
            farewell: Duration::from_secs(5),
            header_bytes: 32 * 1024,
            streams: 64,
            own_streams: 4,
            shared_streams: 2048,
            body_bytes: 64 * 1024,
            own_bytes: 8 * 1024,
            part_bytes: 2 * 1024 * 1024,
            requests_bytes: 24 * 1024 * 1024,
            answers_bytes: 24 * 1024 * 1024,
            answer_bytes: 4 * 1024 * 1024,
            in_flight: 1024,
            waiting: 512,
            waiting_of_one: 16,
            waiting_ahead: 100_000,
            sequence_timeout: Duration::from_secs(5),
            sync: SyncLimits::default(),
        }
    }
}

impl Default for SyncLimits {
    fn default() -> Self {
        Self {
            sockets: 4096,
            sockets_of_one: 256,
            queries: 256,
            message_bytes: 1024 * 1024,
            transition_bytes: 1024 * 1024,
            connect_timeout: Duration::from_secs(10),
            query_timeout: Duration::from_mins(1),
            pings: 64,
            send_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            quiet: Duration::from_secs(15),
            silence: Duration::from_mins(2),
            farewell: Duration::from_secs(2),
        }
    }
}

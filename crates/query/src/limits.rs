//! Every bound of the door, in one place, and their sum: [`Limits::memory_bytes`].
//!
//! An operator sets the counts (`--max-connections`, `--max-sockets`, `--max-per-address`); the sizes are the same
//! everywhere. What is refused or ended because of a bound is counted by `query_shed_total`.

use std::time::Duration;

use crate::TrustedProxies;
use crate::sync::SMALL_BYTES;

/// What a client may take: time, bytes, places. [`Limits::default`] suits a service behind a proxy
/// as well as one without; a test takes shorter ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; for another one the idlest is closed. 4,096.
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
    /// The size of a request's body; Convex allows 16 MiB. 64 KiB, then 400.
    pub body_bytes: usize,
    /// What each connection has for itself of requests, and again of answers: what is small never waits for others.
    /// 8 KiB.
    pub own_bytes: usize,
    /// What one connection may have of what all share. 4 MiB, then 503.
    pub part_bytes: usize,
    /// Headers and bodies of requests beyond `own_bytes`, of all connections. 64 MiB, then 503.
    pub requests_bytes: usize,
    /// Answers beyond `own_bytes` that are not taken yet, of all connections and sockets. 64 MiB, then 503.
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
    /// Sockets at a time, beside [`Limits::connections`]; for another one the one of least use is closed. 16,384.
    pub sockets: usize,
    /// Queries of one socket. 256, then it is closed with 1013.
    pub queries: usize,
    /// The size of a message of a client; Convex allows 64 MiB. 1 MiB, then the socket is closed with 1009.
    pub message_bytes: usize,
    /// Sockets that have sent a message above 64 KiB, each of which may take up to thrice `message_bytes` of memory.
    /// 64, then such a message closes its socket with 1013.
    pub large: usize,
    /// The values in one Transition. 1 MiB, then the next query fails.
    pub transition_bytes: usize,
    /// From the handshake to Connect, until the socket is closed with 1013. 10 s.
    pub connect_timeout: Duration,
    /// From the handshake to the first query. 60 s.
    pub query_timeout: Duration,
    /// Pings of a client between two of ours. 64, then the socket is closed with 1013.
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

/// What a connection takes beside its allowances: its task, its TLS, its timers, and of HTTP/2 what it may send ahead.
const CONNECTION_BYTES: usize = 384 * 1024;
/// What a socket takes beside its allowance and a message: its task, its session, the frames that it sends.
const SOCKET_BYTES: usize = 64 * 1024;
/// What a request takes beside its header and its body.
const REQUEST_BYTES: usize = 16 * 1024;

impl Limits {
    /// The most memory that clients can make the listener take, in bytes: the sum of all bounds. What the read model and
    /// the metrics take is beside it.
    pub fn memory_bytes(&self) -> usize {
        let own = 2 * self.own_bytes;
        let connection = CONNECTION_BYTES + 2 * self.header_bytes + own;
        // A small message is read, and then taken apart.
        let socket = SOCKET_BYTES + 2 * SMALL_BYTES + own;
        let parts = [
            self.connections.saturating_mul(connection),
            self.sync.sockets.saturating_mul(socket),
            self.sync.large.saturating_mul(3 * self.sync.message_bytes),
            self.in_flight.saturating_mul(REQUEST_BYTES),
            // A buffer that grows holds up to twice what is in it.
            self.requests_bytes.saturating_mul(2),
            self.answers_bytes.saturating_mul(2),
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
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
            body_bytes: 64 * 1024,
            own_bytes: 8 * 1024,
            part_bytes: 4 * 1024 * 1024,
            requests_bytes: 64 * 1024 * 1024,
            answers_bytes: 64 * 1024 * 1024,
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
            sockets: 16_384,
            queries: 256,
            message_bytes: 1024 * 1024,
            large: 64,
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

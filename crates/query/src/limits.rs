//! Every bound of the door, in one place.

use std::time::Duration;

/// What a client may take: time, bytes, places. [`Limits::default`] suits a service behind a proxy
/// as well as one without; a test takes shorter ones.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time. More wait in the system's backlog. 4,096.
    pub connections: usize,
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
    /// How long a client may leave us unable to send. 10 s.
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
    /// Bodies held in memory by all requests together. 64 MiB, then 503.
    pub bodies_bytes: usize,
    /// Requests that are being answered, waiting ones included. 1,024, then 503.
    pub in_flight: usize,
    /// Requests that wait for a sequence. 512, then 503.
    pub waiting: usize,
    /// How long a request waits for a sequence. 5 s, then 503.
    pub sequence_timeout: Duration,
    /// What a socket may take.
    pub sync: SyncLimits,
}

/// What the sockets of the sync protocol may take. The times are Convex's.
#[derive(Debug, Clone)]
pub struct SyncLimits {
    /// Sockets at a time, beside [`Limits::connections`]. 16,384, then 503.
    pub sockets: usize,
    /// Queries of one socket. 256, then it is closed with 1013.
    pub queries: usize,
    /// The size of a message of a client; Convex allows 64 MiB. 1 MiB, then the socket is closed with 1009.
    pub message_bytes: usize,
    /// Sockets that have sent a message above 64 KiB, each of which may take up to thrice `message_bytes` of memory.
    /// 64, then such a message closes its socket with 1013.
    pub large: usize,
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

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            first_byte_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            connection_age: Duration::from_mins(10),
            farewell: Duration::from_secs(5),
            header_bytes: 32 * 1024,
            streams: 64,
            body_bytes: 64 * 1024,
            bodies_bytes: 64 * 1024 * 1024,
            in_flight: 1024,
            waiting: 512,
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
            send_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(5),
            quiet: Duration::from_secs(15),
            silence: Duration::from_mins(2),
            farewell: Duration::from_secs(2),
        }
    }
}

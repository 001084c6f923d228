//! What a projector needs to know.

use std::time::Duration;

use async_nats::{ConnectOptions, ServerAddr};

/// Makes the options of a connection: credentials and TLS. Asked again for every new connection, so
/// that rotated credentials are read; a failure is text for people, without secrets.
pub type MakeOptions = Box<dyn Fn() -> Result<ConnectOptions, String> + Send + Sync>;

/// Where the log is and how it is read.
pub struct Config {
    /// The servers, tried in turn.
    pub servers: Vec<ServerAddr>,
    /// Credentials and TLS.
    pub options: MakeOptions,
    /// The stream; never created or changed here.
    pub stream: String,
    /// The name of our consumer. Two projectors of one stream must not share it.
    pub consumer: String,
    /// How much goes into one commit.
    pub limits: BatchLimits,
}

/// How much goes into one commit. Live batches are whatever is at hand; these bound catching up,
/// when nobody waits for the latest record yet and the stream can be read again.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most memory for rows on the way to the tail, in bytes (about): more are spilled to the file.
    pub memory_bytes_max: usize,
    /// Longest time until what was read is durable.
    pub time_max: Duration,
    /// Most records in a live batch.
    pub live_records_max: u32,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 256 * 1024 * 1024,
            time_max: Duration::from_secs(15),
            live_records_max: 5_000,
        }
    }
}

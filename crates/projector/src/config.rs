//! What a projector needs to know.

use std::sync::Arc;
use std::time::Duration;

use jetstream::{ApiPrefix, Login, ServerAddr};

/// Where the log is and how it is read.
pub struct Config {
    /// The servers, tried in turn.
    pub servers: Vec<ServerAddr>,
    /// Credentials and TLS.
    pub login: Arc<dyn Login>,
    /// Where JetStream takes requests.
    pub api: ApiPrefix,
    /// The stream; never created or changed here.
    pub stream: String,
    /// The name of our consumer. Two projectors of one stream must not share it.
    pub consumer: String,
    /// What our inboxes begin with.
    pub inbox: String,
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
            memory_bytes_max: 96 * 1024 * 1024,
            time_max: Duration::from_secs(15),
            live_records_max: 5_000,
        }
    }
}

//! What the source asks of a connection. NATS answers it, and in simulations a log in memory.

use async_nats::Message;
use async_nats::jetstream;
use bytes::Bytes;
use futures::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Trouble;
use crate::config::Config;

/// Why a request has no good answer.
pub(crate) enum RequestFault {
    /// `JetStream` answered with an error.
    Refused(jetstream::Error),
    /// Nobody answered.
    Unanswered(Trouble),
}

/// Makes connections.
pub(crate) trait Connect {
    type Link: Link;

    async fn connect(&self, config: &Config) -> Result<Self::Link, Trouble>;

    /// A number from 0 to 1 by chance.
    fn chance(&mut self) -> f64;
}

/// A connection, which connects again by itself. Everything is bounded in time.
pub(crate) trait Link {
    type Messages: Stream<Item = Message> + Unpin;

    /// Forgets what was denied before. A subscription that was denied is only tried again by a new
    /// connection.
    async fn begin_attaching(&self);

    /// What the connection's events told since attaching began, if it is bad.
    fn told_trouble(&self) -> Option<Trouble>;

    /// Asks the `JetStream` API.
    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault>;

    async fn subscribe(&self, subject: String) -> Result<Self::Messages, Trouble>;

    async fn publish(&self, subject: String, reply: String, payload: Bytes) -> Result<(), Trouble>;

    /// Gives the connection up for another one.
    async fn reconnect(&self);

    /// How often the connection was made. Changes with every new one, exactly.
    fn connects(&self) -> u64;

    /// The largest message that the server takes, in bytes.
    fn max_payload(&self) -> usize;

    fn new_inbox(&self) -> String;

    /// What an error of the `JetStream` API means for reading `stream`.
    fn refused(&self, stream: &str, error: &jetstream::Error) -> Trouble;
}

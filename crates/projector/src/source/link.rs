//! What the source asks of a connection. NATS answers it, and in simulations a log in memory.

use jetstream::{ApiError, Frames};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{End, Trouble};
use crate::config::Config;

/// Why a request has no good answer.
pub(crate) enum RequestFault {
    /// `JetStream` answered with an error.
    Refused(ApiError),
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
    type Records: Records;

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

    /// Opens a connection of its own for records, on which messages to `subject` come.
    async fn records(&self, config: &Config, subject: &str) -> Result<Self::Records, Trouble>;

    /// Gives the connection up for another one.
    async fn reconnect(&self);

    /// Whether it will never connect again by itself.
    fn is_gone(&self) -> bool;

    fn new_inbox(&self) -> String;

    /// What an error of the `JetStream` API means for reading `stream`.
    fn refused(&self, stream: &str, error: &ApiError) -> Trouble;
}

/// A connection that reads. It does not connect again: its end is the end of an attachment.
pub(crate) trait Records {
    /// The next messages. Dropping the future loses nothing.
    async fn next(&mut self) -> Result<Frames, End>;

    /// Asks for records, to be sent or refused on `reply`. Goes out with [`Records::next`].
    fn ask(&mut self, subject: &str, reply: &str, request: &[u8]) -> Result<(), End>;
}

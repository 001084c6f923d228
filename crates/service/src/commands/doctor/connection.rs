//! The connection to the broker: what it answers, and what it refuses, at once.

use std::time::Duration;

use bytes::Bytes;
use jetstream::{HeaderBlock, RequestError};
use projector::Permissions;
use serde_json::Value;

use crate::config::NatsConfig;
use crate::nats::{self, NatsError};

/// How long the server's refusals may be on their way after it has answered a ping behind them.
const REFUSALS_WITHIN: Duration = Duration::from_millis(500);
/// No server takes it for a request: it is answered with an error.
const NO_REQUEST: &str = "?";

/// A connection that hears what it may not.
pub(super) struct Connection(pub(super) nats::Connection);

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unheard {
    /// The server's words.
    #[error("NATS does not permit it ({0})")]
    Denied(String),
    /// The server says why, or has nobody who could answer.
    #[error("{0}")]
    Refused(String),
    #[error("no answer")]
    Silent,
}

impl Connection {
    /// Connects with the inboxes of `consumer`, which is permitted no other.
    pub(super) async fn open(config: &NatsConfig, consumer: &str) -> Result<Self, NatsError> {
        let inbox = projector::inbox_prefix(consumer);
        let connection = nats::connect_with(config, "doctor", inbox).await?;
        Ok(Self(connection))
    }

    /// What the JetStream API answers.
    pub(super) async fn ask(&self, request: &str, body: &Value) -> Result<Value, Unheard> {
        let asked = self.0.nats.ask(request, body).await;
        asked.map_err(|error| match error {
            RequestError::Denied(said) => Unheard::Denied(said),
            RequestError::TimedOut => Unheard::Silent,
            RequestError::Refused(error) => Unheard::Refused(error.description),
            error @ (RequestError::Unauthorized
            | RequestError::NoResponders
            | RequestError::Lost(_)
            | RequestError::Invalid
            | RequestError::TooLarge(_)
            | RequestError::Odd(_)) => Unheard::Refused(error.to_string()),
        })
    }

    /// Asks for everything that reading takes, in a way that nothing comes of it, and hears what is
    /// refused.
    pub(super) async fn refused(&self, needed: &[Permissions]) -> Vec<String> {
        let nats = &self.0.nats;
        let mut under_way = Vec::new();
        for needed in needed {
            for subject in &needed.subscribe {
                // Only whether it is refused matters.
                let _ = nats.try_to_hear(subject).await;
            }
            for subject in &needed.publish {
                let payload = Bytes::from_static(NO_REQUEST.as_bytes());
                under_way.push(nats.send(subject, HeaderBlock::default(), payload).await);
            }
        }
        let _ = nats.flush().await;
        tokio::time::sleep(REFUSALS_WITHIN).await;
        let mut refusals = nats.state().borrow().denied.clone();
        refusals.sort();
        refusals
    }
}

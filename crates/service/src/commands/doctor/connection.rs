//! The connection to the broker: what it answers, and what it refuses, at once.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::{Client, Event, ServerError};
use projector::Permissions;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::NatsConfig;
use crate::nats::{self, NatsError, REQUEST_WITHIN};

/// How long the server's refusals may be on their way after it has answered a ping behind them.
const REFUSALS_WITHIN: Duration = Duration::from_millis(500);
/// No server takes it for a request: it is answered with an error.
const NO_REQUEST: &str = "?";

/// A connection that hears what it may not.
pub(super) struct Connection {
    pub(super) client: Client,
    /// What our inboxes begin with.
    inbox: String,
    /// What the server refused us, in its words. They name the subject.
    refusals: watch::Receiver<BTreeSet<String>>,
}

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
        let (tell, refusals) = watch::channel(BTreeSet::new());
        let inbox = projector::inbox_prefix(consumer);
        let options = nats::options(config)?
            .name("profile-projector doctor")
            .custom_inbox_prefix(&inbox)
            .request_timeout(Some(REQUEST_WITHIN))
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(said)) = event
                    && jetstream::denies(&said)
                {
                    tell.send_modify(|refusals| {
                        refusals.insert(said);
                    });
                }
                std::future::ready(())
            });
        let client = nats::connected(options, config).await?;
        Ok(Self {
            client,
            inbox,
            refusals,
        })
    }

    /// What a subject of the server's answers.
    pub(super) async fn ask(&self, subject: &str, payload: String) -> Result<Value, Unheard> {
        let asking = self.client.request(subject.to_owned(), payload.into());
        let answer = tokio::select! {
            answer = timeout(REQUEST_WITHIN, asking) => answer,
            said = self.refusal_of(subject) => return Err(Unheard::Denied(said)),
        };
        let answer = answer.map_err(|_elapsed| Unheard::Silent)?;
        let answer = answer.map_err(|error| Unheard::Refused(error.to_string()))?;
        let answer: Value = serde_json::from_slice(&answer.payload)
            .map_err(|_other| Unheard::Refused("the answer is no JSON".to_owned()))?;
        match answer.get("error") {
            None => Ok(answer),
            Some(error) => {
                let description = error.get("description").and_then(Value::as_str);
                let description = description.unwrap_or("an error without a description");
                Err(Unheard::Refused(description.to_owned()))
            }
        }
    }

    /// Waits until the server refuses this subject, or the inbox for answers. What was refused of other
    /// consumers' inboxes is in no answer's way.
    async fn refusal_of(&self, subject: &str) -> String {
        let asked = format!("\"{subject}\"");
        let answered = format!("Subscription to \"{}.", self.inbox);
        let is_ours = |said: &&String| said.contains(&asked) || said.contains(&answered);
        let mut refusals = self.refusals.clone();
        let heard = refusals.wait_for(|said| said.iter().any(|said| is_ours(&said)));
        match heard.await {
            Ok(said) => said.iter().find(is_ours).cloned().unwrap_or_default(),
            // The client is gone, and with it whoever asks.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Asks for everything that reading takes, in a way that nothing comes of it, and hears what is
    /// refused.
    pub(super) async fn refused(&self, needed: &[Permissions]) -> Vec<String> {
        let client = &self.client;
        for needed in needed {
            for subject in &needed.subscribe {
                // Given up at once: only whether it is refused matters.
                let _ = timeout(REQUEST_WITHIN, client.subscribe(subject.clone())).await;
            }
            for subject in &needed.publish {
                let reply = client.new_inbox();
                let asking = client.publish_with_reply(subject.clone(), reply, NO_REQUEST.into());
                let _ = timeout(REQUEST_WITHIN, asking).await;
            }
        }
        let _ = timeout(REQUEST_WITHIN, client.flush()).await;
        tokio::time::sleep(REFUSALS_WITHIN).await;
        self.refusals.borrow().iter().cloned().collect()
    }
}

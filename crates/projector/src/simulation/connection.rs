//! A connection to the broker in memory.

use std::time::Duration;

use async_nats::Message;
use async_nats::jetstream;
use bytes::Bytes;
use domain::Connection;
use futures::channel::mpsc;
use rand::RngExt;
use rand::rngs::SmallRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::broker::{Broker, Pull, status};
use crate::config::Config;
use crate::source::Trouble;
use crate::source::link::{Connect, Link, RequestFault};

/// How long a request waits that nobody answers.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Connections to a broker in memory.
pub(super) struct Connector {
    pub(super) broker: Broker,
    pub(super) chance: SmallRng,
}

impl Connect for Connector {
    type Link = Broker;

    async fn connect(&self, _config: &Config) -> Result<Broker, Trouble> {
        if !self.broker.0.borrow().is_up {
            return Err(trouble(Connection::Disconnected, "nobody is there"));
        }
        self.broker.0.borrow_mut().connect_anew();
        Ok(self.broker.clone())
    }

    fn chance(&mut self) -> f64 {
        self.chance.random()
    }
}

impl Link for Broker {
    type Messages = mpsc::UnboundedReceiver<Message>;

    async fn begin_attaching(&self) {}

    fn told_trouble(&self) -> Option<Trouble> {
        None
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault> {
        sleep(Duration::from_millis(1)).await;
        let (is_heard, is_denied) = {
            let state = self.0.borrow();
            (state.is_up && !state.is_deaf, state.is_denied)
        };
        if is_denied {
            let denied = trouble(Connection::PermissionDenied, "not permitted");
            return Err(RequestFault::Unanswered(denied));
        }
        if !is_heard {
            sleep(REQUEST_WITHIN).await;
            return Err(RequestFault::Unanswered(trouble(
                Connection::Disconnected,
                "no answer",
            )));
        }
        let request = serde_json::to_value(payload).unwrap();
        let answer = self.0.borrow_mut().answer(&subject, &request);
        match answer.get("error") {
            Some(error) => {
                let error: jetstream::Error = serde_json::from_value(error.clone()).unwrap();
                Err(RequestFault::Refused(error))
            }
            None => Ok(serde_json::from_value(answer).unwrap()),
        }
    }

    async fn subscribe(&self, _subject: String) -> Result<Self::Messages, Trouble> {
        let (sender, receiver) = mpsc::unbounded();
        self.0.borrow_mut().inbox = Some(sender);
        Ok(receiver)
    }

    async fn publish(
        &self,
        _subject: String,
        reply: String,
        payload: Bytes,
    ) -> Result<(), Trouble> {
        let mut state = self.0.borrow_mut();
        if !state.is_up || state.is_deaf {
            return Ok(());
        }
        let request: Value = serde_json::from_slice(&payload).unwrap();
        let until = Instant::now() + Duration::from_nanos(request["expires"].as_u64().unwrap());
        match &mut state.consumer {
            None => state.send(status(&reply, 503, "No Responders", None)),
            Some(consumer) => consumer.pulls.push_back(Pull {
                reply,
                left: request["batch"].as_u64().unwrap(),
                until,
            }),
        }
        state.deliver();
        Ok(())
    }

    async fn reconnect(&self) {
        self.0.borrow_mut().connect_anew();
    }

    fn connects(&self) -> u64 {
        self.0.borrow().connects
    }

    fn max_payload(&self) -> usize {
        1024 * 1024
    }

    fn new_inbox(&self) -> String {
        "_INBOX_c".to_owned()
    }

    fn refused(&self, _stream: &str, error: &jetstream::Error) -> Trouble {
        trouble(Connection::StreamMissing, &error.to_string())
    }
}

fn trouble(connection: Connection, detail: &str) -> Trouble {
    Trouble {
        connection,
        detail: detail.to_owned(),
    }
}

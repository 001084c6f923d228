//! A connection to the broker in memory.

use std::time::Duration;

use domain::Connection;
use futures::StreamExt;
use futures::channel::mpsc;
use jetstream::{ApiError, FrameError, Frames};
use rand::RngExt;
use rand::rngs::SmallRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::broker::{Broker, Pull, status};
use crate::config::Config;
use crate::source::link::{Connect, Link, Records, RequestFault};
use crate::source::{Doubt, End, Trouble};

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
    type Records = Reading;

    async fn begin_attaching(&self) {}

    fn told_trouble(&self) -> Option<Trouble> {
        None
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault> {
        let answers_in = self.0.borrow().answers_in;
        sleep(answers_in).await;
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
                let error: ApiError = serde_json::from_value(error.clone()).unwrap();
                Err(RequestFault::Refused(error))
            }
            None => Ok(serde_json::from_value(answer).unwrap()),
        }
    }

    async fn records(&self, _config: &Config, _subject: &str) -> Result<Reading, Trouble> {
        if !self.0.borrow().is_up {
            return Err(trouble(Connection::Disconnected, "nobody is there"));
        }
        let (sender, frames) = mpsc::unbounded();
        self.0.borrow_mut().inbox = Some(sender);
        Ok(Reading {
            broker: self.clone(),
            frames,
            end: None,
        })
    }

    async fn reconnect(&self) {
        self.0.borrow_mut().connect_anew();
    }

    fn is_gone(&self) -> bool {
        false
    }

    fn new_inbox(&self) -> String {
        "_INBOX_c".to_owned()
    }

    fn refused(&self, _stream: &str, error: &ApiError) -> Trouble {
        trouble(Connection::StreamMissing, &error.to_string())
    }
}

/// A connection that reads, over the broker in memory.
pub(super) struct Reading {
    broker: Broker,
    frames: mpsc::UnboundedReceiver<Vec<u8>>,
    /// What is no frame, behind frames that were handed over.
    end: Option<FrameError>,
}

impl Records for Reading {
    async fn next(&mut self) -> Result<Frames, End> {
        let ended = || Doubt::ConnectionLost {
            why: "cut".to_owned(),
        };
        let mut whole = Vec::new();
        while self.end.is_none() {
            let next = match self.frames.try_recv() {
                Ok(next) => next,
                Err(_nothing_now) if !whole.is_empty() => break,
                Err(_nothing_now) => self.frames.next().await.ok_or_else(ended)?,
            };
            match Frames::parse(next.clone().into()) {
                Ok(_) => whole.extend(next),
                Err(error) => self.end = Some(error),
            }
        }
        match self.end.take_if(|_| whole.is_empty()) {
            None => Ok(Frames::parse(whole.into()).unwrap()),
            Some(error) => Err(Doubt::NoFrame {
                why: error.to_string(),
            }
            .into()),
        }
    }

    fn ask(&mut self, _subject: &str, reply: &str, request: &[u8]) -> Result<(), End> {
        let mut state = self.broker.0.borrow_mut();
        if !state.is_up || state.is_deaf {
            return Ok(());
        }
        let request: Value = serde_json::from_slice(request).unwrap();
        let until = Instant::now() + Duration::from_nanos(request["expires"].as_u64().unwrap());
        match &mut state.consumer {
            None => state.send(status(reply, 503, "No Responders", None)),
            Some(consumer) => consumer.pulls.push_back(Pull {
                reply: reply.to_owned(),
                left: request["batch"].as_u64().unwrap(),
                until,
            }),
        }
        state.deliver();
        Ok(())
    }
}

fn trouble(connection: Connection, detail: &str) -> Trouble {
    Trouble {
        connection,
        detail: detail.to_owned(),
    }
}

//! The link to NATS: a connection for requests, and one of its own for records.

use std::sync::Arc;

use domain::Connection;
use jetstream::{
    ApiError, ConnectError, Frames, Login, NatsError, ReadError, Reader, RequestError, Settings,
    denies, refuses_login,
};
use rand::RngExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ledger::Doubt;
use super::link::{Connect, Link, Records, RequestFault};
use super::{End, Trouble};
use crate::config::Config;

/// Connections to the servers. The one for requests connects again by itself.
pub(crate) struct NatsLink {
    connection: jetstream::Connection,
    who: Who,
}

/// Connects to NATS.
pub(crate) struct Nats;

/// Whom we talk to, and as whom: for people.
#[derive(Clone)]
struct Who {
    servers: String,
    login: Arc<dyn Login>,
}

impl Connect for Nats {
    type Link = NatsLink;

    async fn connect(&self, config: &Config) -> Result<NatsLink, Trouble> {
        let servers: Vec<String> = config
            .servers
            .iter()
            .map(|at| format!("{}:{}", at.host(), at.port()))
            .collect();
        let who = Who {
            servers: servers.join(", "),
            login: Arc::clone(&config.login),
        };
        let settings = Settings {
            servers: config.servers.clone(),
            login: Arc::clone(&config.login),
            api: config.api.clone(),
            name: format!("profile-projector {}", config.consumer),
            inbox: config.inbox.clone(),
        };
        let connection = jetstream::Connection::open(settings).await;
        let connection = connection.map_err(|error| who.unconnected(&error))?;
        Ok(NatsLink { connection, who })
    }

    fn chance(&mut self) -> f64 {
        rand::rng().random()
    }
}

/// The connection that records come on.
pub(crate) struct NatsRecords {
    reader: Reader,
    who: Who,
}

impl NatsRecords {
    fn end(&self, error: ReadError) -> End {
        match error {
            ReadError::Refused(text) if denies(&text) => End::Trouble(denied(text)),
            ReadError::Refused(text) if refuses_login(&text) => {
                End::Trouble(self.who.unconnected(&ConnectError::Unauthorized(text)))
            }
            ReadError::Frame(error) => Doubt::NoFrame {
                why: error.to_string(),
            }
            .into(),
            ReadError::Io(_) | ReadError::Refused(_) | ReadError::Stalled => {
                Doubt::ConnectionLost {
                    why: error.to_string(),
                }
                .into()
            }
        }
    }
}

impl Records for NatsRecords {
    async fn next(&mut self) -> Result<Frames, End> {
        self.reader.next().await.map_err(|error| self.end(error))
    }

    fn ask(&mut self, subject: &str, reply: &str, request: &[u8]) -> Result<(), End> {
        let asked = self.reader.publish(subject, reply, request);
        asked.map_err(|error| self.end(error))
    }
}

impl Link for NatsLink {
    type Records = NatsRecords;

    async fn begin_attaching(&self) {
        let denied = self.connection.forget_denied();
        if denied.is_some_and(|text| text.contains("Subscription")) {
            self.reconnect().await;
        }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault> {
        let asked = self.connection.ask(&subject, payload).await;
        asked.map_err(|error| {
            if let RequestError::Refused(error) = error {
                RequestFault::Refused(error)
            } else {
                RequestFault::Unanswered(self.unanswered(&error))
            }
        })
    }

    async fn records(&self, config: &Config, subject: &str) -> Result<NatsRecords, Trouble> {
        let name = format!("profile-projector {} records", config.consumer);
        let reader = self.connection.reader(&name).await;
        let mut reader = reader.map_err(|error| self.who.unconnected(&error))?;
        let subscribed = reader.subscribe(subject, 1);
        subscribed.map_err(|error| {
            let lost = ConnectError::Protocol(error.to_string());
            self.who.unconnected(&lost)
        })?;
        let who = self.who.clone();
        Ok(NatsRecords { reader, who })
    }

    async fn reconnect(&self) {
        self.connection.reconnect().await;
    }

    fn is_gone(&self) -> bool {
        self.connection.is_gone()
    }

    fn new_inbox(&self) -> String {
        self.connection.new_inbox()
    }

    fn told_trouble(&self) -> Option<Trouble> {
        let state = self.connection.state();
        let state = state.borrow();
        if let Some(text) = state.denied.last() {
            return Some(denied(text.clone()));
        }
        let problem = state.problem.as_ref()?;
        state
            .is_unauthorized()
            .then(|| self.who.unconnected(problem))
    }

    fn refused(&self, stream: &str, error: &ApiError) -> Trouble {
        let refused = RequestError::Refused(error.clone());
        self.who.unanswered(&refused, stream)
    }
}

impl NatsLink {
    /// Why a request was not answered: where there is no connection, why there is none.
    fn unanswered(&self, error: &RequestError) -> Trouble {
        let problem = self.connection.state().borrow().problem.clone();
        let is_unconnected = matches!(
            error,
            RequestError::Lost(_) | RequestError::TimedOut | RequestError::Unauthorized
        );
        match problem.filter(|_| is_unconnected) {
            Some(problem) => self.who.unconnected(&problem),
            None => self.who.unanswered(error, ""),
        }
    }
}

impl Who {
    fn unconnected(&self, error: &ConnectError) -> Trouble {
        let error = NatsError::of_connect(error, &self.servers, self.login.as_ref());
        trouble(&error)
    }

    fn unanswered(&self, error: &RequestError, stream: &str) -> Trouble {
        let error = NatsError::of_request(error, &self.servers, stream, self.login.as_ref());
        trouble(&error)
    }
}

fn denied(said: String) -> Trouble {
    trouble(&NatsError::PermissionDenied { said })
}

fn trouble(error: &NatsError) -> Trouble {
    let connection = match error {
        NatsError::Login { .. } | NatsError::Unauthorized { .. } => Connection::Unauthorized,
        NatsError::PermissionDenied { .. } => Connection::PermissionDenied,
        NatsError::JetStreamDisabled { .. } => Connection::JetstreamDisabled,
        NatsError::StreamMissing { .. } => Connection::StreamMissing,
        NatsError::Unreachable { .. }
        | NatsError::OtherStream { .. }
        | NatsError::SubjectElsewhere { .. }
        | NatsError::StreamDiffers { .. }
        | NatsError::TimedOut { .. }
        | NatsError::Refused { .. } => Connection::Disconnected,
    };
    let detail = error.to_string();
    Trouble { connection, detail }
}

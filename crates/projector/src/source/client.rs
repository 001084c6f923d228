//! The connection: making it, what it says when requests fail, and requests with a bound.

use std::sync::Arc;
use std::time::Duration;

use ::jetstream::{
    ConnectError, Frames, Login, NatsError, ReadError, Reader, Unconnected, denies, refuses_login,
};
use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, Event, ServerAddr, ServerError};
use domain::Connection;
use rand::RngExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::ledger::Doubt;
use super::link::{Connect, Link, Records, RequestFault};
use super::{End, Trouble};
use crate::config::Config;

/// Every request is bounded here too: the client's own limit does not cover its queue.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How soon a dead peer is noticed: after two that are not answered.
const PING_EVERY: Duration = Duration::from_secs(5);
/// A client whose task has ended says so at once.
const FLUSHED_WITHIN: Duration = Duration::from_millis(100);
/// The longest wait between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// What the connection's events told. For people, and to give a request up that gets no answer; never
/// for correctness.
#[derive(Debug, Default)]
struct Said {
    /// The server's words for what it did not permit since the last attaching.
    denied: Option<String>,
    /// Our credentials were refused, and no connection was made since.
    unauthorized: bool,
}

/// A connection to the servers, which connects again by itself.
pub(crate) struct NatsLink {
    client: Client,
    jetstream: jetstream::Context,
    servers: String,
    login: Arc<dyn Login>,
    said: watch::Sender<Said>,
    /// Notified when the connection is lost: a request under way will not be answered.
    lost: Arc<Notify>,
}

/// Connects to NATS.
pub(crate) struct Nats;

impl Connect for Nats {
    type Link = NatsLink;

    async fn connect(&self, config: &Config) -> Result<NatsLink, Trouble> {
        NatsLink::connect(config).await
    }

    fn chance(&mut self) -> f64 {
        rand::rng().random()
    }
}

impl NatsLink {
    async fn connect(config: &Config) -> Result<Self, Trouble> {
        let servers: Vec<String> = config
            .servers
            .iter()
            .map(|at| format!("{}:{}", at.host(), at.port()))
            .collect();
        let servers = servers.join(", ");
        let login = config.login.as_ref();
        let said = watch::Sender::new(Said::default());
        let options = ::jetstream::options(&config.login).map_err(|detail| Trouble {
            connection: Connection::Unauthorized,
            detail,
        })?;
        let lost = Arc::new(Notify::new());
        let (hear, tell) = (said.clone(), Arc::clone(&lost));
        let options = options
            .name(format!("profile-projector {}", config.consumer))
            .custom_inbox_prefix(&config.inbox)
            .request_timeout(Some(REQUEST_WITHIN))
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                if event == Event::Disconnected {
                    tell.notify_waiters();
                }
                hear_event(&hear, event);
                std::future::ready(())
            });
        let connecting = ::jetstream::connect(options, &config.servers).await;
        let client = connecting.map_err(|error| match error {
            Unconnected::Unauthorized => unauthorized(&servers, login),
            Unconnected::Unreachable(problem) => unreachable(&servers, login, &problem),
        })?;
        let jetstream = jetstream::with_prefix(client.clone(), config.api.as_str());
        Ok(Self {
            client,
            jetstream,
            servers,
            login: Arc::clone(&config.login),
            said,
            lost,
        })
    }

    async fn bad_news(&self) {
        // We hold the sender, so it ends with bad news only.
        let _ = self.said.subscribe().wait_for(Said::is_bad).await;
    }

    fn unanswered(&self, error: &RequestError) -> Trouble {
        match error.kind() {
            RequestErrorKind::NoResponders => jetstream_disabled(&self.servers),
            RequestErrorKind::TimedOut
            | RequestErrorKind::InvalidSubject
            | RequestErrorKind::Other => self.trouble(&error.to_string()),
        }
    }

    /// What the connection's events say of a request that was not answered.
    fn trouble(&self, otherwise: &str) -> Trouble {
        self.told_trouble()
            .unwrap_or_else(|| unreachable(&self.servers, self.login.as_ref(), otherwise))
    }
}

impl NatsLink {
    /// The configured servers, and those that they told us of.
    fn candidates(&self, config: &Config) -> Vec<ServerAddr> {
        let mut servers = config.servers.clone();
        let discovered = self.client.server_info().connect_urls;
        for url in discovered
            .iter()
            .filter_map(|url| url.parse::<ServerAddr>().ok())
        {
            let is_known =
                |known: &ServerAddr| (known.host(), known.port()) == (url.host(), url.port());
            if !servers.iter().any(is_known) {
                servers.push(url);
            }
        }
        servers
    }

    fn subscribed(&self, mut reader: Reader, subject: &str) -> Result<NatsRecords, Trouble> {
        reader
            .subscribe(subject, 1)
            .map_err(|error| unreachable(&self.servers, self.login.as_ref(), &error.to_string()))?;
        Ok(NatsRecords {
            reader,
            servers: self.servers.clone(),
            login: Arc::clone(&self.login),
        })
    }
}

/// The connection that records come on.
pub(crate) struct NatsRecords {
    reader: Reader,
    servers: String,
    login: Arc<dyn Login>,
}

impl NatsRecords {
    fn end(&self, error: ReadError) -> End {
        match error {
            ReadError::Refused(text) if denies(&text) => End::Trouble(denied(&text)),
            ReadError::Refused(text) if refuses_login(&text) => {
                End::Trouble(unauthorized(&self.servers, self.login.as_ref()))
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
        let mut denied = None;
        self.said.send_modify(|said| denied = said.denied.take());
        if denied.is_some_and(|text| text.contains("Subscription")) {
            self.reconnect().await;
        }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault> {
        let lost = self.lost.notified();
        let asking = timeout(REQUEST_WITHIN, self.jetstream.request(subject, payload));
        let answer = tokio::select! {
            answer = asking => answer,
            () = lost => {
                return Err(RequestFault::Unanswered(self.trouble("the connection was lost")));
            }
            // Nothing else tells that an answer will not come.
            () = self.bad_news() => {
                return Err(RequestFault::Unanswered(self.trouble("no answer")));
            }
        };
        match answer {
            Ok(Ok(Response::Ok(answer))) => Ok(answer),
            Ok(Ok(Response::Err { error })) => Err(RequestFault::Refused(error)),
            Ok(Err(error)) => Err(RequestFault::Unanswered(self.unanswered(&error))),
            Err(_elapsed) => Err(RequestFault::Unanswered(self.trouble("no answer"))),
        }
    }

    async fn records(&self, config: &Config, subject: &str) -> Result<NatsRecords, Trouble> {
        let access = config.login.access().map_err(|detail| Trouble {
            connection: Connection::Unauthorized,
            detail,
        })?;
        let name = format!("profile-projector {} records", config.consumer);
        let mut last = None;
        for server in self.candidates(config) {
            match Reader::connect(&server, &name, &access).await {
                Ok(reader) => return self.subscribed(reader, subject),
                Err(ConnectError::Unauthorized(_)) => {
                    return Err(unauthorized(&self.servers, self.login.as_ref()));
                }
                Err(error) => last = Some(error.to_string()),
            }
        }
        let problem = last.unwrap_or_default();
        Err(unreachable(&self.servers, self.login.as_ref(), &problem))
    }

    async fn reconnect(&self) {
        // It connects again either way; this only makes it sooner.
        let connecting = async {
            self.client.force_reconnect().await.ok()?;
            self.client.flush().await.ok()
        };
        let _ = timeout(REQUEST_WITHIN, connecting).await;
    }

    async fn is_gone(&self) -> bool {
        // A panic ends the client's task, and nothing tells. One that lives takes what is flushed, now or later.
        let flushed = timeout(FLUSHED_WITHIN, self.client.flush()).await;
        flushed.is_ok_and(|flushed| flushed.is_err())
    }

    fn new_inbox(&self) -> String {
        self.client.new_inbox()
    }

    fn told_trouble(&self) -> Option<Trouble> {
        let said = self.said.borrow();
        if let Some(denied) = &said.denied {
            return Some(self::denied(denied));
        }
        said.unauthorized
            .then(|| unauthorized(&self.servers, self.login.as_ref()))
    }

    fn refused(&self, stream: &str, error: &jetstream::Error) -> Trouble {
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND => {
                let (servers, stream) = (self.servers.clone(), stream.to_owned());
                trouble(
                    Connection::StreamMissing,
                    &NatsError::StreamMissing { servers, stream },
                )
            }
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                jetstream_disabled(&self.servers)
            }
            _ => Trouble {
                connection: Connection::Disconnected,
                detail: format!("JetStream on {} refused: {error}", self.servers),
            },
        }
    }
}

impl Said {
    fn is_bad(&self) -> bool {
        self.denied.is_some() || self.unauthorized
    }
}

fn hear_event(said: &watch::Sender<Said>, event: Event) {
    match event {
        Event::ServerError(ServerError::Other(text)) if denies(&text) => {
            said.send_modify(|said| said.denied = Some(text));
        }
        Event::ServerError(error) if refuses_login(&error.to_string()) => {
            said.send_modify(|said| said.unauthorized = true);
        }
        Event::ClientError(error) if refuses_login(&error.to_string()) => {
            said.send_modify(|said| said.unauthorized = true);
        }
        Event::Connected => said.send_modify(|said| said.unauthorized = false),
        Event::Disconnected
        | Event::LameDuckMode
        | Event::Draining
        | Event::Closed
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => {}
    }
}

fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let most = (Duration::from_millis(10) * 2_u32.pow(doublings)).min(RECONNECT_MAX);
    most.mul_f64(rand::rng().random_range(0.5..1.0))
}

fn trouble(connection: Connection, error: &NatsError) -> Trouble {
    Trouble {
        connection,
        detail: error.to_string(),
    }
}

fn unreachable(servers: &str, login: &dyn Login, problem: &str) -> Trouble {
    let error = NatsError::Unreachable {
        servers: servers.to_owned(),
        problem: problem.to_owned(),
        why: login.why_unreachable(problem),
    };
    trouble(Connection::Disconnected, &error)
}

fn denied(text: &str) -> Trouble {
    let said = text.to_owned();
    trouble(
        Connection::PermissionDenied,
        &NatsError::PermissionDenied { said },
    )
}

fn unauthorized(servers: &str, login: &dyn Login) -> Trouble {
    let error = NatsError::Unauthorized {
        servers: servers.to_owned(),
        why: login.why_refused(),
    };
    trouble(Connection::Unauthorized, &error)
}

fn jetstream_disabled(servers: &str) -> Trouble {
    let servers = servers.to_owned();
    trouble(
        Connection::JetstreamDisabled,
        &NatsError::JetStreamDisabled { servers },
    )
}

//! The connection: making it, what it says when requests fail, and requests with a bound.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectErrorKind, Event, ServerError};
use domain::Connection;
use rand::RngExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::Trouble;
use crate::config::Config;
use crate::permissions::inbox_prefix;

/// A server that does not answer a connection in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Every request is bounded here too: the client's own limit does not cover its queue.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How soon a dead peer is noticed: after two that are not answered.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);

/// Events of the connection that explain a failed request. For people; never for correctness.
#[derive(Debug, Default)]
struct Said {
    permission: Option<String>,
    unauthorized: bool,
}

/// A connection to the servers, which connects again by itself.
pub(crate) struct Link {
    pub(crate) client: Client,
    jetstream: jetstream::Context,
    servers: String,
    said: Arc<Mutex<Said>>,
    /// Notified when a request under way will not be answered: it was denied, or its connection lost.
    given_up: Arc<Notify>,
}

/// Why a request has no good answer.
pub(crate) enum RequestFault {
    /// `JetStream` answered with an error.
    Refused(jetstream::Error),
    /// Nobody answered.
    Unanswered(Trouble),
}

impl Link {
    pub(crate) async fn connect(config: &Config) -> Result<Self, Trouble> {
        let servers: Vec<String> = config
            .servers
            .iter()
            .map(|at| format!("{}:{}", at.host(), at.port()))
            .collect();
        let servers = servers.join(", ");
        let said = Arc::new(Mutex::new(Said::default()));
        let options = (config.options)().map_err(|detail| Trouble {
            connection: Connection::Unauthorized,
            detail,
        })?;
        let given_up = Arc::new(Notify::new());
        let (hear, tell) = (Arc::clone(&said), Arc::clone(&given_up));
        let options = options
            .name(format!("profile-projector {}", config.consumer))
            .custom_inbox_prefix(inbox_prefix(&config.consumer))
            .connection_timeout(CONNECT_WITHIN)
            .request_timeout(Some(REQUEST_WITHIN))
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                if hear_event(&hear, event) {
                    tell.notify_waiters();
                }
                std::future::ready(())
            });
        let connecting = options.connect(config.servers.clone());
        let client = match timeout(CONNECT_WITHIN * 2, connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => {
                return Err(connect_trouble(&servers, error.kind(), &error.to_string()));
            }
            Err(_elapsed) => return Err(unreachable(&servers, "no answer")),
        };
        let jetstream = jetstream::new(client.clone());
        Ok(Self {
            client,
            jetstream,
            servers,
            said,
            given_up,
        })
    }

    /// Gives the connection up for another one.
    pub(crate) async fn reconnect(&self) {
        // It connects again either way; this only makes it sooner.
        let _ = timeout(REQUEST_WITHIN, self.client.force_reconnect()).await;
    }

    /// How often the connection was made. Changes with every new one, exactly.
    pub(crate) fn connects(&self) -> u64 {
        self.client
            .statistics()
            .connects
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Asks the `JetStream` API.
    pub(crate) async fn request<T: DeserializeOwned>(
        &self,
        subject: String,
        payload: &impl Serialize,
    ) -> Result<T, RequestFault> {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .permission = None;
        let given_up = self.given_up.notified();
        let asking = timeout(REQUEST_WITHIN, self.jetstream.request(subject, payload));
        let answered = tokio::select! {
            answered = asking => answered,
            () = given_up => {
                return Err(RequestFault::Unanswered(self.trouble("the connection was lost")));
            }
        };
        match answered {
            Ok(Ok(Response::Ok(answer))) => Ok(answer),
            Ok(Ok(Response::Err { error })) => Err(RequestFault::Refused(error)),
            Ok(Err(error)) => Err(RequestFault::Unanswered(self.unanswered(&error))),
            Err(_elapsed) => Err(RequestFault::Unanswered(self.trouble("no answer"))),
        }
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
    pub(crate) fn trouble(&self, otherwise: &str) -> Trouble {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(permission) = &said.permission {
            return Trouble {
                connection: Connection::PermissionDenied,
                detail: format!(
                    "NATS does not permit what reading takes ({permission}): grant it to this user"
                ),
            };
        }
        if said.unauthorized
            && self.client.connection_state() != async_nats::connection::State::Connected
        {
            return unauthorized(&self.servers);
        }
        unreachable(&self.servers, otherwise)
    }

    /// What an error of the `JetStream` API means for reading `stream`.
    pub(crate) fn refused(&self, stream: &str, error: &jetstream::Error) -> Trouble {
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND => Trouble {
                connection: Connection::StreamMissing,
                detail: format!(
                    "there is no stream {stream} on {}: create it (deploy/nats/stream.json holds its \
                     configuration), or name another with --stream",
                    self.servers
                ),
            },
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

/// Gives whether requests under way are not answered any more.
fn hear_event(said: &Mutex<Said>, event: Event) -> bool {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    match event {
        Event::ServerError(ServerError::Other(text))
            if text.to_ascii_lowercase().contains("permissions violation") =>
        {
            said.permission = Some(text);
            return true;
        }
        Event::ServerError(ServerError::AuthorizationViolation) => said.unauthorized = true,
        Event::ClientError(error)
            if error
                .to_string()
                .to_ascii_lowercase()
                .contains("authorization violation") =>
        {
            said.unauthorized = true;
        }
        Event::Connected => said.unauthorized = false,
        Event::Disconnected => return true,
        Event::LameDuckMode
        | Event::Draining
        | Event::Closed
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => {}
    }
    false
}

fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let most = (Duration::from_millis(10) * 2_u32.pow(doublings)).min(RECONNECT_MAX);
    most.mul_f64(rand::rng().random_range(0.5..1.0))
}

fn connect_trouble(servers: &str, kind: ConnectErrorKind, text: &str) -> Trouble {
    match kind {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            unauthorized(servers)
        }
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => unreachable(servers, text),
    }
}

fn unreachable(servers: &str, problem: &str) -> Trouble {
    Trouble {
        connection: Connection::Disconnected,
        detail: format!(
            "NATS cannot be reached at {servers} ({problem}): is it running? is --nats-url right?"
        ),
    }
}

fn unauthorized(servers: &str) -> Trouble {
    Trouble {
        connection: Connection::Unauthorized,
        detail: format!(
            "NATS at {servers} refused our credentials: check --nats-creds, --nats-nkey or the user in \
             --nats-url"
        ),
    }
}

fn jetstream_disabled(servers: &str) -> Trouble {
    Trouble {
        connection: Connection::JetstreamDisabled,
        detail: format!(
            "JetStream does not answer at {servers}: is it enabled for this server and account?"
        ),
    }
}

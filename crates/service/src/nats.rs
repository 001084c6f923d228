//! The commands' own connection to NATS, and what its failures mean to the person who typed a command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use ::jetstream::NatsError;
use ::jetstream::{Access, Login, Unconnected, denies};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectOptions, Event, ServerError};
use tokio::sync::watch;

use crate::config::NatsConfig;
use crate::credentials;

/// How long one request or one enqueueing may take.
pub(crate) const REQUEST_WITHIN: Duration = Duration::from_secs(5);
const PING_EVERY: Duration = Duration::from_secs(5);

/// A connection with the problems that only its events tell.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) jetstream: jetstream::Context,
    /// A permission that the server denied: requests that need it time out without a word.
    pub(crate) denied: watch::Receiver<Option<NatsError>>,
    /// Counts the times that the connection was lost and made again: what was under way may be lost.
    pub(crate) resets: watch::Receiver<u64>,
    /// Where, without passwords.
    pub(crate) servers: String,
}

/// What the inboxes of a command begin with: each has its own, so that no permission to hear its answers reaches
/// those of others.
pub(crate) fn inbox_of(command: &str) -> String {
    projector::inbox_prefix(&format!("profile-projector-{command}"))
}

/// Connects a command within seconds or tells why not.
pub(crate) async fn connect(config: &NatsConfig, command: &str) -> Result<Connection, NatsError> {
    connect_with(config, command, inbox_of(command)).await
}

/// The same with inboxes that begin otherwise.
pub(crate) async fn connect_with(
    config: &NatsConfig,
    command: &str,
    inbox: String,
) -> Result<Connection, NatsError> {
    let (tell_denied, denied) = watch::channel(None);
    let (tell_reset, resets) = watch::channel(0_u64);
    let was_lost = AtomicBool::new(false);
    let options = options(config)?
        .name(format!("profile-projector {command}"))
        .custom_inbox_prefix(inbox)
        .request_timeout(Some(REQUEST_WITHIN))
        .ping_interval(PING_EVERY)
        .event_callback(move |event| {
            if matches!(event, Event::Disconnected) {
                was_lost.store(true, Ordering::Relaxed);
            } else if matches!(event, Event::Connected) && was_lost.swap(false, Ordering::Relaxed) {
                tell_reset.send_modify(|resets| *resets = resets.wrapping_add(1));
            }
            if let Event::ServerError(ServerError::Other(said)) = event
                && denies(&said)
            {
                tell_denied.send_if_modified(|denied| {
                    let is_first = denied.is_none();
                    denied.get_or_insert(NatsError::PermissionDenied { said });
                    is_first
                });
            }
            std::future::ready(())
        });
    let client = connected(options, config).await?;
    Ok(Connection {
        denied,
        resets,
        ..Connection::of(client, config)
    })
}

/// Connects within a bound.
pub(crate) async fn connected(
    options: ConnectOptions,
    config: &NatsConfig,
) -> Result<Client, NatsError> {
    let connecting = ::jetstream::connect(options, &config.servers).await;
    connecting.map_err(|error| match error {
        Unconnected::Unauthorized => NatsError::Unauthorized {
            servers: config.shown_servers(),
            why: config.why_refused(),
        },
        Unconnected::Unreachable(problem) => NatsError::Unreachable {
            servers: config.shown_servers(),
            why: config.why_unreachable(&problem),
            problem,
        },
    })
}

/// How a client connects. Files are judged now and read again at every connect.
pub(crate) fn options(config: &NatsConfig) -> Result<ConnectOptions, NatsError> {
    let login: Arc<dyn Login> = Arc::new(config.clone());
    ::jetstream::options(&login).map_err(|problem| NatsError::Login { problem })
}

impl Login for NatsConfig {
    fn access(&self) -> Result<Access, String> {
        let identity = credentials::identity(self)?;
        let tls = self.tls.clone();
        Ok(Access { identity, tls })
    }

    fn why_refused(&self) -> String {
        credentials::why_refused(self)
    }

    fn why_unreachable(&self, problem: &str) -> String {
        let mut why = match &self.selected {
            None => "is it running? is --nats-url right?".to_owned(),
            Some(name) => format!(
                "is it running? no server was named, and the nats tool has a context selected: give \
                 --nats-context {name} to take it"
            ),
        };
        if !self.tls.first && said_nothing(problem) {
            why.push_str(" does it begin with TLS (--nats-tls-first)?");
        }
        why
    }
}

/// Whether a server took the connection and did not begin to talk.
fn said_nothing(problem: &str) -> bool {
    ["timed out", "no answer", "expected INFO"]
        .iter()
        .any(|words| problem.contains(words))
}

impl Connection {
    /// For a client that hears of refusals by itself.
    pub(crate) fn of(client: Client, config: &NatsConfig) -> Self {
        let mut jetstream = jetstream::with_prefix(client, config.api.as_str());
        jetstream.set_timeout(REQUEST_WITHIN);
        let (_, denied) = watch::channel(None);
        let (_, resets) = watch::channel(0);
        Self {
            jetstream,
            denied,
            resets,
            servers: config.shown_servers(),
        }
    }

    /// Finds out why nobody took a subject. A client may lack the permission to ask; then the likeliest
    /// reason is given.
    pub(crate) async fn why_unheard(&self, stream: &str) -> NatsError {
        let missing = || NatsError::StreamMissing {
            servers: self.servers.clone(),
            stream: stream.to_owned(),
        };
        let asked = tokio::time::timeout(REQUEST_WITHIN, self.jetstream.get_stream(stream)).await;
        match asked {
            Ok(Ok(_)) => NatsError::Refused {
                said: format!("stream {stream} does not take the subjects identity.v1.>"),
            },
            Ok(Err(error)) => match error.kind() {
                GetStreamErrorKind::JetStream(error) => match error.error_code() {
                    ErrorCode::STREAM_NOT_FOUND => missing(),
                    ErrorCode::JETSTREAM_NOT_ENABLED
                    | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => self.no_jetstream(),
                    _ => NatsError::Refused {
                        said: error.to_string(),
                    },
                },
                GetStreamErrorKind::Request if error.to_string().contains("JetStream resource") => {
                    self.no_jetstream()
                }
                GetStreamErrorKind::Request
                | GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::InvalidStreamName => missing(),
            },
            Err(_elapsed) => missing(),
        }
    }

    fn no_jetstream(&self) -> NatsError {
        NatsError::JetStreamDisabled {
            servers: self.servers.clone(),
        }
    }
}

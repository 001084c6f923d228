//! The commands' own connection to NATS, and what its failures mean to the person who typed a command.

use std::sync::Arc;

pub use jetstream::NatsError;
use jetstream::{Access, ConnectError, Login, RequestError, Settings, StreamInfo, code};

use crate::config::NatsConfig;
use crate::credentials;

/// A connection, and whom it is to.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) nats: jetstream::Connection,
    config: NatsConfig,
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
    let settings = Settings {
        servers: config.servers.clone(),
        login: Arc::new(config.clone()),
        api: config.api.clone(),
        name: format!("profile-projector {command}"),
        inbox,
    };
    let nats = jetstream::Connection::open(settings).await;
    let nats =
        nats.map_err(|error| NatsError::of_connect(&error, &config.shown_servers(), config))?;
    Ok(Connection {
        nats,
        config: config.clone(),
    })
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

    fn why_unreachable(&self, problem: &ConnectError) -> String {
        if let ConnectError::Protocol(_) = problem {
            return "something answers there that does not speak NATS: is it the port for clients?"
                .to_owned();
        }
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
fn said_nothing(problem: &ConnectError) -> bool {
    match problem {
        ConnectError::TimedOut => true,
        ConnectError::Io(error) => error.kind() == std::io::ErrorKind::UnexpectedEof,
        ConnectError::Tls(_)
        | ConnectError::Protocol(_)
        | ConnectError::Login(_)
        | ConnectError::Unauthorized(_)
        | ConnectError::Refused(_)
        | ConnectError::Lost(_) => false,
    }
}

impl Connection {
    /// Where, without passwords.
    pub(crate) fn servers(&self) -> String {
        self.config.shown_servers()
    }

    /// What the stream says of itself, or why it does not.
    pub(crate) async fn stream(&self, stream: &str) -> Result<StreamInfo, NatsError> {
        let asked = self.nats.stream_info(stream).await;
        asked.map_err(|error| self.explain(&error, stream))
    }

    /// What a request about a stream that has no good answer means.
    pub(crate) fn explain(&self, error: &RequestError, stream: &str) -> NatsError {
        let problem = self.nats.state().borrow().problem.clone();
        let is_unconnected = matches!(
            error,
            RequestError::Lost(_) | RequestError::TimedOut | RequestError::Unauthorized
        );
        match problem.filter(|_| is_unconnected) {
            Some(problem) => NatsError::of_connect(&problem, &self.servers(), &self.config),
            None => NatsError::of_request(error, &self.servers(), stream, &self.config),
        }
    }

    /// Finds out why nobody took a subject. A client may lack the permission to ask; then the likeliest
    /// reason is given.
    pub(crate) async fn why_unheard(&self, stream: &str) -> NatsError {
        let missing = || NatsError::StreamMissing {
            servers: self.servers(),
            stream: stream.to_owned(),
        };
        match self.nats.stream_info(stream).await {
            Ok(_) => NatsError::Refused {
                said: format!("stream {stream} does not take the subjects identity.v1.>"),
            },
            Err(error) if error.code() == Some(code::STREAM_NOT_FOUND) => missing(),
            Err(error @ (RequestError::Refused(_) | RequestError::NoResponders)) => {
                self.explain(&error, stream)
            }
            Err(_) => missing(),
        }
    }
}

//! The client library: how it connects as somebody, what its events tell, and what its errors mean.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{
    Auth, AuthError, Client, ClientError, ConnectErrorKind, ConnectOptions, Event,
    RequestErrorKind, ServerError,
};
use rand::RngExt;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use crate::access::{Access, Identity};
use crate::connection::{REQUEST_WITHIN, Settings, State};
use crate::error::{ConnectError, RequestError, denies, refuses_login};
use crate::login::Login;
use crate::reader::CONNECT_WITHIN;

/// How soon a dead peer is noticed: after two pings that are not answered.
const PING_EVERY: Duration = Duration::from_secs(5);
/// The longest wait between two attempts to connect again.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// Different refusals that are remembered.
const DENIED_MAX: usize = 256;

/// Why requests that are on their way get no answer.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// The connection ended, for this reason.
    Lost(String),
    /// The server does not permit something, in its words.
    Denied(String),
    /// Our credentials are not taken.
    Unauthorized,
}

/// Hears the library's events. The library lets go of it when its task ends, even by a panic.
pub(crate) struct Ear {
    pub(crate) state: watch::Sender<State>,
    pub(crate) news: broadcast::Sender<News>,
    pub(crate) login: Arc<dyn Login>,
    /// What our inboxes begin with.
    pub(crate) inbox: String,
}

/// Connects within seconds: the library's own limit is for each server and does not cover every step.
pub(crate) async fn connect(settings: &Settings, ear: Ear) -> Result<Client, ConnectError> {
    let options = options(&settings.login)?
        .name(&settings.name)
        .custom_inbox_prefix(&settings.inbox)
        .request_timeout(Some(REQUEST_WITHIN))
        .ping_interval(PING_EVERY)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            ear.hear(event);
            std::future::ready(())
        });
    let mut servers: Vec<async_nats::ServerAddr> = Vec::new();
    for server in &settings.servers {
        let parsed = server.to_string().parse();
        servers.push(parsed.map_err(ConnectError::Io)?);
    }
    let connecting = Box::pin(options.connect(servers));
    let connected = timeout(CONNECT_WITHIN * 2, connecting).await;
    let connected = connected.map_err(|_elapsed| ConnectError::TimedOut)?;
    connected.map_err(|error| unconnected(&error))
}

/// Files are judged now and read again at every connect.
fn options(login: &Arc<dyn Login>) -> Result<ConnectOptions, ConnectError> {
    let Access { identity, tls } = login.access().map_err(ConnectError::Login)?;
    // The library reads them later, and says less of what is wrong with them.
    if tls.is_required() {
        tls.load().map_err(ConnectError::Login)?;
    }
    let mut options = match identity {
        Identity::Anonymous => ConnectOptions::new(),
        Identity::Password { .. } | Identity::Token(_) | Identity::Key { .. } => {
            let login = Arc::clone(login);
            ConnectOptions::with_auth_callback(move |nonce| {
                let answer = login.access().map_err(AuthError::new);
                std::future::ready(answer.and_then(|access| answer_to(&nonce, access.identity)))
            })
        }
    };
    options = options.connection_timeout(CONNECT_WITHIN);
    if let Some(ca) = tls.ca {
        options = options.add_root_certificates(ca).require_tls(true);
    }
    if let Some((cert, key)) = tls.client {
        options = options.add_client_certificate(cert, key).require_tls(true);
    }
    if tls.first {
        options = options.tls_first();
    }
    Ok(options)
}

fn answer_to(nonce: &[u8], identity: Identity) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    match identity {
        Identity::Anonymous => {}
        Identity::Password { user, password } => {
            auth.username = Some(user);
            auth.password = Some(password);
        }
        Identity::Token(token) => auth.token = Some(token),
        Identity::Key { jwt, key } => {
            auth.signature = Some(key.sign(nonce).map_err(AuthError::new)?);
            if jwt.is_none() {
                auth.nkey = Some(key.public_key());
            }
            auth.jwt = jwt;
        }
    }
    Ok(auth)
}

fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let most = (Duration::from_millis(10) * 2_u32.pow(doublings)).min(RECONNECT_MAX);
    most.mul_f64(rand::rng().random_range(0.5..1.0))
}

/// What a first attempt saw. What a stranger sent is not repeated: it may be long, and anything.
fn unconnected(error: &async_nats::ConnectError) -> ConnectError {
    let text = error.to_string();
    let source = std::error::Error::source(error);
    let is_no_nats =
        || ConnectError::Protocol("it does not begin as a NATS server does".to_owned());
    if refuses_login(&text) {
        return ConnectError::Unauthorized(text);
    }
    if let Some(ServerError::Other(said)) = source.and_then(|source| source.downcast_ref()) {
        return ConnectError::refused(said.clone());
    }
    if let Some(seen) = source.and_then(|source| source.downcast_ref::<io::Error>()) {
        let seen = io::Error::new(seen.kind(), seen.to_string());
        // What the library's parser gives, and the one of TLS.
        return if seen.kind() == io::ErrorKind::InvalidInput {
            is_no_nats()
        } else if seen.kind() == io::ErrorKind::InvalidData {
            ConnectError::Tls(seen)
        } else {
            ConnectError::Io(seen)
        };
    }
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            ConnectError::Unauthorized(text)
        }
        ConnectErrorKind::TimedOut => ConnectError::TimedOut,
        ConnectErrorKind::Tls => ConnectError::Tls(io::Error::other(text)),
        ConnectErrorKind::Io if text.contains("got nothing") => {
            ConnectError::Io(io::ErrorKind::UnexpectedEof.into())
        }
        ConnectErrorKind::Io if text.contains("expected INFO") => is_no_nats(),
        ConnectErrorKind::ServerParse
        | ConnectErrorKind::Dns
        | ConnectErrorKind::Io
        | ConnectErrorKind::MaxReconnects => ConnectError::Io(io::Error::other(text)),
    }
}

/// What a request's error means; `largest` is what the server takes.
pub(crate) fn unanswered(error: &async_nats::RequestError, largest: usize) -> RequestError {
    match error.kind() {
        RequestErrorKind::TimedOut => RequestError::TimedOut,
        RequestErrorKind::NoResponders => RequestError::NoResponders,
        RequestErrorKind::InvalidSubject => RequestError::Invalid,
        RequestErrorKind::MaxPayloadExceeded => RequestError::TooLarge(largest),
        RequestErrorKind::Other => RequestError::Lost("its task ended".to_owned()),
    }
}

impl Ear {
    fn hear(&self, event: Event) {
        match event {
            Event::Connected => self.state.send_modify(|state| {
                state.problem = None;
                state.deaf = None;
                state.said = None;
            }),
            Event::Disconnected => self.lose(),
            Event::ServerError(ServerError::Other(text)) if denies(&text) => self.deny(text),
            Event::ServerError(ServerError::AuthorizationViolation) => {
                self.refuse("authorization violation".to_owned());
            }
            Event::ServerError(ServerError::Other(text))
            | Event::ClientError(ClientError::Other(text))
                if refuses_login(&text) =>
            {
                self.refuse(text);
            }
            Event::ServerError(ServerError::Other(text)) => {
                self.state.send_modify(|state| state.said = Some(text));
            }
            Event::ClientError(_)
            | Event::ServerError(_)
            | Event::LameDuckMode
            | Event::Draining
            | Event::Closed
            | Event::SlowConsumer(_) => {}
        }
    }

    /// The connection ended: nobody waits for what it will not bring.
    fn lose(&self) {
        let said = self.state.borrow().said.clone();
        let why = said
            .clone()
            .unwrap_or_else(|| "the server ended it, or was silent for too long".to_owned());
        self.state.send_modify(|state| {
            if !state.is_unauthorized() {
                let problem =
                    said.map_or_else(|| ConnectError::Lost(why.clone()), ConnectError::Refused);
                state.problem = Some(Arc::new(problem));
            }
        });
        let _ = self.news.send(News::Lost(why));
    }

    fn refuse(&self, text: String) {
        let problem = match self.login.access() {
            Ok(_usable) => ConnectError::Unauthorized(text),
            Err(problem) => ConnectError::Login(problem),
        };
        self.state
            .send_modify(|state| state.problem = Some(Arc::new(problem)));
        let _ = self.news.send(News::Unauthorized);
    }

    fn deny(&self, text: String) {
        let is_deaf = is_of_inbox(&text, &self.inbox);
        self.state.send_modify(|state| {
            if is_deaf {
                state.deaf = Some(text.clone());
            }
            state.denied.retain(|known| *known != text);
            if DENIED_MAX <= state.denied.len() {
                state.denied.remove(0);
            }
            state.denied.push(text.clone());
        });
        let _ = self.news.send(News::Denied(text));
    }
}

/// Whether it is our inbox that may not be heard: then no answer comes.
pub(crate) fn is_of_inbox(text: &str, inbox: &str) -> bool {
    text.contains(&format!("Subscription to \"{inbox}."))
}

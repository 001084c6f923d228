//! Who we are, for both kinds of connections: the client library's, for requests, and the one that reads records.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Auth, AuthError, Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use tokio::time::timeout;

use crate::access::{Access, Identity};
use crate::reader::refuses_login;

/// A server that does not answer a connection in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Who we are to the servers. Texts are for people and hold no secrets.
pub trait Login: Send + Sync {
    /// Credentials and TLS, read anew each time, so that files that were replaced are used. Fails when one
    /// cannot be used.
    fn access(&self) -> Result<Access, String>;

    /// Why a server may have refused us, and what to do about it.
    fn why_refused(&self) -> String;

    /// Why no server may answer, and what to look for; `problem` is what was seen.
    fn why_unreachable(&self, problem: &str) -> String;
}

/// Nobody: for servers that ask for nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoLogin;

impl Login for NoLogin {
    fn access(&self) -> Result<Access, String> {
        Ok(Access::anonymous())
    }

    fn why_refused(&self) -> String {
        "it asks for credentials".to_owned()
    }

    fn why_unreachable(&self, _problem: &str) -> String {
        "is it running?".to_owned()
    }
}

/// How the client library connects as somebody. Who that is is judged now, and asked again at every connect.
pub fn options(login: &Arc<dyn Login>) -> Result<ConnectOptions, String> {
    let Access { identity, tls } = login.access()?;
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

/// Why the client library has no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unconnected {
    /// The server does not take who we are.
    Unauthorized,
    /// No server answers; what was seen instead.
    Unreachable(String),
}

/// Connects the client library, within seconds: its own limit is per server and does not cover every step.
pub async fn connect(
    options: ConnectOptions,
    servers: &[ServerAddr],
) -> Result<Client, Unconnected> {
    let connecting = Box::pin(options.connect(servers));
    let connected = timeout(CONNECT_WITHIN * 2, connecting).await;
    let connected =
        connected.map_err(|_elapsed| Unconnected::Unreachable("no answer".to_owned()))?;
    connected.map_err(|error| {
        let said = error.to_string();
        match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                Unconnected::Unauthorized
            }
            _ if refuses_login(&said) => Unconnected::Unauthorized,
            ConnectErrorKind::ServerParse
            | ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => Unconnected::Unreachable(said),
        }
    })
}

/// Whether a server's words say that something is not permitted.
pub fn denies(text: &str) -> bool {
    text.to_ascii_lowercase().contains("permissions violation")
}

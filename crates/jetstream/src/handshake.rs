//! The beginning of a connection: what the server says of itself, TLS, who we are.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::access::{Access, Identity, TlsFiles};
use crate::address::ServerAddr;
use crate::error::ConnectError;
use crate::frame::{Frame, Parsed, parse};

/// A connection's bytes, with or without TLS.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// What a server says of itself, as far as it matters here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// Its release.
    pub version: String,
    /// The largest message that it takes, headers included.
    pub max_payload: usize,
    /// Whether it talks to nobody without TLS.
    pub tls_required: bool,
    /// What is signed to prove who we are.
    nonce: String,
    /// Other servers of its cluster.
    pub(crate) connect_urls: Vec<String>,
}

impl From<async_nats::ServerInfo> for ServerInfo {
    fn from(info: async_nats::ServerInfo) -> Self {
        Self {
            version: info.version,
            max_payload: info.max_payload,
            tls_required: info.tls_required,
            nonce: info.nonce,
            connect_urls: info.connect_urls,
        }
    }
}

#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the protocol has them")]
struct Connect<'a> {
    verbose: bool,
    pedantic: bool,
    tls_required: bool,
    name: &'a str,
    lang: &'static str,
    version: &'static str,
    protocol: u8,
    echo: bool,
    headers: bool,
    no_responders: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nkey: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<String>,
}

/// Connects, and comes back when the server has taken who we are. Bytes behind that are in the buffer.
pub(crate) async fn shake_hands(
    server: &ServerAddr,
    name: &str,
    Access { identity, tls }: &Access,
) -> Result<(Box<dyn Wire>, BytesMut), ConnectError> {
    let tcp = TcpStream::connect((server.host(), server.port())).await?;
    // Asking for more is a few bytes that must not wait for others.
    tcp.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(4096);
    let mut wire: Box<dyn Wire> = Box::new(tcp);
    let wants_tls = tls.is_required() || server.tls_required();
    if tls.first {
        wire = secured(wire, server, tls).await?;
    }
    let info = first_info(&mut *wire, &mut buffer).await?;
    let is_secured = tls.first || wants_tls || info.tls_required;
    if is_secured && !tls.first {
        if !buffer.is_empty() {
            return Err(ConnectError::Protocol(
                "the server spoke before TLS began".to_owned(),
            ));
        }
        wire = secured(wire, server, tls).await?;
    }
    let greeting = greeting(name, identity, &info, is_secured)?;
    wire.write_all(&greeting).await?;
    wire.flush().await?;
    loop {
        match next_frame(&mut *wire, &mut buffer).await? {
            Said::Pong => return Ok((wire, buffer)),
            Said::Error(text) => return Err(ConnectError::refused(text)),
            Said::Info(_) | Said::Nothing => {}
        }
    }
}

fn greeting(
    name: &str,
    identity: &Identity,
    info: &ServerInfo,
    is_secured: bool,
) -> Result<Vec<u8>, ConnectError> {
    let mut connect = Connect {
        verbose: false,
        pedantic: false,
        tls_required: is_secured,
        name,
        lang: "rust",
        version: env!("CARGO_PKG_VERSION"),
        protocol: 1,
        echo: true,
        headers: true,
        no_responders: true,
        user: None,
        pass: None,
        auth_token: None,
        jwt: None,
        nkey: None,
        sig: None,
    };
    match identity {
        Identity::Anonymous => {}
        Identity::Password { user, password } => {
            connect.user = Some(user);
            connect.pass = Some(password);
        }
        Identity::Token(token) => connect.auth_token = Some(token),
        Identity::Key { jwt, key } => {
            let signature = key.sign(info.nonce.as_bytes());
            let signature =
                signature.map_err(|problem| ConnectError::Login(problem.to_string()))?;
            connect.sig = Some(BASE64_URL_SAFE_NO_PAD.encode(signature));
            match jwt {
                Some(jwt) => connect.jwt = Some(jwt),
                None => connect.nkey = Some(key.public_key()),
            }
        }
    }
    let connect = serde_json::to_string(&connect);
    let connect = connect.map_err(|problem| ConnectError::Login(problem.to_string()))?;
    Ok(format!("CONNECT {connect}\r\nPING\r\n").into_bytes())
}

async fn secured(
    wire: Box<dyn Wire>,
    server: &ServerAddr,
    tls: &TlsFiles,
) -> Result<Box<dyn Wire>, ConnectError> {
    let config = tls.load().map_err(ConnectError::Login)?;
    let name = ServerName::try_from(server.host().to_owned());
    let name = name.map_err(|problem| ConnectError::Protocol(problem.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(&config));
    let secured = connector.connect(name, wire).await;
    Ok(Box::new(secured.map_err(ConnectError::Tls)?))
}

async fn first_info(
    wire: &mut dyn Wire,
    buffer: &mut BytesMut,
) -> Result<ServerInfo, ConnectError> {
    match next_frame(wire, buffer).await? {
        Said::Info(info) => Ok(info),
        Said::Error(text) => Err(ConnectError::refused(text)),
        Said::Pong | Said::Nothing => Err(ConnectError::Protocol(
            "it does not begin as a NATS server does".to_owned(),
        )),
    }
}

enum Said {
    Info(ServerInfo),
    Pong,
    Error(String),
    Nothing,
}

async fn next_frame(wire: &mut dyn Wire, buffer: &mut BytesMut) -> Result<Said, ConnectError> {
    loop {
        let parsed = parse(buffer).map_err(|error| ConnectError::Protocol(error.to_string()))?;
        if let Parsed::Frame(frame, taken) = parsed {
            let said = match frame {
                Frame::Info(json) => Said::Info(
                    serde_json::from_slice(json)
                        .map_err(|error| ConnectError::Protocol(error.to_string()))?,
                ),
                Frame::Pong => Said::Pong,
                Frame::Error(text) => Said::Error(words(text)),
                Frame::Message(_) | Frame::Ping | Frame::Ok => Said::Nothing,
            };
            let _ = buffer.split_to(taken);
            return Ok(said);
        }
        if wire.read_buf(buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// A server's words, without their quotes.
pub(crate) fn words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim().trim_matches('\'').to_owned()
}

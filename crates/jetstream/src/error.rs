//! What goes wrong with NATS: with a connection, with a request, and in the words that people read.

use std::io;

use serde::Deserialize;

use crate::login::Login;
use crate::reader::CONNECT_WITHIN;

/// What went wrong with NATS, and what to do about it, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NatsError {
    /// A file of the configuration cannot be used any more.
    #[error("{problem}")]
    Login {
        /// Which, and what is wrong with it; never its content.
        problem: String,
    },
    /// Nobody answers.
    #[error("NATS cannot be reached at {servers} ({problem}): {why}")]
    Unreachable {
        /// Where.
        servers: String,
        /// What the client saw.
        problem: String,
        /// What to look for.
        why: String,
    },
    /// The server does not know us.
    #[error("NATS at {servers} refused our credentials: {why}")]
    Unauthorized {
        /// Where.
        servers: String,
        /// The likely reason, and what to do.
        why: String,
    },
    /// The server knows us but does not let us.
    #[error("NATS does not permit it ({said}): grant it to this user, or use another one")]
    PermissionDenied {
        /// The server's words; they name the subject.
        said: String,
    },
    /// There is no JetStream.
    #[error(
        "JetStream does not answer at {servers}: is it enabled for this server and account, or behind a domain (--nats-js-domain)?"
    )]
    JetStreamDisabled {
        /// Where.
        servers: String,
    },
    /// There is no such stream.
    #[error(
        "there is no stream {stream} at {servers}: create it (deploy/nats/stream.json holds its configuration), or name another with --stream or its domain with --nats-js-domain"
    )]
    StreamMissing {
        /// Where.
        servers: String,
        /// The stream.
        stream: String,
    },
    /// The events' subjects belong to another stream.
    #[error(
        "the events went to stream {found}, not to {expected}: give --stream {found} if that is right"
    )]
    OtherStream {
        /// The stream asked for.
        expected: String,
        /// The stream that took them.
        found: String,
    },
    /// The same, found out before any was stored.
    #[error("the events' subjects belong to another stream than {stream}: name it with --stream")]
    SubjectElsewhere {
        /// The stream asked for.
        stream: String,
    },
    /// The stream differs from its file.
    #[error("stream {stream} is not what its file says: {differences}")]
    StreamDiffers {
        /// The stream.
        stream: String,
        /// Members and their values.
        differences: String,
    },
    /// No answer in time.
    #[error("NATS at {servers} did not answer in time: {asked}")]
    TimedOut {
        /// Where.
        servers: String,
        /// What it was asked.
        asked: &'static str,
    },
    /// Anything else that the server said.
    #[error("NATS refused: {said}")]
    Refused {
        /// The server's words.
        said: String,
    },
}

impl NatsError {
    /// What a connection that failed means to people.
    pub fn of_connect(error: &ConnectError, servers: &str, login: &dyn Login) -> Self {
        let servers = servers.to_owned();
        match error {
            ConnectError::Login(problem) => Self::Login {
                problem: problem.clone(),
            },
            ConnectError::Unauthorized(_) => Self::Unauthorized {
                servers,
                why: login.why_refused(),
            },
            ConnectError::Io(_)
            | ConnectError::Tls(_)
            | ConnectError::Protocol(_)
            | ConnectError::Refused(_)
            | ConnectError::Lost(_)
            | ConnectError::TimedOut => Self::Unreachable {
                servers,
                problem: error.to_string(),
                why: login.why_unreachable(error),
            },
        }
    }

    /// What a request without a good answer means to people. `stream` is what it was about.
    pub fn of_request(
        error: &RequestError,
        servers: &str,
        stream: &str,
        login: &dyn Login,
    ) -> Self {
        let servers = servers.to_owned();
        match error {
            RequestError::Denied(said) => Self::PermissionDenied { said: said.clone() },
            RequestError::Unauthorized => Self::Unauthorized {
                servers,
                why: login.why_refused(),
            },
            RequestError::NoResponders => Self::JetStreamDisabled { servers },
            RequestError::Refused(refused) => match refused.err_code {
                code::STREAM_NOT_FOUND => Self::StreamMissing {
                    servers,
                    stream: stream.to_owned(),
                },
                code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT => {
                    Self::JetStreamDisabled { servers }
                }
                _ => Self::Refused {
                    said: error.to_string(),
                },
            },
            RequestError::TimedOut => Self::TimedOut {
                servers,
                asked: "a request",
            },
            RequestError::Lost(_) => Self::Unreachable {
                servers,
                problem: error.to_string(),
                why: "it connects again by itself".to_owned(),
            },
            RequestError::Invalid | RequestError::TooLarge(_) | RequestError::Odd(_) => {
                Self::Refused {
                    said: error.to_string(),
                }
            }
        }
    }
}

/// Why there is no connection. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be reached, or ended the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// Something answers, and what it says is not what a NATS server says.
    #[error("{0}")]
    Protocol(String),
    /// Our own credentials or certificates cannot be used.
    #[error("{0}")]
    Login(String),
    /// The server does not take who we are.
    #[error("{0}")]
    Unauthorized(String),
    /// The server refuses us for another reason, in its words.
    #[error("the server said: {0}")]
    Refused(String),
    /// There was one, and it ended.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// It was not ready in time.
    #[error("no answer within {} s", CONNECT_WITHIN.as_secs())]
    TimedOut,
}

impl ConnectError {
    pub(crate) fn refused(text: String) -> Self {
        if refuses_login(&text) {
            Self::Unauthorized(text)
        } else {
            Self::Refused(text)
        }
    }
}

/// Whether a server's words say that our credentials are not taken, or no longer.
pub fn refuses_login(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "authorization violation",
        "failed signing nonce",
        "authentication expired",
        "authentication revoked",
        "authentication timeout",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// Whether a server's words say that something is not permitted.
pub fn denies(text: &str) -> bool {
    text.to_ascii_lowercase().contains("permissions violation")
}

/// Why a request has no good answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// JetStream answered with an error.
    #[error("{0}")]
    Refused(ApiError),
    /// The server knows us but does not let us; its words name the subject.
    #[error("NATS does not permit it ({0})")]
    Denied(String),
    /// The server does not know us any more.
    #[error("the server does not take our credentials any more")]
    Unauthorized,
    /// Nobody takes this subject.
    #[error("nobody answers on this subject")]
    NoResponders,
    /// The connection was lost before the answer came.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// No answer came in time.
    #[error("no answer in time")]
    TimedOut,
    /// It cannot be sent: its subject, or a header, would end its line.
    #[error("its subject or a header holds what ends a line")]
    Invalid,
    /// It is larger than the server takes.
    #[error("it is larger than the {0} bytes that the server takes")]
    TooLarge(usize),
    /// The answer is none.
    #[error("the server's answer makes no sense: {0}")]
    Odd(String),
}

impl RequestError {
    /// What JetStream refused, by its code.
    pub fn code(&self) -> Option<u64> {
        match self {
            Self::Refused(error) => Some(error.err_code),
            Self::Denied(_)
            | Self::Unauthorized
            | Self::NoResponders
            | Self::Lost(_)
            | Self::TimedOut
            | Self::Invalid
            | Self::TooLarge(_)
            | Self::Odd(_) => None,
        }
    }

    /// Whether the same request may go better a moment later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Lost(_) | Self::TimedOut | Self::NoResponders => true,
            // What a server says while a cluster finds its leader.
            Self::Refused(error) => error.code == 503,
            Self::Denied(_)
            | Self::Unauthorized
            | Self::Invalid
            | Self::TooLarge(_)
            | Self::Odd(_) => false,
        }
    }
}

/// An error of JetStream, as it answers it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, thiserror::Error)]
#[serde(default)]
#[error("{description} (code {code}, error code {err_code})")]
pub struct ApiError {
    /// As of HTTP.
    pub code: u16,
    /// Which one it is: see [`code`].
    pub err_code: u64,
    /// The server's words.
    pub description: String,
}

/// Errors of JetStream that mean something to us.
pub mod code {
    /// There is no message at this place, or of this subject.
    pub const NO_MESSAGE_FOUND: u64 = 10037;
    /// This account has no JetStream.
    pub const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    /// A message is larger than the stream takes.
    pub const MESSAGE_TOO_LARGE: u64 = 10054;
    /// A message cannot be deleted; the description says why.
    pub const DELETION_FAILED: u64 = 10057;
    /// The stream is there with another configuration.
    pub const STREAM_NAME_IN_USE: u64 = 10058;
    /// There is no such stream.
    pub const STREAM_NOT_FOUND: u64 = 10059;
    /// The subject belongs to another stream than the one expected.
    pub const STREAM_NOT_MATCH: u64 = 10060;
    /// The last message is not the one expected.
    pub const WRONG_LAST_SEQUENCE: [u64; 2] = [10071, 10164];
    /// The id is kept for a message that is not stored yet.
    pub const BEING_STORED: u64 = 10158;
    /// The server has no JetStream.
    pub const NOT_ENABLED: u64 = 10076;
}

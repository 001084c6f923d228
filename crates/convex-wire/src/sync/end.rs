//! How sockets end: what is told last, and with which close.

use super::client_message::InvalidMessage;
use super::server_message::ServerMessage;

/// Why a socket ends. `Display` is for the log: nothing in it came from the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The client broke the protocol in a way that it will not mend: it gives up for good.
    #[error("the client's message was refused")]
    Fatal(String),
    /// The client broke the protocol.
    #[error("the client broke the protocol: {0}")]
    Protocol(&'static str),
    /// What came is no frame of RFC 6455.
    #[error("the client broke WebSocket's protocol")]
    BadFrame,
    /// A text message is not UTF-8.
    #[error("the client's text is not UTF-8")]
    NotUtf8,
    /// The token was refused: the client fetches another one, or signs its user out.
    #[error("the client's token was refused")]
    TokenRefused {
        /// Says why.
        message: String,
        /// The identity version that the client last heard of.
        base_version: u32,
    },
    /// The token's time was over when an answer had to be given in its name.
    #[error("the client's token has expired")]
    TokenExpired {
        /// As in [`End::TokenRefused`].
        base_version: u32,
    },
    /// A fault of ours.
    #[error("an answer could not be given")]
    Internal,
    /// A limit, or something that is missing for the moment. Clients come again, more slowly.
    #[error("refused for now: {0}")]
    Overloaded(&'static str),
    /// A message above the limit.
    #[error("the client's message was too large")]
    TooLarge,
    /// Nothing came for too long.
    #[error("the client is gone")]
    Disconnected,
    /// The process ends.
    #[error("the service stops")]
    GoingAway,
}

/// A close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// The status code of RFC 6455.
    pub code: u16,
    /// Clients choose their delay by it, and tell it when they connect again.
    pub reason: &'static str,
}

impl End {
    /// The last text message, if there is one.
    pub fn farewell(&self) -> Option<String> {
        let message = match self {
            Self::Fatal(error) => ServerMessage::FatalError { error },
            Self::TokenRefused {
                message,
                base_version,
            } => ServerMessage::AuthError {
                error: message,
                base_version: *base_version,
                auth_update_attempted: true,
            },
            Self::TokenExpired { base_version } => ServerMessage::AuthError {
                error: "Convex token identity expired",
                base_version: *base_version,
                auth_update_attempted: false,
            },
            Self::Protocol(_)
            | Self::BadFrame
            | Self::NotUtf8
            | Self::Internal
            | Self::Overloaded(_)
            | Self::TooLarge
            | Self::Disconnected
            | Self::GoingAway => return None,
        };
        Some(message.to_json())
    }

    /// The close frame's content. `None`: a close frame without any, which follows a last message.
    pub fn close(&self) -> Option<Close> {
        let (code, reason) = match self {
            Self::Fatal(_) | Self::TokenRefused { .. } | Self::TokenExpired { .. } => return None,
            Self::Protocol(_) | Self::Internal => (1011, "InternalServerError"),
            Self::BadFrame => (1002, "ProtocolError"),
            Self::NotUtf8 => (1007, "InvalidUtf8"),
            Self::Overloaded(reason) => (1013, *reason),
            Self::TooLarge => (1009, "MessageTooLarge"),
            Self::Disconnected => (1000, "ClientDisconnected"),
            // The one code besides 1000 that no SDK reports to its user before it connects again.
            Self::GoingAway => (1001, "GoingAway"),
        };
        Some(Close { code, reason })
    }

    /// Every label.
    pub const LABELS: [&'static str; 9] = [
        "fatal",
        "protocol",
        "token_refused",
        "token_expired",
        "internal",
        "overloaded",
        "too_large",
        "disconnected",
        "stop",
    ];

    /// A short fixed label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Fatal(_) => "fatal",
            Self::Protocol(_) | Self::BadFrame | Self::NotUtf8 => "protocol",
            Self::TokenRefused { .. } => "token_refused",
            Self::TokenExpired { .. } => "token_expired",
            Self::Internal => "internal",
            Self::Overloaded(_) => "overloaded",
            Self::TooLarge => "too_large",
            Self::Disconnected => "disconnected",
            Self::GoingAway => "stop",
        }
    }
}

impl From<InvalidMessage> for End {
    fn from(fault: InvalidMessage) -> Self {
        Self::Fatal(fault.to_string())
    }
}

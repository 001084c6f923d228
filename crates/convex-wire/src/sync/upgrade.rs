//! What is wrong with a request that wants to become a socket.

/// A fault of the handshake, in the order in which they are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum UpgradeFault {
    #[error("Connection header did not include upgrade")]
    Connection,
    #[error("Upgrade header did not include websocket")]
    Upgrade,
    #[error("Sec-WebSocket-Key header missing")]
    Key,
    #[error("Sec-WebSocket-Version header did not include 13")]
    Version,
}

impl UpgradeFault {
    /// The `code` of the answer's body.
    pub fn code(self) -> &'static str {
        match self {
            Self::Connection => "InvalidConnectionHeader",
            Self::Upgrade => "InvalidUpgradeHeader",
            Self::Key => "WebSocketKeyHeaderMissing",
            Self::Version => "InvalidWebSocketVersionHeader",
        }
    }
}

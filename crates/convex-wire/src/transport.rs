//! What ends a request before or beside its function: a status and `{"code","message"}`.

use std::fmt;

use crate::client::InvalidClientVersion;
use crate::encode::BadFormat;
use crate::path::InvalidPath;
use crate::request::BodyFault;
use crate::response::write_transport_error;
use crate::sync::UpgradeFault;

/// A failure of the transport. `Display` is the body's `message`.
///
/// A token that is refused is not here: whoever verifies tokens has the facts and the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The `Convex-Client` header, or the version in a URL, cannot be read.
    #[error(transparent)]
    InvalidClientVersion(InvalidClientVersion),
    /// The client is too old.
    #[error("{0}")]
    ClientVersionUnsupported(String),
    /// The body is not what the route takes.
    #[error(transparent)]
    BadJsonBody(BodyFault),
    /// The query string is not what the route takes.
    #[error("{0}")]
    BadQueryArgs(String),
    /// The URL holds bytes that are no text.
    #[error("Invalid UTF-8 in `functionIdentifier`")]
    BadPathArgs,
    /// The URL has a module or an export, but not both.
    #[error("Path or function name not provided in path, e.g. /api/run/messages/list")]
    MissingIdentifier,
    /// The path names no possible function.
    #[error("{path} is not a valid path to a Convex function. {reason}")]
    BadConvexFunctionIdentifier {
        /// As given.
        path: String,
        /// What is wrong with it.
        reason: InvalidPath,
    },
    /// The format is none.
    #[error(transparent)]
    BadFormat(BadFormat),
    /// The `Authorization` header holds other than visible ASCII; its debug form is shown to its
    /// sender alone.
    #[error("Failed to parse header {0}")]
    HeaderParseFailure(ShownHeader),
    /// The admin key in the `Authorization` header has the form of a user's, but is none.
    #[error("Malformed Authorization header.")]
    MalformedAuthorization,
    /// The `Authorization` header is too short to be one.
    #[error("Invalid authentication header")]
    InvalidHeaderFailure,
    /// The `Authorization` header has an unknown scheme.
    #[error("Invalid admin key")]
    InvalidAdminKey,
    /// There are no admin keys here.
    #[error("The provided admin key was invalid for this instance")]
    BadAdminKey,
    /// The route is for admins.
    #[error(
        "The provided deploy key was invalid for this deployment. Double check that the environment this key was generated for matches the desired deployment."
    )]
    BadDeployKey,
    /// A handshake for a socket that is none.
    #[error(transparent)]
    Upgrade(#[from] UpgradeFault),
    /// The timestamp is none, or in the future; or a fault of ours.
    #[error("Your request couldn't be completed. Try again later.")]
    InternalServerError,
    /// The timestamp is older than what is kept. Says the same as
    /// [`TransportError::InternalServerError`].
    #[error("Your request couldn't be completed. Try again later.")]
    OutOfRetention,
}

/// A header in the form in which its sender is shown it. `Debug` hides it: it may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ShownHeader(pub String);

impl fmt::Debug for ShownHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownHeader(..)")
    }
}

impl fmt::Display for ShownHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TransportError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadAdminKey => 401,
            Self::BadDeployKey => 403,
            Self::InternalServerError => 500,
            Self::OutOfRetention => 503,
            Self::InvalidClientVersion(_)
            | Self::ClientVersionUnsupported(_)
            | Self::BadJsonBody(_)
            | Self::BadQueryArgs(_)
            | Self::BadPathArgs
            | Self::MissingIdentifier
            | Self::BadConvexFunctionIdentifier { .. }
            | Self::BadFormat(_)
            | Self::HeaderParseFailure(_)
            | Self::MalformedAuthorization
            | Self::InvalidHeaderFailure
            | Self::InvalidAdminKey
            | Self::Upgrade(_) => 400,
        }
    }

    /// The body's `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidClientVersion(_) => "InvalidClientVersion",
            Self::ClientVersionUnsupported(_) => "ClientVersionUnsupported",
            Self::BadJsonBody(_) => "BadJsonBody",
            Self::BadQueryArgs(_) => "BadQueryArgs",
            Self::BadPathArgs => "BadPathArgs",
            Self::MissingIdentifier => "MissingIdentifier",
            Self::BadConvexFunctionIdentifier { .. } => "BadConvexFunctionIdentifier",
            Self::BadFormat(_) => "BadFormat",
            Self::HeaderParseFailure(_) | Self::MalformedAuthorization => "HeaderParseFailure",
            Self::InvalidHeaderFailure => "InvalidHeaderFailure",
            Self::InvalidAdminKey => "InvalidAdminKey",
            Self::BadAdminKey => "BadAdminKey",
            Self::BadDeployKey => "BadDeployKey",
            Self::Upgrade(fault) => fault.code(),
            Self::InternalServerError | Self::OutOfRetention => "InternalServerError",
        }
    }

    /// Appends the body.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        write_transport_error(buffer, self.code(), &self.to_string());
    }
}

//! What ends a request without an answer of the function.

use axum::body::Body;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use convex_wire::response::write_transport_error;
use convex_wire::{TextMode, TransportError};
use read_model::StorageError;

use super::response::json;
use crate::auth::AuthError;

/// A request that gets no answer of the function. What it says of itself is what the client is
/// told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Convex's own.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The token is refused, or cannot be checked.
    #[error("{}", .0.message(*.1))]
    Auth(AuthError, TextMode),
    /// The body did not come in time.
    #[error("the body did not arrive in time")]
    BodyTimeout,
    /// All places are taken.
    #[error("The service has more requests at hand than it takes on. Try again shortly.")]
    Busy,
    /// The header is no sequence.
    #[error("Read-Model-Min-Sequence must be a whole number, e.g. 4711")]
    BadMinSequence,
    /// The rows did not reach the sequence in time.
    #[error("The read model is at sequence {applied} and did not reach {wanted} in time.")]
    Behind {
        /// What the client asked for.
        wanted: u64,
        /// Where the rows are.
        applied: u64,
    },
    /// The stream does not reach so far, or nobody who is known asks for it.
    #[error("The read model is at sequence {applied}: {wanted} is not waited for{}.", .why.text())]
    NotAwaited {
        /// What the client asked for.
        wanted: u64,
        /// Where the rows are.
        applied: u64,
        /// Why.
        why: NotAwaited,
    },
    /// The row could not be read.
    #[error("Your request couldn't be completed. Try again later.")]
    Storage(#[from] StorageError),
}

/// Why a sequence is not waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotAwaited {
    /// Whoever asks without a token gets null at any sequence.
    Nobody,
    /// The stream's end is far below it.
    FarAhead,
}

impl NotAwaited {
    fn text(self) -> &'static str {
        match self {
            Self::Nobody => " without a token",
            Self::FarAhead => ", the stream ends far before it",
        }
    }
}

impl Failure {
    fn status(&self) -> u16 {
        match self {
            Self::Transport(error) => error.status(),
            Self::Auth(error, _) => error.status(),
            Self::BadMinSequence => 400,
            Self::BodyTimeout => 408,
            Self::Busy | Self::Behind { .. } | Self::NotAwaited { .. } => 503,
            Self::Storage(_) => 500,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.code(),
            Self::Auth(error, _) => error.code(),
            Self::BadMinSequence => "BadMinSequence",
            Self::BodyTimeout => "BodyTimeout",
            Self::Busy => "Overloaded",
            Self::Behind { .. } | Self::NotAwaited { .. } => "ReadModelBehind",
            Self::Storage(_) => "InternalServerError",
        }
    }

    fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Auth(error, _) => error.retry_after_seconds(),
            Self::Busy | Self::Behind { .. } | Self::NotAwaited { .. } => Some(1),
            Self::Transport(_) | Self::BadMinSequence | Self::BodyTimeout | Self::Storage(_) => {
                None
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Self::Storage(error) = &self
            && let Some(count) = crate::flood::to_be_told("row")
        {
            tracing::error!(error = %chain(error), count, "a row could not be read");
        }
        if matches!(self, Self::BodyTimeout) {
            return status.into_response();
        }
        let mut body = Vec::new();
        write_transport_error(&mut body, self.code(), &self.to_string());
        let mut response = json(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = r#"Bearer realm="convex", error="invalid_token""#;
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

/// An error with its sources, as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

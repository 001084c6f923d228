//! Envelopes: what wraps a function's value, or says why there is none.

use std::fmt;

use crate::encode::{BadFormat, write_string};
use crate::{FunctionPath, args::InvalidArgs};

/// Whether texts for people say what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TextMode {
    /// As production deployments: the client learns that it failed, and the request id.
    #[default]
    Redacted,
    /// As development deployments: the client learns everything.
    Verbose,
}

/// Names a request in the text of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Box<str>);

/// A client may name its own request with this header.
pub const REQUEST_ID_HEADER: &str = "convex-request-id";

impl RequestId {
    /// The client's own name for its request.
    pub fn given(text: &str) -> Self {
        Self(text.into())
    }

    /// A name made of eight random bytes.
    pub fn from_random(random: u64) -> Self {
        Self(format!("{random:016x}").into())
    }

    /// Whether it may be logged: digits and hyphens. A client can name its request anything, also a person.
    pub fn is_plain(&self) -> bool {
        let is_digit = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
        self.0.len() <= 64 && self.0.bytes().all(is_digit)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client can call a function as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Convex's own")]
pub enum FunctionKind {
    Query,
    Mutation,
    Action,
}

impl fmt::Display for FunctionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FunctionKind {
    fn operation(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Action => "action",
        }
    }
}

/// Why a function gave no value. An answer with status 200, not a fault of the transport.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FunctionError {
    /// No such function, as routes say that do not care whether it is public.
    #[error("Could not find function for '{0}'. Did you forget to run `npx convex dev`?")]
    NotFound(FunctionPath),
    /// No such public function.
    #[error("Could not find public function for '{0}'.")]
    NotPublic(FunctionPath),
    /// The function exists and is a query.
    #[error(
        "Trying to execute {path} as {called}, but it is defined as Query.",
        path = path.canonical()
    )]
    NotA {
        /// The function.
        path: FunctionPath,
        /// What it was called as.
        called: FunctionKind,
    },
    /// A function that only the deployment's owner may call.
    #[error("Operation {} not permitted", .0.operation())]
    NotPermitted(FunctionKind),
    /// Its arguments are refused.
    #[error(transparent)]
    Args(#[from] InvalidArgs),
    /// The values asked for together exceed what one answer may hold.
    #[error("Too many bytes returned by one request (limit: {limit} bytes)")]
    TooManyBytes {
        /// What it may hold.
        limit: usize,
    },
}

impl FunctionError {
    /// The `errorMessage` of an answer.
    pub fn error_message(&self, request: &RequestId, mode: TextMode) -> String {
        match mode {
            TextMode::Redacted => format!("[Request ID: {request}] Server Error"),
            TextMode::Verbose => format!("[Request ID: {request}] Server Error\n{self}\n"),
        }
    }
}

/// Appends the envelope of a value, which `write_value` appends.
pub fn write_success(buffer: &mut Vec<u8>, write_value: impl FnOnce(&mut Vec<u8>)) {
    buffer.extend_from_slice(br#"{"status":"success","value":"#);
    write_value(buffer);
    buffer.push(b'}');
}

/// Appends the envelope of a function that gave no value.
pub fn write_failure(buffer: &mut Vec<u8>, error_message: &str) {
    buffer.extend_from_slice(br#"{"status":"error","errorMessage":"#);
    write_string(buffer, error_message);
    buffer.push(b'}');
}

/// Appends the body of every status but 200.
pub fn write_transport_error(buffer: &mut Vec<u8>, code: &str, message: &str) {
    buffer.extend_from_slice(br#"{"code":"#);
    write_string(buffer, code);
    buffer.extend_from_slice(br#","message":"#);
    write_string(buffer, message);
    buffer.push(b'}');
}

impl From<BadFormat> for crate::TransportError {
    fn from(fault: BadFormat) -> Self {
        Self::BadFormat(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_a_persons_is_not_logged() {
        assert!(RequestId::from_random(7).is_plain());
        assert!(RequestId::given("0f8c-11").is_plain());
        for text in ["ada@example.com", "eyJhbGciOi.J9", &"a".repeat(65)] {
            assert!(!RequestId::given(text).is_plain(), "{text}");
        }
    }
}

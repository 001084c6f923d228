//! How Convex talks: requests, values, error bodies, byte for byte.
//!
//! - W1 This crate knows no profile: a caller writes its answer with [`ObjectWriter`] or as a
//!   [`Value`].
//! - W2 No socket, no clock, no environment, no randomness: bytes in, bytes out.
//! - W3 Every text of the contract has a golden (`tests/goldens`).
//! - W4 No bytes of a client make it panic.
//!
//! A request passes these modules in this order: [`client`] (who asks, and whether that version is
//! still served), [`request`] (the body), [`path`] (which function), [`args`] (what it is given),
//! [`encode`] (its answer in the [`Format`] asked for), [`response`] (the envelope). What ends it
//! early is a [`TransportError`]; what the function itself refuses is a [`FunctionError`], which is
//! an answer like any other. Live answers are told by [`sync`].

pub mod args;
pub mod client;
pub mod encode;
pub mod path;
pub mod request;
pub mod response;
pub mod sync;
mod timestamp;
mod transport;
pub mod value;

pub use client::ClientVersion;
pub use encode::{BadFormat, Format, ObjectWriter};
pub use path::FunctionPath;
pub use response::{FunctionError, FunctionKind, RequestId, TextMode};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use transport::{ShownHeader, TransportError};
pub use value::Value;

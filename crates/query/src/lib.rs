//! Answers the query over HTTP and over sockets: routes, tokens, the door, live answers.
//!
//! - Q1 An absent token is answered with null, a bad one with an error; they are never mixed up.
//! - Q2 The algorithm of a token is ours, not the token's.
//! - Q3 No secret and nothing personal stands in a log line.
//! - Q4 This crate cannot write: it holds a [`read_model::Reader`].
//! - Q5 Whatever a client sends or fails to send, its connection and its request end within
//!   [`Limits`].
//!
//! A connection comes in through [`server`], which bounds it. A request then passes `http::door`
//! (CORS, the client's version, metrics), its handler in `http::routes` (syntax, body, token, path,
//! in Convex's order), and [`answer`] (the row as bytes). A socket comes in through the same door and
//! stays: [`sync`]. [`admin`] is for operators and stands on a listener of its own.

pub mod admin;
mod admin_door;
pub mod auth;
mod call;
mod crowd;
pub mod exposition;
mod figures;
mod flood;
#[cfg(test)]
mod golden_streams;
pub mod http;
mod limits;
pub mod metrics;
mod proxies;
pub mod quarantine;
pub mod server;
mod shares;
mod single_flight;
mod state;
pub mod sync;
mod tally;

pub use admin_door::{AdminDoor, TOKEN_FILE, TokenFault, read_token};
pub use convex_wire::TextMode;
pub use limits::{Bound, Limits, SyncLimits};
pub use proxies::{InvalidNetwork, Network, TrustedProxies};
pub use state::QueryState;

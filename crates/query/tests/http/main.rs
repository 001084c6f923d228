//! The service over real sockets, with a real read model and real RS256 tokens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it measured"
)]

mod admin;
mod answers;
mod anything;
mod conformance;
mod connections;
mod echo;
mod exchange;
mod floods;
mod freshness;
mod http2;
mod keep_alive;
mod openapi;
mod quarantine;
mod running;
mod sync;
mod tls;
mod tokens;

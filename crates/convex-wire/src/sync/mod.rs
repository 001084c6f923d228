//! The sync protocol of the WebSocket, for deployments whose functions are queries that take nothing.
//!
//! A [`Session`] is one socket's side of the conversation, without the socket: texts of the client go into
//! [`Session::receive`], and what has to be told comes out of [`Session::update`]. Around it the caller verifies
//! tokens, reads values, and sends. Time is an argument everywhere.
//!
//! - S1 Every Transition starts from the version at which the one before ended.
//! - S2 Every version the client moves to is answered by a Transition, and an update is told whole or not at all: an
//!   [`Update`] holds the session, so that nothing arrives in the middle of it.
//! - S3 A query is told of from its Add to its Remove, and only when its result differs from what was last told.
//! - S4 Timestamps rise.
//! - S5 A session that ended says so once, as an [`End`], and is dropped.

mod client_message;
mod end;
mod server_message;
mod session;
mod update;
mod upgrade;

pub use client_message::Token;
pub use end::{Close, End};
pub use server_message::{PING, Transition};
pub use session::{Check, Received, Session};
pub use update::{Hashed, Update};
pub use upgrade::UpgradeFault;

//! NATS: who we are to it, and the reader of a stream's records over a connection of its own.
//!
//! A record is any bytes that a server stores. Frames are found in the buffer that was read into, and
//! that buffer is handed on: nothing is allocated or copied for a record, and nothing in a subject, a
//! header or a body can end the reading. Every length that a server announces has a bound.

mod access;
mod api;
pub mod block;
mod error;
pub mod frame;
mod handshake;
mod login;
mod reader;

pub use access::{Access, Identity, TlsFiles};
pub use api::ApiPrefix;
pub use error::NatsError;
pub use frame::{FrameError, Message};
pub use login::{Login, NoLogin, Unconnected, connect, denies, options};
pub use reader::{ConnectError, Frames, ReadError, Reader, refuses_login};

//! NATS: who we are to it, a connection for requests and publishing over the client library, and the reader of a
//! stream's records over a connection of its own.
//!
//! A record is any bytes that a server stores. Frames are found in the buffer that was read into, and
//! that buffer is handed on: nothing is allocated or copied for a record, and nothing in a subject, a
//! header or a body can end the reading. Every length that a server announces there has a bound, and every
//! request has one in time. Nobody else in this workspace speaks the protocol or knows the library.

mod access;
mod address;
mod api;
pub mod block;
mod client;
mod connection;
mod error;
pub mod frame;
mod frames;
mod handshake;
mod login;
mod object;
mod reader;
mod stream;

pub use access::{Access, Identity, TlsFiles};
pub use address::{InvalidAddr, ServerAddr};
pub use api::ApiPrefix;
pub use block::HeaderBlock;
pub use connection::{Connection, Pending, REQUEST_WITHIN, Settings, State};
pub use error::{ApiError, ConnectError, NatsError, RequestError, code, denies, refuses_login};
pub use frame::{FrameError, Message};
pub use frames::Frames;
pub use handshake::ServerInfo;
pub use login::{Login, NoLogin};
pub use object::{ObjectError, ObjectReader, ObjectStore, ObjectWriter};
pub use reader::{ReadError, Reader};
pub use stream::{FoundMessage, PendingAck, PublishAck, StoredMessage, StreamInfo, Which};

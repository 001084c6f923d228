//! The sync protocol over real sockets.

pub(crate) mod client;
mod conversations;
mod counting;
mod following;
mod limits;
mod upgrade;

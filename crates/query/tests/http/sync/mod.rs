//! The sync protocol over real sockets.

pub(crate) mod client;
mod conversations;
pub(crate) mod counting;
mod following;
mod frames;
mod limits;
mod upgrade;

//! The sync protocol over real sockets.

mod client;
mod conversations;
mod counting;
mod following;
mod limits;
mod upgrade;

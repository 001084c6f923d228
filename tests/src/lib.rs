//! The end-to-end harness: a broker, the service and its clients, each with ports and folders of its
//! own, each ended with its handle.

pub mod broker;
pub mod client;
pub mod service;
pub mod world;

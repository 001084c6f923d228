//! The end-to-end harness: a broker, the service and its clients, each with ports and folders of its
//! own, each ended with its handle.

pub mod bench;
pub mod broker;
pub mod client;
pub mod cluster;
pub mod credentials;
pub mod fake_clock;
pub mod fuzz;
pub mod garbler;
pub mod older_server;
pub mod oracle;
pub mod proxy;
pub mod raw;
pub mod service;
pub mod small_disk;
pub mod tools;
pub mod world;

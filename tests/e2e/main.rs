//! The whole on real parts: a real nats-server, the real binary, HTTP over sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod alerts;
mod answers;
mod bad_events;
mod broker_faults;
mod buckets;
mod contract;
mod crash;
mod damage;
mod doctor;
mod erase;
mod erase_cluster;
mod erase_proof;
mod fuzz;
mod golden;
mod identity;
mod import;
mod inboxes;
mod jobs;
mod keys;
mod lag;
mod mad_broker;
mod metrics;
mod nats_habits;
mod neighbours;
mod odd_bytes;
mod operators_door;
mod operators_view;
mod process;
mod publish;
mod publish_order;
mod quarantine;
mod rebuild;
mod replay;
mod replay_serve;
mod routes;
mod runbook;
mod same_reading;
mod server_limits;
mod snapshot;
mod supply;
mod tidy;
mod trust;
mod unreadable;
mod versions;

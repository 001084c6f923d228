//! A nats-server and a token issuer of one's own, for `dev` and for tests.
//!
//! Neither is for real users: whoever reads the issuer's key can be anybody.

pub mod issuer;
pub mod nats_server;

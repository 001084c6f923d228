//! Every text of the contract, as this crate writes it (W3).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod args;
mod bodies;
mod names;
mod sync;

use convex_wire::TransportError;

const OURS: &str = "profiles/queries:getCurrentUserProfile";

#[track_caller]
fn check_transport(error: &TransportError, status: u16, code: &str, message: &str) {
    assert_eq!((error.status(), error.code()), (status, code), "{error}");
    assert_eq!(error.to_string(), message);
}

//! Reads the `JetStream` log, verifies it, folds it into the read model.
//!
//! ```text
//! source (a thread of its own: attach, verify, pull)
//!    | Feed, through a bounded channel
//! writer (a thread of its own: decode, apply, commit, then tell)
//! ```
//!
//! The position lives in the read model alone: no acknowledgements, no durable consumer. Every
//! doubt about what was delivered ends the attachment, and the next one begins behind the last
//! record that was handed over.
//!
//! Invariants:
//!
//! - **P1** Nothing is told before it is durable.
//! - **P2** The same code applies live, on catch-up and on rebuild; only batch limits differ.
//! - **P3** A record at or below the position is never handed over.
//! - **P4** Nothing is applied from a stream that the rows were not built from, past its end, or over
//!   a gap: the phase becomes `blocked`, the rows stay, and the stream is looked at again.
//! - **P5** Memory is bounded by credit: what is not asked for is not sent.

mod alarms;
mod announcer;
mod chunk;
mod config;
mod findings;
mod gathering;
mod metrics;
mod permissions;
mod projector;
mod reading;
#[cfg(test)]
mod simulation;
mod source;
mod standing;
mod supervision;
mod teller;
mod writer;

pub use config::{BatchLimits, Config};
pub use findings::{Finding, MESSAGE_BYTES_MAX, Severity, judge_stream};
pub use metrics::describe as describe_metrics;
pub use permissions::{Permissions, inbox_prefix};
pub use projector::{Handle, Projector, ProjectorError};
pub use reading::{ReadingError, read_log};
pub use source::{LogError, check_log};

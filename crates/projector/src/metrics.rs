//! Metric names of this crate, with unit and help.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// One gauge a phase; the current one is 1.
pub(crate) const PHASE: &str = "profile_projector_phase";
/// The last applied sequence.
pub(crate) const APPLIED: &str = "profile_projector_applied_sequence";
/// The last sequence read and folded, durable or not.
pub(crate) const READ: &str = "profile_projector_read_sequence";
/// The last sequence of the stream.
pub(crate) const TAIL: &str = "profile_projector_tail_sequence";
/// Tail minus applied.
pub(crate) const LAG: &str = "profile_projector_lag_events";
/// What became of records.
pub(crate) const OUTCOMES: &str = "profile_projector_outcomes_total";
/// Records parked now, by reason.
pub(crate) const PARKED: &str = "profile_projector_parked_records";
/// When the oldest of them was stored in the stream; 0 when nothing is parked.
pub(crate) const OLDEST: &str = "profile_projector_parked_oldest_timestamp_seconds";
/// Time of a commit.
pub(crate) const COMMIT: &str = "profile_projector_commit_seconds";
/// Records in a commit.
pub(crate) const BATCH: &str = "profile_projector_batch_records";
/// Attachments by what ended the one before.
pub(crate) const ATTACHED: &str = "profile_projector_attachments_total";

/// Gives every metric of this crate its unit and help text.
pub fn describe() {
    describe_gauge!(PHASE, "1 for the phase that the projector is in");
    describe_gauge!(APPLIED, "last applied sequence, durable");
    describe_gauge!(READ, "last sequence read and folded, durable or not yet");
    describe_gauge!(TAIL, "last sequence of the stream, as far as known");
    describe_gauge!(LAG, "sequences between applied and tail");
    describe_counter!(
        OUTCOMES,
        "what became of records, since the read model was made"
    );
    describe_gauge!(PARKED, "records that are parked now, by reason");
    describe_gauge!(
        OLDEST,
        Unit::Seconds,
        "when the oldest parked record was stored in the stream, since the epoch; 0 for none"
    );
    describe_histogram!(COMMIT, Unit::Seconds, "time to make a batch durable");
    describe_histogram!(BATCH, "records in a batch");
    describe_counter!(
        ATTACHED,
        "attachments to the stream, by what ended the one before"
    );
}

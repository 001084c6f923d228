//! What this crate measures. What it knows without measuring is read from the progress and the rows.

use domain::{Connection, Refusal};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::source::Doubt;

/// Time of a commit.
pub(crate) const COMMIT: &str = "profile_projector_commit_duration_seconds";
/// Records in a commit.
pub(crate) const BATCH: &str = "profile_projector_batch_records";
/// From storing in the stream to the commit, of the oldest record of each commit while live.
pub(crate) const APPLY_DELAY: &str = "profile_projector_apply_delay_seconds";
/// Attachments by what ended the one before.
pub(crate) const ATTACHED: &str = "profile_projector_attachments_total";

/// Gives every metric of this crate its help, and makes it visible before anything happens.
pub fn describe() {
    describe_histogram!(COMMIT, Unit::Seconds, "Time to make a batch durable");
    describe_histogram!(BATCH, "Records in a batch");
    describe_histogram!(
        APPLY_DELAY,
        Unit::Seconds,
        "From storing in the stream to durable and answered, of the oldest record of each commit while live"
    );
    describe_counter!(
        ATTACHED,
        "Attachments to the stream, by what ended the one before"
    );
    for name in [COMMIT, BATCH, APPLY_DELAY] {
        let _registered = histogram!(name);
    }
    let connections = Connection::ALL.into_iter().map(Connection::word);
    let troubles = connections.filter(|word| *word != Connection::Connected.word());
    for after in Doubt::WORDS
        .into_iter()
        .chain(Refusal::WORDS)
        .chain(troubles)
    {
        counter!(ATTACHED, "after" => after).increment(0);
    }
}

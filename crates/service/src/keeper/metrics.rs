//! What became of jobs, counted.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::compare::Comparison;
use super::status::{Job, JobKind};

/// Jobs that ended, by `kind` and `result` (`done`, `failed`).
const JOBS: &str = "profile_projector_jobs_total";
/// Whether the latest verification found the rows to be another thing than the fold of the stream.
const DIVERGED: &str = "profile_projector_diverged";
/// When the rows were last found to be the fold of the stream.
const VERIFIED: &str = "profile_projector_verified_timestamp_seconds";

/// Gives every metric of jobs its help, and makes it visible before anything happens.
pub(crate) fn describe() {
    describe_counter!(JOBS, "Jobs that ended, by kind and result");
    describe_gauge!(
        DIVERGED,
        "1 if the latest verification found rows that are not the fold of the stream"
    );
    describe_gauge!(
        VERIFIED,
        Unit::Seconds,
        "When a verification or rebuild last found the rows equal to the fold of the stream, since the epoch; 0 for never since the start"
    );
    for kind in JobKind::ALL {
        for result in ["done", "failed"] {
            counter!(JOBS, "kind" => kind.word(), "result" => result).increment(0);
        }
    }
    gauge!(DIVERGED).set(0.0);
    gauge!(VERIFIED).set(0.0);
}

pub(super) fn failed(job: Job) {
    counter!(JOBS, "kind" => job.kind.word(), "result" => "failed").increment(1);
}

pub(super) fn done(job: Job, comparison: &Comparison) {
    counter!(JOBS, "kind" => job.kind.word(), "result" => "done").increment(1);
    let is_built = job.kind == JobKind::Rebuild;
    match comparison.equal() {
        // A rebuild replaces the rows that differed.
        Some(is_equal) if is_built || job.kind == JobKind::Verify => {
            gauge!(DIVERGED).set(f64::from(u8::from(!is_equal && !is_built)));
            if is_equal || is_built {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                gauge!(VERIFIED).set(now.unwrap_or_default().as_secs_f64());
            }
        }
        None if is_built => gauge!(DIVERGED).set(0.0),
        Some(_) | None => {}
    }
}

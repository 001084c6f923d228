//! Telling of commits, once they are durable (P1).

use std::sync::Arc;
use std::time::Duration;

use domain::Outcome;
use metrics::{counter, gauge};
use read_model::{Committed, Reader};
use tokio::sync::broadcast;

use crate::alarms::Alarms;
use crate::metrics::{OLDEST, OUTCOMES, PARKED};
use crate::teller::Teller;

/// Tells progress, listeners and metrics.
pub(crate) struct Announcer {
    pub(crate) teller: Teller,
    pub(crate) commits: broadcast::Sender<Arc<Committed>>,
    pub(crate) alarms: Alarms,
}

impl Announcer {
    /// Tells of a commit that `reader` sees.
    pub(crate) fn committed(&self, reader: &Reader, committed: Committed, pending: Option<u64>) {
        self.metrics(reader);
        self.teller.committed(committed.checkpoint.clone(), pending);
        // Nobody listening is no fault: there may be no live subscription.
        let _ = self.commits.send(Arc::new(committed));
    }

    /// Shows what is kept, if it is served.
    pub(crate) fn metrics(&self, reader: &Reader) {
        if !self.teller.is_served() {
            return;
        }
        let totals = reader.totals();
        for (outcome, times) in totals.outcomes.iter() {
            let (outcome, reason) = if let Outcome::Parked(reason) = outcome {
                ("parked", reason.as_str())
            } else {
                (outcome.as_str(), "")
            };
            counter!(OUTCOMES, "outcome" => outcome, "reason" => reason).absolute(times);
        }
        tell_parked(reader);
    }
}

/// Shows how much is parked and since when.
fn tell_parked(reader: &Reader) {
    let inspection = reader.inspect();
    for (reason, count) in inspection.totals().parked_by_reason() {
        gauge!(PARKED, "reason" => reason.as_str())
            .set(u32::try_from(count).map_or(f64::MAX, f64::from));
    }
    // A row that cannot be read is told of where it is needed, not by a gauge.
    let oldest = inspection.oldest().ok().flatten();
    let stored_ns = oldest.and_then(|(_, stored_ns)| stored_ns);
    let stored = u64::try_from(stored_ns.unwrap_or(0)).unwrap_or(0);
    gauge!(OLDEST).set(Duration::from_nanos(stored).as_secs_f64());
}

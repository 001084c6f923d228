//! Telling of commits, once they are durable (P1).

use std::sync::Arc;

use read_model::Committed;
use tokio::sync::broadcast;

use crate::alarms::Alarms;
use crate::teller::Teller;

/// Tells progress and listeners.
pub(crate) struct Announcer {
    pub(crate) teller: Teller,
    pub(crate) commits: broadcast::Sender<Arc<Committed>>,
    pub(crate) alarms: Alarms,
}

impl Announcer {
    /// Tells of a commit that readers see.
    pub(crate) fn committed(&self, committed: Committed, pending: Option<u64>) {
        self.teller.committed(committed.checkpoint.clone(), pending);
        // Nobody listening is no fault: there may be no live subscription.
        let _ = self.commits.send(Arc::new(committed));
    }
}

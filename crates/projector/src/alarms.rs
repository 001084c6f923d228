//! Log lines about records that a person should look at: a few of a flood by name, then how many there were.

use std::time::Duration;

use domain::{Outcome, RecordRef};
use tokio::time::Instant;

/// Records that are named one by one before they are only counted.
const NAMED_MAX: u32 = 5;
/// How often what was counted is said. After as long without any, records are named again.
const SAY_EVERY: Duration = Duration::from_mins(1);

/// What a projector says of records that were parked or given up.
pub(crate) struct Alarms {
    /// Of other rows nothing is named: a rebuild meets what was parked long ago.
    is_served: bool,
    named: u32,
    counted: Counted,
    due: Option<Instant>,
}

/// What was not named, and is not said yet.
#[derive(Default)]
struct Counted {
    parked: u64,
    given_up: u64,
}

impl Alarms {
    pub(crate) fn new(is_served: bool) -> Self {
        Self {
            is_served,
            named: 0,
            counted: Counted::default(),
            due: None,
        }
    }

    /// Takes what became of a record. Names its place, never its content.
    pub(crate) fn take(&mut self, outcome: Outcome, record: &RecordRef<'_>) {
        let sequence = record.sequence.get();
        let counted = match outcome {
            Outcome::Parked(_) => &mut self.counted.parked,
            Outcome::Resurrect => &mut self.counted.given_up,
            // Junk that would fill its lane would fill the log as well. It is a metric.
            Outcome::LaneFull => {
                tracing::debug!(sequence, "record is given up: its lane is full");
                return;
            }
            Outcome::VersionGap
            | Outcome::Applied
            | Outcome::Duplicate
            | Outcome::Stale
            | Outcome::Deleted
            | Outcome::Erased
            | Outcome::UnknownType
            | Outcome::Dropped
            | Outcome::DecisionVoid
            | Outcome::Superseded => return,
        };
        if !self.is_served || NAMED_MAX <= self.named {
            *counted = counted.saturating_add(1);
            return;
        }
        self.named = self.named.saturating_add(1);
        self.due.get_or_insert_with(|| Instant::now() + SAY_EVERY);
        if let Outcome::Parked(reason) = outcome {
            tracing::warn!(sequence, reason = reason.as_str(), "record is parked");
        } else {
            tracing::warn!(sequence, "record for something erased is given up");
        }
    }

    /// When to call [`Alarms::look`] next.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Says what was counted, if it is time.
    pub(crate) fn look(&mut self) {
        if self.due.is_none_or(|due| Instant::now() < due) {
            return;
        }
        if self.say() {
            self.due = Some(Instant::now() + SAY_EVERY);
        } else {
            (self.named, self.due) = (0, None);
        }
    }

    /// Says what was counted and is not said yet; `false` when that is nothing.
    pub(crate) fn say(&mut self) -> bool {
        let Counted { parked, given_up } = std::mem::take(&mut self.counted);
        if parked == 0 && given_up == 0 {
            return false;
        }
        if self.is_served {
            tracing::warn!(
                parked,
                given_up,
                "more records were parked ({parked}) or are for something erased and given up ({given_up})"
            );
        } else {
            tracing::info!(
                parked,
                given_up,
                "on the way of this fold records were parked ({parked}) or are for something erased and given up ({given_up})"
            );
        }
        true
    }
}

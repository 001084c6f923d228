//! The time as clients are told it: later with every look, whatever the wall clock does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convex_wire::Timestamp;

/// Goes with the wall clock. When that steps back, it goes on from where it was, ahead of it from then on:
/// standing still until the wall clock has caught up, it would let no socket's token run out.
/// In nanoseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct ToldTime {
    latest: AtomicU64,
    /// How far it is ahead of the wall clock.
    ahead: AtomicU64,
}

/// Looks in a row, on several threads, may be out of order by so much.
const STEP: u64 = 1_000_000_000;

impl ToldTime {
    /// The time to tell when the wall clock shows `wall`.
    pub(crate) fn at(&self, wall: u64) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let time = wall.saturating_add(ahead);
        let later = |latest: u64| time.max(latest.saturating_add(1));
        let update = |latest| Some(later(latest));
        let updated = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        let (Ok(before) | Err(before)) = updated;
        if time.saturating_add(STEP) < before {
            self.ahead
                .fetch_max(before.saturating_sub(wall), Ordering::Relaxed);
        }
        Timestamp(later(before))
    }

    /// How far it is ahead of the wall clock.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_goes_on_when_the_wall_clock_steps_back() {
        let told = ToldTime::default();
        let at = |seconds: u64| told.at(seconds * SECOND).0;
        assert_eq!([at(100), at(101)], [100 * SECOND, 101 * SECOND]);
        assert_eq!(at(101), 101 * SECOND + 1, "the same look twice");
        assert_eq!(told.ahead(), Duration::ZERO);
        assert_eq!(at(500), 500 * SECOND);
        assert_eq!(at(110), 500 * SECOND + 1);
        assert_eq!(told.ahead(), Duration::from_secs(390));
        assert_eq!(at(115), 505 * SECOND, "it does not stand still");
        assert_eq!(at(105), 505 * SECOND + 1, "back once more");
        assert_eq!(at(106), 506 * SECOND);
        assert_eq!(at(506), 906 * SECOND);
    }
}

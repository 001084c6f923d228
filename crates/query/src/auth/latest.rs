//! The latest time that the wall clock has shown: a token that has expired once stays expired when the
//! clock steps back.
//!
//! A clock that ran ahead by mistake, and was set right, must not refuse whoever signs in after that until
//! the time that it had shown. So the latest time is held against the tokens that there were when the
//! clock showed it, and those issued later are judged by the clock alone.

use std::sync::atomic::{AtomicU64, Ordering};

/// All in seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Latest {
    shown: AtomicU64,
    /// The last issue of a token that was seen before the clock stepped back.
    issued: AtomicU64,
}

impl Latest {
    /// The time that a token's end is compared with; `iat` is when an issuer that is trusted says that it
    /// was issued.
    pub(super) fn for_token(&self, iat: Option<u64>, now: u64) -> u64 {
        let shown = self.shown.fetch_max(now, Ordering::Relaxed).max(now);
        // One from the future says nothing about what there was.
        let Some(iat) = iat.filter(|iat| *iat <= shown) else {
            return shown;
        };
        let is_newer = self.issued.load(Ordering::Relaxed) < iat;
        if is_newer && shown == now {
            self.issued.fetch_max(iat, Ordering::Relaxed);
        }
        if is_newer { now } else { shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_held_to_the_latest_time_and_what_is_newer_is_not() {
        let latest = Latest::default();
        assert_eq!(latest.for_token(Some(90), 100), 100);
        assert_eq!(latest.for_token(Some(80), 500), 500);
        // Back, so that all seen before were issued until 90.
        for iat in [None, Some(80), Some(90)] {
            assert_eq!(latest.for_token(iat, 110), 500, "{iat:?}");
        }
        for iat in [91, 105, 110] {
            assert_eq!(latest.for_token(Some(iat), 110), 110, "{iat}");
        }
        // They are not held against each other.
        assert_eq!(latest.for_token(Some(100), 111), 111);
        assert_eq!(latest.for_token(Some(600), 500), 500, "from the future");
        assert_eq!(latest.for_token(Some(490), 500), 500);
        assert_eq!(latest.for_token(Some(480), 400), 500);
    }
}

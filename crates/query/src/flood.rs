//! What can happen with every request is said at most once a minute for each kind, with how often it happened.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Each kind is said at most so often.
const EVERY: Duration = Duration::from_mins(1);

/// When a kind was last told of, and how often it happened since.
#[derive(Default)]
struct Flood {
    told: Option<Instant>,
    untold: u64,
}

/// Notes that something of a kind happened. How often it did since it was last told, if it is to be told now.
pub(crate) fn to_be_told(kind: &'static str) -> Option<u64> {
    static SO_FAR: Mutex<BTreeMap<&str, Flood>> = Mutex::new(BTreeMap::new());
    let mut so_far = SO_FAR.lock().unwrap_or_else(PoisonError::into_inner);
    let flood = so_far.entry(kind).or_default();
    flood.untold = flood.untold.saturating_add(1);
    if flood.told.is_some_and(|told| told.elapsed() < EVERY) {
        return None;
    }
    flood.told = Some(Instant::now());
    Some(std::mem::take(&mut flood.untold))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_are_counted() {
        assert_eq!(to_be_told("one"), Some(1));
        assert_eq!((to_be_told("one"), to_be_told("one")), (None, None));
        assert_eq!(to_be_told("another"), Some(1), "each kind for itself");
    }
}

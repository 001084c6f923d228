//! How many each has of something: an address, an identity.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::shed;

/// Counts what each has, and gives nobody more than the limit.
pub(crate) struct Tally<K> {
    /// The metric's word for what was refused.
    what: &'static str,
    /// For one; 0 is no limit.
    limit: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// One of those that a key may have, given back when it is dropped.
pub(crate) struct Counted<K: Eq + Hash> {
    key: K,
    tally: Arc<Tally<K>>,
}

/// It has all that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TallyFull;

impl<K: Eq + Hash + Clone> Tally<K> {
    pub(crate) fn new(what: &'static str, limit: usize) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { what, limit, taken })
    }

    /// Takes one; `Ok(None)` where nothing is counted.
    pub(crate) fn enter(self: &Arc<Self>, key: Option<K>) -> Result<Option<Counted<K>>, TallyFull> {
        let Some(key) = key.filter(|_| self.limit != 0) else {
            return Ok(None);
        };
        let mut taken = self.lock();
        let own = taken.entry(key.clone()).or_default();
        if *own >= self.limit {
            drop(taken);
            shed(self.what);
            return Err(TallyFull);
        }
        *own += 1;
        drop(taken);
        let tally = Arc::clone(self);
        Ok(Some(Counted { key, tally }))
    }
}

impl<K> Tally<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Counted<K> {
    pub(crate) fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Eq + Hash> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut taken = self.tally.lock();
        if let Some(own) = taken.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.key);
            }
        }
    }
}

//! Which sockets a commit concerns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::metrics::Counter;
use domain::{UserId, WorkosUserId};
use read_model::Changes;
use tokio::sync::Notify;

use super::value::{Shared, Value};
use crate::metrics::WAKES;

/// The sockets that wait for commits.
pub(super) struct Registry {
    /// Held for a few look-ups; never while anything is awaited.
    followers: Mutex<Followers>,
    wakes: Counter,
}

#[derive(Default)]
struct Followers {
    by_identity: Index<WorkosUserId>,
    by_user: Index<UserId>,
    /// What sockets of an identity were last told.
    values: HashMap<WorkosUserId, Shared>,
}

/// Who follows what.
struct Index<K>(HashMap<K, Vec<Arc<Notify>>>);

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Index<K> {
    fn add(&mut self, key: &K, follower: &Arc<Notify>) {
        let followers = self.0.entry(key.clone()).or_default();
        followers.push(Arc::clone(follower));
    }

    fn remove(&mut self, key: &K, follower: &Arc<Notify>) {
        if let Entry::Occupied(mut entry) = self.0.entry(key.clone()) {
            entry
                .get_mut()
                .retain(|other| !Arc::ptr_eq(other, follower));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
    }

    fn wake(&self, keys: &[K]) -> u64 {
        let followers = keys.iter().filter_map(|key| self.0.get(key)).flatten();
        count(followers.map(|follower| follower.notify_one()))
    }

    fn wake_all(&self) -> u64 {
        count(
            self.0
                .values()
                .flatten()
                .map(|follower| follower.notify_one()),
        )
    }
}

fn count(woken: impl Iterator<Item = ()>) -> u64 {
    woken.fold(0, |count, ()| count + 1)
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            followers: Mutex::default(),
            wakes: ::metrics::counter!(WAKES),
        }
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Followers> {
        // Whoever panicked with it left at worst a follower too many or too few, which is its own.
        self.followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whom a commit may concern.
    pub(super) fn wake(&self, changes: &Changes) {
        if changes.everything {
            return self.wake_all();
        }
        let followers = self.lock();
        let users = followers.by_user.wake(&changes.users);
        let identities = followers.by_identity.wake(&changes.identities);
        self.wakes.increment(users + identities);
    }

    /// Wakes everybody.
    pub(super) fn wake_all(&self) {
        self.wakes.increment(self.lock().by_identity.wake_all());
    }
}

/// A socket's place in the registry, given up when it is dropped.
pub(super) struct Follower {
    registry: Arc<Registry>,
    woken: Arc<Notify>,
    identity: Option<WorkosUserId>,
    user: Option<UserId>,
}

impl Follower {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self {
            registry: Arc::clone(registry),
            woken: Arc::default(),
            identity: None,
            user: None,
        }
    }

    /// Returns once a commit was told since it last returned, as of which the answer may differ.
    pub(super) async fn woken(&self) {
        self.woken.notified().await;
    }

    pub(super) fn identity(&self) -> Option<&WorkosUserId> {
        self.identity.as_ref()
    }

    /// The value, shared with the sockets of this identity that are still being told of it. `new` puts it on an account.
    pub(super) fn value<E>(
        &self,
        json: String,
        new: impl FnOnce(String) -> Result<Value, E>,
    ) -> Result<Value, E> {
        let Some(identity) = self.identity.as_ref().filter(|_| Value::is_shared(&json)) else {
            return new(json);
        };
        let known = self.registry.lock().values.get(identity).cloned();
        if let Some(value) = known.and_then(|shared| shared.get(&json)) {
            return Ok(value);
        }
        let value = new(json)?;
        let mut followers = self.registry.lock();
        followers.values.insert(identity.clone(), value.share());
        Ok(value)
    }

    /// Follows another identity from now on. Must come before its answer is read.
    pub(super) fn follow(&mut self, identity: Option<WorkosUserId>) {
        if self.identity == identity {
            return;
        }
        let mut followers = self.registry.lock();
        if let Some(old) = &self.identity {
            followers.by_identity.remove(old, &self.woken);
            if !followers.by_identity.0.contains_key(old) {
                followers.values.remove(old);
            }
        }
        if let Some(new) = &identity {
            followers.by_identity.add(new, &self.woken);
        }
        self.identity = identity;
    }

    /// Follows the user that an answer was of. Commits between the reading of the answer and this call went unheard, so
    /// another user than before wakes the socket itself.
    pub(super) fn follow_user(&mut self, user: Option<UserId>) {
        if self.user == user {
            return;
        }
        let mut followers = self.registry.lock();
        if let Some(old) = &self.user {
            followers.by_user.remove(old, &self.woken);
        }
        if let Some(new) = &user {
            followers.by_user.add(new, &self.woken);
            self.woken.notify_one();
        }
        self.user = user;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.follow(None);
        self.follow_user(None);
    }
}

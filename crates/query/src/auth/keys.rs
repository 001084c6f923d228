//! The keys of one source, as the verifier reads them and the loader replaces them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::config::Location;
use super::known::KnownTokens;
use super::metrics;
use super::token::Signed;

/// Keys by their id.
pub(super) type Keys = BTreeMap<Box<str>, SigningKey>;

/// A public RSA key that was admitted.
#[derive(Debug)]
pub(super) struct SigningKey {
    pub(super) key: DecodingKey,
    /// The length of its signatures as text: no other is worth the arithmetic.
    pub(super) signature_chars: usize,
}

impl SigningKey {
    /// Whether this key signed the token, with RS256 whatever its header says.
    pub(super) fn signed(&self, token: &Signed<'_>) -> bool {
        let text = token.text.as_bytes();
        token.signature.len() == self.signature_chars
            && crypto::verify(token.signature, text, &self.key, Algorithm::RS256).unwrap_or(false)
    }
}

/// A loaded set, never empty.
#[derive(Debug, Clone)]
pub(super) struct KeySet {
    pub(super) keys: Arc<Keys>,
    /// What these keys are known to have signed.
    pub(super) known: Arc<KnownTokens>,
    /// When it was last known to be what the source holds, by a clock that is never set.
    confirmed: Instant,
    /// How old it was then: a set that was kept over a restart was confirmed before.
    age_then: Duration,
}

impl KeySet {
    /// A set that was loaded just now, of which no token is known yet.
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys: Arc::new(keys),
            known: Arc::default(),
            confirmed: Instant::now(),
            age_then: Duration::ZERO,
        }
    }

    /// A set that was last confirmed so long ago.
    pub(super) fn of_age(keys: Keys, age: Duration) -> Self {
        Self {
            age_then: age,
            ..Self::new(keys)
        }
    }

    /// The same set, confirmed just now.
    pub(super) fn confirmed_now(&self) -> Self {
        Self {
            confirmed: Instant::now(),
            age_then: Duration::ZERO,
            ..self.clone()
        }
    }

    /// How long ago it was last known to be what the source holds.
    pub(super) fn age(&self) -> Duration {
        self.age_then.saturating_add(self.confirmed.elapsed())
    }
}

/// Waits and bounds of key loading.
#[derive(Debug, Clone)]
pub(super) struct Timing {
    /// Between two loads of an address, unless its answer says otherwise.
    pub(super) refresh: Duration,
    /// What an answer's `max-age` is brought into.
    pub(super) refresh_bounds: (Duration, Duration),
    /// Between two looks at a file.
    pub(super) file_poll: Duration,
    /// First and longest wait after a failure.
    pub(super) retry: (Duration, Duration),
    /// How long after a load no unknown key causes another.
    pub(super) cooldown: Duration,
    /// The longest that one load of an address may take.
    pub(super) fetch_max: Duration,
    /// How long a request waits for a load that its unknown key caused.
    pub(super) join: Duration,
    /// How long a set is used that could not be confirmed.
    pub(super) stale_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        Self {
            refresh: MINUTE * 10,
            refresh_bounds: (MINUTE * 5, MINUTE * 60),
            file_poll: Duration::from_secs(2),
            retry: (Duration::from_secs(1), MINUTE),
            cooldown: Duration::from_secs(30),
            fetch_max: Duration::from_secs(5),
            join: Duration::from_secs(1),
            stale_max: MINUTE * 60 * 24,
        }
    }
}

/// How many requests may wait for one load.
const WAITERS_MAX: usize = 64;

/// What the loader has done so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Loads that ended.
    pub(super) attempts: u64,
    /// Whether one is running.
    pub(super) running: bool,
    /// When the last one ended.
    pub(super) ended: Option<Instant>,
    /// Failures since the last success.
    pub(super) failures: u32,
    /// Why the last one failed, if it did.
    pub(super) error: Option<Arc<str>>,
}

impl Progress {
    pub(super) fn ended(&mut self, error: Option<Arc<str>>) {
        self.attempts += 1;
        self.running = false;
        self.ended = Some(Instant::now());
        self.failures = error
            .as_ref()
            .map_or(0, |_| self.failures.saturating_add(1));
        self.error = error;
    }
}

/// One place that keys come from. Read without locks; only the loader writes.
#[derive(Debug)]
pub(super) struct KeySource {
    pub(super) location: Location,
    pub(super) timing: Timing,
    pub(super) set: ArcSwapOption<KeySet>,
    pub(super) progress: watch::Sender<Progress>,
    /// Asks the loader for a load before its time.
    pub(super) wanted: Notify,
    waiters: Semaphore,
}

impl KeySource {
    pub(super) fn new(location: Location, timing: Timing) -> Self {
        Self {
            location,
            timing,
            set: ArcSwapOption::empty(),
            progress: watch::Sender::new(Progress::default()),
            wanted: Notify::new(),
            waiters: Semaphore::new(WAITERS_MAX),
        }
    }

    /// The set in use, unless there is none or it is too old to be trusted.
    pub(super) fn usable(&self) -> Option<Arc<KeySet>> {
        let set = self.set.load_full()?;
        (set.age() <= self.timing.stale_max).then_some(set)
    }

    /// Whether an unknown key is a reason to load now.
    pub(super) fn cooled_down(&self) -> bool {
        let ended = self.progress.borrow().ended;
        ended.is_none_or(|ended| ended.elapsed() >= self.timing.cooldown)
    }

    /// Asks for a load because of an unknown key, and waits for its end for a short while. False
    /// if there was none: the last is too recent, too many wait already, or it takes too long.
    pub(super) async fn reload(&self) -> bool {
        metrics::unknown_key();
        let Some((_permit, mut progress)) = self.join_load() else {
            metrics::reload_suppressed();
            return false;
        };
        let attempts = progress.borrow_and_update().attempts;
        self.wanted.notify_one();
        let ended = progress.wait_for(|progress| progress.attempts != attempts);
        timeout(self.timing.join, ended).await.is_ok()
    }

    fn join_load(&self) -> Option<(tokio::sync::SemaphorePermit<'_>, watch::Receiver<Progress>)> {
        if !self.progress.borrow().running && !self.cooled_down() {
            return None;
        }
        let permit = self.waiters.try_acquire().ok()?;
        Some((permit, self.progress.subscribe()))
    }

    pub(super) fn status(&self) -> KeysStatus {
        let set = self.set.load();
        let progress = self.progress.borrow().clone();
        KeysStatus {
            source: self.location.to_string(),
            usable: self.usable().is_some(),
            keys: set.as_ref().map_or(0, |set| set.keys.len()),
            age_seconds: set.as_ref().map(|set| set.age().as_secs()),
            failures: progress.failures,
            error: progress.error.as_deref().map(str::to_owned),
        }
    }
}

/// One source of keys, as `/status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeysStatus {
    /// The address or file.
    pub source: String,
    /// Whether tokens of its issuers can be checked.
    pub usable: bool,
    /// How many keys were admitted.
    pub keys: usize,
    /// Seconds since the keys were last known to be what the source holds.
    pub age_seconds: Option<u64>,
    /// Loads that failed since the last success.
    pub failures: u32,
    /// Why the last load failed, if it did.
    pub error: Option<String>,
}

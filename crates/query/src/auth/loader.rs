//! Keeps the keys fresh: one loop for each source, for as long as the process lives.
//!
//! A loop is the only one that loads its source, so that there is never more than one load of it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Client;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::admission::{Admitted, PRIVATE_PART, admit};
use super::config::Location;
use super::fetch::{self, LoadError, Loaded};
use super::keys::{KeySet, KeySource};
use super::metrics;

/// The HTTP client could not be set up, most likely for want of root certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no client for key addresses can be set up: {0}; install the system's CA certificates")]
pub struct ClientError(pub(super) String);

/// Loads the keys of a [`super::Verifier`].
#[derive(Debug)]
pub struct KeyLoader {
    sources: Vec<Arc<KeySource>>,
    client: Client,
}

impl KeyLoader {
    pub(super) fn new(sources: Vec<Arc<KeySource>>) -> Result<Self, ClientError> {
        let client = fetch::client(sources.iter().map(|source| &source.location))?;
        Ok(Self { sources, client })
    }

    /// Loads all keys now and keeps them fresh until `stop`. Failures are logged, counted and
    /// retried; they never end it.
    pub async fn run(self, stop: CancellationToken) {
        let loops = self.sources.iter().map(|source| {
            let keeper = Keeper {
                source,
                client: &self.client,
                document: Vec::new(),
                skipped: Vec::new(),
            };
            keeper.run(&stop)
        });
        join_all(loops).await;
    }
}

/// The loop of one source.
struct Keeper<'l> {
    source: &'l KeySource,
    client: &'l Client,
    /// The document that the keys in use came from.
    document: Vec<u8>,
    /// What was left out of it, so that it is said once.
    skipped: Vec<&'static str>,
}

impl Keeper<'_> {
    async fn run(mut self, stop: &CancellationToken) {
        let mut forced = true;
        loop {
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                pause = self.load(forced) => pause,
            };
            let due = Instant::now() + pause;
            forced = tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(due) => false,
                () = self.wanted() => true,
            };
        }
    }

    /// Waits until an unknown key is reason enough. Cancel safe: a wish that is lost comes again
    /// with the next token.
    async fn wanted(&self) {
        loop {
            self.source.wanted.notified().await;
            if self.source.cooled_down() {
                return;
            }
        }
    }

    /// Loads once, and returns how long to wait for the next time.
    async fn load(&mut self, forced: bool) -> Duration {
        let timing = &self.source.timing;
        let is_file = matches!(self.source.location, Location::File(_));
        // A look at a file that has not changed is no load: it must not delay a wanted one.
        let is_look = is_file && !forced && !self.document.is_empty();
        if !is_look {
            self.source
                .progress
                .send_modify(|progress| progress.running = true);
        }
        let loaded = fetch::load(self.client, &self.source.location, timing.fetch_max).await;
        let unchanged = loaded
            .as_ref()
            .is_ok_and(|new| new.document == self.document);
        if is_look && unchanged {
            self.confirm();
            return timing.file_poll;
        }
        match loaded.and_then(|loaded| self.take(loaded)) {
            Ok(max_age) => {
                self.succeeded();
                if is_file {
                    return timing.file_poll;
                }
                let (least, most) = timing.refresh_bounds;
                let refresh = max_age.map_or(timing.refresh, |age| age.clamp(least, most));
                refresh.mul_f64(0.9 + 0.2 * rand::random::<f64>())
            }
            Err(error) => {
                let failures = self.failed(&error);
                if is_file {
                    return timing.file_poll;
                }
                let (first, longest) = timing.retry;
                let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(16));
                doubled.min(longest).mul_f64(rand::random()).max(first / 4)
            }
        }
    }

    /// Puts the keys of a document in the place of the old ones (A4).
    fn take(&mut self, loaded: Loaded) -> Result<Option<Duration>, LoadError> {
        let Admitted { keys, skipped } = admit(&loaded.document)?;
        let source = &self.source.location;
        if skipped.contains(&PRIVATE_PART) {
            tracing::error!(%source, "a key set shows a private key: that key is not used");
        } else if skipped != self.skipped {
            tracing::warn!(%source, ?skipped, "some keys of a key set are not used");
        }
        if loaded.document != self.document {
            tracing::info!(%source, keys = keys.len(), "signing keys loaded");
        }
        self.skipped = skipped;
        self.document = loaded.document;
        self.source.set.store(Some(Arc::new(KeySet::new(keys))));
        Ok(loaded.max_age)
    }

    /// Notes that the source still holds the keys in use.
    fn confirm(&self) {
        if let Some(set) = self.source.set.load_full() {
            let mut set = KeySet::clone(&set);
            set.confirmed = Instant::now();
            self.source.set.store(Some(Arc::new(set)));
        }
    }

    fn succeeded(&self) {
        let keys = self.source.usable().map_or(0, |set| set.keys.len());
        metrics::loaded(&self.source.location.to_string(), keys);
        self.source.progress.send_modify(|progress| {
            progress.ended(None);
        });
    }

    fn failed(&self, error: &LoadError) -> u32 {
        let source = &self.source.location;
        metrics::load_failed(&source.to_string());
        let text: Arc<str> = error.to_string().into();
        let mut failures = 0;
        self.source.progress.send_modify(|progress| {
            if progress.error.as_ref() != Some(&text) {
                let usable = self.source.set.load().is_some();
                tracing::warn!(%source, %error, usable, "signing keys could not be loaded");
            }
            progress.ended(Some(text));
            failures = progress.failures;
        });
        failures
    }
}

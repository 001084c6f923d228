//! Keeps the keys fresh: one loop for each source, for as long as the process lives.
//!
//! A loop is the only one that loads its source, so that there is never more than one load of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Client;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::admission::{Admitted, PRIVATE_PART, admit};
use super::config::Location;
use super::fetch::{self, LoadError, Loaded};
use super::kept::{KeptFile, Unusable};
use super::keys::{KeySet, KeySource};
use super::metrics;
use super::policy::Issuer;
use super::verifier::WallClock;

/// The HTTP client could not be set up, most likely for want of root certificates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no client for key addresses can be set up: {0}; install the system's CA certificates")]
pub struct ClientError(pub(super) String);

/// Loads the keys of a [`super::Verifier`].
pub struct KeyLoader {
    keepers: Vec<Keeper>,
    client: Client,
}

impl fmt::Debug for KeyLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.keepers.iter().map(|keeper| &keeper.source.location);
        f.debug_list().entries(sources).finish()
    }
}

impl KeyLoader {
    pub(super) fn new(
        sources: &[Arc<KeySource>],
        issuers: &[Issuer],
        clock: &WallClock,
    ) -> Result<Self, ClientError> {
        let client = fetch::client(sources.iter().map(|source| &source.location))?;
        let keeper = |(index, source): (usize, &Arc<KeySource>)| Keeper {
            source: Arc::clone(source),
            issuers: names(issuers, index),
            clock: Arc::clone(clock),
            kept: None,
            document: Vec::new(),
            skipped: Vec::new(),
        };
        let keepers = sources.iter().enumerate().map(keeper).collect();
        Ok(Self { keepers, client })
    }

    /// Takes the keys that are on this machine: those of files, and the sets that an earlier run had
    /// from addresses and kept in `folder`. From now on such sets are kept there. Some milliseconds,
    /// and bounded; what cannot be had now, [`KeyLoader::run`] goes on to load.
    pub async fn begin(&mut self, folder: &Path) {
        let client = &self.client;
        let keepers = self.keepers.iter_mut();
        join_all(keepers.map(|keeper| keeper.begin(client, folder))).await;
    }

    /// Loads all keys now and keeps them fresh until `stop`. Failures are logged, counted and
    /// retried; they never end it.
    pub async fn run(self, stop: CancellationToken) {
        let Self { keepers, client } = self;
        let keepers = keepers.into_iter();
        join_all(keepers.map(|keeper| keeper.run(&client, &stop))).await;
    }
}

/// The issuers whose keys a source holds.
fn names(issuers: &[Issuer], source: usize) -> Vec<Box<str>> {
    let of_source = issuers.iter().filter(|issuer| issuer.keys == source);
    of_source.map(|issuer| issuer.name.clone()).collect()
}

/// The loop of one source.
struct Keeper {
    source: Arc<KeySource>,
    issuers: Vec<Box<str>>,
    clock: WallClock,
    /// Where a set is kept for the next start; files are not.
    kept: Option<KeptFile>,
    /// The document that the keys in use came from.
    document: Vec<u8>,
    /// What was left out of it, so that it is said once.
    skipped: Vec<&'static str>,
}

impl Keeper {
    async fn begin(&mut self, client: &Client, folder: &Path) {
        let within = self.source.timing.fetch_max;
        if let Location::Address(url) = &self.source.location {
            let kept = KeptFile::of(folder, url.to_string(), self.issuers.clone());
            self.kept = Some(kept.clone());
            // What takes longer than a load is not worth waiting for.
            let _ = timeout(within, self.take_kept(kept)).await;
        } else {
            let _ = timeout(within, self.load(client, true)).await;
        }
    }

    async fn take_kept(&mut self, kept: KeptFile) {
        let path = kept.path.display().to_string();
        let (now, age_max) = ((self.clock)(), self.source.timing.stale_max);
        let read = tokio::task::spawn_blocking(move || kept.read(now, age_max)).await;
        let problem = match read.unwrap_or_else(|error| Err(Unusable::Read(error.into()))) {
            Ok(None) => return,
            Ok(Some(set)) => match admit(&set.document) {
                Ok(Admitted { keys, skipped }) => {
                    let source = &self.source.location;
                    let age_seconds = set.age.as_secs();
                    tracing::info!(
                        %source,
                        keys = keys.len(),
                        age_seconds,
                        "signing keys of the last run are used until the source answers"
                    );
                    self.document = set.document;
                    self.skipped = skipped;
                    let set = KeySet::of_age(keys, set.age);
                    return self.source.set.store(Some(Arc::new(set)));
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let source = &self.source.location;
        tracing::warn!(%source, path, problem, "kept signing keys are not used");
    }

    /// Keeps the set in use for the next start.
    async fn keep(&self) {
        let Some(kept) = self.kept.clone() else {
            return;
        };
        let path = kept.path.display().to_string();
        let (document, now) = (self.document.clone(), (self.clock)());
        let written = tokio::task::spawn_blocking(move || kept.write(&document, now)).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(error.into())) {
            tracing::warn!(path, %error, "signing keys cannot be kept for the next start");
        }
    }

    async fn run(mut self, client: &Client, stop: &CancellationToken) {
        metrics::begin_loads(&self.source.location.to_string());
        let mut forced = true;
        loop {
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                pause = self.load(client, forced) => pause,
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
    async fn load(&mut self, client: &Client, forced: bool) -> Duration {
        let timing = self.source.timing.clone();
        let is_file = matches!(self.source.location, Location::File(_));
        // A look at a file that has not changed is no load: it must not delay a wanted one.
        let is_look = is_file && !forced && !self.document.is_empty();
        if !is_look {
            self.source
                .progress
                .send_modify(|progress| progress.running = true);
        }
        let loaded = fetch::load(client, &self.source.location, timing.fetch_max).await;
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
                self.keep().await;
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
            self.source.set.store(Some(Arc::new(set.confirmed_now())));
        }
    }

    fn succeeded(&self) {
        metrics::loaded(&self.source.location.to_string());
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

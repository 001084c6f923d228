//! What answering needs, shared by every request.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::HeaderMap;
use axum::http::request::Parts;
use convex_wire::{TextMode, Timestamp};
use domain::Progress;
use read_model::Reader;
use tokio::sync::{Semaphore, watch};

use crate::Limits;
use crate::auth::Verifier;
use crate::http::Waiting;
use crate::shares::{Peer, Pool};
use crate::sync::Sockets;
use crate::tally::Tally;

/// What answering needs. Nothing here can write (Q4), and nothing on the way to an answer is
/// locked.
pub struct QueryState {
    pub(crate) reader: Reader,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) progress: watch::Receiver<Progress>,
    pub(crate) texts: TextMode,
    pub(crate) limits: Limits,
    /// Places of [`Limits::in_flight`].
    pub(crate) in_flight: Semaphore,
    /// Places of [`Limits::waiting`].
    pub(crate) waiting: Waiting,
    /// Bytes of [`Limits::requests_bytes`].
    pub(crate) requests: Pool,
    /// Bytes of [`Limits::answers_bytes`].
    pub(crate) answers: Pool,
    pub(crate) sockets: Sockets,
    /// Requests at a time of one address, of those that come through a trusted proxy.
    pub(crate) proxied: Arc<Tally<IpAddr>>,
    latest: AtomicU64,
}

/// Who asks, as far as addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    /// Its connections are a trusted proxy's.
    pub(crate) is_behind_proxy: bool,
}

impl QueryState {
    /// Puts the parts together. `progress` must follow what `reader` shows: told after the commit,
    /// never before.
    pub fn new(
        reader: Reader,
        verifier: Arc<Verifier>,
        progress: watch::Receiver<Progress>,
        texts: TextMode,
        limits: Limits,
    ) -> Arc<Self> {
        let places = |wanted: usize| Semaphore::new(wanted.min(Semaphore::MAX_PERMITS));
        Arc::new(Self {
            reader,
            verifier,
            progress,
            texts,
            in_flight: places(limits.in_flight),
            waiting: Waiting::new(limits.waiting, limits.waiting_of_one),
            requests: Pool::new(limits.requests_bytes),
            answers: Pool::new(limits.answers_bytes),
            sockets: Sockets::new(&limits),
            proxied: Tally::new("address", limits.per_address),
            limits,
            latest: AtomicU64::new(0),
        })
    }

    /// Whose connection a request came in on.
    pub(crate) fn peer(&self, request: &Parts) -> Peer {
        let peer = request.extensions.get::<Peer>().cloned();
        peer.unwrap_or_else(|| Peer::new(None, &self.limits))
    }

    /// Who asks, as far as its address tells.
    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> Option<Client> {
        let peer = peer.address()?;
        let proxies = &self.limits.trusted_proxies;
        Some(Client {
            address: proxies.client(peer, headers),
            is_behind_proxy: proxies.are_at(peer),
        })
    }

    /// The time as Convex tells it. Every call gives a later one, whatever the wall clock does.
    pub(crate) fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let nanos = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX);
        let later = |latest: u64| nanos.max(latest.saturating_add(1));
        let update = |latest| Some(later(latest));
        let updated = self
            .latest
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        let (Ok(before) | Err(before)) = updated;
        Timestamp(later(before))
    }
}

/// What the wall clock shows, since 1970. One before that lets every token run out.
pub(crate) fn wall() -> Duration {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    since_1970.unwrap_or(Duration::MAX)
}

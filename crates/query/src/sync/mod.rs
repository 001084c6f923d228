//! Live answers: the sockets of the sync protocol.
//!
//! A socket is one task. It takes one message at a time, tells what there is to tell, and waits until the client has
//! taken it before it does anything else: nothing queues up for a client that does not read, and one that takes too
//! long is dropped.
//!
//! A commit wakes only the sockets whose answer it may have changed: each is known by its identity, and by the user
//! that this identity was when its answer was last read. Woken, a socket reads again and tells what differs.

mod incoming;
mod registry;
mod socket;
mod value;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::WorkosUserId;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use read_model::Committed;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::registry::Registry;
pub(crate) use self::socket::ends;
use crate::crowd::{Crowd, Place};
use crate::shares::Peer;
use crate::tally::Tally;
use crate::{Limits, QueryState};

/// One identity never has more than this part of the sockets.
const PART_OF_ONE: usize = 4;

/// All sockets.
pub(crate) struct Sockets {
    registry: Arc<Registry>,
    places: Arc<Crowd>,
    /// Sockets of each identity.
    of_one: Arc<Tally<WorkosUserId>>,
    tasks: TaskTracker,
    /// Asks every socket to say goodbye.
    stop: CancellationToken,
    /// Ends those that did not in time.
    cut: CancellationToken,
}

impl Sockets {
    pub(crate) fn new(limits: &Limits) -> Self {
        let sync = &limits.sync;
        let part = (sync.sockets / PART_OF_ONE).max(1);
        let of_one = Some(sync.sockets_of_one).filter(|limit| *limit != 0);
        Self {
            of_one: Tally::new("identity", of_one.map_or(part, |limit| limit.min(part))),
            registry: Arc::default(),
            places: Crowd::new("sockets", sync.sockets, limits.per_address),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// A place for a socket, unless its address has all that it may have or the end has come.
    pub(crate) fn enter(&self, address: Option<IpAddr>) -> Option<Place> {
        if self.stop.is_cancelled() {
            return None;
        }
        self.places.enter(address)
    }
}

/// Runs a socket as soon as its connection is handed over.
pub(crate) fn open(state: Arc<QueryState>, upgrade: OnUpgrade, peer: Peer, place: Place) {
    let tasks = state.sockets.tasks.clone();
    tasks.spawn(async move {
        let cut = state.sockets.cut.clone();
        let conversation = async {
            // A connection that breaks before it is handed over is counted where it came in.
            if let Ok(upgraded) = upgrade.await {
                socket::run(&state, TokioIo::new(upgraded), &peer, &place).await;
            }
        };
        cut.run_until_cancelled(conversation).await;
    });
}

/// Wakes sockets after commits until `stop`, then gives them `grace` to say goodbye. When it returns, none is left.
///
/// `commits` must have been subscribed to before the first socket can open, and must tell of a commit after `state`'s
/// reader shows it. It ends by itself when nobody can commit any more.
pub async fn follow(
    state: Arc<QueryState>,
    mut commits: broadcast::Receiver<Arc<Committed>>,
    grace: Duration,
    stop: CancellationToken,
) {
    let sockets = &state.sockets;
    loop {
        let committed = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            committed = commits.recv() => committed,
        };
        match committed {
            Ok(committed) => sockets.registry.wake(&committed.changes),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "commits came too fast: every socket reads again");
                sockets.registry.wake_all();
            }
            Err(RecvError::Closed) => break,
        }
    }
    sockets.stop.cancel();
    sockets.tasks.close();
    if timeout(grace, sockets.tasks.wait()).await.is_err() {
        tracing::warn!(left = sockets.tasks.len(), "cutting sockets off");
        sockets.cut.cancel();
        sockets.tasks.wait().await;
    }
}

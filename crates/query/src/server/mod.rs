//! The accept loop: hands connections to the routes and sees that every one of them ends.
//!
//! `axum::serve` has no timeout of any kind, so a silent client stays for ever. Here a connection
//! is bounded while its protocol is unknown, while a header comes, while a body comes (by the
//! routes), while it idles, and as a whole.

mod connection;
mod frames;
mod pace;
mod sending;
mod sniff;
mod streams;
mod tls;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::tls::{Tls, TlsError};
use crate::Limits;
use crate::crowd::Crowd;
use crate::shares::{Peer, Pool};

/// After a failure to accept, which is as a rule that files have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener does with its connections.
#[derive(Clone)]
pub struct Server {
    /// The listener's name in metrics and in the log.
    pub name: &'static str,
    /// Who answers.
    pub router: Router,
    /// The bounds.
    pub limits: Limits,
    /// Encrypts; without it the listener speaks plain HTTP.
    pub tls: Option<Arc<Tls>>,
}

/// A server while it runs.
struct Listening {
    name: &'static str,
    router: Router,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    /// Places of [`Limits::shared_streams`].
    streams: Arc<Pool>,
    /// Whose TLS handshake goes on.
    handshakes: Arc<Semaphore>,
}

impl Server {
    /// Serves until `stop`, then gives requests under way `grace` to end. When it returns, no task
    /// of it is left.
    pub async fn serve(self, listener: TcpListener, grace: Duration, stop: CancellationToken) {
        let Self {
            name,
            router,
            limits,
            tls,
        } = self;
        let crowd = Crowd::new("connections", limits.connections, limits.per_address);
        let server = Arc::new(Listening {
            name,
            router,
            streams: Arc::new(Pool::new(limits.shared_streams)),
            handshakes: Arc::new(Semaphore::new(1)),
            limits,
            tls,
        });
        let mut connections = JoinSet::new();
        loop {
            // Every arm can be dropped and tried again without loss.
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    report(name, ended);
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let address = from.ip().to_canonical();
                    // A trusted proxy is many: its requests are counted instead.
                    let is_proxy = server.limits.trusted_proxies.are_at(address);
                    // Without a place it is closed.
                    if let Some(place) = crowd.enter(Some(address).filter(|_| !is_proxy)) {
                        let peer = Peer::new(Some(address), &server.limits);
                        let (server, stop) = (Arc::clone(&server), stop.clone());
                        connections.spawn(connection::serve(stream, peer, place, server, stop));
                    }
                }
                Err(error) => {
                    tracing::warn!(listener = name, %error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let ended = timeout(grace, async {
            while let Some(ended) = connections.join_next().await {
                report(name, ended);
            }
        });
        if ended.await.is_err() {
            tracing::warn!(
                listener = name,
                left = connections.len(),
                "cutting connections off"
            );
            connections.shutdown().await;
        }
    }
}

fn report(listener: &'static str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(listener, %error, "a connection's task failed");
    }
}

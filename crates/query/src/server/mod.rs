//! The accept loop: hands connections to the routes and sees that every one of them ends.
//!
//! `axum::serve` has no timeout of any kind, so a silent client stays for ever. Here a connection
//! is bounded while its protocol is unknown, while a header comes, while a body comes (by the
//! routes), while it idles, and as a whole.

mod connection;
mod pace;
mod sniff;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use self::tls::{Tls, TlsError};
use crate::Limits;

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

impl Server {
    /// Serves until `stop`, then gives requests under way `grace` to end. When it returns, no task
    /// of it is left.
    pub async fn serve(self, listener: TcpListener, grace: Duration, stop: CancellationToken) {
        let name = self.name;
        let places = self.limits.connections.min(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places));
        let server = Arc::new(self);
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
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((stream, place)) => {
                    let serving = connection::serve(stream, Arc::clone(&server), stop.clone());
                    connections.spawn(async move {
                        serving.await;
                        drop(place);
                    });
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

/// Waits for a place first: a client beyond the bound waits in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _peer) = listener.accept().await?;
    Ok((stream, place))
}

fn report(listener: &'static str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(listener, %error, "a connection's task failed");
    }
}

//! The streams of an HTTP/2 connection.

use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard, PollSemaphore};
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::metrics::shed;
use crate::shares::{Pool, Share};

/// Runs an HTTP/2 connection's streams; none outlives the connection or its time. One whose answer is not taken is
/// reset. They run in turn, so that a connection with many has no more of the processor than one with few.
#[derive(Clone)]
pub(super) struct Streams {
    turn: Arc<Semaphore>,
    share: Arc<Share>,
    pool: Arc<Pool>,
    tracker: TaskTracker,
    cancelled: CancellationToken,
    limit: Duration,
}

impl Streams {
    pub(super) fn new(limits: &Limits, pool: Arc<Pool>) -> Self {
        let all = usize::try_from(limits.streams).unwrap_or(usize::MAX);
        Self {
            turn: Arc::new(Semaphore::new(1)),
            share: Arc::new(Share::new(limits.own_streams, all)),
            pool,
            tracker: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            limit: limits.body_timeout + limits.sequence_timeout + limits.write_timeout,
        }
    }

    /// Ends all of them when it is dropped.
    pub(super) fn guard(&self) -> DropGuard {
        self.cancelled.clone().drop_guard()
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        // Without a place it is dropped, which resets it.
        let Ok(held) = self.share.take(&self.pool, 1) else {
            return shed("streams");
        };
        let (cancelled, limit) = (self.cancelled.clone(), self.limit);
        let turn = PollSemaphore::new(Arc::clone(&self.turn));
        self.tracker.spawn(async move {
            let stream = timeout(limit, in_turn(stream, turn));
            let _ended = cancelled.run_until_cancelled(stream).await;
            drop(held);
        });
    }
}

/// Runs a future, one step whenever it is its turn.
pub(super) async fn in_turn<F: Future>(future: F, mut turn: PollSemaphore) -> F::Output {
    let mut future = pin!(future);
    future::poll_fn(|cx| match ready!(turn.poll_acquire(cx)) {
        Some(_step) => future.as_mut().poll(cx),
        // Nobody closes it.
        None => Poll::Pending,
    })
    .await
}

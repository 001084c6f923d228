//! How far an HTTP/1 connection is with its requests, so that it may idle for long while a header that has begun
//! may not take long. The library's own limit on headers counts from the end of the request before.
//!
//! Nobody but the connection's own task takes part, so what happened since it was last polled is seen by
//! [`Pace::overdue`] when it is polled after the connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::Limits;

/// No request is under way, and none has begun.
const IDLE: u8 = 0;
/// A header has begun.
const HEADER: u8 = 1;
/// A request is answered.
const BUSY: u8 = 2;

/// A connection's state, and since when.
pub(super) struct Pace {
    opened: Instant,
    state: AtomicU8,
    /// Milliseconds after `opened`.
    since: AtomicU64,
    /// Bytes came since the last header was complete.
    has_read: AtomicBool,
    header_timeout: Duration,
    idle_timeout: Duration,
    age_max: Duration,
}

impl Pace {
    /// That of a new connection, whose first header is due as if it had begun.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            opened: Instant::now(),
            state: AtomicU8::new(HEADER),
            since: AtomicU64::new(0),
            has_read: AtomicBool::new(true),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            age_max: limits.connection_age,
        }
    }

    /// A request's header is complete. Whether it came together with the request before.
    pub(super) fn asked(&self) -> bool {
        self.state.store(BUSY, Ordering::Relaxed);
        !self.has_read.swap(false, Ordering::Relaxed)
    }

    /// A request has its answer. Whether the connection is too old for another request.
    pub(super) fn answered(&self) -> bool {
        self.enter(IDLE);
        self.is_old()
    }

    pub(super) fn is_old(&self) -> bool {
        self.opened.elapsed() >= self.age_max
    }

    /// Ends when the connection must: too long idle, or too long at a header.
    pub(super) async fn overdue(&self) -> &'static str {
        let mut alarm = pin!(sleep_until(self.opened + self.header_timeout));
        poll_fn(|cx| {
            loop {
                let Some((due, reason)) = self.due() else {
                    return Poll::Pending;
                };
                // A later one is set when the alarm goes: most requests come and go before.
                if due < alarm.deadline() || alarm.is_elapsed() {
                    alarm.as_mut().reset(due);
                }
                ready!(alarm.as_mut().poll(cx));
                if Instant::now() >= due {
                    return Poll::Ready(reason);
                }
            }
        })
        .await
    }

    /// When patience ends, and what it is then.
    fn due(&self) -> Option<(Instant, &'static str)> {
        let since = self.opened + Duration::from_millis(self.since.load(Ordering::Relaxed));
        match self.state.load(Ordering::Relaxed) {
            IDLE => Some((since + self.idle_timeout, "idle")),
            HEADER => Some((since + self.header_timeout, "slow")),
            _busy => None,
        }
    }

    fn is_idle(&self) -> bool {
        self.state.load(Ordering::Relaxed) == IDLE
    }

    fn is_busy(&self) -> bool {
        self.state.load(Ordering::Relaxed) == BUSY
    }

    fn enter(&self, state: u8) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
        self.state.store(state, Ordering::Relaxed);
    }
}

/// A connection's bytes, which show when a header begins.
pub(super) struct Paced<S> {
    io: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(super) fn new(io: S, pace: Arc<Pace>) -> Self {
        Self { io, pace }
    }

    /// An answer is still being sent, also while its request's body still comes: the connection is not idle for so
    /// long, and no header has begun.
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if !self.pace.is_busy() && matches!(written, Poll::Ready(Ok(_))) {
            self.pace.enter(IDLE);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.pace.has_read.store(true, Ordering::Relaxed);
            if self.pace.is_idle() {
                self.pace.enter(HEADER);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

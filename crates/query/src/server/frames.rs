//! What an HTTP/2 client may send that asks for nothing: settings, pings, windows, priorities, resets, headers without
//! end, empty data. Each frame costs us some work and the client none, and the library answers them as long as they come.
//!
//! A connection has a purse of frames. Nearly every frame takes one out. What was asked and answered, what was sent, and
//! time put some in.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::metrics::shed;

/// The most that a purse holds, and what it begins with.
const FRAMES_MAX: u32 = 2048;
/// What an answered request puts in: its own frames, and those that come with them.
const FRAMES_OF_ANSWER: u32 = 16;
/// For each so many bytes that are sent the client may move its windows twice.
const SENT_BYTES_OF_FRAME: usize = 2048;
/// What a second puts in.
const FRAMES_OF_SECOND: u32 = 20;
/// Data in frames of this size is free: a body has a bound of its own.
const DATA_BYTES_MIN: usize = 256;

/// The preface, which comes before all frames.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: u8 = 9;
const DATA: u8 = 0;
const END_STREAM: u8 = 1;

/// Frames that a client may still send.
pub(super) struct Purse {
    left: AtomicU32,
    is_overdrawn: AtomicBool,
}

impl Default for Purse {
    fn default() -> Self {
        Self {
            left: AtomicU32::new(FRAMES_MAX),
            is_overdrawn: AtomicBool::new(false),
        }
    }
}

impl Purse {
    /// A request has its answer.
    pub(super) fn answered(&self) {
        self.put(FRAMES_OF_ANSWER);
    }

    /// The client was cut off for its frames.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.is_overdrawn.load(Ordering::Relaxed)
    }

    fn put(&self, frames: u32) {
        let more = |left: u32| Some(left.saturating_add(frames).min(FRAMES_MAX));
        let order = Ordering::Relaxed;
        let (Ok(_) | Err(_)) = self.left.fetch_update(order, order, more);
    }

    fn take(&self, frames: u32) -> bool {
        let less = |left: u32| left.checked_sub(frames);
        let order = Ordering::Relaxed;
        self.left.fetch_update(order, order, less).is_ok()
    }
}

/// A connection whose frames are counted as they are read.
pub(super) struct Metered<S> {
    io: S,
    frames: Frames,
    purse: Arc<Purse>,
    /// Bytes that were sent, and not put in the purse yet.
    sent: usize,
    /// Until when time was put in.
    paid: Instant,
}

impl<S> Metered<S> {
    pub(super) fn new(io: S, purse: Arc<Purse>) -> Self {
        Self {
            io,
            frames: Frames::default(),
            purse,
            sent: 0,
            paid: Instant::now(),
        }
    }

    fn pay(&mut self, frames: u32) -> io::Result<()> {
        if self.purse.take(frames) {
            return Ok(());
        }
        let seconds = u32::try_from(self.paid.elapsed().as_secs()).unwrap_or(u32::MAX);
        if seconds != 0 {
            self.paid = Instant::now();
            self.purse.put(seconds.saturating_mul(FRAMES_OF_SECOND));
            if self.purse.take(frames) {
                return Ok(());
            }
        }
        if !self.purse.is_overdrawn.swap(true, Ordering::Relaxed) {
            shed("frames");
        }
        Err(io::ErrorKind::QuotaExceeded.into())
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.sent += bytes;
            let frames = self.sent / SENT_BYTES_OF_FRAME;
            if frames != 0 {
                self.sent %= SENT_BYTES_OF_FRAME;
                self.purse.put(u32::try_from(frames).unwrap_or(u32::MAX));
            }
        }
        written
    }
}

/// Where in the bytes of a client its frames begin.
struct Frames {
    /// Of a frame's head, as far as it came.
    head: u128,
    head_bytes: u8,
    /// What is left of the payload.
    payload: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            head: 0,
            head_bytes: 0,
            payload: PREFACE_BYTES,
        }
    }
}

impl Frames {
    /// Counts those whose head ends in these bytes, and which are not free.
    fn count(&mut self, mut bytes: &[u8]) -> u32 {
        let mut counted = 0;
        loop {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            let Some((byte, rest)) = bytes.get(skipped..).and_then(<[u8]>::split_first) else {
                return counted;
            };
            bytes = rest;
            self.head = self.head << 8 | u128::from(*byte);
            self.head_bytes += 1;
            if self.head_bytes == HEAD_BYTES {
                let [.., a, b, c, kind, flags, _, _, _, _] = self.head.to_be_bytes();
                self.head_bytes = 0;
                let length = u32::from_be_bytes([0, a, b, c]);
                self.payload = usize::try_from(length).unwrap_or(usize::MAX);
                let is_body =
                    kind == DATA && (self.payload >= DATA_BYTES_MIN || flags & END_STREAM != 0);
                counted += u32::from(!is_body);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        let frames = self.frames.count(new);
        Poll::Ready(self.pay(frames))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_bytes_come() {
        let frame = |length: u32, kind: u8, flags: u8| {
            let [_, a, b, c] = length.to_be_bytes();
            let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
            frame.resize(9 + usize::try_from(length).unwrap(), 4);
            frame
        };
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        for counted in [(0, 4, 0), (8, 6, 0), (40_000, 1, 4), (0, 0, 0), (7, 99, 0)] {
            bytes.extend(frame(counted.0, counted.1, counted.2));
        }
        for free in [(256, 0, 0), (0, 0, 1), (16_384, 0, 1)] {
            bytes.extend(frame(free.0, free.1, free.2));
        }
        for size in [1, 2, 9, 10, 4096, bytes.len()] {
            let mut frames = Frames::default();
            let counted = bytes.chunks(size).map(|chunk| frames.count(chunk));
            assert_eq!(counted.sum::<u32>(), 5, "in pieces of {size}");
        }
    }
}

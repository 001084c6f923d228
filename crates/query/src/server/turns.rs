//! Turns: a connection that always has more to read leaves the processor to others now and then.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read in one turn. As many of the smallest frames take a fraction of a millisecond.
const TURN_BYTES: usize = 16 * 1024;

/// A stream that has nothing to read for a moment after each turn.
pub(super) struct InTurns<S> {
    io: S,
    read: usize,
}

impl<S> InTurns<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io, read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for InTurns<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN_BYTES {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, buffer) else {
            self.read = 0;
            return Poll::Pending;
        };
        self.read += buffer.filled().len() - before;
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for InTurns<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
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
    use std::task::Waker;

    use tokio::io::repeat;

    use super::*;

    #[test]
    fn nobody_reads_for_ever() {
        let mut stream = InTurns::new(repeat(1));
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = || {
            let mut scrap = [0; 1024];
            let read = Pin::new(&mut stream).poll_read(&mut cx, &mut ReadBuf::new(&mut scrap));
            read.is_ready()
        };
        for _ in 0..3 {
            let turn = (0..100).take_while(|_| read()).count();
            assert_eq!(turn, TURN_BYTES / 1024);
        }
    }
}

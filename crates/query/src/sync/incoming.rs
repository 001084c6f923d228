//! The bytes of a client's messages, counted: every socket may send small ones, and few at a time large ones.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a small message has at most. No socket waits for another one to send that.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;
/// A frame's header and mask, of the smallest frames.
const FRAME_BYTES: usize = 6;

/// What [`Incoming`] fails with when there is no room for a large message.
pub(super) const NO_ROOM: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// A socket's connection.
pub(super) struct Incoming<S> {
    io: S,
    /// Bytes since the last message.
    seen: usize,
    /// Places for sockets that send large messages.
    places: Arc<Semaphore>,
    /// Kept until the socket ends: the library keeps the room that a large message took.
    place: Option<OwnedSemaphorePermit>,
}

impl<S> Incoming<S> {
    pub(super) fn new(io: S, places: Arc<Semaphore>) -> Self {
        Self {
            io,
            seen: 0,
            places,
            place: None,
        }
    }

    /// Sends no more, and drops what still comes until the client ends too. A connection closed with bytes unread is
    /// reset, and the client may never see the close frame.
    pub(super) async fn linger(&mut self) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.io.shutdown().await?;
        let mut scrap = vec![0; 16 * 1024];
        while self.io.read(&mut scrap).await? != 0 {}
        Ok(())
    }

    /// A whole message was taken.
    pub(super) fn taken(&mut self) {
        self.seen = 0;
    }

    /// A ping or pong was: it may stand between the frames of a message.
    pub(super) fn taken_between(&mut self, payload: usize) {
        self.seen = self.seen.saturating_sub(FRAME_BYTES + payload);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.seen += buffer.filled().len() - before;
        if self.seen > SMALL_BYTES && self.place.is_none() {
            let place = Arc::clone(&self.places).try_acquire_owned();
            self.place = Some(place.map_err(|_none_left| NO_ROOM)?);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Incoming<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

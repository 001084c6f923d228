//! The bytes of a client's messages, on its socket's account while they come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::shares::{Held, Peer, Pool};

/// A frame's header and mask, of the smallest frames.
const FRAME_BYTES: usize = 6;

/// What [`Incoming`] fails with when there is no room for a large message.
pub(super) const NO_ROOM: io::ErrorKind = io::ErrorKind::QuotaExceeded;

/// A socket's connection.
pub(super) struct Incoming<'q, S> {
    io: S,
    peer: &'q Peer,
    pool: &'q Pool,
    /// Bytes since the last message.
    seen: usize,
    /// Kept until the socket ends: the library keeps the room that its largest message took.
    held: Held,
    held_bytes: usize,
}

impl<'q, S> Incoming<'q, S> {
    pub(super) fn new(io: S, peer: &'q Peer, pool: &'q Pool) -> Self {
        Self {
            io,
            peer,
            pool,
            seen: 0,
            held: Held::default(),
            held_bytes: 0,
        }
    }

    fn hold(&mut self) -> io::Result<()> {
        let more = self.seen.saturating_sub(self.held_bytes);
        if more != 0 {
            let requests = self.peer.requests();
            let room = requests.add(&mut self.held, self.pool, more);
            room.map_err(|_full| NO_ROOM)?;
            self.held_bytes = self.seen;
        }
        Ok(())
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

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        self.seen += buffer.filled().len() - before;
        Poll::Ready(self.hold())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Incoming<'_, S> {
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

//! Tells HTTP/1 from HTTP/2 by a plain connection's first bytes.

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;

/// What a client that speaks HTTP/2 sends first.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Reads until the protocol is certain; the stream it gives back still has what was read.
/// `None` when the client left before. Whoever calls bounds the time.
pub(super) async fn sniff(
    mut stream: TcpStream,
) -> io::Result<
    Option<(
        Protocol,
        impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    )>,
> {
    let mut first = Vec::with_capacity(PREFACE.len());
    let protocol = loop {
        let left = PREFACE.len().saturating_sub(first.len());
        let room = u64::try_from(left).unwrap_or_default();
        if (&mut stream).take(room).read_buf(&mut first).await? == 0 {
            return Ok(None);
        }
        if first == PREFACE {
            break Protocol::Http2;
        }
        if !PREFACE.starts_with(&first) {
            break Protocol::Http1;
        }
    };
    let (read, write) = stream.into_split();
    Ok(Some((
        protocol,
        tokio::io::join(Cursor::new(first).chain(read), write),
    )))
}

//! A connection that reads: frames are found where the bytes of a read lie, and those bytes are handed on.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use crate::access::Access;
use crate::address::ServerAddr;
use crate::error::ConnectError;
use crate::frame::{Frame, FrameError, Parsed, parse};
use crate::frames::{Frames, Span};
use crate::handshake::{Wire, shake_hands, words};

/// A server that is not ready for us within this time is not there.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Room for one read. What is read is handed on with its buffer, so a larger one holds more memory.
const READ_BYTES: usize = 256 * 1024;
/// With less room than this a new buffer is taken.
const READ_BYTES_MIN: usize = 32 * 1024;
/// With so much waiting to be written nothing is added: so it is bounded by this and one message.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Pings without our answer after which the server is given up.
const PONGS_OWED_MAX: u32 = 10_000;

/// Why a connection ended. Frames that came before were handed over.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection is gone.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
    /// Bytes came that are no frame.
    #[error("the server sent what is no NATS frame: {0}")]
    Frame(#[from] FrameError),
    /// The server refused something, in its words.
    #[error("the server said: {0}")]
    Refused(String),
    /// Requests pile up because the server takes nothing.
    #[error("the server takes nothing any more")]
    Stalled,
}

/// A connection with subscriptions, which does not connect again by itself.
pub struct Reader {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    outgoing: BytesMut,
    needs_flush: bool,
    pongs_owed: u32,
    /// How the connection ended, to be told after the frames that came before.
    end: Option<ReadError>,
}

impl Reader {
    /// Connects to one server, within seconds.
    pub async fn connect(
        server: &ServerAddr,
        name: &str,
        access: &Access,
    ) -> Result<Self, ConnectError> {
        let shaking = Box::pin(shake_hands(server, name, access));
        let (wire, buffer) = timeout(CONNECT_WITHIN, shaking)
            .await
            .map_err(|_elapsed| ConnectError::TimedOut)??;
        Ok(Self {
            wire,
            buffer,
            outgoing: BytesMut::new(),
            needs_flush: false,
            pongs_owed: 0,
            end: None,
        })
    }

    /// Whether something may be added to what waits to be written.
    fn has_room(&self) -> bool {
        self.outgoing.len() < WRITE_BYTES_MAX
    }

    /// Asks for messages on a subject. What is written goes out with [`Reader::next`].
    pub fn subscribe(&mut self, subject: &str, sid: u64) -> Result<(), ReadError> {
        self.write(&[format!("SUB {subject} {sid}\r\n").as_bytes()])
    }

    /// Publishes a request, to be answered on `reply`.
    pub fn publish(&mut self, subject: &str, reply: &str, body: &[u8]) -> Result<(), ReadError> {
        let line = format!("PUB {subject} {reply} {}\r\n", body.len());
        self.write(&[line.as_bytes(), body, b"\r\n"])
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), ReadError> {
        if !self.has_room() {
            return Err(ReadError::Stalled);
        }
        for part in parts {
            self.outgoing.extend_from_slice(part);
        }
        Ok(())
    }

    /// The next messages, as many as were read together. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Frames, ReadError> {
        loop {
            let frames = self.take_frames();
            if !frames.is_empty() {
                return Ok(frames);
            }
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            poll_fn(|cx| self.poll_transfer(cx)).await?;
        }
    }

    /// Writes what waits and reads what is there; ready as soon as something was read.
    fn poll_transfer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write(cx)?;
        if self.buffer.capacity().saturating_sub(self.buffer.len()) < READ_BYTES_MIN {
            self.buffer.reserve(READ_BYTES);
        }
        let read = poll_read_buf(Pin::new(&mut *self.wire), cx, &mut self.buffer);
        match read {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(_some)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            while self.pongs_owed != 0 && self.has_room() {
                self.pongs_owed -= 1;
                self.outgoing.extend_from_slice(b"PONG\r\n");
            }
            if self.outgoing.is_empty() {
                break;
            }
            match Pin::new(&mut *self.wire).poll_write(cx, &self.outgoing) {
                Poll::Ready(written) => {
                    let written = written?;
                    if written == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    let _ = self.outgoing.split_to(written);
                    self.needs_flush = true;
                }
                Poll::Pending => break,
            }
        }
        if self.needs_flush
            && let Poll::Ready(flushed) = Pin::new(&mut *self.wire).poll_flush(cx)
        {
            flushed?;
            self.needs_flush = false;
        }
        Ok(())
    }

    /// Takes the whole frames out of what was read.
    fn take_frames(&mut self) -> Frames {
        let mut spans = Vec::new();
        let mut at: usize = 0;
        while let Some(rest) = self.buffer.get(at..).filter(|rest| !rest.is_empty()) {
            let (frame, taken) = match parse(rest) {
                Ok(Parsed::Frame(frame, taken)) => (frame, taken),
                Ok(Parsed::Partial(needed)) => {
                    let missing = needed.saturating_sub(rest.len());
                    if spans.is_empty() {
                        self.buffer.reserve(missing);
                    }
                    break;
                }
                Err(error) => {
                    self.end = Some(error.into());
                    break;
                }
            };
            at = at.saturating_add(taken);
            match frame {
                Frame::Message(message) => spans.push(Span::of(&self.buffer, &message)),
                Frame::Ping if self.pongs_owed < PONGS_OWED_MAX => self.pongs_owed += 1,
                Frame::Ping => {
                    self.end = Some(ReadError::Stalled);
                    break;
                }
                Frame::Error(text) => {
                    self.end = Some(ReadError::Refused(words(text)));
                    break;
                }
                Frame::Pong | Frame::Ok | Frame::Info(_) => {}
            }
        }
        let bytes: Bytes = self.buffer.split_to(at).freeze();
        Frames { bytes, spans }
    }
}

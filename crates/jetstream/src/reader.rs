//! A connection that reads: frames are found where the bytes of a read lie, and those bytes are handed on.

use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_nats::ServerAddr;
use bytes::{Bytes, BytesMut};
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;

use crate::access::Access;
use crate::frame::{Frame, FrameError, Message, Parsed, parse};
use crate::handshake::{Wire, shake_hands, words};

/// A server that is not ready for us within this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Room for one read. What is read is handed on with its buffer, so a larger one holds more memory.
const READ_BYTES: usize = 256 * 1024;
/// With less room than this a new buffer is taken.
const READ_BYTES_MIN: usize = 32 * 1024;
/// What may wait to be written: requests for records, answers to pings.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// Why there is no connection. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server cannot be reached, or ended the connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// What it said is not what a NATS server says.
    #[error("{0}")]
    Protocol(String),
    /// Our own credentials or certificates cannot be used.
    #[error("{0}")]
    Login(String),
    /// The server does not take who we are.
    #[error("{0}")]
    Unauthorized(String),
    /// The server refuses us for another reason, in its words.
    #[error("the server said: {0}")]
    Refused(String),
    /// It was not ready in time.
    #[error("no answer within {} s", CONNECT_WITHIN.as_secs())]
    TimedOut,
}

impl ConnectError {
    pub(crate) fn refused(text: String) -> Self {
        if refuses_login(&text) {
            Self::Unauthorized(text)
        } else {
            Self::Refused(text)
        }
    }
}

/// Whether a server's words say that our credentials are not taken, or no longer.
pub fn refuses_login(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    [
        "authorization violation",
        "failed signing nonce",
        "authentication expired",
        "authentication revoked",
        "authentication timeout",
    ]
    .iter()
    .any(|words| text.contains(words))
}

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

/// Messages that came together, in the buffer that they were read into.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    bytes: Bytes,
    spans: Vec<Span>,
}

/// Where a message's parts lie in the buffer.
#[derive(Debug, Clone)]
struct Span {
    subject: Range<usize>,
    reply: Range<usize>,
    headers: Range<usize>,
    payload: Range<usize>,
    sid: u64,
}

impl Frames {
    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The message at a place, from 0.
    pub fn get(&self, at: usize) -> Option<Message<'_>> {
        self.spans.get(at).map(|span| self.lent(span))
    }

    /// The messages in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Message<'_>> {
        self.spans.iter().map(|span| self.lent(span))
    }

    /// One message that did not come in a frame.
    pub fn of_message(subject: &[u8], headers: &[u8], payload: &[u8]) -> Self {
        let behind_subject = subject.len();
        let behind_headers = behind_subject.saturating_add(headers.len());
        let bytes = Bytes::from([subject, headers, payload].concat());
        let span = Span {
            subject: 0..behind_subject,
            reply: 0..0,
            headers: behind_subject..behind_headers,
            payload: behind_headers..bytes.len(),
            sid: 0,
        };
        Self {
            bytes,
            spans: vec![span],
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the places were taken from slices of these very bytes"
    )]
    fn lent(&self, span: &Span) -> Message<'_> {
        let of = |range: &Range<usize>| &self.bytes[range.clone()];
        Message {
            subject: of(&span.subject),
            sid: span.sid,
            reply: of(&span.reply),
            headers: of(&span.headers),
            payload: of(&span.payload),
        }
    }

    /// Messages made of frames, as a server would send them. Everything behind the last whole frame is
    /// left out.
    pub fn parse(bytes: Bytes) -> Result<Self, FrameError> {
        let mut spans = Vec::new();
        let mut at: usize = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let Parsed::Frame(frame, taken) = parse(rest)? else {
                break;
            };
            if let Frame::Message(message) = frame {
                spans.push(Span::of(&bytes, &message));
            }
            at = at.saturating_add(taken);
        }
        Ok(Self { bytes, spans })
    }
}

impl Span {
    /// `message` lies in `bytes`.
    fn of(bytes: &[u8], message: &Message<'_>) -> Self {
        let begin = bytes.as_ptr().addr();
        let range = |part: &[u8]| {
            if part.is_empty() {
                return 0..0;
            }
            let from = part.as_ptr().addr().saturating_sub(begin);
            from..from.saturating_add(part.len())
        };
        Self {
            subject: range(message.subject),
            reply: range(message.reply),
            headers: range(message.headers),
            payload: range(message.payload),
            sid: message.sid,
        }
    }
}

/// A connection with subscriptions, which does not connect again by itself.
pub struct Reader {
    wire: Box<dyn Wire>,
    buffer: BytesMut,
    outgoing: BytesMut,
    needs_flush: bool,
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
            end: None,
        })
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
        let bytes = parts.iter().map(|part| part.len()).sum();
        if WRITE_BYTES_MAX < self.outgoing.len().saturating_add(bytes) {
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
        while !self.outgoing.is_empty() {
            match Pin::new(&mut *self.wire).poll_write(cx, &self.outgoing) {
                Poll::Ready(written) => {
                    let written = written?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
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
        if self.buffer.capacity().saturating_sub(self.buffer.len()) < READ_BYTES_MIN {
            self.buffer.reserve(READ_BYTES);
        }
        let read = ready!(poll_read_buf(
            Pin::new(&mut *self.wire),
            cx,
            &mut self.buffer
        ))?;
        if read == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
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
            match frame {
                Frame::Message(message) => spans.push(Span::of(&self.buffer, &message)),
                Frame::Ping if self.outgoing.len() < WRITE_BYTES_MAX => {
                    self.outgoing.extend_from_slice(b"PONG\r\n");
                }
                Frame::Ping => {
                    self.end = Some(ReadError::Stalled);
                    break;
                }
                Frame::Error(text) => {
                    self.end = Some(ReadError::Refused(words(text)));
                    at = at.saturating_add(taken);
                    break;
                }
                // What a server says of itself later changes nothing for who reads.
                Frame::Info(_) | Frame::Pong | Frame::Ok => {}
            }
            at = at.saturating_add(taken);
        }
        let bytes = self.buffer.split_to(at).freeze();
        Frames { bytes, spans }
    }
}

//! Messages in the buffer that they were read into.

use std::ops::Range;

use bytes::Bytes;

use crate::frame::{Frame, FrameError, Message, Parsed, parse};

/// Messages that came together, in the buffer that they were read into.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    pub(crate) bytes: Bytes,
    pub(crate) spans: Vec<Span>,
}

/// Where a message's parts lie in the buffer.
#[derive(Debug, Clone)]
pub(crate) struct Span {
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
    pub(crate) fn of(bytes: &[u8], message: &Message<'_>) -> Self {
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

//! Answers as bodies: on their connection's account until the last byte has gone, and handed out in pieces.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::Response;
use http_body_util::Full;
use hyper::body::{Frame, SizeHint};

use super::failure::Failure;
use crate::QueryState;
use crate::metrics::shed;
use crate::shares::{Held, Peer};

/// A body is handed to its connection in pieces of this size: what the connection has, it keeps until it is sent.
const PIECE_BYTES: usize = 16 * 1024;
/// What is smaller than this is copied rather than shared.
const SHARED_BYTES_MIN: usize = 4 * 1024;

impl QueryState {
    /// Puts bytes on a connection's account; they leave it when the last piece of them is gone.
    pub(super) fn account(&self, peer: &Peer, bytes: Vec<u8>) -> Result<Bytes, Failure> {
        self.fill(peer, Room::default(), bytes)
    }

    /// Takes room for an answer from a row of this size, before the work of writing it. A small one needs none.
    pub(super) fn reserve(&self, peer: &Peer, row_bytes: usize) -> Result<Room, Failure> {
        let mut room = Room::default();
        if row_bytes >= SHARED_BYTES_MIN {
            self.enlarge(peer, &mut room, row_bytes)?;
        }
        Ok(room)
    }

    /// Puts an answer where room was taken for it.
    pub(super) fn fill(
        &self,
        peer: &Peer,
        mut room: Room,
        bytes: Vec<u8>,
    ) -> Result<Bytes, Failure> {
        self.enlarge(peer, &mut room, bytes.len())?;
        Ok(Bytes::from_owner(Accounted {
            bytes,
            _held: room.held,
        }))
    }

    fn enlarge(&self, peer: &Peer, room: &mut Room, to: usize) -> Result<(), Failure> {
        let more = to.saturating_sub(room.bytes);
        let taken = peer.answers().add(&mut room.held, &self.answers, more);
        taken.map_err(|_full| {
            shed("answers");
            Failure::Busy
        })?;
        room.bytes = room.bytes.max(to);
        Ok(())
    }
}

/// Room on a connection's account.
#[derive(Default)]
pub(super) struct Room {
    held: Held,
    bytes: usize,
}

struct Accounted {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for Accounted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// An answer as it is written: text of its own, and values that may stand in it more than once.
#[derive(Default)]
pub(super) struct Answer {
    own: Vec<u8>,
    /// Each with its place in `own`.
    shared: Vec<(usize, Bytes)>,
}

impl Answer {
    /// What is written next goes here.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Appends a value that may stand elsewhere too.
    pub(super) fn share(&mut self, value: &Bytes) {
        if value.len() < SHARED_BYTES_MIN {
            self.own.extend_from_slice(value);
        } else {
            self.shared.push((self.own.len(), value.clone()));
        }
    }

    pub(super) fn respond(self, state: &QueryState, peer: &Peer) -> Result<Response, Failure> {
        let mut own = state.account(peer, self.own)?;
        let mut parts = VecDeque::with_capacity(2 * self.shared.len() + 1);
        let mut done = 0;
        for (place, value) in self.shared {
            parts.push_back(own.split_to(place.saturating_sub(done)));
            parts.push_back(value);
            done = place;
        }
        parts.push_back(own);
        parts.retain(|part| !part.is_empty());
        Ok(json(Body::new(Pieces { parts })))
    }
}

/// The response of one value.
pub(super) fn whole(body: Bytes) -> Response {
    if body.len() <= PIECE_BYTES {
        return json(Body::new(Full::new(body)));
    }
    let parts = VecDeque::from([body]);
    json(Body::new(Pieces { parts }))
}

/// A body in pieces; no part is empty.
struct Pieces {
    parts: VecDeque<Bytes>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(part) = self.parts.front_mut() else {
            return Poll::Ready(None);
        };
        let piece = part.split_to(part.len().min(PIECE_BYTES));
        if part.is_empty() {
            self.parts.pop_front();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.parts.iter().map(Bytes::len).sum();
        SizeHint::with_exact(left.try_into().unwrap_or(u64::MAX))
    }
}

/// A JSON answer that nobody may keep: it depends on who asks.
pub(super) fn json(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

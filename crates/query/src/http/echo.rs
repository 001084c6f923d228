//! `POST /echo`: what `npx convex network-test` measures a connection with. Its largest body has 64 MiB.
//!
//! Nothing is held in memory: the answer is the request's body as it comes.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use futures::stream::unfold;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Shared;
use super::failure::Failure;

/// Convex's own limit.
const BYTES_MAX: u64 = 128 * 1024 * 1024;
const TIME_MAX: Duration = Duration::from_mins(1);
/// Echoes at a time: they are for people who look for a fault.
static PLACES: Semaphore = Semaphore::const_new(4);

pub(super) async fn echo(_state: Shared, request: Request) -> Response {
    let body = request.into_body();
    if body.size_hint().lower() > BYTES_MAX {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let Ok(place) = PLACES.try_acquire() else {
        return Failure::Busy.into_response();
    };
    let until = Instant::now() + TIME_MAX;
    // The place is given back when the answer is sent or given up.
    let state = (body.into_data_stream(), BYTES_MAX, place);
    let echoed = unfold(state, move |(mut bytes, left, place)| async move {
        let next = match timeout_at(until, bytes.next()).await {
            Ok(None) => return None,
            Ok(Some(next)) => next.map_err(io::Error::other),
            Err(_elapsed) => Err(io::ErrorKind::TimedOut.into()),
        };
        let length = next.as_ref().map_or(0, Bytes::len);
        let rest = left.checked_sub(u64::try_from(length).unwrap_or(u64::MAX));
        let next = match rest {
            Some(_) => next,
            None => Err(io::ErrorKind::FileTooLarge.into()),
        };
        Some((next, (bytes, rest.unwrap_or(0), place)))
    });
    let content = [(CONTENT_TYPE, "application/octet-stream")];
    (content, Body::from_stream(echoed)).into_response()
}

//! Reading a request's body within its bounds.

use std::pin::pin;

use axum::body::{Body, HttpBody};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use convex_wire::TransportError;
use convex_wire::request::{BodyFault, is_json, parse_body};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::failure::Failure;
use crate::QueryState;
use crate::metrics::shed;
use crate::shares::{Held, Peer};

/// Of a body that is too large, this much is read and forgotten, so that a client that first sends
/// everything still hears why.
const FORGOTTEN_BYTES_MAX: usize = 32 * 1024 * 1024;

impl QueryState {
    /// Reads a body as the JSON that a route takes.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        request: &Parts,
        body: Body,
    ) -> Result<T, Failure> {
        let content_type = request.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        if !is_json(content_type) {
            return Err(TransportError::BadJsonBody(BodyFault::ContentType).into());
        }
        let peer = self.peer(request);
        // A client that asks first hears no before it sends.
        let asks_first = request.headers.contains_key(EXPECT);
        let reading = self.read(&peer, body, asks_first);
        let held = timeout(self.limits.body_timeout, reading).await;
        let held = held.map_err(|_elapsed| Failure::BodyTimeout)??;
        Ok(parse_body(&held.bytes)?)
    }

    async fn read(&self, peer: &Peer, body: Body, asks_first: bool) -> Result<Read, Failure> {
        let announced = HttpBody::size_hint(&body).lower();
        let too_large = || TransportError::BadJsonBody(BodyFault::TooLarge).into();
        let limit = self.limits.body_bytes;
        if asks_first && usize::try_from(announced).is_ok_and(|bytes| bytes > limit) {
            return Err(too_large());
        }
        let mut body = pin!(body);
        let mut held = Read::default();
        let mut seen: usize = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_broken| {
                TransportError::BadJsonBody(BodyFault::Unreadable("the body broke off".to_owned()))
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            seen = seen.saturating_add(data.len());
            if seen > FORGOTTEN_BYTES_MAX {
                break;
            }
            if seen <= limit {
                let room = peer
                    .requests()
                    .add(&mut held.held, &self.requests, data.len());
                room.map_err(|_full| {
                    shed("requests");
                    Failure::Busy
                })?;
                held.bytes.extend_from_slice(&data);
            } else {
                held = Read::default();
            }
        }
        if seen > limit {
            Err(too_large())
        } else {
            Ok(held)
        }
    }
}

/// A body, on its connection's account.
#[derive(Default)]
struct Read {
    bytes: Vec<u8>,
    held: Held,
}

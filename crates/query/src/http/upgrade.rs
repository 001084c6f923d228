//! From a request to a socket: the client's version, the handshake, a place.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use convex_wire::client::{CLIENT_HEADER, Support};
use convex_wire::sync::UpgradeFault;
use convex_wire::{ClientVersion, TransportError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::door::unsupported;
use super::failure::Failure;
use crate::{QueryState, sync};

/// `GET /api/sync`: clients that tell their version in a header, which the door has judged.
pub(super) async fn upgrade(state: Arc<QueryState>, request: Request) -> Response {
    open(state, request).unwrap_or_else(Failure::into_response)
}

/// `GET /api/{version}/sync`: npm's clients; a browser lets them set no header.
pub(super) async fn upgrade_versioned(state: Arc<QueryState>, request: Request) -> Response {
    if !request.headers().contains_key(CLIENT_HEADER) {
        let path = request.uri().path();
        let version = path.strip_prefix("/api/").unwrap_or_default();
        let version = version.strip_suffix("/sync").unwrap_or_default();
        match ClientVersion::from_url_segment(version).map(|client| client.support()) {
            Ok(Support::Supported | Support::Deprecated(_)) => {}
            Ok(Support::Unsupported(text)) => return unsupported(&text),
            Err(fault) => {
                return Failure::from(TransportError::InvalidClientVersion(fault)).into_response();
            }
        }
    }
    open(state, request).unwrap_or_else(Failure::into_response)
}

fn open(state: Arc<QueryState>, mut request: Request) -> Result<Response, Failure> {
    if request.method() != Method::GET {
        return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
    }
    let key = check(request.headers()).map_err(TransportError::from)?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|_never| TransportError::InternalServerError)?;
    let upgrade = hyper::upgrade::on(&mut request);
    let request = request.into_parts().0;
    let peer = state.peer(&request);
    let client = state.client(&peer, &request.headers);
    let address = client.map(|client| client.address);
    let place = state.sockets.enter(address).ok_or(Failure::Busy)?;
    sync::open(state, upgrade, peer, place);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Judges the handshake and gives its key.
fn check(headers: &HeaderMap) -> Result<&HeaderValue, UpgradeFault> {
    let text = |name: HeaderName| headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
    let connection = text(CONNECTION).to_ascii_lowercase();
    if !connection.windows(7).any(|part| part == b"upgrade") {
        return Err(UpgradeFault::Connection);
    }
    if !text(UPGRADE).eq_ignore_ascii_case(b"websocket") {
        return Err(UpgradeFault::Upgrade);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(UpgradeFault::Key)?;
    if text(SEC_WEBSOCKET_VERSION) != b"13" {
        return Err(UpgradeFault::Version);
    }
    Ok(key)
}

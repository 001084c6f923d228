//! What every request passes first: CORS, the client's version, metrics.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN,
    VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use convex_wire::client::{
    CLIENT_HEADER, DEPRECATION_MESSAGE_HEADER, DEPRECATION_STATE_HEADER, Support,
};
use convex_wire::{ClientVersion, TransportError};

use super::failure::Failure;
use crate::metrics::RouteMetrics;

/// A route's door.
pub(super) struct Door {
    metrics: RouteMetrics,
    /// Browsers' pages may ask on Convex's own routes.
    cors: bool,
}

impl Door {
    pub(super) fn new(route: &'static str, cors: bool) -> Arc<Self> {
        Arc::new(Self {
            metrics: RouteMetrics::new(route),
            cors,
        })
    }
}

/// The middleware.
pub(super) async fn pass(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = if door.cors && request.method() == Method::OPTIONS {
        preflight(request.headers())
    } else {
        match client(request.headers()) {
            Ok(client) => admit(client, request, next).await,
            Err(response) => *response,
        }
    };
    if door.cors {
        share(response.headers_mut(), origin);
    }
    door.metrics
        .answered(response.status().as_u16(), started.elapsed());
    response
}

async fn admit(client: Option<ClientVersion>, request: Request, next: Next) -> Response {
    match client.map(|client| client.support()) {
        None | Some(Support::Supported) => next.run(request).await,
        Some(Support::Deprecated(text)) => {
            let mut response = next.run(request).await;
            warn(response.headers_mut(), "UpgradeRequired", &text);
            response
        }
        Some(Support::Unsupported(text)) => unsupported(&text),
    }
}

/// Refuses a version that is no longer served.
pub(super) fn unsupported(text: &str) -> Response {
    let failure = Failure::from(TransportError::ClientVersionUnsupported(text.to_owned()));
    let mut response = failure.into_response();
    warn(response.headers_mut(), "Unsupported", text);
    response
}

/// Reads the client's name and version, if it tells them.
pub(super) fn client(headers: &HeaderMap) -> Result<Option<ClientVersion>, Box<Response>> {
    let Some(value) = headers.get(CLIENT_HEADER) else {
        return Ok(None);
    };
    ClientVersion::parse(&String::from_utf8_lossy(value.as_bytes()))
        .map(Some)
        .map_err(|fault| {
            Box::new(Failure::from(TransportError::InvalidClientVersion(fault)).into_response())
        })
}

fn warn(headers: &mut HeaderMap, state: &'static str, text: &str) {
    headers.insert(
        HeaderName::from_static(DEPRECATION_STATE_HEADER),
        HeaderValue::from_static(state),
    );
    if let Ok(text) = HeaderValue::from_str(text) {
        headers.insert(HeaderName::from_static(DEPRECATION_MESSAGE_HEADER), text);
    }
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET,POST,OPTIONS,PATCH,DELETE,PUT");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Lets the asking page read the answer, whichever page it is: Convex leaves that to the token.
fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    const VARIES: &str = "origin, access-control-request-method, access-control-request-headers";
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    headers.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

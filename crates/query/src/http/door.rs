//! What every request passes first: CORS, the client's version, metrics.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any};
use convex_wire::client::{
    CLIENT_HEADER, DEPRECATION_MESSAGE_HEADER, DEPRECATION_STATE_HEADER, Support,
};
use convex_wire::{ClientVersion, TransportError};

use super::Shared;
use super::failure::Failure;
use crate::QueryState;
use crate::metrics::{RouteKind, RouteMetrics, shed};
use crate::proxies::counted_as;
use crate::shares::{Held, Peer};
use crate::tally::Counted;

/// What a header's field takes beside its text.
const FIELD_BYTES: usize = 32;

/// A route's door.
struct Door {
    metrics: RouteMetrics,
    /// Browsers' pages may ask on Convex's own routes.
    cors: bool,
}

/// A route's handlers, each behind the route's door.
///
/// The door is wrapped around a handler: as one of axum's layers it cost a request as much as the rest.
#[derive(Clone)]
pub(super) struct Behind {
    door: Arc<Door>,
    methods: MethodRouter<Shared>,
}

impl Behind {
    pub(super) fn door(kind: RouteKind, cors: bool) -> Self {
        let behind = Self {
            door: Door::new(kind, cors),
            methods: MethodRouter::new(),
        };
        behind.add(None, |_, _| async { StatusCode::METHOD_NOT_ALLOWED })
    }

    pub(super) fn methods(self) -> MethodRouter<Shared> {
        self.methods
    }

    pub(super) fn get<H, F>(self, handler: H) -> Self
    where
        H: Fn(Shared, Request) -> F + Copy + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + Send + 'static,
    {
        self.add(Some(MethodFilter::GET), handler)
    }

    pub(super) fn post<H, F>(self, handler: H) -> Self
    where
        H: Fn(Shared, Request) -> F + Copy + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + Send + 'static,
    {
        self.add(Some(MethodFilter::POST), handler)
    }

    /// For a method, or for all that have no handler of their own.
    fn add<H, F>(self, method: Option<MethodFilter>, handler: H) -> Self
    where
        H: Fn(Shared, Request) -> F + Copy + Send + Sync + 'static,
        F: Future<Output: IntoResponse> + Send + 'static,
    {
        let Self { door, methods } = self;
        let behind = Arc::clone(&door);
        let handler = move |State(state): State<Shared>, request: Request| {
            let door = Arc::clone(&behind);
            async move {
                let held = state.admit(&request);
                let handle = |request| async move {
                    match held {
                        Ok(_held) => handler(state, request).await.into_response(),
                        Err(busy) => busy.into_response(),
                    }
                };
                door.pass(request, handle).await
            }
        };
        let methods = match method {
            Some(method) => methods.on(method, handler),
            None => methods.fallback(handler),
        };
        Self { door, methods }
    }
}

impl QueryState {
    /// Takes what a request needs while it is under way: room on its connection's account for its header, and a
    /// place of its client's address, where that is not counted by connections.
    fn admit(&self, request: &Request) -> Result<(Held, Option<Counted<IpAddr>>), Failure> {
        let peer = request.extensions().get::<Peer>();
        let client = peer.and_then(|peer| self.client(peer, request.headers()));
        let proxied = client.filter(|client| client.is_behind_proxy);
        let address = proxied.map(|client| counted_as(client.address));
        let of_address = self.proxied.enter(address);
        let of_address = of_address.map_err(|_full| Failure::Busy)?;
        Ok((self.hold_header(request)?, of_address))
    }

    fn hold_header(&self, request: &Request) -> Result<Held, Failure> {
        let field = |(name, value): (&HeaderName, &HeaderValue)| {
            FIELD_BYTES + name.as_str().len() + value.len()
        };
        let fields: usize = request.headers().iter().map(field).sum();
        let target = request.uri().path_and_query();
        let bytes = fields + target.map_or(0, |target| target.as_str().len());
        let share = request.extensions().get::<Peer>().map(Peer::requests);
        let held = share.map(|share| share.take(&self.requests, bytes));
        held.unwrap_or_else(|| Ok(Held::default()))
            .map_err(|_full| {
                shed("requests");
                Failure::Busy
            })
    }
}

/// Where no route leads.
pub(super) fn nowhere() -> MethodRouter<Shared> {
    let door = Door::new(RouteKind::Other, false);
    any(move |request: Request| {
        let door = Arc::clone(&door);
        async move {
            door.pass(request, |_| async { StatusCode::NOT_FOUND })
                .await
        }
    })
}

impl Door {
    fn new(kind: RouteKind, cors: bool) -> Arc<Self> {
        let metrics = RouteMetrics::new(kind);
        Arc::new(Self { metrics, cors })
    }

    async fn pass<F>(&self, request: Request, handler: impl FnOnce(Request) -> F) -> Response
    where
        F: Future<Output: IntoResponse>,
    {
        let started = Instant::now();
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = if self.cors && request.method() == Method::OPTIONS {
            preflight(request.headers())
        } else {
            match client(request.headers()) {
                Ok(client) => admit(client, request, handler).await,
                Err(response) => *response,
            }
        };
        if self.cors {
            share(response.headers_mut(), origin);
        }
        self.metrics
            .answered(response.status().as_u16(), started.elapsed());
        response
    }
}

async fn admit<F>(
    client: Option<ClientVersion>,
    request: Request,
    handler: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output: IntoResponse>,
{
    match client.map(|client| client.support()) {
        None | Some(Support::Supported) => handler(request).await.into_response(),
        Some(Support::Deprecated(text)) => {
            let mut response = handler(request).await.into_response();
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
    /// What a page may read beside the usual headers.
    const EXPOSED: &str = "Read-Model-Sequence, Retry-After, X-Convex-Deprecation-State, X-Convex-Deprecation-Message";
    const VARIES: &str = "origin, access-control-request-method, access-control-request-headers";
    headers.insert(VARY, HeaderValue::from_static(VARIES));
    headers.insert(
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        HeaderValue::from_static("true"),
    );
    if let Some(origin) = origin {
        let exposed = HeaderValue::from_static(EXPOSED);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

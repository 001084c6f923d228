//! Convex's HTTP routes, and the two on which a request becomes a socket.

mod authorization;
mod body;
mod door;
mod echo;
mod failure;
mod freshness;
mod response;
mod routes;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use self::door::{Behind, nowhere};
pub(crate) use self::failure::chain;
pub(crate) use self::freshness::Waiting;
use crate::QueryState;
use crate::metrics::{RouteKind, begin_shed};

/// What a deployment says at its root.
const GREETING: &str = "This Convex deployment is running. See https://docs.convex.dev/.";
/// The name of this deployment: it has no other.
const INSTANCE_NAME: &str = "profile-projector";
/// The API document of the routes for clients without an SDK.
const OPENAPI: &str = include_str!("openapi.json");

/// What every handler is given, beside the request.
type Shared = Arc<QueryState>;

/// The route of the query that is answered, by its whole name: the router then takes no parameter out.
const OURS: &str = "/api/run/profiles/queries/getCurrentUserProfile";

/// All routes of the public listener. Registers their metrics with the recorder that is installed
/// now.
pub fn router(state: Arc<QueryState>) -> Router {
    begin_shed();
    let run = Behind::door(RouteKind::Query, true).post(routes::run);
    let convex = [
        ("/api/run/{*path}", run.clone()),
        (OURS, run),
        on("/api/query", RouteKind::Query, |behind| {
            behind.get(routes::get_query).post(routes::query)
        }),
        on("/api/query_batch", RouteKind::Batch, |b| {
            b.post(routes::query_batch)
        }),
        on("/api/query_ts", RouteKind::Query, |b| {
            b.post(routes::query_ts)
        }),
        on("/api/query_at_ts", RouteKind::Query, |b| {
            b.post(routes::query_at_ts)
        }),
        on("/api/function", RouteKind::Query, |b| {
            b.post(routes::function)
        }),
        on("/api/mutation", RouteKind::Query, |b| {
            b.post(routes::mutation)
        }),
        on("/api/action", RouteKind::Query, |b| b.post(routes::action)),
        on("/api/public_openapi.json", RouteKind::Other, |b| {
            b.get(openapi)
        }),
        on("/api/sync", RouteKind::Sync, |b| b.get(upgrade::upgrade)),
        on("/api/{version}/sync", RouteKind::Sync, |b| {
            b.get(upgrade::upgrade_versioned)
        }),
    ];
    let small = [
        ("/", GREETING),
        ("/version", env!("CARGO_PKG_VERSION")),
        ("/instance_name", INSTANCE_NAME),
        ("/instance_version", env!("CARGO_PKG_VERSION")),
    ];
    let small = small.map(|(route, text)| {
        let behind = Behind::door(RouteKind::Other, false);
        (route, behind.get(move |_, _| async move { text }))
    });
    let echo = (
        "/echo",
        Behind::door(RouteKind::Other, false).post(echo::echo),
    );
    let router = convex
        .into_iter()
        .chain(small)
        .chain([echo])
        .fold(Router::new(), |router, (route, behind)| {
            router.route(route, behind.methods())
        });
    router.fallback(nowhere()).with_state(state)
}

/// A route of Convex's, on which browsers' pages may ask.
fn on(
    route: &'static str,
    kind: RouteKind,
    add: impl FnOnce(Behind) -> Behind,
) -> (&'static str, Behind) {
    (route, add(Behind::door(kind, true)))
}

async fn openapi(_state: Shared, _request: Request) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

//! Convex's HTTP routes, and the two on which a request becomes a socket.

mod authorization;
mod body;
mod door;
mod failure;
mod freshness;
mod routes;
mod upgrade;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler as _;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, get, post};

use self::door::{Door, pass};
pub(crate) use self::failure::chain;
use crate::QueryState;

/// What a deployment says at its root.
const GREETING: &str = "This Convex deployment is running. See https://docs.convex.dev/.";
/// The name of this deployment: it has no other.
const INSTANCE_NAME: &str = "profile-projector";
/// The API document of the routes for clients without an SDK.
const OPENAPI: &str = include_str!("openapi.json");

/// All routes of the public listener. Registers their metrics with the recorder that is installed
/// now.
pub fn router(state: Arc<QueryState>) -> Router {
    let convex = Router::new()
        .route(
            "/api/run/{*path}",
            shared("/api/run/{*path}", post(routes::run)),
        )
        .route(
            "/api/query",
            shared("/api/query", get(routes::get_query).post(routes::query)),
        )
        .route(
            "/api/query_batch",
            shared("/api/query_batch", post(routes::query_batch)),
        )
        .route(
            "/api/query_ts",
            shared("/api/query_ts", post(routes::query_ts)),
        )
        .route(
            "/api/query_at_ts",
            shared("/api/query_at_ts", post(routes::query_at_ts)),
        )
        .route(
            "/api/function",
            shared("/api/function", post(routes::function)),
        )
        .route(
            "/api/mutation",
            shared("/api/mutation", post(routes::mutation)),
        )
        .route("/api/action", shared("/api/action", post(routes::action)))
        .route(
            "/api/public_openapi.json",
            shared("/api/public_openapi.json", get(openapi)),
        )
        .route("/api/sync", shared("/api/sync", get(upgrade::upgrade)))
        .route(
            "/api/{version}/sync",
            shared("/api/{version}/sync", get(upgrade::upgrade_versioned)),
        )
        .with_state(state);
    let small = Router::new()
        .route("/", behind("/", false, get(|| async { GREETING })))
        .route(
            "/version",
            behind(
                "/version",
                false,
                get(|| async { env!("CARGO_PKG_VERSION") }),
            ),
        )
        .route(
            "/instance_name",
            behind("/instance_name", false, get(|| async { INSTANCE_NAME })),
        )
        .route(
            "/instance_version",
            behind(
                "/instance_version",
                false,
                get(|| async { env!("CARGO_PKG_VERSION") }),
            ),
        );
    let nowhere = (|| async { StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(Door::new("none", false), pass));
    convex.merge(small).fallback(nowhere)
}

/// A route that browsers' pages may ask on.
fn shared(
    route: &'static str,
    methods: MethodRouter<Arc<QueryState>>,
) -> MethodRouter<Arc<QueryState>> {
    behind(route, true, methods)
}

fn behind<S: Clone + Send + Sync + 'static>(
    route: &'static str,
    cors: bool,
    methods: MethodRouter<S>,
) -> MethodRouter<S> {
    methods.layer(from_fn_with_state(Door::new(route, cors), pass))
}

async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], OPENAPI)
}

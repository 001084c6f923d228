//! The operators' routes to ask for jobs.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};

use super::{Desk, Job, JobStatus};

/// `POST /jobs`. It takes JSON with its content type, which a page of another origin cannot send
/// unasked.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new().route("/jobs", post(ask)).with_state(desk)
}

async fn ask(State(desk): State<Desk>, Json(job): Json<Job>) -> (StatusCode, Json<JobStatus>) {
    match desk.ask(job) {
        Ok(begun) => (StatusCode::ACCEPTED, Json(begun)),
        Err(busy) => (StatusCode::CONFLICT, Json(*busy)),
    }
}

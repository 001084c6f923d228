//! The operators' routes to the documents of the contract: the list and each document, at the paths by
//! which they refer to each other.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::producer::{DOCUMENTS, Document};

/// `GET /schemas` and `GET /schemas/<path>`; a name without folder and ending is taken too.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/schemas", get(list))
        .route("/schemas/{*path}", get(one))
}

async fn list() -> Json<Value> {
    let about = |document: &Document| {
        let path = format!("/schemas/{}", document.path);
        json!({"name": document.name(), "title": document.title(), "path": path})
    };
    Json(DOCUMENTS.iter().map(about).collect())
}

async fn one(Path(path): Path<String>) -> Response {
    let Some(document) = Document::find(&path) else {
        let said = "there is no such document; /schemas lists them\n";
        return (StatusCode::NOT_FOUND, said).into_response();
    };
    ([(CONTENT_TYPE, media_type(document))], document.text).into_response()
}

fn media_type(document: &Document) -> &'static str {
    match document.path {
        "asyncapi.json" => "application/vnd.aai.asyncapi+json;version=3.0.0",
        _ => "application/schema+json",
    }
}

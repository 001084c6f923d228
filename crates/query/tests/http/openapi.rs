//! The API document that the service publishes, against the one it implements.

use std::path::Path;

use serde_json::{Value, json};

use crate::exchange::{exchange, request};
use crate::running::{Running, Setup};

const ROUTE: &str = "/paths/~1api~1run~1profiles~1queries~1getCurrentUserProfile/post";

async fn published() -> Value {
    let running = Running::start(Setup::default()).await;
    let asked = request("GET", "/api/public_openapi.json", &[], b"");
    let reply = exchange(running.address, &asked).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    running.stop().await;
    serde_json::from_str(&reply.body).unwrap()
}

/// The document that the project implements, which lies beside the repository.
fn implemented() -> Option<Value> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/seed-getCurrentUserProfile.md");
    let Ok(page) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let (_, yaml) = page
        .split_once("api-reference/convex-openapi.yaml")
        .unwrap();
    let (_, yaml) = yaml.split_once('\n').unwrap();
    let (yaml, _) = yaml.split_once("````").unwrap();
    Some(serde_saphyr::from_str(yaml).unwrap())
}

#[tokio::test]
async fn a_client_of_the_implemented_document_can_use_ours() {
    let (ours, Some(theirs)) = (published().await, implemented()) else {
        return;
    };
    let at = |document: &Value, pointer: &str| document.pointer(pointer).cloned().unwrap();
    for same in [
        "/openapi",
        "/components/schemas/Request_profiles.queries.getCurrentUserProfile",
        "/components/schemas/Response_profiles.queries.getCurrentUserProfile",
        "/components/securitySchemes/bearerAuth",
        &format!("{ROUTE}/operationId"),
        &format!("{ROUTE}/requestBody"),
        &format!("{ROUTE}/responses/200/content"),
    ] {
        assert_eq!(at(&ours, same), at(&theirs, same), "{same}");
    }
    for status in ["400", "500"] {
        let pointer = format!("{ROUTE}/responses/{status}/content");
        assert_eq!(at(&ours, &pointer), at(&theirs, &pointer));
    }
    // What ours says of a failure is more, and nothing else.
    let failed = at(&theirs, "/components/schemas/FailedResponse");
    assert_eq!(failed, json!({"type": "object", "properties": {}}));
    assert_eq!(
        at(&ours, "/components/schemas/FailedResponse/type"),
        failed["type"]
    );
}

#[tokio::test]
async fn every_reference_in_the_document_leads_somewhere() {
    let document = published().await;
    let text = document.to_string();
    let references: Vec<&str> = text
        .split(r##""$ref":"#"##)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(references.len() > 5);
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

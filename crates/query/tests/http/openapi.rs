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

/// What a document says without the width of its numbers, of which the implemented one is silent.
fn without_formats(mut document: Value) -> Value {
    for_each_object(&mut document, &mut |object| {
        if object.get("type") == Some(&json!("number")) {
            object.remove("format");
        }
    });
    document
}

fn for_each_object(value: &mut Value, act: &mut impl FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            act(object);
            for value in object.values_mut() {
                for_each_object(value, act);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|v| for_each_object(v, act)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn generated_clients_read_every_number_whole() {
    let mut document = published().await;
    let mut numbers = 0;
    for_each_object(&mut document, &mut |object| {
        if object.get("type") == Some(&json!("number")) {
            // Without it a Go client has 32 bits, in which a time is wrong by a minute.
            assert_eq!(object.get("format"), Some(&json!("double")), "{object:?}");
            numbers += 1;
        }
    });
    assert!(numbers >= 3, "{numbers}");
}

#[tokio::test]
async fn every_answer_has_content_of_one_kind() {
    let document = published().await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            // A generator of clients refuses a document in which some failures have content and some have none.
            for (status, response) in operation["responses"].as_object().unwrap() {
                let content = response.pointer("/content/application~1json/schema");
                assert!(content.is_some(), "{method} {path} {status}");
            }
        }
    }
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
        assert_eq!(
            without_formats(at(&ours, same)),
            at(&theirs, same),
            "{same}"
        );
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

//! The contract of the release that runs, from its operators' listener.

use reqwest::StatusCode;
use serde_json::Value;
use tests::broker::project_file;
use tests::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_tells_its_contract() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let (status, text) = service.client.operator("/schemas").await?;
    assert_eq!(status, StatusCode::OK);
    let list: Vec<Value> = serde_json::from_str(&text)?;
    assert_eq!(list.len(), 15);
    for document in &list {
        let path = document["path"].as_str().unwrap_or_default();
        let (status, served) = service.client.operator(path).await?;
        assert_eq!(status, StatusCode::OK, "{path}");
        assert_eq!(
            served,
            project_file(path.trim_start_matches('/'))?,
            "{path}"
        );
    }
    let (_, by_name) = service
        .client
        .operator("/schemas/app.connvo.user.updated.v1")
        .await?;
    let file = "schemas/events/app.connvo.user.updated.v1.json";
    assert_eq!(by_name, project_file(file)?);
    let (status, said) = service.client.operator("/schemas/nothing").await?;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(said, "there is no such document; /schemas lists them\n");
    Ok(())
}

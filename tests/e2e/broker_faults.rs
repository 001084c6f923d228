//! The broker away at the start. What else it can do stands in the matrix of faults.

use domain::testing::{Form, named, profile_state, user_state};
use reqwest::StatusCode;
use tests::service::Service;
use tests::world::World;

/// A world whose service has applied one user with a profile.
async fn settled() -> anyhow::Result<(World, Service)> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    world
        .broker
        .publish([
            user_state("u1", 1, "user_a").message(Form::Binary),
            profile_state("u1", "p1", 1, &named("Ada")).message(Form::Binary),
        ])
        .await?;
    service.applied(2).await?;
    Ok((world, service))
}

/// The last good rows are served.
async fn still_served(world: &World, service: &Service) -> anyhow::Result<()> {
    let answer = service.client.query(Some(&world.token("user_a")?)).await?;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["value"]["displayName"], "Ada", "{answer:?}");
    assert_eq!(service.client.operator("/readyz").await?.0, StatusCode::OK);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_the_broker_is_away_at_the_start() -> anyhow::Result<()> {
    let (mut world, service) = settled().await?;
    service.stop().await?;
    world.broker.server.kill();
    let service = world.serve("model").await?;
    still_served(&world, &service).await?;
    let lost = |status: &serde_json::Value| status["detail"].is_string();
    let status = service.status_when("the reason", lost).await?;
    assert_eq!(status["connection"], "disconnected");
    let detail = status["detail"].as_str().unwrap();
    assert!(detail.contains("is it running?"), "{detail}");
    world.broker.server.restart().await?;
    service
        .status_when("live", |status| status["phase"] == "live")
        .await?;
    Ok(())
}

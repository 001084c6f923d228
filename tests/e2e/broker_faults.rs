//! What the broker does to us: gone, back, another stream, an emptied one.

use domain::testing::{Form, named, profile_state, user_state};
use reqwest::StatusCode;
use serde_json::json;
use tests::broker::STREAM;
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
async fn a_broker_that_dies_and_comes_back_is_followed_again() -> anyhow::Result<()> {
    let (mut world, service) = settled().await?;
    for version in 2..5 {
        world.broker.server.kill();
        service
            .status_when("the loss", |status| status["connection"] == "disconnected")
            .await?;
        still_served(&world, &service).await?;
        world.broker.server.restart().await?;
        let update = user_state("u1", version, "user_a").message(Form::Binary);
        let sequence = world.broker.publish([update]).await?;
        let status = service.applied(sequence).await?;
        assert_eq!(
            (&status["phase"], &status["connection"]),
            (&json!("live"), &json!("connected"))
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_deleted_is_made_again() -> anyhow::Result<()> {
    let (world, service) = settled().await?;
    let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
    let names: Vec<String> = {
        use futures::TryStreamExt;
        stream.consumer_names().try_collect().await?
    };
    assert_eq!(names.len(), 1, "{names:?}");
    stream.delete_consumer(&names[0]).await?;
    let update = profile_state("u1", "p1", 2, &named("Ada")).message(Form::Binary);
    let sequence = world.broker.publish([update]).await?;
    service.applied(sequence).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_made_anew_blocks_and_rows_are_served() -> anyhow::Result<()> {
    let (world, service) = settled().await?;
    world
        .broker
        .jetstream()
        .await?
        .delete_stream(STREAM)
        .await?;
    service
        .status_when("the loss", |status| {
            status["connection"] == "stream_missing"
        })
        .await?;
    still_served(&world, &service).await?;
    world.broker.create_stream().await?;
    let others = (0..9).map(|n| user_state(&format!("x{n}"), 1, "user_x").message(Form::Binary));
    world.broker.publish(others).await?;
    let status = service
        .status_when("the refusal", |status| status["phase"] == "blocked")
        .await?;
    assert_eq!(status["reason"], "stream_recreated");
    assert_eq!(
        (&status["applied_sequence"], &status["users"]),
        (&json!(2), &json!(1))
    );
    still_served(&world, &service).await?;
    // A restart cannot mend it, and finds the same.
    service.stop().await?;
    let service = world.serve("model").await?;
    let status = service
        .status_when("the refusal", |status| status["phase"] == "blocked")
        .await?;
    assert_eq!(status["reason"], "stream_recreated");
    still_served(&world, &service).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_removed_before_they_were_read_are_a_gap() -> anyhow::Result<()> {
    let (world, service) = settled().await?;
    service.stop().await?;
    let updates = (2..9).map(|version| user_state("u1", version, "user_a").message(Form::Binary));
    world.broker.publish(updates).await?;
    let jetstream = world.broker.jetstream().await?;
    let mut config = jetstream.get_stream(STREAM).await?.get_info().await?.config;
    config.max_messages = 3;
    config.discard = async_nats::jetstream::stream::DiscardPolicy::Old;
    jetstream.update_stream(config).await?;
    let service = world.serve("model").await?;
    let status = service
        .status_when("the refusal", |status| status["phase"] == "blocked")
        .await?;
    assert_eq!(status["reason"], "retention_gap");
    still_served(&world, &service).await
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

//! What is told of a stream counts what can still come.

use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::{Broker, STREAM};
use tests::world::World;

fn people(range: std::ops::Range<u64>) -> Vec<Message> {
    let states = range.flat_map(|n| {
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &profile, 1, &named("Somebody")).message(Form::Binary),
        ]
    });
    states.collect()
}

fn caught_up(status: &Value) -> bool {
    status["phase"] == "live" && status["lag_events"] == 0 && status["lag_seconds"] == 0.0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tail_keeps_nobody_waiting() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..2)).await?;
    service.applied(last).await?;
    service.stop().await?;
    let deleted = world.broker.publish(people(2..3)).await?;
    for sequence in [deleted - 1, deleted] {
        world
            .broker
            .stream()
            .await?
            .delete_message(sequence)
            .await?;
    }
    let service = world.serve("model").await?;
    let status = service.status_when("caught up", caught_up).await?;
    assert_eq!(status["applied_sequence"], json!(last), "{status}");
    assert_eq!(status["tail_sequence"], json!(deleted), "{status}");
    let token = world.token("user_0")?;
    let answer = service.client.query_from(&token, deleted).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = service.client.query_from(&token, deleted + 1).await?;
    assert_eq!(answer.status, 503, "what can still come is waited for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_begins_late_is_no_lag() -> anyhow::Result<()> {
    let world = World::of(Broker::without_stream().await?)?;
    let late = |config: &mut async_nats::jetstream::stream::Config| {
        config.first_sequence = Some(5_000_000_000);
    };
    world.broker.create_stream_with(late).await?;
    let service = world.serve("model").await?;
    service.status_when("caught up", caught_up).await?;
    let last = world.broker.publish(people(0..1)).await?;
    assert_eq!(last, 5_000_000_001);
    service.applied(last).await?;
    service.status_when("caught up", caught_up).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_consumer_is_replaced() -> anyhow::Result<()> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let last = world.broker.publish(people(0..1)).await?;
    service.applied(last).await?;
    let client = world.broker.client().await?;
    let names = client.request(format!("$JS.API.CONSUMER.NAMES.{STREAM}"), "".into());
    let names: Value = serde_json::from_slice(&names.await?.payload)?;
    let name = names["consumers"][0].as_str().unwrap();
    let subject = format!("$JS.API.CONSUMER.PAUSE.{STREAM}.{name}");
    let until = r#"{"pause_until":"2100-01-01T00:00:00Z"}"#;
    let paused = client.request(subject, until.into()).await?;
    let paused: Value = serde_json::from_slice(&paused.payload)?;
    assert_eq!(paused["paused"], json!(true), "{paused}");
    let last = world.broker.publish(people(1..2)).await?;
    service.applied(last).await?;
    let metrics = service.client.operator("/metrics").await?.1;
    assert!(metrics.contains(r#"after="stalled"} 1"#), "{metrics}");
    Ok(())
}

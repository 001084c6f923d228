//! Servers and streams that allow little, and messages larger than anybody expects.

use std::time::Duration;

use anyhow::{anyhow, ensure};
use async_nats::jetstream::consumer::{FromConsumer, pull};
use async_nats::jetstream::stream::{ConsumerLimits, Stream};
use domain::testing::{Form, Message, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::{Broker, Login, STREAM};
use tests::service::{Service, command};
use tests::world::World;

/// Far above what a pull asks for at once.
const LARGE: usize = 20 * 1024 * 1024;

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

/// A message that is no event, and that a server took.
fn large(user: &str, bytes: usize) -> Message {
    Message {
        headers: Vec::new(),
        payload: vec![b'x'; bytes],
        ..user_state(user, 1, "user_0").message(Form::Binary)
    }
}

/// A server with `limits` of JetStream, that takes messages of this size.
async fn limited(limits: &str, max_payload: usize) -> anyhow::Result<Broker> {
    Broker::configured(&config(limits, max_payload), Login::Nobody).await
}

fn config(limits: &str, max_payload: usize) -> String {
    format!("jetstream {{ limits {{ {limits} }} }}\nmax_payload: {max_payload}\n")
}

async fn consumer_of_service(stream: &Stream) -> anyhow::Result<String> {
    use futures::TryStreamExt;
    let names: Vec<String> = stream.consumer_names().try_collect().await?;
    let [name] = <[String; 1]>::try_from(names).map_err(|names| anyhow!("{names:?}"))?;
    Ok(name)
}

async fn phase_of_live(service: &Service) -> anyhow::Result<Value> {
    let live = |status: &Value| status["phase"] == "live" && status["connection"] == "connected";
    service.status_when("live", live).await
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_asked_where_little_is_allowed() -> anyhow::Result<()> {
    let broker = limited("max_request_batch: 100", 1024 * 1024).await?;
    let small = ConsumerLimits {
        inactive_threshold: Duration::from_secs(20),
        max_ack_pending: 5,
    };
    broker
        .create_stream_with(|config| config.consumer_limits = Some(small.clone()))
        .await?;
    let world = World::of(broker)?;
    let last = world.broker.publish(people(0..600)).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    let last = world.broker.publish(people(600..800)).await?;
    service.applied(last).await?;
    phase_of_live(&service).await?;
    let stream = world.broker.stream().await?;
    let name = consumer_of_service(&stream).await?;
    let info = stream.consumer_info(&name).await?;
    assert_eq!(info.config.inactive_threshold, small.inactive_threshold);
    let metrics = service.client.operator("/metrics").await?.1;
    let attached = metrics.lines().find(|line| {
        line.starts_with("profile_projector_attachments_total") && line.contains("after=")
    });
    ensure!(
        attached.is_none_or(|line| line.ends_with(" 0")),
        "{attached:?}"
    );

    // Somebody limits our own consumer while it is read.
    let held = pull::Config::try_from_consumer_config(info.config.clone());
    let limits = pull::Config {
        max_batch: 7,
        max_bytes: 70_000,
        max_expires: Duration::from_secs(2),
        ..held.map_err(|error| anyhow!(error))?
    };
    stream.update_consumer(limits).await?;
    let last = world.broker.publish(people(800..1_000)).await?;
    service.applied(last).await?;
    phase_of_live(&service).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_any_size_is_read() -> anyhow::Result<()> {
    let broker = limited("", 32 * 1024 * 1024).await?;
    broker.create_stream().await?;
    let world = World::of(broker)?;
    let last = world.broker.publish(people(0..10)).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    world.broker.publish(people(10..20)).await?;
    for bytes in [8 * 1024 * 1024, LARGE, LARGE] {
        world.broker.publish([large("u3", bytes)]).await?;
    }
    let last = world.broker.publish(people(20..30)).await?;
    service.applied(last).await?;
    service.stop().await?;

    // What is stored is larger now than what the server takes.
    world.broker.reload(&config("", 1024 * 1024)).await?;
    let fresh = world.serve("fresh").await?;
    fresh.applied(last).await?;
    let again = world.serve("model").await?;
    let status = again.applied(last).await?;
    let other = fresh.client.status().await?;
    assert_eq!(status["digest"], other["digest"], "{status} {other}");
    let parked = again.client.operator("/quarantine").await?.1;
    let parked: Value = serde_json::from_str(&parked)?;
    assert_eq!(parked["parked_records"], json!(3), "{parked}");
    let url = world.broker.server.url();
    let replayed = command(&["replay", "--stream", "--digest", "--nats-url", &url]).await?;
    assert_eq!(
        json!(replayed.output.trim()),
        status["digest"],
        "{replayed:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_refused_is_named() -> anyhow::Result<()> {
    let broker = Broker::without_stream().await?;
    broker
        .create_stream_with(|config| config.max_consumers = 1)
        .await?;
    let world = World::of(broker)?;
    let stream = world.broker.stream().await?;
    let other = pull::Config {
        durable_name: Some("other".to_owned()),
        ..pull::Config::default()
    };
    stream.create_consumer(other).await?;
    let last = world.broker.publish(people(0..2)).await?;
    let service = world.serve("model").await?;
    let named = |status: &Value| {
        let detail = status["detail"].as_str().unwrap_or_default();
        status["connection"] == "consumer_refused"
            && detail.contains(STREAM)
            && detail.contains("maximum consumers limit")
    };
    service.status_when("the reason", named).await?;
    stream.delete_consumer("other").await?;
    service.applied(last).await?;
    phase_of_live(&service).await?;
    Ok(())
}

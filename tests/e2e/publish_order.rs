//! `publish` stores each document's events in the order of the file, on a good connection and on one
//! that is reset again and again.

use std::collections::HashMap;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Stream;
use domain::testing::{Draft, Message, named, profile_patched, profile_state, user_state};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tests::broker::{Broker, STREAM};
use tests::cluster::Cluster;
use tests::proxy::Proxy;
use tests::service::{Ended, command};
use tests::world::World;

/// Changes of one profile, each of the one before.
const PATCHES: u64 = 5_000;
const USERS: u64 = 2_000;
/// Whole states of each user.
const STATES: u64 = 9;

fn patches() -> impl Iterator<Item = Draft> {
    let first = profile_state("u1", "p1", 1, &named("Ada"));
    let patch = |version| profile_patched("u1", "p1", version, &json!({"age": version}));
    std::iter::once(first).chain((2..=PATCHES).map(patch))
}

/// Each user's states in a row, since neighbours overtake each other first.
fn states() -> impl Iterator<Item = Draft> {
    (0..USERS).flat_map(|user| {
        (1..=STATES)
            .map(move |version| user_state(&format!("s{user}"), version, &format!("w{user}")))
    })
}

async fn publish(world: &World, url: &str, more: &[&str]) -> anyhow::Result<Ended> {
    let file = world.data("events.ndjson");
    let lines = patches().chain(states());
    let lines = lines.map(|draft| format!("{}\n", draft.envelope()));
    std::fs::write(&file, lines.collect::<String>())?;
    let arguments = ["publish", file.to_str().unwrap(), "--nats-url", url];
    command(&[&arguments[..], more].concat()).await
}

/// That every document's versions are stored once, from 1 on, in order.
async fn expect_order(stream: &Stream) -> anyhow::Result<()> {
    let count = stream.get_info().await?.state.messages;
    let consumer = stream.create_consumer(OrderedConfig::default()).await?;
    let mut messages = consumer.messages().await?;
    let mut last: HashMap<String, u64> = HashMap::new();
    for _ in 0..count {
        let message = messages.try_next().await?.unwrap();
        let id = message.headers.as_ref().unwrap().get("ce-id").unwrap();
        let (document, version) = id.as_str().rsplit_once(':').unwrap();
        let last = last.entry(document.to_owned()).or_default();
        let version: u64 = version.parse()?;
        assert_eq!(version, *last + 1, "{document}");
        *last = version;
    }
    let others = last.remove("profile:other").unwrap_or_default();
    assert_eq!(count, PATCHES + USERS * STATES + others, "stored once each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_document_s_events_are_stored_in_the_order_of_the_file() -> anyhow::Result<()> {
    let world = World::new().await?;
    let ended = publish(&world, &world.broker.server.url(), &[]).await?;
    let said =
        "IDENTITY_EVENTS: 23000 new, 0 duplicates, 0 refused; the last is at sequence 23000\n";
    assert_eq!((ended.code, &*ended.output), (Some(0), said), "{ended:?}");
    expect_order(&world.broker.stream().await?).await?;
    let service = world.serve("model").await?;
    let status = service.applied(23_000).await?;
    assert_eq!(status["parked_records"], 0);
    assert_eq!(status["outcomes"], json!({"applied": 23_000}));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_survives_a_connection_that_is_reset_again_and_again() -> anyhow::Result<()> {
    for how in [&[][..], &["--compare-and-set"]] {
        let world = World::new().await?;
        let proxy = Proxy::before(world.broker.server.port()).await?;
        let (url, more) = (proxy.nats_url(), [how, &["--json"]].concat());
        let publishing = publish(&world, &url, &more);
        let mut publishing = std::pin::pin!(publishing);
        let stream = world.broker.jetstream().await?.get_stream(STREAM).await?;
        let stored = async || anyhow::Ok(stream.get_info().await?.state.messages);
        let mut resets = 0;
        let mut before = 0;
        let ended = loop {
            tokio::select! {
                ended = &mut publishing => break ended?,
                now = stored() => if before + 500 <= now? {
                    proxy.cut().await;
                    resets += 1;
                    before = stored().await?;
                },
            }
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let told: Value = serde_json::from_str(ended.output.lines().last().unwrap())?;
        assert_eq!(told["summary"]["refused"], 0);
        assert!(10 <= resets, "{resets} resets show little");
        expect_order(&world.broker.stream().await?).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_survives_others_who_publish_meanwhile() -> anyhow::Result<()> {
    let world = World::new().await?;
    let jetstream = world.broker.jetstream().await?;
    let url = world.broker.server.url();
    let publishing = publish(&world, &url, &[]);
    let mut publishing = std::pin::pin!(publishing);
    let mut version = 0;
    let ended = loop {
        version += 1;
        let other = profile_state("other", "other", version, &named("Eve"));
        let other = [Message::from(other)];
        tokio::select! {
            ended = &mut publishing => break ended?,
            published = tests::broker::publish(&jetstream, other) => published?,
        };
    };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(100 < version, "{version} messages of others show little");
    expect_order(&world.broker.stream().await?).await
}

/// In a cluster a server refuses what goes behind another message only after it has taken its id, so
/// a command that relied on that got no further.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_survives_leaders_that_step_down() -> anyhow::Result<()> {
    for how in [&["--json"][..], &["--json", "--compare-and-set"]] {
        let cluster = Cluster::start().await?;
        let world = World::of(Broker::without_stream().await?)?;
        let jetstream = cluster.jetstream().await?;
        let urls = cluster.urls();
        let publishing = publish(&world, &urls, how);
        let mut publishing = std::pin::pin!(publishing);
        let (mut changes, mut before) = (0, 0);
        let ended = loop {
            let stored = async || {
                let stream = jetstream.get_stream(STREAM).await.ok()?;
                Some(stream.cached_info().state.messages)
            };
            tokio::select! {
                ended = &mut publishing => break ended?,
                now = stored() => if let Some(now) = now && before + 500 <= now {
                    before = now;
                    changes += u32::from(cluster.step_down().await);
                },
            }
        };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(2 <= changes, "{changes} new leaders show little");
        expect_order(&jetstream.get_stream(STREAM).await?).await?;
    }
    Ok(())
}

//! The releases of nats-server that the service is for: the main path on each, and what an old one stored.

use std::net::SocketAddr;

use anyhow::ensure;
use domain::testing::{Form, named, profile_state, user_state};
use serde_json::{Value, json};
use tests::broker::{Broker, STREAM};
use tests::older_server::{Build, OLDEST, WITH_BATCHES};
use tests::raw::RawPublisher;
use tests::service::command;
use tests::world::World;

use crate::nats_habits::{all_commands_work, events, good};

/// `NATS/1.0 404` as the API gives header blocks.
const STORED: &str = "TkFUUy8xLjAgNDA0";

fn caught_up(status: &Value) -> bool {
    status["phase"] == "live" && status["lag_events"] == 0
}

/// Publishing, serving, a rebuild, an erasure, a replay, `doctor`, and then a restart.
async fn main_path(broker: Broker, version: &str, takes_batches: bool) -> anyhow::Result<()> {
    let found = broker.client().await?.server_info().version;
    ensure!(found.starts_with(version), "it is {found}, not {version}");
    broker
        .edit_stream(|config| config.allow_atomic_publish = takes_batches)
        .await?;
    let world = World::of(broker)?;
    let url = world.broker.server.url();
    let folder = tempfile::tempdir()?;
    let file = events(folder.path())?;
    let atomic = command(&["publish", &file, "--atomic", "--nats-url", &url]).await?;
    good(&atomic)?;
    ensure!(atomic.said.is_empty() == takes_batches, "{atomic:?}");
    all_commands_work(&world, &url, &[]).await?;
    let before = world.serve("model").await?;
    let before = before.status_when("caught up", caught_up).await?;
    let fresh = world.serve("fresh").await?;
    let fresh = fresh.status_when("caught up", caught_up).await?;
    assert_eq!(before["digest"], fresh["digest"], "{before} {fresh}");
    Ok(())
}

async fn of_build(build: Build) -> anyhow::Result<Broker> {
    Broker::of_build(build.installed().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_path_on_2_11() -> anyhow::Result<()> {
    main_path(of_build(OLDEST).await?, "2.11.", false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_path_on_2_12() -> anyhow::Result<()> {
    main_path(of_build(WITH_BATCHES).await?, "2.12.", true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_path_on_2_15() -> anyhow::Result<()> {
    main_path(Broker::start().await?, "2.15.", true).await
}

/// What servers of 2.11 say to a client that asks for messages, stored by them as a producer's header block. Later
/// releases take the status out before they store it.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_2_11_stored_is_a_record_there_and_after_an_upgrade() -> anyhow::Result<()> {
    let world = World::of(of_build(OLDEST).await?)?;
    let at: SocketAddr = format!("127.0.0.1:{}", world.broker.server.port()).parse()?;
    let mut raw = RawPublisher::connect(at).await?;
    let user = user_state("u1", 1, "user_1").message(Form::Binary);
    world.broker.publish([user]).await?;
    let blocks = [
        &b"NATS/1.0 404 No Messages\r\n\r\n"[..],
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 99\r\nNats-Last-Stream: 99\r\n\r\n",
        b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
    ];
    for block in blocks {
        raw.publish(b"identity.v1.u2.profile", block, b"").await?;
    }
    raw.settle().await?;
    let profile = profile_state("u1", "p1", 1, &named("Somebody")).message(Form::Binary);
    let last = world.broker.publish([profile]).await?;
    let service = world.serve("model").await?;
    let right = |status: &Value| {
        status["applied_sequence"] == json!(last) && status["parked_records"] == json!(4)
    };
    let before = service.status_when("all is read", right).await?;
    service.stop().await?;
    let held = world.broker.client().await?;
    let held = held.request(
        format!("$JS.API.STREAM.MSG.GET.{STREAM}"),
        r#"{"seq":2}"#.into(),
    );
    let held: Value = serde_json::from_slice(&held.await?.payload)?;
    let block = held["message"]["hdrs"].as_str().unwrap_or_default();
    ensure!(block.starts_with(STORED), "it was not stored: {held}");

    // The same store under the newest release.
    let store = world.data("store");
    let mut old = world.broker;
    old.server.stop().await;
    old.copy_store(&store)?;
    let mut newest = Broker::without_stream().await?;
    newest.server.stop().await;
    newest.replace_store(&store)?;
    newest.server.restart().await?;
    let url = newest.server.url();
    let upgraded = World::of(newest)?;
    let fresh = upgraded.serve("fresh").await?;
    let after = fresh.status_when("all is read", right).await?;
    assert_eq!(before["digest"], after["digest"]);
    let replayed = command(&["replay", "--stream", "--digest", "--nats-url", &url]).await?;
    assert_eq!(
        json!(replayed.output.trim()),
        after["digest"],
        "{replayed:?}"
    );
    Ok(())
}

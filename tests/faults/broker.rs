//! The broker: killed, stopped, frozen, its consumer lost, its leader changed.

use std::time::Instant;

use anyhow::ensure;
use async_nats::jetstream::consumer::{FromConsumer, pull};
use futures::TryStreamExt;
use serde_json::json;
use tests::broker::{Broker, STREAM, eventually, publish};
use tests::cluster::Cluster;
use tests::oracle::Oracle;
use tests::service::Service;
use tests::world::World;

use crate::matrix::{Seen, UNREADABLE, told};
use crate::people::{
    ACKNOWLEDGED_WITHIN, PEOPLE, change, changes, recovered, registrations, settled, sound,
};

const ROUNDS: u64 = 50;

/// Every event was applied, and none twice.
async fn each_applied_once(service: &Service, events: u64) -> anyhow::Result<()> {
    let outcomes = service.client.status().await?["outcomes"].clone();
    ensure!(
        outcomes == json!({"applied": events}),
        "not each of {events} once: {outcomes}"
    );
    Ok(())
}

pub(crate) async fn killed_or_stopped_50_times_under_load() -> anyhow::Result<Seen> {
    let (mut world, service) = settled().await?;
    let mut recoveries = Vec::new();
    for round in 0..ROUNDS {
        // Some load is on its way when the broker goes.
        let (first, last) = (round * PEOPLE, round * PEOPLE + PEOPLE - 1);
        world.broker.publish(changes(first..last)).await?;
        if round % 2 == 0 {
            world.broker.server.kill();
        } else {
            world.broker.server.stop().await;
        }
        world.broker.server.restart().await?;
        recoveries.push(recovered(&world, &service, last, Instant::now()).await?);
    }
    sound(&world, &service).await?;
    let events = PEOPLE * (2 + ROUNDS);
    each_applied_once(&service, events).await?;
    Ok(Seen {
        recoveries,
        note: format!("{events} events, each applied once"),
        ..Seen::default()
    })
}

pub(crate) async fn frozen() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let since = Instant::now();
    world.broker.server.pause();
    told(&service, "live", "disconnected", UNREADABLE).await?;
    let noticed = since.elapsed();
    world.broker.server.resume();
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disconnected"],
        recoveries: vec![recovery],
        note: format!("noticed after {:.1} s", noticed.as_secs_f64()),
    })
}

pub(crate) async fn consumer_deleted() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let stream = world.broker.stream().await?;
    let names: Vec<String> = stream.consumer_names().try_collect().await?;
    ensure!(names.len() == 1, "{names:?}");
    stream.delete_consumer(&names[0]).await?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        recoveries: vec![recovery],
        ..Seen::default()
    })
}

/// By somebody else, again and again, while records come.
pub(crate) async fn consumer_deleted_while_pulling() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let stream = world.broker.stream().await?;
    let mut deleted = 0;
    for round in 0..10 {
        world
            .broker
            .publish(changes(round * PEOPLE..(round + 1) * PEOPLE))
            .await?;
        let names: Vec<String> = stream.consumer_names().try_collect().await?;
        for name in names {
            // It may be gone by then.
            deleted += usize::from(stream.delete_consumer(&name).await.is_ok());
        }
    }
    let recovery = recovered(&world, &service, 10 * PEOPLE, Instant::now()).await?;
    sound(&world, &service).await?;
    let events = PEOPLE * 12 + 1;
    each_applied_once(&service, events).await?;
    Ok(Seen {
        recoveries: vec![recovery],
        note: format!("deleted {deleted} times, {events} events, each applied once"),
        ..Seen::default()
    })
}

/// Less is allowed than was asked for when the consumer was made.
pub(crate) async fn max_batch_lowered_while_pulling() -> anyhow::Result<Seen> {
    let (world, service) = settled().await?;
    let stream = world.broker.stream().await?;
    let names: Vec<String> = stream.consumer_names().try_collect().await?;
    let consumer = stream.get_consumer::<pull::Config>(&names[0]).await;
    let consumer = consumer.map_err(|error| anyhow::anyhow!("{error}"))?;
    let found = consumer.cached_info().config.clone();
    let lowered = pull::Config {
        max_batch: 10,
        ..pull::Config::try_from_consumer_config(found)
            .map_err(|error| anyhow::anyhow!("{error}"))?
    };
    stream.update_consumer(lowered).await?;
    let since = Instant::now();
    world.broker.publish(changes(0..200)).await?;
    let recovery = recovered(&world, &service, 200, since).await?;
    sound(&world, &service).await?;
    each_applied_once(&service, PEOPLE * 2 + 201).await?;
    Ok(Seen {
        recoveries: vec![recovery],
        ..Seen::default()
    })
}

/// A server that is about to go says so, lets its clients go one by one, and ends.
pub(crate) async fn lame_duck() -> anyhow::Result<Seen> {
    let (mut world, service) = settled().await?;
    world.broker.server.go_lame();
    let status = service
        .status_when("a word for it", |status| {
            status["connection"] != "connected" && status["detail"].is_string()
        })
        .await?;
    world.broker.server.restart().await?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        recoveries: vec![recovery],
        note: format!("told as {}", status["connection"]),
        ..Seen::default()
    })
}

pub(crate) async fn leader_of_three_killed_3_times() -> anyhow::Result<Seen> {
    let mut cluster = Cluster::start().await?;
    let world = World::of(Broker::without_stream().await?)?;
    let service = world.serve_from(&cluster.urls(), "model", &[]).await?;
    let jetstream = cluster.jetstream().await?;
    publish(&jetstream, registrations()).await?;
    let mut recoveries = Vec::new();
    for kill in 0..3 {
        let leader = cluster.leader().await?;
        cluster.node(leader)?.server.kill();
        let since = Instant::now();
        let mut last = 0;
        for round in kill * PEOPLE..(kill + 1) * PEOPLE {
            // Again until it is acknowledged: its id makes one that had landed a duplicate.
            let acknowledged = eventually("an acknowledgement", ACKNOWLEDGED_WITHIN, async || {
                publish(&jetstream, [change(round)]).await.ok()
            });
            last = acknowledged.await?;
        }
        service.applied(last).await?;
        recoveries.push(since.elapsed());
        cluster.node(leader)?.server.restart().await?;
        // There are three copies again before the next one goes.
        eventually("the copies", ACKNOWLEDGED_WITHIN, async || {
            let stream = jetstream.get_stream(STREAM).await.ok()?;
            let copies = stream.cached_info().cluster.as_ref()?.replicas.clone();
            let is_whole = copies.len() == 2 && copies.iter().all(|copy| copy.current);
            is_whole.then_some(())
        })
        .await?;
    }
    let oracle = Oracle::of_stream(&jetstream.get_stream(STREAM).await?).await?;
    service.applied(oracle.last).await?;
    oracle.check(&world, &service).await?;
    let events = PEOPLE * 5;
    each_applied_once(&service, events).await?;
    Ok(Seen {
        recoveries,
        note: format!("{events} acknowledged events, each applied once"),
        ..Seen::default()
    })
}

//! The network between broker and service.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tests::broker::Broker;
use tests::proxy::{Mode, Proxy};
use tests::service::Service;
use tests::world::World;

use crate::matrix::{Seen, UNREADABLE, told};
use crate::people::{changes, live, recovered, registrations, sound};

async fn behind_a_proxy() -> anyhow::Result<(World, Proxy, Service)> {
    let world = World::of(Broker::start().await?)?;
    let proxy = Proxy::before(world.broker.server.port()).await?;
    let service = world.serve_from(&proxy.nats_url(), "model", &[]).await?;
    let last = world.broker.publish(registrations()).await?;
    service.applied(last).await?;
    live(&service).await?;
    Ok((world, proxy, service))
}

/// What the broker writes into the dying connection is delivered for it, and lost for us.
pub(crate) async fn black_hole_then_cut() -> anyhow::Result<Seen> {
    let (world, proxy, service) = behind_a_proxy().await?;
    let since = Instant::now();
    proxy.set(Mode::BlackHole);
    world.broker.publish(changes(0..50)).await?;
    told(&service, "live", "disconnected", UNREADABLE).await?;
    let noticed = since.elapsed();
    proxy.set(Mode::Pass);
    let recovery = recovered(&world, &service, 50, Instant::now()).await?;
    sound(&world, &service).await?;
    let noticed = noticed.as_secs_f64();
    Ok(Seen {
        words: vec!["disconnected"],
        recoveries: vec![recovery],
        note: format!("noticed after {noticed:.1} s, 50 lost messages read again"),
    })
}

pub(crate) async fn connections_reset_and_refused() -> anyhow::Result<Seen> {
    let (world, proxy, service) = behind_a_proxy().await?;
    let mut recoveries = Vec::new();
    for round in 0..3 {
        let (first, last) = (round * 20, round * 20 + 19);
        world.broker.publish(changes(first..last)).await?;
        proxy.set(Mode::Reset);
        told(&service, "live", "disconnected", UNREADABLE).await?;
        proxy.set(Mode::Pass);
        recoveries.push(recovered(&world, &service, last, Instant::now()).await?);
    }
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disconnected"],
        recoveries,
        ..Seen::default()
    })
}

/// Slow is not lost: it goes on applying, attached once.
async fn slowly(mode: Mode, events: u64) -> anyhow::Result<Seen> {
    let (world, proxy, service) = behind_a_proxy().await?;
    proxy.set(mode);
    let since = Instant::now();
    let last = world.broker.publish(changes(0..events)).await?;
    service.applied(last).await?;
    let took = since.elapsed().as_secs_f64();
    sound(&world, &service).await?;
    let log = std::fs::read_to_string(&service.log)?;
    let attached = log.matches("attached to the stream").count();
    ensure!(attached == 1, "attached {attached} times: {log}");
    Ok(Seen {
        note: format!("{events} events in {took:.2} s, attached once"),
        ..Seen::default()
    })
}

pub(crate) async fn delay_of_200_ms() -> anyhow::Result<Seen> {
    slowly(Mode::Delay(Duration::from_millis(200)), 1_000).await
}

pub(crate) async fn one_byte_at_a_time() -> anyhow::Result<Seen> {
    slowly(Mode::Dribble, 100).await
}

/// It ends in the middle of a frame, wherever that is, and says nothing more.
pub(crate) async fn frozen_in_mid_frame() -> anyhow::Result<Seen> {
    let (world, proxy, service) = behind_a_proxy().await?;
    let mut recoveries = Vec::new();
    for (round, bytes) in (0..).zip([1, 100, 5_000]) {
        proxy.set(Mode::HoldAfter(bytes));
        let (first, last) = (round * 21, round * 21 + 20);
        world.broker.publish(changes(first..last)).await?;
        told(&service, "live", "disconnected", UNREADABLE).await?;
        proxy.set(Mode::Pass);
        recoveries.push(recovered(&world, &service, last, Instant::now()).await?);
    }
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["disconnected"],
        recoveries,
        ..Seen::default()
    })
}

/// Each connection brings some records, and a piece of the next one.
pub(crate) async fn reset_every_60_000_bytes() -> anyhow::Result<Seen> {
    let (world, proxy, service) = behind_a_proxy().await?;
    proxy.set(Mode::ResetAfter(60_000));
    let since = Instant::now();
    let last = world.broker.publish(changes(0..1_000)).await?;
    service.applied(last).await?;
    let took = since.elapsed().as_secs_f64();
    proxy.set(Mode::Pass);
    let recovery = recovered(&world, &service, 1_000, Instant::now()).await?;
    sound(&world, &service).await?;
    let log = std::fs::read_to_string(&service.log)?;
    let attached = log.matches("attached to the stream").count();
    Ok(Seen {
        recoveries: vec![recovery],
        note: format!("1000 events in {took:.1} s, attached {attached} times"),
        ..Seen::default()
    })
}

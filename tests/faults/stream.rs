//! The stream: made anew, restored, emptied.

use std::time::Instant;

use anyhow::ensure;
use async_nats::jetstream::stream::DiscardPolicy;
use tests::broker::{Broker, STREAM};
use tests::oracle::Oracle;
use tests::service::{Service, command};
use tests::world::World;

use crate::matrix::{REFUSED, Seen, UNREADABLE, told};
use crate::people::{changes, live, recovered, registrations, settled, settled_on, sound};

/// Blocked for this reason, with the rows of `before` served and nothing applied; the same after a
/// restart.
async fn blocked(
    world: &World,
    service: Service,
    before: &Oracle,
    reason: &'static str,
) -> anyhow::Result<()> {
    let status = told(&service, "blocked", reason, REFUSED).await?;
    ensure!(status["applied_sequence"] == before.last, "{status}");
    before.check(world, &service).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    told(&service, "blocked", reason, REFUSED).await?;
    before.check(world, &service).await?;
    accept(world, &service).await
}

/// One command accepts the stream as it is now; then the answers are its fold's.
async fn accept(world: &World, service: &Service) -> anyhow::Result<()> {
    let admin = format!("http://{}", service.client.admin);
    let rebuilt = command(&["rebuild", "--admin", &admin, "--accept-loss"]).await?;
    ensure!(rebuilt.code == Some(0), "{rebuilt:?}");
    let now = Oracle::of(&world.broker).await?;
    live(service).await?;
    now.check(world, service).await?;
    Ok(())
}

async fn make_anew(world: &World, messages: u64) -> anyhow::Result<()> {
    world.broker.create_stream().await?;
    world.broker.publish(changes(0..messages)).await?;
    Ok(())
}

async fn delete(world: &World) -> anyhow::Result<()> {
    let jetstream = world.broker.jetstream().await?;
    jetstream.delete_stream(STREAM).await?;
    Ok(())
}

/// With as many messages as before, more, or fewer.
const SIZES: [fn(u64) -> u64; 3] = [|before| before, |before| before + 10, |before| before - 10];
const SIZES_NOTE: &str = "with as many messages, more and fewer; accepted by rebuild";

pub(crate) async fn deleted_and_made_anew_while_running() -> anyhow::Result<Seen> {
    for size in SIZES {
        let (world, service) = settled().await?;
        let before = Oracle::of(&world.broker).await?;
        delete(&world).await?;
        told(&service, "live", "stream_missing", UNREADABLE).await?;
        before.check(&world, &service).await?;
        make_anew(&world, size(before.last)).await?;
        blocked(&world, service, &before, "stream_recreated").await?;
    }
    Ok(Seen {
        words: vec!["stream_missing", "stream_recreated"],
        note: SIZES_NOTE.into(),
        ..Seen::default()
    })
}

pub(crate) async fn made_anew_while_down() -> anyhow::Result<Seen> {
    for size in SIZES {
        let (world, service) = settled().await?;
        let before = Oracle::of(&world.broker).await?;
        service.stop().await?;
        delete(&world).await?;
        make_anew(&world, size(before.last)).await?;
        let service = world.serve("model").await?;
        blocked(&world, service, &before, "stream_recreated").await?;
    }
    Ok(Seen {
        words: vec!["stream_recreated"],
        note: SIZES_NOTE.into(),
        ..Seen::default()
    })
}

/// A settled world whose broker's store was copied, and then ten more events.
async fn copied() -> anyhow::Result<(World, Service, Oracle)> {
    let (mut world, service) = settled().await?;
    let copy = world.data("copy");
    world.broker.server.stop().await;
    world.broker.copy_store(&copy)?;
    world.broker.server.restart().await?;
    recovered(&world, &service, 0, Instant::now()).await?;
    let last = world.broker.publish(changes(1..10)).await?;
    service.applied(last).await?;
    let before = Oracle::of(&world.broker).await?;
    Ok((world, service, before))
}

async fn restore(world: &mut World) -> anyhow::Result<()> {
    let copy = world.data("copy");
    world.broker.server.stop().await;
    world.broker.replace_store(&copy)?;
    world.broker.server.restart().await?;
    Ok(())
}

pub(crate) async fn older_copy_restored() -> anyhow::Result<Seen> {
    let (mut world, service, before) = copied().await?;
    restore(&mut world).await?;
    told(&service, "blocked", "ahead_of_log", REFUSED).await?;
    before.check(&world, &service).await?;
    // Other messages take the places of those that were lost.
    world.broker.publish(changes(20..40)).await?;
    blocked(&world, service, &before, "history_rewritten").await?;
    Ok(Seen {
        words: vec!["ahead_of_log", "history_rewritten"],
        ..Seen::default()
    })
}

pub(crate) async fn older_copy_restored_and_written_while_down() -> anyhow::Result<Seen> {
    let (mut world, service, before) = copied().await?;
    service.stop().await?;
    restore(&mut world).await?;
    world.broker.publish(changes(20..40)).await?;
    let service = world.serve("model").await?;
    blocked(&world, service, &before, "history_rewritten").await?;
    Ok(Seen {
        words: vec!["history_rewritten"],
        ..Seen::default()
    })
}

/// A stream that can be purged.
async fn purgeable() -> anyhow::Result<Broker> {
    let broker = Broker::without_stream().await?;
    broker
        .create_stream_with(|config| config.deny_purge = false)
        .await?;
    Ok(broker)
}

pub(crate) async fn removed_before_it_was_read() -> anyhow::Result<Seen> {
    for by_limit in [false, true] {
        let (world, service) = settled_on(purgeable().await?).await?;
        let before = Oracle::of(&world.broker).await?;
        service.stop().await?;
        world.broker.publish(changes(0..20)).await?;
        let stream = world.broker.stream().await?;
        if by_limit {
            let mut config = stream.cached_info().config.clone();
            config.max_messages = 3;
            config.discard = DiscardPolicy::Old;
            world
                .broker
                .jetstream()
                .await?
                .update_stream(config)
                .await?;
        } else {
            stream.purge().sequence(before.last + 5).await?;
        }
        let service = world.serve("model").await?;
        blocked(&world, service, &before, "retention_gap").await?;
    }
    Ok(Seen {
        words: vec!["retention_gap"],
        note: "by a purge and by a limit".into(),
        ..Seen::default()
    })
}

/// What was read is in the rows: nothing is lost to us, whoever removes it.
pub(crate) async fn removed_after_it_was_read() -> anyhow::Result<Seen> {
    let (world, service) = settled_on(purgeable().await?).await?;
    let before = Oracle::of(&world.broker).await?;
    let stream = world.broker.stream().await?;
    stream.purge().sequence(before.last - 10).await?;
    stream.delete_message(before.last).await?;
    stream.delete_message(before.last - 5).await?;
    stream.purge().filter("identity.v1.u18.profile").await?;
    before.check(&world, &service).await?;
    service.stop().await?;
    let service = world.serve("model").await?;
    live(&service).await?;
    before.check(&world, &service).await?;
    service.stop().await?;
    stream.purge().await?;
    let service = world.serve("model").await?;
    live(&service).await?;
    before.check(&world, &service).await?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    let answer = service.client.query(Some(&world.token("user_0")?)).await?;
    let name = &answer.body["value"]["displayName"];
    ensure!(*name == "Person 0, version 2", "{answer:?}");
    Ok(Seen {
        recoveries: vec![recovery],
        note: "no gap: purge below, interior deletes, a subject, everything".into(),
        ..Seen::default()
    })
}

pub(crate) async fn absent_at_the_start() -> anyhow::Result<Seen> {
    let world = World::of(Broker::without_stream().await?)?;
    let since = Instant::now();
    let service = world.serve("model").await?;
    told(&service, "starting", "stream_missing", UNREADABLE).await?;
    let noticed = since.elapsed().as_secs_f64();
    world.broker.create_stream().await?;
    world.broker.publish(registrations()).await?;
    let recovery = recovered(&world, &service, 0, Instant::now()).await?;
    sound(&world, &service).await?;
    Ok(Seen {
        words: vec!["stream_missing"],
        recoveries: vec![recovery],
        note: format!("told after {noticed:.1} s"),
    })
}

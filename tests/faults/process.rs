//! The process: killed at any moment, ended in the middle, two at once.

use std::time::Duration;

use anyhow::ensure;
use tests::broker::eventually;
use tests::oracle::Oracle;
use tests::service::SOON;
use tests::world::World;

use crate::matrix::Seen;
use crate::people::{changes, registrations, sound};

/// So often it is killed, unless this variable says how often.
const KILLS: u64 = 200;
const KILLS_VARIABLE: &str = "FAULTS_KILLS";

/// Numbers that look random and are the same in each run.
fn chance(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(31)
        .wrapping_mul(0xbf58_476d_1ce4_e5b9)
        >> 33
}

#[expect(clippy::disallowed_methods, reason = "a setting of this test alone")]
fn kills() -> anyhow::Result<u64> {
    match std::env::var(KILLS_VARIABLE) {
        Ok(times) => Ok(times.parse()?),
        Err(_unset) => Ok(KILLS),
    }
}

pub(crate) async fn killed_at_random_moments() -> anyhow::Result<Seen> {
    let kills = kills()?;
    let world = World::new().await?;
    world.broker.publish(registrations()).await?;
    for kill in 0..kills {
        let mut service = world.spawn("killed")?;
        world
            .broker
            .publish(changes(kill * 200..(kill + 1) * 200))
            .await?;
        // From before it has opened its file until well behind its first commits.
        tokio::time::sleep(Duration::from_millis(chance(kill) % 300)).await;
        service.kill().await?;
    }
    let last = Oracle::of(&world.broker).await?.last;
    let (killed, undisturbed) = (world.serve("killed").await?, world.serve("other").await?);
    let (status, expected) = (
        killed.applied(last).await?,
        undisturbed.applied(last).await?,
    );
    for member in ["digest", "users", "profiles", "outcomes"] {
        ensure!(
            status[member] == expected[member],
            "{member}: {status}, not {expected}"
        );
    }
    sound(&world, &killed).await?;
    Ok(Seen {
        note: format!("{kills} kills, {last} events, the digest of an undisturbed service"),
        ..Seen::default()
    })
}

pub(crate) async fn terminated_in_mid_batch() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    world.broker.publish(registrations()).await?;
    let last = world.broker.publish(changes(0..60_000)).await?;
    let mut ended_at = Vec::new();
    for _ in 0..3 {
        let service = world.serve("model").await?;
        eventually("catching up", SOON, async || {
            let status = service.client.status().await.ok()?;
            (status["phase"] == "catching_up" || status["phase"] == "live").then_some(())
        })
        .await?;
        let reader = service.client.status().await?["applied_sequence"].clone();
        let took = service.stop().await?;
        ended_at.push(format!("{reader} in {:.2} s", took.as_secs_f64()));
    }
    let (stopped, undisturbed) = (world.serve("model").await?, world.serve("other").await?);
    let (status, expected) = (
        stopped.applied(last).await?,
        undisturbed.applied(last).await?,
    );
    for member in ["digest", "outcomes"] {
        ensure!(
            status[member] == expected[member],
            "{member}: {status}, not {expected}"
        );
    }
    Ok(Seen {
        note: format!("ended at {}; same digest", ended_at.join(", ")),
        ..Seen::default()
    })
}

pub(crate) async fn two_on_one_folder() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let first = world.serve("model").await?;
    let refused = world.serve("model").await.unwrap_err().to_string();
    ensure!(refused.contains("in use by another process"), "{refused}");
    ensure!(refused.contains("--data-dir"), "{refused}");
    world.broker.publish(registrations()).await?;
    sound(&world, &first).await?;
    Ok(Seen {
        note: "the second ends with the reason, the first goes on".into(),
        ..Seen::default()
    })
}

//! Large messages, many small ones, bursts: bounded memory, no stall, no hot loop.

use std::time::Instant;

use anyhow::ensure;
use domain::testing::{Form, Message, named, profile_state, user_state};
use tests::world::World;

use crate::matrix::Seen;
use crate::people::{changes, registrations, sound};

/// What a server takes by default, less what the headers need.
const LARGEST: usize = 1024 * 1024 - 1024;
const LARGE: u64 = 60;
const TINY: u64 = 20_000;
const MEMORY_MAX: u64 = 1024 * 1024 * 1024;

/// Of as many bytes as the contract allows, and in it.
pub(crate) fn large(n: u64) -> [Message; 2] {
    let mut members = named("Large");
    members["bio"] = "x".repeat(255 * 1024).into();
    let (user, profile) = (format!("large{n}"), format!("pl{n}"));
    [
        user_state(&user, 1, &format!("user_large_{n}")).message(Form::Binary),
        profile_state(&user, &profile, 1, &members).message(Form::Binary),
    ]
}

pub(crate) async fn largest_messages_and_bursts() -> anyhow::Result<Seen> {
    let world = World::new().await?;
    let service = world.serve("model").await?;
    let since = Instant::now();
    world.broker.publish(registrations()).await?;
    world.broker.publish((0..LARGE).flat_map(large)).await?;
    // Larger than the contract allows, as large as the broker allows: parked, not in the way.
    let over = (0..LARGE).map(|_| Message::bare("identity.v1.u1.profile", vec![b'x'; LARGEST]));
    world.broker.publish(over).await?;
    world.broker.publish(changes(0..TINY)).await?;
    sound(&world, &service).await?;
    let (took, memory) = (since.elapsed().as_secs_f64(), service.memory_bytes()?);
    ensure!(memory < MEMORY_MAX, "{memory} bytes of memory");
    let log = std::fs::read_to_string(&service.log)?;
    let attached = log.matches("attached to the stream").count();
    ensure!(attached == 1, "attached {attached} times: {log}");
    let megabytes = memory / (1024 * 1024);
    Ok(Seen {
        note: format!(
            "{LARGE} of 255 KiB, {LARGE} of 1 MiB, {TINY} small: {took:.1} s, at most {megabytes} MiB, attached once"
        ),
        ..Seen::default()
    })
}

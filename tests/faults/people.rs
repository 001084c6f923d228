//! The people of the tests: who is published, who is asked for, and waiting for both.

use std::ops::Range;
use std::time::{Duration, Instant};

use domain::testing::{Form, Message, named, profile_state, user_state};
use tests::broker::{Broker, eventually};
use tests::oracle::Oracle;
use tests::service::Service;
use tests::world::World;

pub(crate) const PEOPLE: u64 = 20;
/// Longest wait for a broker that was started again to take a message.
pub(crate) const ACKNOWLEDGED_WITHIN: Duration = Duration::from_mins(1);

/// Everybody registers, with a profile.
pub(crate) fn registrations() -> Vec<Message> {
    let registered = (0..PEOPLE).flat_map(|n| {
        let user = format!("u{n}");
        let members = named(&format!("Person {n}"));
        [
            user_state(&user, 1, &format!("user_{n}")).message(Form::Binary),
            profile_state(&user, &format!("p{n}"), 1, &members).message(Form::Binary),
        ]
    });
    registered.collect()
}

/// The profile of the person whose turn it is, changed in this round. Rounds begin at 0.
pub(crate) fn change(round: u64) -> Message {
    let (person, version) = (round % PEOPLE, round / PEOPLE + 2);
    let members = named(&format!("Person {person}, version {version}"));
    let (user, profile) = (format!("u{person}"), format!("p{person}"));
    profile_state(&user, &profile, version, &members).message(Form::Binary)
}

/// Changes in these rounds.
pub(crate) fn changes(rounds: Range<u64>) -> impl Iterator<Item = Message> {
    rounds.map(change)
}

/// A world whose service has applied everybody's registration and is live.
pub(crate) async fn settled() -> anyhow::Result<(World, Service)> {
    settled_on(Broker::start().await?).await
}

pub(crate) async fn settled_on(broker: Broker) -> anyhow::Result<(World, Service)> {
    let world = World::of(broker)?;
    let last = world.broker.publish(registrations()).await?;
    let service = world.serve("model").await?;
    service.applied(last).await?;
    live(&service).await?;
    Ok((world, service))
}

pub(crate) async fn live(service: &Service) -> anyhow::Result<()> {
    let is_live = |status: &serde_json::Value| {
        status["phase"] == "live" && status["connection"] == "connected"
    };
    service.status_when("live", is_live).await?;
    Ok(())
}

/// Publishes the change of a round, waits until it is applied, and gives the time since `since`.
pub(crate) async fn recovered(
    world: &World,
    service: &Service,
    round: u64,
    since: Instant,
) -> anyhow::Result<Duration> {
    let published = eventually("an acknowledgement", ACKNOWLEDGED_WITHIN, async || {
        world.broker.publish([change(round)]).await.ok()
    });
    let sequence = published.await?;
    service.applied(sequence).await?;
    Ok(since.elapsed())
}

/// The service is live and every answer is what the stream's fold says.
pub(crate) async fn sound(world: &World, service: &Service) -> anyhow::Result<()> {
    let oracle = Oracle::of(&world.broker).await?;
    service.applied(oracle.last).await?;
    live(service).await?;
    oracle.check(world, service).await?;
    Ok(())
}

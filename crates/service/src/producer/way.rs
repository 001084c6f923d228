//! The ways on which events go until they are settled: by itself, in a run, as a pair.

use std::collections::VecDeque;
use std::sync::Arc;

use jetstream::PublishAck;
use tokio::sync::Semaphore;

use super::attempt::{Behind, Outlet};
use super::event::OutgoingEvent;
use super::expected::{Fate, Known, Trouble, compare, publish_in_turn};
use super::pair::publish_pair;
use super::read::Place;

/// An event on its way.
pub(super) struct Going {
    pub(super) line: u64,
    pub(super) place: Place,
    pub(super) event: OutgoingEvent,
}

/// Some events' way, ended. Two went as a pair, if they could.
#[derive(Default)]
pub(super) struct Done {
    pub(super) ended: Vec<(Going, Result<Fate, Trouble>)>,
    pub(super) was_pair: bool,
    /// Whether all of a run was stored as it was sent.
    pub(super) was_run: Option<bool>,
    /// What an event that failed kept from going.
    pub(super) rest: VecDeque<Going>,
}

/// How one event goes.
pub(super) struct Way {
    pub(super) outlet: Outlet,
    /// The stream to compare with, for compare-and-set.
    pub(super) stream: Option<String>,
    pub(super) known: Option<Known>,
    /// The stream that it is to go to, while none of the run has been stored.
    pub(super) first_of: Option<String>,
    /// The stream to look into where the broker takes it for a duplicate.
    pub(super) duplicates_in: Option<String>,
}

impl Way {
    /// Goes this way, unless the event went in a run before.
    async fn go(self, event: &OutgoingEvent, ack: Option<PublishAck>) -> Result<Fate, Trouble> {
        let duplicates_in = self.duplicates_in.clone();
        let outlet = self.outlet.clone();
        let fate = match ack {
            Some(ack) => Fate::Acked(ack),
            None => self.send(event).await?,
        };
        match (fate, duplicates_in) {
            (Fate::Acked(ack), Some(stream)) if ack.duplicate && ack.stream == stream => {
                compare(&outlet, &stream, event, ack).await
            }
            (fate, _) => Ok(fate),
        }
    }

    async fn send(self, event: &OutgoingEvent) -> Result<Fate, Trouble> {
        if let Some(stream) = &self.stream {
            return publish_in_turn(&self.outlet, stream, event, self.known).await;
        }
        let stream = self.first_of.as_deref();
        let behind = stream.map_or(Behind::Anything, Behind::Stream);
        let sent = self.outlet.publish(event, behind).await;
        sent.map(Fate::Acked).map_err(Trouble::Publish)
    }
}

/// Sends events of one subject. Those that were not stored as a run go by themselves, in order, until
/// one fails.
pub(super) async fn send_run(outlet: Outlet, mut run: VecDeque<Going>, ways: Vec<Way>) -> Done {
    let mut done = Done::default();
    let mut acks = vec![None];
    if 1 < run.len() {
        let events: Vec<_> = run.iter().map(|going| &going.event).collect();
        acks = outlet.publish_run(&events).await;
        done.was_run = Some(acks.iter().all(Option::is_some));
    }
    for (ack, way) in acks.into_iter().zip(ways) {
        let Some(going) = run.pop_front() else { break };
        let fate = way.go(&going.event, ack).await;
        let has_failed = fate.is_err();
        done.ended.push((going, fate));
        if has_failed {
            break;
        }
    }
    done.rest = run;
    done
}

/// Sends two events as one atomic batch, or one by one where that cannot be.
pub(super) async fn send_as_pair(
    pairs: Arc<Semaphore>,
    stream: String,
    must_be_new: bool,
    pair: [Going; 2],
    ways: [Way; 2],
) -> Done {
    let outlet = ways[0].outlet.clone();
    let permit = pairs.acquire().await;
    let events = [&pair[0].event, &pair[1].event];
    let stored = publish_pair(&outlet, &stream, events, must_be_new).await;
    drop(permit);
    let mut done = Done {
        was_pair: stored.is_some(),
        ..Done::default()
    };
    for (back, (going, way)) in (0..2).rev().zip(pair.into_iter().zip(ways)) {
        let fate = match &stored {
            Some((stream, sequence)) => Ok(Fate::Acked(PublishAck {
                stream: stream.clone(),
                sequence: sequence.saturating_sub(back),
                duplicate: false,
            })),
            None => way.go(&going.event, None).await,
        };
        done.ended.push((going, fate));
    }
    done
}

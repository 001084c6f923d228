//! What follows a change of a lane, in the same batch: superseding, trying again what is parked in
//! the lane, and trying again who waits for an identity that became free.
//!
//! The lane's row says which parked records a change can help ([`due`]), so no other is looked at: the
//! looks of an event are about as many as the records that leave, or wait for another reason.

use std::collections::BTreeSet;

use super::due::{self, Tried};
use super::{Change, Step, Unfit, parked_at, put_parked, summary, try_event, unpark};
use crate::decode::decode;
use crate::{
    Decoded, Family, Lane, Outcome, ParkReason, Parked, ParkedDocument, Sequence, State, UserId,
    WorkosUserId,
};

/// What is left to try after a change, beyond its own lane.
enum Todo {
    /// An identity became free: whoever waits for it, behind this sequence.
    Offer(WorkosUserId, u64),
    /// The `user` lane of somebody who waits.
    Retry(UserId),
}

/// What an event gave free, and what is left to try.
#[derive(Default)]
struct Round {
    todo: Vec<Todo>,
    /// Hashes of the identities that became free in this event.
    freed: BTreeSet<u32>,
}

impl Round {
    fn offer(&mut self, freed: Option<WorkosUserId>) {
        if let Some(freed) = freed {
            self.freed.insert(freed.hashed());
            self.todo.push(Todo::Offer(freed, 0));
        }
    }
}

/// Heals what can heal after a change.
pub(super) fn after<S: State>(state: &mut S, change: Change) -> Result<(), S::Error> {
    // The latest first: what follows from a change comes before the next lane is tried, so that an
    // identity freed on the way goes to whoever has waited longest, and not to the lane after.
    let mut round = Round::default();
    retry_lane(state, change, &mut round)?;
    // Ends: only a record that leaves its lane can free another identity.
    while let Some(next) = round.todo.pop() {
        match next {
            Todo::Offer(workos_id, after) => {
                // Whoever has it by now leaves the others waiting, and there may be many.
                if state.owner(&workos_id)?.is_some() {
                    continue;
                }
                if let Some((at, user)) = state.next_awaiting(&workos_id, after)? {
                    round.todo.push(Todo::Offer(workos_id, at.get()));
                    round.todo.push(Todo::Retry(user));
                }
            }
            Todo::Retry(user) => {
                let family = Family::User;
                retry_lane(state, Change::departure(Lane { user, family }), &mut round)?;
            }
        }
    }
    Ok(())
}

/// Tries what is due in a lane, the earliest first. Each record that fits is a change of its own, which
/// may make an earlier one due.
fn retry_lane<S: State>(state: &mut S, change: Change, round: &mut Round) -> Result<(), S::Error> {
    let lane = settle(state, change, round)?;
    let mut tried = Tried::default();
    while let Some(at) = due::first(state, &lane, &tried, &round.freed)? {
        let Some(parked) = parked_at(state, &lane, at)? else {
            tried.in_vain(at);
            continue;
        };
        // What this release could not decode stays until a rebuild by one that can.
        let Decoded::Event(event) = parked.record.with_ref(decode) else {
            tried.in_vain(at);
            continue;
        };
        match try_event(state, event, at)? {
            Step::Unfit(now) => {
                tried.in_vain(at);
                wait_for(state, parked, now)?;
            }
            Step::Done(outcome, change) => {
                unpark(state, &parked)?;
                state.count(outcome);
                if let Some(change) = change {
                    settle(state, change, round)?;
                    tried = Tried::default();
                } else if outcome == Outcome::Applied {
                    tried.patched(parked.document);
                }
            }
        }
    }
    Ok(())
}

/// Removes what a change made pointless, and notes what it freed. Gives the lane.
fn settle<S: State>(state: &mut S, change: Change, round: &mut Round) -> Result<Lane, S::Error> {
    let Change {
        lane,
        supersedes,
        erases,
        freed,
    } = change;
    round.offer(freed);
    let Some(document) = supersedes else {
        return Ok(lane);
    };
    for at in pointless(state, &lane, &document)? {
        let Some(parked) = parked_at(state, &lane, at)? else {
            continue;
        };
        unpark(state, &parked)?;
        if !erases {
            state.count(Outcome::Superseded);
        }
    }
    Ok(lane)
}

/// The document's records up to its version, those whose version is not believed, and the lane's
/// undecodable ones.
fn pointless<S: State>(
    state: &mut S,
    lane: &Lane,
    document: &ParkedDocument,
) -> Result<Vec<Sequence>, S::Error> {
    let Some(summary) = summary(state, lane)? else {
        return Ok(Vec::new());
    };
    let entries = summary.entries(&document.id).iter();
    let entries = entries.filter(|entry| {
        entry.version <= document.version || entry.reason == ParkReason::VersionJump
    });
    let entries = entries.map(|entry| entry.sequence);
    Ok(summary.undecodable.iter().copied().chain(entries).collect())
}

/// Keeps the record with the reason it has to wait for now.
fn wait_for<S: State>(state: &mut S, mut parked: Parked, now: Unfit) -> Result<(), S::Error> {
    // What a record awaits follows from its reason.
    if now.reason != parked.reason {
        state.unpark(&parked)?;
        (parked.reason, parked.awaits) = (now.reason, now.awaits);
        put_parked(state, parked)?;
    }
    Ok(())
}

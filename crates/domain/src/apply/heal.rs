//! What follows a change of a lane, in the same batch: superseding, trying again what is parked in
//! the lane, and trying again who waits for an identity that became free.
//!
//! However much is parked, one record at a time is in memory, and what cannot heal costs nothing.

use std::collections::{BTreeMap, VecDeque};

use super::{Change, Step, Unfit, try_event, unpark};
use crate::decode::decode;
use crate::{
    Decoded, Family, Lane, Outcome, Parked, ParkedDocument, ParkedSummary, Sequence, State, UserId,
    Version, WorkosUserId,
};

/// What is left to try after a change, beyond its own lane.
enum Todo {
    /// An identity became free: whoever waits for it, behind this sequence.
    Offer(WorkosUserId, u64),
    /// The `user` lane of somebody who waits.
    Retry(UserId),
}

/// Heals what can heal after a change.
pub(super) fn after<S: State>(state: &mut S, change: Change) -> Result<(), S::Error> {
    // The latest first: what follows from a change comes before the next lane is tried, so that an
    // identity freed on the way goes to whoever has waited longest, and not to the lane after.
    let mut todo = Vec::new();
    retry_lane(state, change, &mut todo)?;
    // Ends: only a record that leaves its lane can free another identity.
    while let Some(next) = todo.pop() {
        match next {
            Todo::Offer(workos_id, after) => {
                // Whoever has it by now leaves the others waiting, and there may be many.
                if state.owner(&workos_id)?.is_some() {
                    continue;
                }
                if let Some((at, user)) = state.next_awaiting(&workos_id, after)? {
                    todo.push(Todo::Offer(workos_id, at.get()));
                    todo.push(Todo::Retry(user));
                }
            }
            Todo::Retry(user) => {
                let lane = Lane {
                    user,
                    family: Family::User,
                };
                let change = Change {
                    lane,
                    supersedes: None,
                    erases: false,
                    freed: None,
                };
                retry_lane(state, change, &mut todo)?;
            }
        }
    }
    Ok(())
}

/// Goes through a lane in sequence order, and once more over what did not fit when it is told to.
#[derive(Default)]
struct Walk {
    /// The last that was read for the first time.
    after: u64,
    unfit: Vec<Sequence>,
    again: VecDeque<Sequence>,
}

impl Walk {
    fn next<S: State>(&mut self, state: &mut S, lane: &Lane) -> Result<Option<Parked>, S::Error> {
        if let Some(again) = self.again.pop_front() {
            return state.next_parked(lane, again.get().saturating_sub(1));
        }
        let next = state.next_parked(lane, self.after)?;
        if let Some(parked) = &next {
            self.after = parked.sequence().get();
        }
        Ok(next)
    }

    fn start_over(&mut self) {
        for unfit in self.unfit.drain(..).rev() {
            self.again.push_front(unfit);
        }
    }
}

/// What the changes of a lane made pointless so far.
#[derive(Default)]
struct Pointless {
    /// Up to which version, by document, and whether that is not counted.
    documents: BTreeMap<Box<str>, (Version, bool)>,
    /// Records that could not be decoded; whether that is not counted.
    undecodable: Option<bool>,
}

impl Pointless {
    fn add(&mut self, document: ParkedDocument, erases: bool) {
        self.undecodable.get_or_insert(erases);
        let known = self.documents.entry(document.id);
        let (version, _) = known.or_insert((document.version, erases));
        *version = document.version.max(*version);
    }

    /// `None` for a record that is none; otherwise whether it goes without being counted.
    fn is_erased(&self, parked: &Parked) -> Option<bool> {
        let Some(document) = &parked.document else {
            return self.undecodable;
        };
        let (version, erases) = self.documents.get(&document.id)?;
        (document.version <= *version).then_some(*erases)
    }
}

/// Tries what is parked in a lane in sequence order. Each record that fits is a change of its own,
/// after which those before it are tried again.
fn retry_lane<S: State>(
    state: &mut S,
    change: Change,
    todo: &mut Vec<Todo>,
) -> Result<(), S::Error> {
    let Change {
        lane,
        supersedes,
        erases,
        freed,
    } = change;
    let mut walk = Walk::default();
    let mut pointless = Pointless::default();
    let mut earlier = ParkedSummary::default();
    let mut offer = |freed| todo.extend(Option::map(freed, |freed| Todo::Offer(freed, 0)));
    offer(freed);
    if let Some(document) = supersedes {
        pointless.add(document, erases);
    }
    while let Some(parked) = walk.next(state, &lane)? {
        if let Some(erases) = pointless.is_erased(&parked) {
            unpark(state, &parked)?;
            if !erases {
                state.count(Outcome::Superseded);
            }
            continue;
        }
        let step = match parked.record.with_ref(decode) {
            Decoded::Event(event) if parked.document.is_some() => {
                try_event(state, event, Some(&earlier))?
            }
            // What this release could not decode stays until a rebuild by one that can.
            Decoded::Event(_) | Decoded::UnknownType(_) | Decoded::Invalid { .. } => {
                earlier.add(None);
                walk.unfit.push(parked.sequence());
                continue;
            }
        };
        let (outcome, change) = match step {
            Step::Done(outcome, change) => (outcome, change),
            Step::Unfit(now) => {
                earlier.add(parked.document.as_ref());
                walk.unfit.push(parked.sequence());
                wait_for(state, parked, now)?;
                continue;
            }
        };
        unpark(state, &parked)?;
        state.count(outcome);
        let Some(change) = change else { continue };
        offer(change.freed);
        if let Some(document) = change.supersedes {
            pointless.add(document, change.erases);
            walk.start_over();
            earlier = ParkedSummary::default();
        }
    }
    Ok(())
}

/// Keeps the record with the reason it has to wait for now.
fn wait_for<S: State>(state: &mut S, mut parked: Parked, now: Unfit) -> Result<(), S::Error> {
    // What a record awaits follows from its reason.
    if now.reason != parked.reason {
        state.unpark(&parked)?;
        (parked.reason, parked.awaits) = (now.reason, now.awaits);
        state.park(parked)?;
    }
    Ok(())
}

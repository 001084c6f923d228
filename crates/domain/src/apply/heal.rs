//! What follows a change of a lane, in the same batch: superseding, trying again what is parked in
//! the lane, and trying again who waits for an identity that became free.

use std::collections::{BTreeSet, VecDeque};

use super::{Change, Step, Unfit, try_event, unpark};
use crate::decode::decode;
use crate::{
    Decoded, Family, Lane, Outcome, Parked, ParkedDocument, ParkedSummary, State, UserId,
    WorkosUserId,
};

/// What is left to try after a change, beyond its own lane.
enum Todo {
    /// An identity became free: whoever waits for it.
    Offer(WorkosUserId),
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
            Todo::Offer(workos_id) => {
                let mut waiting = state.awaiting(&workos_id)?;
                // A lane is tried as a whole, however many of its records wait.
                let mut seen = BTreeSet::new();
                waiting.retain(|user| seen.insert(user.clone()));
                todo.extend(waiting.into_iter().rev().map(Todo::Retry));
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

/// Tries what is parked in a lane in sequence order. Each record that fits is a change of its own,
/// after which those before it are tried again. The lane is read once, however many fit.
fn retry_lane<S: State>(
    state: &mut S,
    change: Change,
    todo: &mut Vec<Todo>,
) -> Result<(), S::Error> {
    let mut rest = VecDeque::from(state.parked(&change.lane)?);
    let mut unfit = Vec::new();
    let mut earlier = ParkedSummary::default();
    todo.extend(change.freed.map(Todo::Offer));
    if let Some(document) = &change.supersedes {
        supersede(state, &mut rest, document, change.erases)?;
    }
    while let Some(parked) = rest.pop_front() {
        let step = match parked.record.with_ref(decode) {
            Decoded::Event(event) if parked.document.is_some() => {
                try_event(state, event, Some(&earlier))?
            }
            // What this release could not decode stays until a rebuild by one that can.
            Decoded::Event(_) | Decoded::UnknownType(_) | Decoded::Invalid { .. } => {
                earlier.add(None);
                unfit.push(parked);
                continue;
            }
        };
        let (outcome, change) = match step {
            Step::Done(outcome, change) => (outcome, change),
            Step::Unfit(now) => {
                earlier.add(parked.document.as_ref());
                unfit.push(waiting_for(state, parked, now)?);
                continue;
            }
        };
        unpark(state, &parked)?;
        state.count(outcome);
        let Some(change) = change else { continue };
        todo.extend(change.freed.map(Todo::Offer));
        // A patch fits only where nothing of its document stands before it: it helps none of those.
        if let Some(document) = &change.supersedes {
            unfit
                .drain(..)
                .rev()
                .for_each(|parked| rest.push_front(parked));
            earlier = ParkedSummary::default();
            supersede(state, &mut rest, document, change.erases)?;
        }
    }
    Ok(())
}

/// Removes the records that a change made pointless, from the state and from those still to try.
fn supersede<S: State>(
    state: &mut S,
    waiting: &mut VecDeque<Parked>,
    document: &ParkedDocument,
    erases: bool,
) -> Result<(), S::Error> {
    let is_pointless = |parked: &Parked| {
        let named = parked.document.as_ref();
        named.is_none_or(|named| named.id == document.id && named.version <= document.version)
    };
    for parked in waiting.iter().filter(|parked| is_pointless(parked)) {
        unpark(state, parked)?;
        if !erases {
            state.count(Outcome::Superseded);
        }
    }
    waiting.retain(|parked| !is_pointless(parked));
    Ok(())
}

/// The record with the reason it has to wait for now.
fn waiting_for<S: State>(
    state: &mut S,
    mut parked: Parked,
    now: Unfit,
) -> Result<Parked, S::Error> {
    // What a record awaits follows from its reason.
    if now.reason != parked.reason {
        state.unpark(&parked)?;
        (parked.reason, parked.awaits) = (now.reason, now.awaits);
        state.park(parked.clone())?;
    }
    Ok(parked)
}

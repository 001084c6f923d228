//! What follows a change of a lane, in the same batch: superseding, trying again what is parked in
//! the lane, and trying again who waits for an identity that became free.

use super::{Change, Step, try_event, unpark};
use crate::decode::decode;
use crate::{
    Decoded, Family, Lane, Outcome, ParkedDocument, ParkedSummary, State, UserId, WorkosUserId,
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
                let waiting = state.awaiting(&workos_id)?;
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

/// Each parked record that fits is a change of its own, after which the lane is tried from its
/// first record again.
fn retry_lane<S: State>(
    state: &mut S,
    change: Change,
    todo: &mut Vec<Todo>,
) -> Result<(), S::Error> {
    let lane = change.lane.clone();
    let mut next = Some(change);
    while let Some(change) = next.take() {
        todo.extend(change.freed.map(Todo::Offer));
        if let Some(document) = &change.supersedes {
            supersede(state, &lane, document, change.erases)?;
        }
        next = retry_first_fit(state, &lane)?;
    }
    Ok(())
}

fn supersede<S: State>(
    state: &mut S,
    lane: &Lane,
    document: &ParkedDocument,
    erases: bool,
) -> Result<(), S::Error> {
    for parked in state.parked(lane)? {
        let pointless = parked
            .document
            .as_ref()
            .is_none_or(|parked| parked.id == document.id && parked.version <= document.version);
        if pointless {
            unpark(state, &parked)?;
            if !erases {
                state.count(Outcome::Superseded);
            }
        }
    }
    Ok(())
}

/// Tries the lane's parked records in sequence order until one changes the lane.
fn retry_first_fit<S: State>(state: &mut S, lane: &Lane) -> Result<Option<Change>, S::Error> {
    let mut earlier = ParkedSummary::default();
    for mut parked in state.parked(lane)? {
        let event = match parked.record.with_ref(decode) {
            Decoded::Event(event) if parked.document.is_some() => event,
            // What this release could not decode stays until a rebuild by one that can.
            Decoded::Event(_) | Decoded::UnknownType(_) | Decoded::Invalid { .. } => {
                earlier.add(None);
                continue;
            }
        };
        match try_event(state, event, Some(&earlier))? {
            Step::Done(outcome, change) => {
                unpark(state, &parked)?;
                state.count(outcome);
                if change.is_some() {
                    return Ok(change);
                }
            }
            Step::Unfit(unfit) => {
                earlier.add(parked.document.as_ref());
                if (unfit.reason, &unfit.awaits) != (parked.reason, &parked.awaits) {
                    state.unpark(&parked)?;
                    (parked.reason, parked.awaits) = (unfit.reason, unfit.awaits);
                    state.park(parked)?;
                }
            }
        }
    }
    Ok(None)
}

//! The projection: what one record does to the state. The apply table of the contract, and healing.
//!
//! Where several rows of the table fit one record, they are tried in this order: erased, stale,
//! duplicate, behind, conflict, and then what only a version above the held one can meet.

mod heal;
mod profile;
mod remedy;
#[cfg(test)]
mod tests;
mod user;

pub use remedy::{Remedy, Surroundings, remedies, waits_behind};

use crate::decode::decode;
use crate::{
    Decoded, Event, Family, Fault, Lane, Outcome, ParkReason, Parked, ParkedDocument,
    ParkedSummary, Record, RecordRef, Sequence, State, UserDocument, UserId, Version, WorkosUserId,
};

/// Applies one record: total, and pure but for `state` (D1).
///
/// The outcome is the record's own; it is counted in `state`, and so is what healing did.
pub fn apply<S: State>(state: &mut S, record: &RecordRef<'_>) -> Result<Outcome, S::Error> {
    let outcome = match decode(record) {
        Decoded::Event(Event::Dropped { user, sequence }) => drop_parked(state, &user, sequence)?,
        Decoded::Event(event) => match try_event(state, event, None)? {
            Step::Done(outcome, change) => {
                if let Some(change) = change {
                    heal::after(state, change)?;
                }
                outcome
            }
            Step::Unfit(unfit) => park_unfit(state, record, unfit)?,
        },
        Decoded::UnknownType(lane) if is_erased(state, &lane.user)? => Outcome::Resurrect,
        Decoded::UnknownType(_) => Outcome::UnknownType,
        Decoded::Invalid { lane, fault } => park_invalid(state, record, lane, &fault)?,
    };
    state.count(outcome);
    Ok(outcome)
}

/// What the table says of one event.
enum Step {
    /// The event is settled. `None` when nothing can follow from it.
    Done(Outcome, Option<Change>),
    /// The event cannot be applied now, and changed nothing.
    Unfit(Unfit),
}

/// A change of a lane that something parked may wait for.
struct Change {
    lane: Lane,
    /// The document whose parked records up to a version are pointless now, and the lane's
    /// undecodable ones with them.
    supersedes: Option<ParkedDocument>,
    /// What is superseded is erased, which is not counted apart.
    erases: bool,
    /// The identity that no user has any more.
    freed: Option<WorkosUserId>,
}

/// Why an event has to wait.
struct Unfit {
    lane: Lane,
    document: ParkedDocument,
    reason: ParkReason,
    awaits: Option<WorkosUserId>,
}

fn settled(outcome: Outcome) -> Step {
    Step::Done(outcome, None)
}

/// `applied`, or `version_gap` when a version between was never seen.
fn next_or_gap(held: u64, version: Version) -> Outcome {
    if version.get() == held.saturating_add(1) {
        Outcome::Applied
    } else {
        Outcome::VersionGap
    }
}

/// Tries one event by the table. `earlier` is what waits before it, when it is not the lane's
/// latest record: a patch waits for that.
fn try_event<S: State>(
    state: &mut S,
    event: Event,
    earlier: Option<&ParkedSummary>,
) -> Result<Step, S::Error> {
    match event {
        Event::User { user, change } => user::try_change(state, user, change),
        Event::Profile {
            user,
            profile,
            change,
        } => profile::try_change(state, user, profile, change, earlier),
        // A decision is never parked, so it is never tried again.
        Event::Dropped { .. } => Ok(settled(Outcome::DecisionVoid)),
    }
}

fn is_erased<S: State>(state: &mut S, user: &UserId) -> Result<bool, S::Error> {
    Ok(state.user(user)?.document == UserDocument::Erased)
}

fn park_unfit<S: State>(
    state: &mut S,
    record: &RecordRef<'_>,
    unfit: Unfit,
) -> Result<Outcome, S::Error> {
    let Unfit {
        lane,
        document,
        reason,
        awaits,
    } = unfit;
    let parked = Parked {
        lane: Some(lane),
        reason,
        detail: Box::default(),
        document: Some(document),
        awaits,
        record: Record::from(record),
    };
    park(state, parked)?;
    Ok(Outcome::Parked(reason))
}

fn park_invalid<S: State>(
    state: &mut S,
    record: &RecordRef<'_>,
    lane: Option<Lane>,
    fault: &Fault,
) -> Result<Outcome, S::Error> {
    if let Some(lane) = &lane
        && is_erased(state, &lane.user)?
    {
        return Ok(Outcome::Resurrect);
    }
    let mut record = Record::from(record);
    if let Fault::TooLarge { .. } = fault {
        // The stream still has it, and it can never be applied: no second copy of any size.
        record.payload = Box::default();
    }
    let (reason, detail) = (ParkReason::Invalid, fault.to_string().into());
    park(
        state,
        Parked {
            lane,
            reason,
            detail,
            document: None,
            awaits: None,
            record,
        },
    )?;
    Ok(Outcome::Parked(reason))
}

fn drop_parked<S: State>(
    state: &mut S,
    user: &UserId,
    sequence: Sequence,
) -> Result<Outcome, S::Error> {
    for family in [Family::User, Family::Profile, Family::Quarantine] {
        let lane = Lane {
            user: user.clone(),
            family,
        };
        let next = state.next_parked(&lane, sequence.get().saturating_sub(1))?;
        if let Some(named) = next.filter(|parked| parked.sequence() == sequence) {
            unpark(state, &named)?;
            heal::after(
                state,
                Change {
                    lane,
                    supersedes: None,
                    erases: false,
                    freed: None,
                },
            )?;
            return Ok(Outcome::Dropped);
        }
    }
    Ok(Outcome::DecisionVoid)
}

/// Parks a record and counts it in its lane's row.
fn park<S: State>(state: &mut S, parked: Parked) -> Result<(), S::Error> {
    if let Some(summary) = summary_mut(state, parked.lane.as_ref())? {
        summary.add(parked.document.as_ref());
    }
    state.park(parked)
}

/// Removes a parked record, from its lane's row too.
fn unpark<S: State>(state: &mut S, parked: &Parked) -> Result<(), S::Error> {
    if let Some(summary) = summary_mut(state, parked.lane.as_ref())? {
        summary.remove(parked.document.as_ref());
    }
    state.unpark(parked)
}

/// The row of a lane that keeps account of what is parked. None for decisions, which nothing waits
/// behind, and for records without a lane.
fn summary_mut<'s, S: State>(
    state: &'s mut S,
    lane: Option<&Lane>,
) -> Result<Option<&'s mut ParkedSummary>, S::Error> {
    let Some(Lane { user, family }) = lane else {
        return Ok(None);
    };
    Ok(match family {
        Family::User => Some(&mut state.user_mut(user)?.parked),
        Family::Profile => Some(&mut state.profiles_mut(user)?.parked),
        Family::Quarantine => None,
    })
}

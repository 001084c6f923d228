//! The projection: what one record does to the state. The apply table of the contract, and healing.
//!
//! Where several rows of the table fit one record, they are tried in this order: erased, stale,
//! duplicate, version jump, behind, conflict, and then what only a version above the held one can meet.

mod due;
mod heal;
mod profile;
mod remedy;
#[cfg(test)]
mod tests;
mod user;

pub use remedy::{Remedy, Surroundings, remedies, waits_behind};

use crate::decode::{HEADERS_BYTES_MAX, STRUCTURED_BYTES_MAX, decode};
use crate::{
    Decoded, Event, Family, Fault, Lane, Outcome, ParkReason, Parked, ParkedDocument,
    ParkedSummary, Record, RecordRef, Sequence, State, UserDocument, UserId, Version, WorkosUserId,
};

/// How far above the held version a version is believed.
pub const VERSION_JUMP_MAX: u64 = 1_000_000;

/// Applies one record: total, and pure but for `state` (D1).
///
/// The outcome is the record's own; it is counted in `state`, and so is what healing did.
pub fn apply<S: State>(state: &mut S, record: &RecordRef<'_>) -> Result<Outcome, S::Error> {
    let outcome = match decode(record) {
        Decoded::Event(Event::Dropped { user, sequence }) => drop_parked(state, &user, sequence)?,
        Decoded::Event(event) => match try_event(state, event, record.sequence)? {
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

impl Change {
    /// A record left the lane, and what waited behind it may be next.
    fn departure(lane: Lane) -> Self {
        Self {
            lane,
            supersedes: None,
            erases: false,
            freed: None,
        }
    }
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

/// Whether a version is too far above the held one to be believed.
fn is_jump(held: u64, version: Version) -> bool {
    held.saturating_add(VERSION_JUMP_MAX) < version.get()
}

/// Tries one event by the table. A patch waits for what is parked before its place.
fn try_event<S: State>(state: &mut S, event: Event, at: Sequence) -> Result<Step, S::Error> {
    match event {
        Event::User { user, change } => user::try_change(state, user, change),
        Event::Profile {
            user,
            profile,
            change,
        } => profile::try_change(state, user, profile, change, at),
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
    park(state, parked)
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
    // The stream still has it, and it can never be applied: no second copy of any size, whatever else is
    // wrong with it.
    if matches!(fault, Fault::TooLarge { .. }) || STRUCTURED_BYTES_MAX < record.payload.len() {
        record.payload = Box::default();
    }
    if HEADERS_BYTES_MAX < record.headers.len() {
        record.headers = Box::default();
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
    )
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
        if let Some(named) = parked_at(state, &lane, sequence)? {
            unpark(state, &named)?;
            heal::after(state, Change::departure(lane))?;
            return Ok(Outcome::Dropped);
        }
    }
    Ok(Outcome::DecisionVoid)
}

fn parked_at<S: State>(
    state: &mut S,
    lane: &Lane,
    sequence: Sequence,
) -> Result<Option<Parked>, S::Error> {
    let next = state.next_parked(lane, sequence.get().saturating_sub(1))?;
    Ok(next.filter(|parked| parked.sequence() == sequence))
}

/// Parks a new record if its lane has room, which one of less worth may make.
fn park<S: State>(state: &mut S, parked: Parked) -> Result<Outcome, S::Error> {
    let outcome = Outcome::Parked(parked.reason);
    let lane = parked.lane.clone();
    let held = match &lane {
        None => state.parked_alone()?,
        Some(lane) if lane.family == Family::Quarantine => state.user(&lane.user)?.decisions,
        Some(lane) => {
            let total = summary(state, lane)?.map_or(0, ParkedSummary::total);
            u64::try_from(total).unwrap_or(u64::MAX)
        }
    };
    if held < u64::try_from(S::LANE_RECORDS_MAX).unwrap_or(u64::MAX) {
        put_parked(state, parked)?;
        return Ok(outcome);
    }
    let Some(lane) = lane else {
        return Ok(Outcome::LaneFull);
    };
    let least = summary(state, &lane)?.and_then(|summary| summary.least(&parked));
    let Some(least) = least else {
        return Ok(Outcome::LaneFull);
    };
    if let Some(least) = parked_at(state, &lane, least)? {
        unpark(state, &least)?;
        state.count(Outcome::LaneFull);
    }
    put_parked(state, parked)?;
    heal::after(state, Change::departure(lane))?;
    Ok(outcome)
}

/// Parks a record, or gives it the reason that it has now, in its lane's row too.
fn put_parked<S: State>(state: &mut S, parked: Parked) -> Result<(), S::Error> {
    match &parked.lane {
        None => {}
        Some(Lane {
            user,
            family: Family::Quarantine,
        }) => {
            let decisions = &mut state.user_mut(user)?.decisions;
            *decisions = decisions.saturating_add(1);
        }
        Some(lane) => {
            if let Some(summary) = summary_mut(state, lane)? {
                summary.put(&parked);
            }
        }
    }
    state.park(parked)
}

/// Removes a parked record, from its lane's row too.
fn unpark<S: State>(state: &mut S, parked: &Parked) -> Result<(), S::Error> {
    match &parked.lane {
        None => {}
        Some(Lane {
            user,
            family: Family::Quarantine,
        }) => {
            let decisions = &mut state.user_mut(user)?.decisions;
            *decisions = decisions.saturating_sub(1);
        }
        Some(lane) => {
            if let Some(summary) = summary_mut(state, lane)? {
                summary.remove(parked);
            }
        }
    }
    state.unpark(parked)
}

/// What is parked in a lane. None for decisions, which nothing waits behind.
fn summary<'s, S: State>(
    state: &'s mut S,
    lane: &Lane,
) -> Result<Option<&'s ParkedSummary>, S::Error> {
    Ok(match lane.family {
        Family::User => Some(&state.user(&lane.user)?.parked),
        Family::Profile => Some(&state.profiles(&lane.user)?.parked),
        Family::Quarantine => None,
    })
}

/// The same, to be changed.
fn summary_mut<'s, S: State>(
    state: &'s mut S,
    lane: &Lane,
) -> Result<Option<&'s mut ParkedSummary>, S::Error> {
    Ok(match lane.family {
        Family::User => Some(&mut state.user_mut(&lane.user)?.parked),
        Family::Profile => Some(&mut state.profiles_mut(&lane.user)?.parked),
        Family::Quarantine => None,
    })
}

//! The table's rows for user documents, and the mapping of identities that they own.

use super::{Change, Step, Unfit, is_jump, next_or_gap, settled};
use crate::{
    Family, Lane, Outcome, ParkReason, ParkedDocument, ParkedSummary, ProfileRow, State,
    UserChange, UserDocument, UserId, Version, WorkosUserId,
};

/// The held version, 0 for none, and the identity of a live user. `None` when erased.
pub(super) fn held(document: &UserDocument) -> Option<(u64, Option<&WorkosUserId>)> {
    match document {
        UserDocument::Absent => Some((0, None)),
        UserDocument::Live { version, workos_id } => Some((version.get(), Some(workos_id))),
        UserDocument::Deleted { version } => Some((version.get(), None)),
        UserDocument::Erased => None,
    }
}

/// Tries one change of a user document.
pub(super) fn try_change<S: State>(
    state: &mut S,
    user: UserId,
    change: UserChange,
) -> Result<Step, S::Error> {
    match change {
        UserChange::State { version, workos_id } => replace(state, user, version, workos_id),
        UserChange::Deleted { version } => delete(state, user, version),
        UserChange::Erased => erase(state, user),
    }
}

fn replace<S: State>(
    state: &mut S,
    user: UserId,
    version: Version,
    workos_id: WorkosUserId,
) -> Result<Step, S::Error> {
    let Some((held, had)) = held(&state.user(&user)?.document) else {
        return Ok(settled(Outcome::Resurrect));
    };
    if version.get() < held {
        return Ok(settled(Outcome::Stale));
    }
    let same = had == Some(&workos_id);
    if version.get() == held {
        let duplicate = || Ok(settled(Outcome::Duplicate));
        return if same {
            duplicate()
        } else {
            Ok(unfit(user, version, ParkReason::Conflict))
        };
    }
    if is_jump(held, version) {
        return Ok(unfit(user, version, ParkReason::VersionJump));
    }
    let mut freed = None;
    if !same {
        let had = had.cloned();
        if state.owner(&workos_id)?.is_some() {
            return Ok(match unfit(user, version, ParkReason::MappingConflict) {
                Step::Unfit(unfit) => Step::Unfit(Unfit {
                    awaits: Some(workos_id),
                    ..unfit
                }),
                done @ Step::Done(..) => done,
            });
        }
        if let Some(had) = &had {
            state.set_owner(had, None)?;
        }
        state.set_owner(&workos_id, Some(&user))?;
        freed = had;
    }
    let row = state.user_mut(&user)?;
    row.document = UserDocument::Live { version, workos_id };
    let change = follow(user, version, &row.parked, freed);
    Ok(Step::Done(next_or_gap(held, version), change))
}

fn delete<S: State>(state: &mut S, user: UserId, version: Version) -> Result<Step, S::Error> {
    let Some((held, had)) = held(&state.user(&user)?.document) else {
        return Ok(settled(Outcome::Resurrect));
    };
    if version.get() < held {
        return Ok(settled(Outcome::Stale));
    }
    if version.get() == held {
        return Ok(match had {
            Some(_) => unfit(user, version, ParkReason::Conflict),
            None => settled(Outcome::Duplicate),
        });
    }
    if is_jump(held, version) {
        return Ok(unfit(user, version, ParkReason::VersionJump));
    }
    let freed = had.cloned();
    if let Some(freed) = &freed {
        state.set_owner(freed, None)?;
    }
    let row = state.user_mut(&user)?;
    row.document = UserDocument::Deleted { version };
    Ok(Step::Done(
        Outcome::Deleted,
        follow(user, version, &row.parked, freed),
    ))
}

/// Leaves the user nothing but the final tombstone.
fn erase<S: State>(state: &mut S, user: UserId) -> Result<Step, S::Error> {
    let Some((_, had)) = held(&state.user(&user)?.document) else {
        return Ok(settled(Outcome::Erased));
    };
    let freed = had.cloned();
    if let Some(freed) = &freed {
        state.set_owner(freed, None)?;
    }
    for family in [Family::User, Family::Profile, Family::Quarantine] {
        let lane = Lane {
            user: user.clone(),
            family,
        };
        let mut after = 0;
        while let Some(parked) = state.next_parked(&lane, after)? {
            after = parked.sequence().get();
            state.unpark(&parked)?;
        }
    }
    *state.profiles_mut(&user)? = ProfileRow::default();
    let row = state.user_mut(&user)?;
    row.document = UserDocument::Erased;
    (row.parked, row.decisions) = (ParkedSummary::default(), 0);
    let lane = Lane {
        user,
        family: Family::User,
    };
    let change = Change {
        lane,
        supersedes: None,
        erases: true,
        freed,
    };
    Ok(Step::Done(Outcome::Erased, Some(change)))
}

fn follow(
    user: UserId,
    version: Version,
    parked: &ParkedSummary,
    freed: Option<WorkosUserId>,
) -> Option<Change> {
    if parked.is_empty() && freed.is_none() {
        return None;
    }
    let supersedes = Some(ParkedDocument {
        id: user.as_str().into(),
        version,
    });
    let lane = Lane {
        user,
        family: Family::User,
    };
    Some(Change {
        lane,
        supersedes,
        erases: false,
        freed,
    })
}

fn unfit(user: UserId, version: Version, reason: ParkReason) -> Step {
    let document = ParkedDocument {
        id: user.as_str().into(),
        version,
    };
    let lane = Lane {
        user,
        family: Family::User,
    };
    Step::Unfit(Unfit {
        lane,
        document,
        reason,
        awaits: None,
    })
}

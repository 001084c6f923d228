//! The table's rows for profile documents: one live at most, tombstones beside it.

use super::{Change, Step, Unfit, is_erased, is_jump, next_or_gap, settled};
use crate::{
    Family, Gone, Lane, LiveProfile, Outcome, PackedProfile, ParkReason, ParkedDocument,
    ParkedSummary, ProfileChange, ProfileId, ProfilePatch, ProfileRow, Sequence, State, UserId,
    Version,
};

/// Tries one change of a profile document.
pub(super) fn try_change<S: State>(
    state: &mut S,
    user: UserId,
    id: ProfileId,
    change: ProfileChange,
    at: Sequence,
) -> Result<Step, S::Error> {
    if is_erased(state, &user)? {
        let again = change == ProfileChange::Erased;
        return Ok(settled(if again {
            Outcome::Erased
        } else {
            Outcome::Resurrect
        }));
    }
    let document = Document { user, id };
    let row = state.profiles(&document.user)?;
    let Some(held) = row.held(document.id.as_str()) else {
        let again = change == ProfileChange::Erased;
        return Ok(settled(if again {
            Outcome::Erased
        } else {
            Outcome::Resurrect
        }));
    };
    match change {
        ProfileChange::State { version, profile } => {
            replace(state, document, held, version, profile)
        }
        ProfileChange::Patch { version, patch } => {
            apply_patch(state, document, held, version, &patch, at)
        }
        ProfileChange::Deleted { version } => delete(state, document, held, version),
        ProfileChange::Erased => erase(state, document, held),
    }
}

/// One profile document.
struct Document {
    user: UserId,
    id: ProfileId,
}

impl Document {
    /// The document as it is served, if it is.
    fn live<'r>(&self, row: &'r ProfileRow) -> Option<&'r LiveProfile> {
        row.live.as_ref().filter(|live| live.id == self.id)
    }

    /// Replaces what is held of the document by a tombstone.
    fn bury(&self, row: &mut ProfileRow, gone: Gone) {
        row.live.take_if(|live| live.id == self.id);
        row.gone.retain(|(id, _)| *id != self.id);
        let at = row.gone.partition_point(|(id, _)| *id < self.id);
        row.gone.insert(at, (self.id.clone(), gone));
    }

    /// What may follow a change up to a version.
    fn follow(self, version: Version, parked: &ParkedSummary) -> Option<Change> {
        if parked.is_empty() {
            return None;
        }
        let id = self.id.as_str().into();
        let supersedes = Some(ParkedDocument { id, version });
        let lane = Lane {
            user: self.user,
            family: Family::Profile,
        };
        Some(Change {
            lane,
            supersedes,
            erases: false,
            freed: None,
        })
    }

    fn unfit(self, version: Version, reason: ParkReason) -> Step {
        let document = ParkedDocument {
            id: self.id.as_str().into(),
            version,
        };
        let lane = Lane {
            user: self.user,
            family: Family::Profile,
        };
        Step::Unfit(Unfit {
            lane,
            document,
            reason,
            awaits: None,
        })
    }
}

fn replace<S: State>(
    state: &mut S,
    document: Document,
    held: u64,
    version: Version,
    profile: PackedProfile,
) -> Result<Step, S::Error> {
    let row = state.profiles(&document.user)?;
    if version.get() < held {
        return Ok(settled(Outcome::Stale));
    }
    if version.get() == held {
        let same = document
            .live(row)
            .is_some_and(|live| live.profile == profile);
        let duplicate = settled(Outcome::Duplicate);
        return Ok(if same {
            duplicate
        } else {
            document.unfit(version, ParkReason::Conflict)
        });
    }
    if is_jump(held, version) {
        return Ok(document.unfit(version, ParkReason::VersionJump));
    }
    if held == 0 && S::PROFILES_MAX <= row.documents() {
        return Ok(document.unfit(version, ParkReason::TooManyProfiles));
    }
    if row.live.as_ref().is_some_and(|live| live.id != document.id) {
        return Ok(document.unfit(version, ParkReason::ProfileConflict));
    }
    let row = state.profiles_mut(&document.user)?;
    row.gone.retain(|(id, _)| *id != document.id);
    row.live = Some(LiveProfile {
        id: document.id.clone(),
        version,
        profile,
    });
    Ok(Step::Done(
        next_or_gap(held, version),
        document.follow(version, &row.parked),
    ))
}

fn apply_patch<S: State>(
    state: &mut S,
    document: Document,
    held: u64,
    version: Version,
    patch: &ProfilePatch,
    at: Sequence,
) -> Result<Step, S::Error> {
    let row = state.profiles(&document.user)?;
    if version.get() < held {
        return Ok(settled(Outcome::Stale));
    }
    let before = document.live(row).map(|live| &live.profile);
    let after = before.map(|profile| PackedProfile::from(&patch.applied_to(profile.members())));
    let is_held = version.get() == held;
    if is_held && after.is_some() && after.as_ref() == before {
        return Ok(settled(Outcome::Duplicate));
    }
    if is_jump(held, version) {
        return Ok(document.unfit(version, ParkReason::VersionJump));
    }
    if row.parked.holds_back(document.id.as_str(), at) {
        return Ok(document.unfit(version, ParkReason::Behind));
    }
    if is_held {
        return Ok(document.unfit(version, ParkReason::Conflict));
    }
    let Some(profile) = after.filter(|_| version.get() == held.saturating_add(1)) else {
        return Ok(document.unfit(version, ParkReason::PatchBase));
    };
    let row = state.profiles_mut(&document.user)?;
    row.live = Some(LiveProfile {
        id: document.id,
        version,
        profile,
    });
    // It fits only where nothing of its document is parked, and helps no other.
    Ok(settled(Outcome::Applied))
}

fn delete<S: State>(
    state: &mut S,
    document: Document,
    held: u64,
    version: Version,
) -> Result<Step, S::Error> {
    if version.get() < held {
        return Ok(settled(Outcome::Stale));
    }
    let row = state.profiles(&document.user)?;
    if version.get() == held {
        let duplicate = document.live(row).is_none();
        let conflict = ParkReason::Conflict;
        return Ok(if duplicate {
            settled(Outcome::Duplicate)
        } else {
            document.unfit(version, conflict)
        });
    }
    if is_jump(held, version) {
        return Ok(document.unfit(version, ParkReason::VersionJump));
    }
    if held == 0 && S::PROFILES_MAX <= row.documents() {
        return Ok(document.unfit(version, ParkReason::TooManyProfiles));
    }
    let row = state.profiles_mut(&document.user)?;
    document.bury(row, Gone::Deleted(version));
    Ok(Step::Done(
        Outcome::Deleted,
        document.follow(version, &row.parked),
    ))
}

fn erase<S: State>(state: &mut S, document: Document, held: u64) -> Result<Step, S::Error> {
    let row = state.profiles_mut(&document.user)?;
    // A document that the user has no room for never comes, so nothing has to say that it is gone.
    if held != 0 || row.documents() < S::PROFILES_MAX {
        document.bury(row, Gone::Erased);
    }
    let all = Version::new(Version::MAX);
    let change = all.and_then(|all| document.follow(all, &row.parked));
    Ok(Step::Done(
        Outcome::Erased,
        change.map(|change| Change {
            erases: true,
            ..change
        }),
    ))
}

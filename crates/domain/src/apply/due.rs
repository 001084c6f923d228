//! Which parked records of a lane the table may judge otherwise than it did, by the lane's row alone.
//!
//! What is judged due leaves its lane when it is tried, or waits for another reason. A patch waits for
//! what is parked before it, and that only ever goes; a held version only ever rises. So each record
//! is due a few times at most, however often its lane changes.

use std::collections::BTreeSet;

use super::{is_jump, user};
use crate::{
    Family, Lane, ParkReason, ParkedDocument, ParkedEntry, ParkedSummary, ProfileRow, Sequence,
    State, UserRow,
};

/// What was found while a lane is tried.
#[derive(Default)]
pub(super) struct Tried {
    in_vain: BTreeSet<Sequence>,
    /// The document that was patched last: a patch of the version that it has now may repeat it.
    patched: Option<Box<str>>,
}

impl Tried {
    pub(super) fn in_vain(&mut self, at: Sequence) {
        self.in_vain.insert(at);
    }

    pub(super) fn patched(&mut self, document: Option<ParkedDocument>) {
        self.patched = document.map(|document| document.id);
    }

    fn is_new(&self, entry: &ParkedEntry) -> bool {
        !self.in_vain.contains(&entry.sequence)
    }
}

/// The first record of a lane that is due, when identities of these hashes became free.
pub(super) fn first<S: State>(
    state: &mut S,
    lane: &Lane,
    tried: &Tried,
    freed: &BTreeSet<u32>,
) -> Result<Option<Sequence>, S::Error> {
    Ok(match lane.family {
        Family::User => in_user_lane(state.user(&lane.user)?, tried, freed),
        Family::Profile => in_profile_lane(state.profiles(&lane.user)?, tried, S::PROFILES_MAX),
        Family::Quarantine => None,
    })
}

fn in_user_lane(row: &UserRow, tried: &Tried, freed: &BTreeSet<u32>) -> Option<Sequence> {
    let held = user::held(&row.document).map(|(held, _)| held);
    let entries = row.parked.documents.iter().flat_map(|(_, entries)| entries);
    let mut due = entries.filter(|entry| {
        let is_due = held.is_none_or(|held| match entry.reason {
            _ if entry.version.get() < held => true,
            ParkReason::VersionJump => !is_jump(held, entry.version),
            ParkReason::MappingConflict => freed.contains(&entry.awaits),
            ParkReason::Invalid
            | ParkReason::Conflict
            | ParkReason::PatchBase
            | ParkReason::Behind
            | ParkReason::ProfileConflict
            | ParkReason::TooManyProfiles => false,
        });
        is_due && tried.is_new(entry)
    });
    due.next().map(|entry| entry.sequence)
}

fn in_profile_lane(row: &ProfileRow, tried: &Tried, documents_max: usize) -> Option<Sequence> {
    let is_full = documents_max <= row.documents();
    let mut first: Option<Sequence> = None;
    for (id, entries) in &row.parked.documents {
        let document = Document {
            held: row.held(id),
            live: row.live.as_ref().map(|live| live.id.as_str() == &**id),
            is_full,
            is_patched: tried.patched.as_ref() == Some(id),
        };
        let due = |entry: &&ParkedEntry| document.is_due(entry, id, &row.parked);
        let due = entries
            .iter()
            .find(|entry| due(entry) && tried.is_new(entry));
        if let Some(due) = due {
            first = Some(first.map_or(due.sequence, |first| first.min(due.sequence)));
        }
    }
    first
}

/// A profile document as it is now.
struct Document {
    /// `None` when it is erased.
    held: Option<u64>,
    /// Whether it is the live one, if one is.
    live: Option<bool>,
    is_full: bool,
    is_patched: bool,
}

impl Document {
    fn is_due(&self, entry: &ParkedEntry, id: &str, parked: &ParkedSummary) -> bool {
        let version = entry.version.get();
        let Some(held) = self.held.filter(|held| *held <= version) else {
            return true;
        };
        match entry.reason {
            ParkReason::Behind => {
                self.is_patched && version == held || !parked.holds_back(id, entry.sequence)
            }
            ParkReason::PatchBase => self.live == Some(true) && version == held.saturating_add(1),
            ParkReason::ProfileConflict => self.live != Some(false) || self.is_full && held == 0,
            ParkReason::VersionJump => !is_jump(held, entry.version),
            ParkReason::Invalid
            | ParkReason::Conflict
            | ParkReason::MappingConflict
            | ParkReason::TooManyProfiles => false,
        }
    }
}

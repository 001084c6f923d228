//! What became of a record: the words of the apply table, and their tally.

/// Why a record is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParkReason {
    /// It does not decode, fails the schema or a cross-check, or is too large.
    Invalid,
    /// Its version is held, with another content.
    Conflict,
    /// A patch of a version that is not the held one.
    PatchBase,
    /// A patch that waits for a parked record of its lane.
    Behind,
    /// Its `workosUserId` belongs to another live user.
    MappingConflict,
    /// The user has another profile that is not deleted.
    ProfileConflict,
    /// Its version is too far above the held one to be believed.
    VersionJump,
    /// Of a document that is new to a user who has as many profile documents as there may be.
    TooManyProfiles,
}

impl ParkReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Invalid,
        Self::Conflict,
        Self::PatchBase,
        Self::Behind,
        Self::MappingConflict,
        Self::ProfileConflict,
        Self::VersionJump,
        Self::TooManyProfiles,
    ];

    /// The contract's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::PatchBase => "patch_base",
            Self::Behind => "behind",
            Self::MappingConflict => "mapping_conflict",
            Self::ProfileConflict => "profile_conflict",
            Self::VersionJump => "version_jump",
            Self::TooManyProfiles => "too_many_profiles",
        }
    }
}

/// What became of one record, in the contract's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It changed its document.
    Applied,
    /// It changed its document, and at least one version before it was never seen.
    VersionGap,
    /// It said what is already held.
    Duplicate,
    /// It is older than what is held.
    Stale,
    /// It left a tombstone with a version.
    Deleted,
    /// It left a final tombstone, or met one as another erasure.
    Erased,
    /// It was for something erased, and was given up.
    Resurrect,
    /// A type that this release skips.
    UnknownType,
    /// It waits in its lane.
    Parked(ParkReason),
    /// A decision that removed a parked record.
    Dropped,
    /// A decision that named none.
    DecisionVoid,
    /// A parked record that a later state or deletion made pointless.
    Superseded,
    /// It should have been parked, or was, and its lane had no room for it.
    LaneFull,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`]. Persisted by index: append only.
    pub const ALL: [Self; 20] = [
        Self::Applied,
        Self::VersionGap,
        Self::Duplicate,
        Self::Stale,
        Self::Deleted,
        Self::Erased,
        Self::Resurrect,
        Self::UnknownType,
        Self::Dropped,
        Self::DecisionVoid,
        Self::Superseded,
        Self::Parked(ParkReason::Invalid),
        Self::Parked(ParkReason::Conflict),
        Self::Parked(ParkReason::PatchBase),
        Self::Parked(ParkReason::Behind),
        Self::Parked(ParkReason::MappingConflict),
        Self::Parked(ParkReason::ProfileConflict),
        Self::Parked(ParkReason::VersionJump),
        Self::Parked(ParkReason::TooManyProfiles),
        Self::LaneFull,
    ];

    /// Its place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Applied => 0,
            Self::VersionGap => 1,
            Self::Duplicate => 2,
            Self::Stale => 3,
            Self::Deleted => 4,
            Self::Erased => 5,
            Self::Resurrect => 6,
            Self::UnknownType => 7,
            Self::Dropped => 8,
            Self::DecisionVoid => 9,
            Self::Superseded => 10,
            Self::Parked(ParkReason::Invalid) => 11,
            Self::Parked(ParkReason::Conflict) => 12,
            Self::Parked(ParkReason::PatchBase) => 13,
            Self::Parked(ParkReason::Behind) => 14,
            Self::Parked(ParkReason::MappingConflict) => 15,
            Self::Parked(ParkReason::ProfileConflict) => 16,
            Self::Parked(ParkReason::VersionJump) => 17,
            Self::Parked(ParkReason::TooManyProfiles) => 18,
            Self::LaneFull => 19,
        }
    }

    /// The contract's word for it: `applied`, `parked{conflict}` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::VersionGap => "version_gap",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Deleted => "deleted",
            Self::Erased => "erased",
            Self::Resurrect => "resurrect",
            Self::UnknownType => "unknown_type",
            Self::Dropped => "dropped",
            Self::DecisionVoid => "decision_void",
            Self::Superseded => "superseded",
            Self::Parked(ParkReason::Invalid) => "parked{invalid}",
            Self::Parked(ParkReason::Conflict) => "parked{conflict}",
            Self::Parked(ParkReason::PatchBase) => "parked{patch_base}",
            Self::Parked(ParkReason::Behind) => "parked{behind}",
            Self::Parked(ParkReason::MappingConflict) => "parked{mapping_conflict}",
            Self::Parked(ParkReason::ProfileConflict) => "parked{profile_conflict}",
            Self::Parked(ParkReason::VersionJump) => "parked{version_jump}",
            Self::Parked(ParkReason::TooManyProfiles) => "parked{too_many_profiles}",
            Self::LaneFull => "lane_full",
        }
    }
}

/// How often each outcome happened. A parked record counts once when it is parked and once more
/// when it leaves its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally([u64; Outcome::ALL.len()]);

impl Tally {
    /// Counts one.
    pub fn count(&mut self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    /// Counts several.
    pub fn add(&mut self, outcome: Outcome, times: u64) {
        if let Some(count) = self.0.get_mut(outcome.index()) {
            *count = count.saturating_add(times);
        }
    }

    /// Every outcome with its count, in the order of [`Outcome::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        Outcome::ALL.into_iter().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_stands_at_its_index() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome.index(), index);
        }
        for reason in ParkReason::ALL {
            let word = format!("parked{{{}}}", reason.as_str());
            assert_eq!(Outcome::Parked(reason).as_str(), word);
        }
    }
}

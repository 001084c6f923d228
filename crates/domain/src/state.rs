//! What the fold knows: rows, tombstones, mappings and parked records, behind one trait.

use crate::{
    Lane, Outcome, PackedProfile, ParkReason, ParkedSummary, ProfileId, Record, Sequence, UserId,
    Version, WorkosUserId,
};

/// What is held of a user document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UserDocument {
    /// Never seen.
    #[default]
    Absent,
    /// There, and the owner of its mapping.
    Live {
        /// Of the document.
        version: Version,
        /// Maps to this user.
        workos_id: WorkosUserId,
    },
    /// Deleted at a version.
    Deleted {
        /// Of the deletion.
        version: Version,
    },
    /// Gone for good.
    Erased,
}

/// A user's row: the document and what is parked in the `user` lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserRow {
    /// The document.
    pub document: UserDocument,
    /// What waits in the lane.
    pub parked: ParkedSummary,
    /// How many unreadable decisions are parked in the `quarantine` lane.
    pub decisions: u64,
}

/// The profile that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveProfile {
    /// Which document.
    pub id: ProfileId,
    /// Its version.
    pub version: Version,
    /// Its members.
    pub profile: PackedProfile,
}

/// A tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Deleted at a version; a later one brings the document back.
    Deleted(Version),
    /// Gone for good.
    Erased,
}

/// A user's profiles: at most one live, tombstones of the others, and what is parked in the lane.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileRow {
    /// The profile that is served while the user is live.
    pub live: Option<LiveProfile>,
    /// Tombstones, sorted by document id.
    pub gone: Vec<(ProfileId, Gone)>,
    /// What waits in the lane.
    pub parked: ParkedSummary,
}

impl ProfileRow {
    /// The held version of a document, 0 for none. `None` when it is erased.
    pub(crate) fn held(&self, id: &str) -> Option<u64> {
        if let Some(live) = self.live.as_ref().filter(|live| live.id.as_str() == id) {
            return Some(live.version.get());
        }
        let gone = self
            .gone
            .binary_search_by(|(gone, _)| gone.as_str().cmp(id));
        match gone.ok().and_then(|at| self.gone.get(at)) {
            None => Some(0),
            Some((_, Gone::Deleted(version))) => Some(version.get()),
            Some((_, Gone::Erased)) => None,
        }
    }

    /// How many documents it holds, tombstones included. It never falls before the user's erasure.
    pub(crate) fn documents(&self) -> usize {
        self.gone
            .len()
            .saturating_add(usize::from(self.live.is_some()))
    }
}

/// A document of a lane and the version that a parked record would give it. In a `user` lane the
/// document is the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedDocument {
    /// The document's id.
    pub id: Box<str>,
    /// The version that the record names.
    pub version: Version,
}

/// A record that waits, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Where it waits; `None` when its subject names no lane.
    pub lane: Option<Lane>,
    /// Why.
    pub reason: ParkReason,
    /// What is wrong with it, for people; empty unless the reason is `Invalid`.
    pub detail: Box<str>,
    /// The document it is about; `None` when it could not be decoded.
    pub document: Option<ParkedDocument>,
    /// The identity it waits for, when the reason is `MappingConflict`.
    pub awaits: Option<WorkosUserId>,
    /// The record itself, to be tried again.
    pub record: Record,
}

impl Parked {
    /// Its place in the stream.
    pub fn sequence(&self) -> Sequence {
        self.record.sequence
    }
}

/// Where the fold keeps what it knows. What is put is seen by the calls after it.
///
/// An implementation need not understand any of it: all rules are in [`crate::apply()`].
pub trait State {
    /// What the store behind it fails with.
    type Error;

    /// How many parked records a lane keeps, and so do those that name no lane. Part of the contract: only
    /// tests have another number.
    const LANE_RECORDS_MAX: usize = 256;
    /// How many profile documents a user has, tombstones included. Likewise.
    const PROFILES_MAX: usize = 256;

    /// The user's row; the default one when there is none.
    fn user(&mut self, user: &UserId) -> Result<&UserRow, Self::Error>;
    /// The same, to be changed.
    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, Self::Error>;
    /// The user's profiles; the default row when there is none.
    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, Self::Error>;
    /// The same, to be changed.
    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, Self::Error>;

    /// The live user that an identity maps to.
    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, Self::Error>;
    /// Maps an identity to a user, or to none.
    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), Self::Error>;

    /// The first record parked in a lane behind this sequence, if there is one. One at a time: a lane
    /// may hold more than memory does.
    fn next_parked(&mut self, lane: &Lane, after: u64) -> Result<Option<Parked>, Self::Error>;
    /// The first record behind this sequence that awaits an identity, and its user.
    fn next_awaiting(
        &mut self,
        workos_id: &WorkosUserId,
        after: u64,
    ) -> Result<Option<(Sequence, UserId)>, Self::Error>;
    /// Parks a record, or replaces the one of that lane and sequence.
    fn park(&mut self, parked: Parked) -> Result<(), Self::Error>;
    /// How many records are parked that name no lane.
    fn parked_alone(&mut self) -> Result<u64, Self::Error>;
    /// Removes a parked record.
    fn unpark(&mut self, parked: &Parked) -> Result<(), Self::Error>;

    /// Counts an outcome.
    fn count(&mut self, outcome: Outcome);
}

//! Events: what a record means once it is decoded.

use crate::{
    Fault, Lane, PackedProfile, ProfileId, ProfilePatch, Sequence, UserId, Version, WorkosUserId,
};

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// An event of the contract.
    Event(Event),
    /// A type that this release does not know, of a family and major version that it does.
    UnknownType(Lane),
    /// Nothing that could be applied. The lane is the one that the subject names, if it names one.
    Invalid {
        /// Where the record is parked.
        lane: Option<Lane>,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// One event of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A change of the user document, whose id is the user's.
    User {
        /// Whose document.
        user: UserId,
        /// What happened to it.
        change: UserChange,
    },
    /// A change of one of the user's profile documents.
    Profile {
        /// Whose profile.
        user: UserId,
        /// Which document.
        profile: ProfileId,
        /// What happened to it.
        change: ProfileChange,
    },
    /// An operator gives up one parked record of a user.
    Dropped {
        /// Whose record.
        user: UserId,
        /// Where the record stands in the stream.
        sequence: Sequence,
    },
}

/// What happened to a user document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// The whole document after the change, as far as the answer needs it.
    State {
        /// The document's version after the change.
        version: Version,
        /// Which identity is this user.
        workos_id: WorkosUserId,
    },
    /// The document is gone; a later version may bring it back.
    Deleted {
        /// The version of the deletion.
        version: Version,
    },
    /// The person is gone for good.
    Erased,
}

/// What happened to a profile document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileChange {
    /// The whole document after the change.
    State {
        /// The document's version after the change.
        version: Version,
        /// The document.
        profile: PackedProfile,
    },
    /// Some members of the document.
    Patch {
        /// The document's version after the change; the patch is of the version before.
        version: Version,
        /// The members.
        patch: Box<ProfilePatch>,
    },
    /// The document is gone; a later version may bring it back.
    Deleted {
        /// The version of the deletion.
        version: Version,
    },
    /// The document is gone for good.
    Erased,
}

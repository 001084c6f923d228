//! What would let a parked record leave its lane: the healing rules, read backwards for a person.

use std::fmt;

use super::{VERSION_JUMP_MAX, user};
use crate::{
    Family, Lane, ParkReason, Parked, ProfileId, ProfileRow, Sequence, UserDocument, UserId,
    UserRow, Version,
};

/// What stands around a parked record.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The row of the lane's user.
    pub user: &'a UserRow,
    /// The profiles of the lane's user.
    pub profiles: &'a ProfileRow,
    /// The live user that has the awaited identity, and that user's document.
    pub owner: Option<(&'a UserId, &'a UserDocument)>,
    /// The first two records of the lane that it [waits behind](waits_behind).
    pub before: &'a [Sequence],
}

/// One way out of the quarantine. Any one of several is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A whole state or a deletion of this document, of this version or a later one.
    WholeState {
        /// `user` or `profile`.
        family: Family,
        /// The document; `None` where any profile of the user will do.
        document: Option<Box<str>>,
        /// The first version that will do. It is not the record's own, unless that is the last one believed: for as
        /// long as the broker looks for duplicates, it takes another message of that version for the record itself.
        version: u64,
        /// The last one, where the record itself is of a later version that is not believed.
        last: Option<u64>,
        /// Whether a state would be parked itself, because the user has another profile.
        deletion_only: bool,
    },
    /// The whole state of the version that a patch builds on. A patch to that version would wait behind this one.
    Base {
        /// The document.
        document: Box<str>,
        /// The version.
        version: u64,
    },
    /// The one record before it is dropped; it fits then.
    Before {
        /// The user to name.
        user: UserId,
        /// The record to name.
        sequence: Sequence,
    },
    /// The user who has the identity gives it up.
    Release {
        /// Who.
        user: UserId,
        /// The version that follows.
        version: u64,
    },
    /// The user's other profile goes.
    Vacate {
        /// Whose.
        user: UserId,
        /// Which.
        profile: ProfileId,
        /// The version that follows.
        version: u64,
    },
    /// A release that can read it, and a rebuild by it.
    Understood,
    /// An operator's decision.
    Drop {
        /// The user to name.
        user: UserId,
        /// The record to name.
        sequence: Sequence,
    },
    /// Nothing in the stream can: a decision names a user, and this record's subject names none.
    None,
}

/// Every way out for a parked record, the best one first.
pub fn remedies(parked: &Parked, around: &Surroundings<'_>) -> Vec<Remedy> {
    let Some(lane) = &parked.lane else {
        return vec![Remedy::Understood, Remedy::None];
    };
    let mut remedies = Vec::new();
    let whole = whole_state(parked, lane, around);
    match parked.reason {
        ParkReason::Invalid => {
            remedies.extend(whole);
            remedies.push(Remedy::Understood);
        }
        ParkReason::Conflict | ParkReason::VersionJump => remedies.extend(whole),
        // There is no room for its document as long as the user is there.
        ParkReason::TooManyProfiles => {}
        ParkReason::PatchBase => {
            remedies.extend(base(parked, around));
            remedies.extend(whole);
        }
        ParkReason::Behind => {
            remedies.extend(only_one_before(parked, lane, around));
            remedies.extend(whole);
        }
        ParkReason::MappingConflict => {
            remedies.extend(around.owner.map(|(owner, document)| {
                let held = user::held(document).map_or(0, |(held, _)| held);
                Remedy::Release {
                    user: owner.clone(),
                    version: held.saturating_add(1),
                }
            }));
            remedies.extend(whole);
        }
        ParkReason::ProfileConflict => {
            let other = around.profiles.live.as_ref();
            // One that came before it would take the place.
            let other = other.filter(|_| around.before.is_empty());
            remedies.extend(other.map(|other| Remedy::Vacate {
                user: lane.user.clone(),
                profile: other.id.clone(),
                version: other.version.get().saturating_add(1),
            }));
        }
    }
    remedies.push(Remedy::Drop {
        user: lane.user.clone(),
        sequence: parked.sequence(),
    });
    remedies
}

/// The whole state or deletion that supersedes it. Nothing supersedes decisions.
fn whole_state(parked: &Parked, lane: &Lane, around: &Surroundings<'_>) -> Option<Remedy> {
    let named = parked.document.as_ref();
    let live = around.profiles.live.as_ref().map(|live| &live.id);
    let (document, held, deletion_only) = match lane.family {
        Family::Quarantine => return None,
        Family::User => {
            let held = user::held(&around.user.document).map(|(held, _)| held);
            (Some(lane.user.as_str().into()), held, false)
        }
        Family::Profile => {
            let document = match named {
                Some(named) => ProfileId::parse(&named.id).ok(),
                None => live.cloned(),
            };
            let held = document
                .as_ref()
                .and_then(|id| around.profiles.held(id.as_str()));
            let is_second = live.is_some() && live != document.as_ref();
            (document.map(|id| id.as_str().into()), held, is_second)
        }
    };
    let held = held.unwrap_or(0);
    let last = held.saturating_add(VERSION_JUMP_MAX).min(Version::MAX);
    // A version that is not believed goes whatever it is.
    let is_believed = parked.reason != ParkReason::VersionJump;
    let own = named.filter(|_| is_believed);
    let after_own = own.map_or(0, |own| {
        let own = own.version.get();
        own.saturating_add(1).min(last.max(own))
    });
    Some(Remedy::WholeState {
        family: lane.family,
        document,
        version: after_own.max(held.saturating_add(1)),
        last: (!is_believed).then_some(last),
        deletion_only,
    })
}

/// The version that a patch builds on, where its whole state would be taken and the patch would fit.
fn base(parked: &Parked, around: &Surroundings<'_>) -> Option<Remedy> {
    let document = parked.document.as_ref()?;
    let id = ProfileId::parse(&document.id).ok()?;
    let version = document.version.get().saturating_sub(1);
    let is_first = around
        .profiles
        .live
        .as_ref()
        .is_none_or(|live| live.id == id);
    let is_new = around.profiles.held(id.as_str()).unwrap_or(0) < version;
    (is_first && is_new && around.before.is_empty()).then(|| Remedy::Base {
        document: document.id.clone(),
        version,
    })
}

/// The record that a patch waits behind, where nothing else is in its way.
fn only_one_before(parked: &Parked, lane: &Lane, around: &Surroundings<'_>) -> Option<Remedy> {
    let &[sequence] = around.before else {
        return None;
    };
    let document = parked.document.as_ref()?;
    let live = around.profiles.live.as_ref()?;
    let fits = *live.id.as_str() == *document.id
        && live.version.get().saturating_add(1) == document.version.get();
    fits.then(|| Remedy::Before {
        user: lane.user.clone(),
        sequence,
    })
}

/// Whether another record of its lane has its turn before a parked one: for a patch one of its document or one
/// that cannot be read, for a second profile another that was refused for the first.
pub fn waits_behind(parked: &Parked, other: &Parked) -> bool {
    let id = |parked: &'_ Parked| parked.document.as_ref().map(|document| document.id.clone());
    let is_same = id(other) == id(parked);
    let version = |parked: &Parked| parked.document.as_ref().map(|document| document.version);
    let stands_before = if parked.reason == ParkReason::ProfileConflict {
        // Another document would take the place, and another record of its version the version.
        if is_same {
            version(other) == version(parked)
        } else {
            other.reason == ParkReason::ProfileConflict
        }
    } else {
        other.document.is_none() || is_same
    };
    other.sequence() < parked.sequence() && stands_before
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WholeState {
                family,
                document: Some(document),
                version,
                last,
                deletion_only,
            } => {
                let state = if *deletion_only { "" } else { "the whole state or " };
                let family = family.as_str();
                write!(f, "{state}the deletion of {family} {document}, version {version} ")?;
                match last {
                    Some(last) => write!(f, "to {last}"),
                    None => f.write_str("or later"),
                }
            }
            Self::WholeState {
                family,
                document: None,
                ..
            } => write!(f, "the whole state of a {} of this user", family.as_str()),
            Self::Base { document, version } => {
                write!(
                    f,
                    "the whole state of profile {document}, version {version}, which the patch builds on (a patch to it would wait behind this one)"
                )
            }
            Self::Before { user, sequence } => write!(
                f,
                "a decision on record {sequence}, which it waits behind: profile-projector quarantine drop {user} {sequence} --reason TEXT"
            ),
            Self::Release { user, version } => {
                write!(
                    f,
                    "user {user}, who has the workosUserId, is deleted, erased or gets another one, and nobody else has waited for it longer. {WHERE_DELETED}"
                )?;
                deletion(f, Family::User, user.as_str(), user, *version)
            }
            Self::Vacate {
                user,
                profile,
                version,
            } => {
                write!(
                    f,
                    "profile {profile} of this user is deleted or erased. {WHERE_DELETED}"
                )?;
                deletion(f, Family::Profile, profile.as_str(), user, *version)
            }
            Self::Understood => f.write_str("a release that can read it, and a rebuild by it"),
            Self::Drop { user, sequence } => {
                write!(
                    f,
                    "a decision: profile-projector quarantine drop {user} {sequence} --reason TEXT"
                )
            }
            Self::None => f.write_str(
                "no decision: its subject names no user. It harms nobody; it goes when its message is deleted from the stream and the read model is rebuilt",
            ),
        }
    }
}

const WHERE_DELETED: &str = "Where the source has it no more, and its producer will not say so, this publishes the deletion:";

/// A line to paste into a shell.
fn deletion(
    f: &mut fmt::Formatter<'_>,
    family: Family,
    document: &str,
    user: &UserId,
    version: u64,
) -> fmt::Result {
    let kind = family.as_str();
    // The shell fills in the time, between two quoted texts.
    write!(
        f,
        "\n      echo '{{\"specversion\":\"1.0\",\"id\":\"{kind}:{document}:{version}\",\"source\":\"/operator\",\
         \"type\":\"app.connvo.{kind}.deleted.v1\",\"data\":{{\"entity\":{{\"kind\":\"{kind}\",\"id\":\"{document}\",\
         \"userId\":\"{user}\",\"version\":{version}}},\"deletedAt\":'$(date +%s000)'}}}}' | profile-projector publish -"
    )
}

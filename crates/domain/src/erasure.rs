//! What an erasure leaves, and whose rows a rebuild from that gives otherwise.
//!
//! Users meet in the identities they claim and nowhere else: a registration waits because another user
//! holds its identity, and what became of it can depend on records that an erasure deletes. So it is
//! enough to fold the records of those who met, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::decode::decode;
use crate::{
    Decoded, Event, MemoryState, ParkReason, ProfileChange, ProfileRow, RecordRef, Sequence,
    UserChange, UserId, UserRow, WorkosUserId, apply,
};

/// The document that a record erases, as `<kind>:<id>`. `None` for any other record, and for an
/// erasure that the fold would not take.
pub fn erased_document(record: &RecordRef<'_>) -> Option<String> {
    match decode(record) {
        Decoded::Event(Event::User {
            user,
            change: UserChange::Erased,
        }) => Some(format!("user:{user}")),
        Decoded::Event(Event::Profile {
            profile,
            change: ProfileChange::Erased,
            ..
        }) => Some(format!("profile:{profile}")),
        Decoded::Event(_) | Decoded::UnknownType(_) | Decoded::Invalid { .. } => None,
    }
}

/// The users whose rows can depend on one user's records: all who claimed an identity that somebody
/// of them claimed too.
#[derive(Debug, Clone)]
pub struct Circle {
    users: BTreeSet<UserId>,
    identities: BTreeSet<WorkosUserId>,
}

impl Circle {
    /// The user alone.
    pub fn of(user: UserId) -> Self {
        Self {
            users: BTreeSet::from([user]),
            identities: BTreeSet::new(),
        }
    }

    /// Looks at a record, in any order. Whether the circle grew: records that were seen before can
    /// belong to it now. It is whole when it saw every record and did not grow.
    pub fn see(&mut self, record: &RecordRef<'_>) -> bool {
        let Decoded::Event(Event::User {
            user,
            change: UserChange::State { workos_id, .. },
        }) = decode(record)
        else {
            return false;
        };
        if self.users.contains(&user) {
            self.identities.insert(workos_id)
        } else {
            self.identities.contains(&workos_id) && self.users.insert(user)
        }
    }

    /// Who belongs to it.
    pub fn users(&self) -> &BTreeSet<UserId> {
        &self.users
    }

    /// How many identities they claimed.
    pub fn identities(&self) -> usize {
        self.identities.len()
    }
}

/// Two folds of the same records: of all, as running services have them, and of those that stay.
#[derive(Debug, Default)]
pub struct Folds {
    live: MemoryState,
    left: MemoryState,
}

impl Folds {
    /// Applies the next record of the stream.
    pub fn take(&mut self, record: &RecordRef<'_>, stays: bool) {
        let Ok(_) = apply(&mut self.live, record);
        if stays {
            let Ok(_) = apply(&mut self.left, record);
        }
    }

    /// The users of whom the two do not hold the same.
    pub fn differing(&self) -> BTreeSet<UserId> {
        let (live, left) = (held(&self.live), held(&self.left));
        let users = live.keys().chain(left.keys());
        users
            .filter(|user| live.get(*user) != left.get(*user))
            .map(|user| (*user).clone())
            .collect()
    }
}

/// What a state holds of one user.
#[derive(Debug, Default, PartialEq)]
struct Held<'s> {
    user: Option<&'s UserRow>,
    profiles: Option<&'s ProfileRow>,
    parked: BTreeMap<Sequence, ParkReason>,
}

/// The mapping of identities follows from the users' rows.
fn held(state: &MemoryState) -> BTreeMap<&UserId, Held<'_>> {
    let mut held: BTreeMap<&UserId, Held<'_>> = BTreeMap::new();
    for (user, row) in state.users() {
        held.entry(user).or_default().user = Some(row);
    }
    for (user, row) in state.profiles() {
        held.entry(user).or_default().profiles = Some(row);
    }
    for parked in state.all_parked() {
        if let Some(lane) = &parked.lane {
            let parked_of = &mut held.entry(&lane.user).or_default().parked;
            parked_of.insert(parked.sequence(), parked.reason);
        }
    }
    held
}

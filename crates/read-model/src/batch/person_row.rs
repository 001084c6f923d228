//! The rows of one user, decoded: what the fold works on.

use domain::{ProfileRow, UserDocument, UserId, UserRow};

use super::overlay::Spot;
use crate::meta::Totals;
use crate::rows::person;
use domain::codec::Problem;

/// A user's rows, and what they counted when they were read.
pub(super) struct PersonRow {
    pub(super) id: UserId,
    pub(super) user: UserRow,
    pub(super) profiles: ProfileRow,
    /// Which of them were changed since.
    pub(super) changed: u8,
    /// Their bytes as they are committed, when the overlay does not have them.
    pub(super) base: Option<Vec<u8>>,
    /// Where the overlay has them, or would.
    pub(super) spot: Spot,
    counted: Counts,
}

/// What a user adds to the totals.
struct Counts {
    users: u64,
    profiles: u64,
    lanes: u64,
}

impl Counts {
    fn of(user: &UserRow, profiles: &ProfileRow) -> Self {
        let is_live = matches!(user.document, UserDocument::Live { .. });
        Self {
            users: u64::from(is_live),
            profiles: u64::from(profiles.live.is_some()),
            lanes: u64::from(!user.parked.is_empty()) + u64::from(!profiles.parked.is_empty()),
        }
    }
}

impl PersonRow {
    pub(super) fn read(id: &UserId, spot: Spot, bytes: &[u8]) -> Result<Self, Problem> {
        let (user, profiles) = person::read(bytes)?;
        Ok(Self {
            id: id.clone(),
            counted: Counts::of(&user, &profiles),
            user,
            profiles,
            changed: 0,
            base: None,
            spot,
        })
    }

    /// Replaces what the rows counted by what they count now.
    pub(super) fn recount(&self, totals: &mut Totals) {
        let now = Counts::of(&self.user, &self.profiles);
        let replaced =
            |total: u64, before: u64, now: u64| total.saturating_sub(before).saturating_add(now);
        totals.users = replaced(totals.users, self.counted.users, now.users);
        totals.profiles = replaced(totals.profiles, self.counted.profiles, now.profiles);
        totals.parked_lanes = replaced(totals.parked_lanes, self.counted.lanes, now.lanes);
    }
}

//! A state in memory that counts looks at parked records.

use std::convert::Infallible;

use crate::{
    Lane, MemoryState, Outcome, Parked, ProfileRow, Sequence, State, UserId, UserRow, WorkosUserId,
};

/// Counts the parked records that are looked at, and has bounds of its own: records of a lane, and profiles
/// of a user.
#[derive(Default)]
pub struct Probe<const LANE: usize, const PROFILES: usize> {
    /// What is held.
    pub state: MemoryState,
    /// How many parked records were asked for.
    pub looks: u64,
}

impl<const LANE: usize, const PROFILES: usize> State for Probe<LANE, PROFILES> {
    type Error = Infallible;

    const LANE_RECORDS_MAX: usize = LANE;
    const PROFILES_MAX: usize = PROFILES;

    fn user(&mut self, user: &UserId) -> Result<&UserRow, Infallible> {
        self.state.user(user)
    }

    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, Infallible> {
        self.state.user_mut(user)
    }

    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, Infallible> {
        State::profiles(&mut self.state, user)
    }

    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, Infallible> {
        self.state.profiles_mut(user)
    }

    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, Infallible> {
        self.state.owner(workos_id)
    }

    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), Infallible> {
        self.state.set_owner(workos_id, owner)
    }

    fn next_parked(&mut self, lane: &Lane, after: u64) -> Result<Option<Parked>, Infallible> {
        self.looks = self.looks.saturating_add(1);
        self.state.next_parked(lane, after)
    }

    fn next_awaiting(
        &mut self,
        workos_id: &WorkosUserId,
        after: u64,
    ) -> Result<Option<(Sequence, UserId)>, Infallible> {
        self.looks = self.looks.saturating_add(1);
        self.state.next_awaiting(workos_id, after)
    }

    fn park(&mut self, parked: Parked) -> Result<(), Infallible> {
        self.state.park(parked)
    }

    fn parked_alone(&mut self) -> Result<u64, Infallible> {
        self.state.parked_alone()
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), Infallible> {
        self.state.unpark(parked)
    }

    fn count(&mut self, outcome: Outcome) {
        self.state.count(outcome);
    }
}

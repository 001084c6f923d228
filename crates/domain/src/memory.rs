//! A state in memory: the fold without a disk, for replays in tests and as their oracle.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::convert::Infallible;

use crate::{
    Family, Lane, Outcome, Parked, ProfileRow, Sequence, State, Tally, UserDocument, UserId,
    UserRow, WorkosUserId,
};

/// Everything that the fold knows, in ordered maps. Two are equal when they hold the same; a row that
/// holds nothing is as good as none.
#[derive(Debug, Clone, Default)]
pub struct MemoryState {
    users: BTreeMap<UserId, UserRow>,
    profiles: BTreeMap<UserId, ProfileRow>,
    owners: BTreeMap<WorkosUserId, UserId>,
    parked: BTreeMap<(Option<(UserId, Family)>, Sequence), Parked>,
    /// Who waits for an identity, by the place of the record that does.
    awaiting: BTreeMap<WorkosUserId, BTreeMap<Sequence, UserId>>,
    tally: Tally,
}

impl PartialEq for MemoryState {
    fn eq(&self, other: &Self) -> bool {
        self.users().eq(other.users())
            && self.profiles().eq(other.profiles())
            && self.owners == other.owners
            && self.parked == other.parked
            && self.tally == other.tally
    }
}

impl MemoryState {
    /// The profile that a token for this identity is answered with.
    pub fn profile_of(&self, workos_id: &WorkosUserId) -> Option<(&UserId, &crate::LiveProfile)> {
        let user = self.owners.get(workos_id)?;
        Some((user, self.profiles.get(user)?.live.as_ref()?))
    }

    /// Rows by user, without those that hold nothing.
    pub fn users(&self) -> impl Iterator<Item = (&UserId, &UserRow)> {
        self.users
            .iter()
            .filter(|(_, row)| **row != UserRow::default())
    }

    /// Profile rows by user, without those that hold nothing.
    pub fn profiles(&self) -> impl Iterator<Item = (&UserId, &ProfileRow)> {
        self.profiles
            .iter()
            .filter(|(_, row)| **row != ProfileRow::default())
    }

    /// The mapping of identities to users.
    pub fn owners(&self) -> impl Iterator<Item = (&WorkosUserId, &UserId)> {
        self.owners.iter()
    }

    /// Every parked record, lane by lane in sequence order.
    pub fn all_parked(&self) -> impl Iterator<Item = &Parked> {
        self.parked.values()
    }

    /// How often each outcome happened.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Holds the mapping against the users it was made from; for tests.
    pub fn is_consistent(&self) -> bool {
        let live = self
            .users
            .iter()
            .filter_map(|(user, row)| match &row.document {
                UserDocument::Live { workos_id, .. } => Some((workos_id, user)),
                UserDocument::Absent | UserDocument::Deleted { .. } | UserDocument::Erased => None,
            });
        let mapped: BTreeMap<&WorkosUserId, &UserId> = live.collect();
        mapped.into_iter().eq(self.owners.iter())
    }
}

fn key(lane: Option<&Lane>, sequence: Sequence) -> (Option<(UserId, Family)>, Sequence) {
    (lane.map(|lane| (lane.user.clone(), lane.family)), sequence)
}

fn behind(sequence: u64) -> Option<Sequence> {
    Sequence::new(sequence.checked_add(1)?)
}

impl State for MemoryState {
    type Error = Infallible;

    fn user(&mut self, user: &UserId) -> Result<&UserRow, Infallible> {
        self.user_mut(user).map(|row| &*row)
    }

    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, Infallible> {
        Ok(self.users.entry(user.clone()).or_default())
    }

    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, Infallible> {
        self.profiles_mut(user).map(|row| &*row)
    }

    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, Infallible> {
        Ok(self.profiles.entry(user.clone()).or_default())
    }

    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, Infallible> {
        Ok(self.owners.get(workos_id).cloned())
    }

    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), Infallible> {
        match owner {
            Some(user) => self.owners.insert(workos_id.clone(), user.clone()),
            None => self.owners.remove(workos_id),
        };
        Ok(())
    }

    fn next_parked(&mut self, lane: &Lane, after: u64) -> Result<Option<Parked>, Infallible> {
        let Some(first) = behind(after) else {
            return Ok(None);
        };
        let first = key(Some(lane), first);
        let lane = first.0.clone();
        let mut rest = self.parked.range(first..);
        let next = rest.next().filter(|((of, _), _)| *of == lane);
        Ok(next.map(|(_, parked)| parked.clone()))
    }

    fn next_awaiting(
        &mut self,
        workos_id: &WorkosUserId,
        after: u64,
    ) -> Result<Option<(Sequence, UserId)>, Infallible> {
        let (Some(first), Some(waiting)) = (behind(after), self.awaiting.get(workos_id)) else {
            return Ok(None);
        };
        let next = waiting.range(first..).next();
        Ok(next.map(|(sequence, user)| (*sequence, user.clone())))
    }

    fn park(&mut self, parked: Parked) -> Result<(), Infallible> {
        if let (Some(awaits), Some(lane)) = (&parked.awaits, &parked.lane) {
            let waiting = self.awaiting.entry(awaits.clone()).or_default();
            waiting.insert(parked.sequence(), lane.user.clone());
        }
        self.parked
            .insert(key(parked.lane.as_ref(), parked.sequence()), parked);
        Ok(())
    }

    fn parked_alone(&mut self) -> Result<u64, Infallible> {
        let alone = self.parked.keys().take_while(|(lane, _)| lane.is_none());
        Ok(u64::try_from(alone.count()).unwrap_or(u64::MAX))
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), Infallible> {
        if let Some(awaits) = &parked.awaits
            && let Entry::Occupied(mut waiting) = self.awaiting.entry(awaits.clone())
        {
            waiting.get_mut().remove(&parked.sequence());
            if waiting.get().is_empty() {
                waiting.remove();
            }
        }
        self.parked
            .remove(&key(parked.lane.as_ref(), parked.sequence()));
        Ok(())
    }

    fn count(&mut self, outcome: Outcome) {
        self.tally.count(outcome);
    }
}

//! A batch: what a run of records changes, gathered in memory and written at once.
//!
//! Rows are read from the last committed state and kept in an overlay. A commit writes the changed
//! ones sorted by key, which is the order in which a tree takes them fastest. Until then no write
//! transaction is open, so a batch may take as long as it likes.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    Checkpoint, Fingerprint, Lane, Outcome, Parked, ProfileRow, Sequence, State, Tally,
    UserDocument, UserId, UserRow, WorkosUserId,
};
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::file::ReadModel;
use crate::reader::Snapshot;
use crate::rows::{self, awaiting, parked};
use crate::{CommitError, StorageError};

mod commit;

/// A row in the overlay.
pub(crate) struct Slot<T> {
    pub(crate) row: T,
    pub(crate) changed: bool,
}

impl<T> Slot<T> {
    fn read(row: T) -> Self {
        Self {
            row,
            changed: false,
        }
    }
}

/// Gathers changes; [`Batch::commit`] is the only way to keep them.
pub struct Batch<'m> {
    model: &'m mut ReadModel,
    base: Arc<Snapshot>,
    users: HashMap<UserId, Slot<UserRow>>,
    profiles: HashMap<UserId, Slot<ProfileRow>>,
    owners: HashMap<WorkosUserId, Slot<Option<UserId>>>,
    /// By key; `None` is a removal.
    parked: BTreeMap<Vec<u8>, Option<Parked>>,
    /// By key; `None` is a removal.
    awaiting: BTreeMap<Vec<u8>, Option<UserId>>,
    tally: Tally,
    /// The record that is applied now, where somebody told.
    current: Option<Fingerprint>,
    /// When those were stored that were parked in this batch.
    arrived: BTreeMap<Sequence, i64>,
    parked_bytes: usize,
}

/// Whose answer a commit may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Users with a changed profile row, sorted.
    pub users: Vec<UserId>,
    /// Identities that map to another user than before, or to none, sorted.
    pub identities: Vec<WorkosUserId>,
    /// Or anybody: other rows than before are served.
    pub everything: bool,
}

impl Changes {
    /// Every answer may have changed.
    pub fn everything() -> Self {
        Self {
            everything: true,
            ..Self::default()
        }
    }
}

/// What a commit made durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Up to where the rows hold the stream now.
    pub checkpoint: Checkpoint,
    /// Whose answer may have changed.
    pub changes: Changes,
}

impl<'m> Batch<'m> {
    pub(crate) fn new(model: &'m mut ReadModel) -> Self {
        let base = model.current.load_full();
        Self {
            model,
            base,
            users: HashMap::new(),
            profiles: HashMap::new(),
            owners: HashMap::new(),
            parked: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            tally: Tally::default(),
            current: None,
            arrived: BTreeMap::new(),
            parked_bytes: 0,
        }
    }

    /// The checkpoint that this batch goes on from.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.base.checkpoint.as_ref()
    }

    /// Tells place and time of the record that is applied next, so that the time is kept with it if it
    /// is parked. Rows and digest do not depend on it.
    pub fn arrives(&mut self, record: Fingerprint) {
        self.current = Some(record);
    }

    /// About how much memory the overlay takes, in bytes, if profiles take `profile_bytes` each.
    pub fn memory_bytes(&self, profile_bytes: usize) -> usize {
        // Key, row and map overhead, measured with rows of the usual ids.
        const USER_BYTES: usize = 300;
        const PROFILE_BYTES: usize = 500;
        const OWNER_BYTES: usize = 250;
        let profile_bytes = profile_bytes.saturating_add(PROFILE_BYTES);
        self.parked_bytes
            .saturating_add(self.users.len().saturating_mul(USER_BYTES))
            .saturating_add(self.owners.len().saturating_mul(OWNER_BYTES))
            .saturating_add(self.profiles.len().saturating_mul(profile_bytes))
    }

    /// Writes the changed rows and the checkpoint in one transaction (R1), durable when it returns,
    /// and lets readers see them.
    ///
    /// The checkpoint has to be ahead of the file's, in the same stream (R2). After a
    /// [`StorageError`] all of the batch is kept or nothing: [`ReadModel::reopen`] shows which.
    pub fn commit(self, to: Checkpoint) -> Result<Committed, CommitError> {
        if let Some(held) = &self.base.checkpoint {
            if held.stream != to.stream {
                let (held, offered) = (held.stream.clone(), to.stream);
                return Err(CommitError::OtherStream { held, offered });
            }
            let (held, offered) = (held.sequence(), to.sequence());
            if offered <= held {
                return Err(CommitError::Backward { held, offered });
            }
        }
        let changes = self.changes();
        let totals = self.write(&to)?;
        self.model.publish()?;
        debug_assert_eq!(totals, self.model.current.load().totals);
        Ok(Committed {
            checkpoint: to,
            changes,
        })
    }

    fn changes(&self) -> Changes {
        let mut users: Vec<_> = self
            .profiles
            .iter()
            .filter(|(_, s)| s.changed)
            .map(|(id, _)| id.clone())
            .collect();
        let mut identities: Vec<_> = self
            .owners
            .iter()
            .filter(|(_, s)| s.changed)
            .map(|(id, _)| id.clone())
            .collect();
        users.sort_unstable();
        identities.sort_unstable();
        Changes {
            users,
            identities,
            everything: false,
        }
    }
}

/// The slot of `id`, read with `load` when the overlay does not have it.
fn slot<'s, K, T>(
    slots: &'s mut HashMap<K, Slot<T>>,
    id: &K,
    load: impl FnOnce(&K) -> Result<T, StorageError>,
) -> Result<&'s mut Slot<T>, StorageError>
where
    K: Eq + std::hash::Hash + Clone,
{
    Ok(match slots.entry_ref(id) {
        EntryRef::Occupied(slot) => slot.into_mut(),
        EntryRef::Vacant(vacant) => {
            let row = load(id)?;
            vacant
                .insert_entry_with_key(id.clone(), Slot::read(row))
                .into_mut()
        }
    })
}

impl State for Batch<'_> {
    type Error = StorageError;

    fn user(&mut self, user: &UserId) -> Result<&UserRow, StorageError> {
        slot(&mut self.users, user, |id| self.base.user(id)).map(|slot| &slot.row)
    }

    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, StorageError> {
        let slot = slot(&mut self.users, user, |id| self.base.user(id))?;
        slot.changed = true;
        Ok(&mut slot.row)
    }

    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, StorageError> {
        slot(&mut self.profiles, user, |id| self.base.profiles(id)).map(|slot| &slot.row)
    }

    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, StorageError> {
        let slot = slot(&mut self.profiles, user, |id| self.base.profiles(id))?;
        slot.changed = true;
        Ok(&mut slot.row)
    }

    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, StorageError> {
        let slot = slot(&mut self.owners, workos_id, |id| self.base.owner(id))?;
        Ok(slot.row.clone())
    }

    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), StorageError> {
        let slot = slot(&mut self.owners, workos_id, |id| self.base.owner(id))?;
        slot.row = owner.cloned();
        slot.changed = true;
        Ok(())
    }

    fn parked(&mut self, lane: &Lane) -> Result<Vec<Parked>, StorageError> {
        let (first, last) = rows::sequences_of(&parked::lane_prefix(Some(lane)));
        let mut there: BTreeMap<_, _> = self.base.parked_in(lane)?.into_iter().collect();
        lay_over(&mut there, self.parked.range(first..=last));
        Ok(there.into_values().collect())
    }

    fn awaiting(&mut self, workos_id: &WorkosUserId) -> Result<Vec<UserId>, StorageError> {
        let (first, last) = rows::sequences_of(&awaiting::prefix(workos_id));
        let mut there: BTreeMap<_, _> = self.base.awaiting(workos_id)?.into_iter().collect();
        lay_over(&mut there, self.awaiting.range(first..=last));
        Ok(there.into_values().collect())
    }

    fn park(&mut self, parked: Parked) -> Result<(), StorageError> {
        // One that was parked before keeps the time it has.
        if let Some(now) = self.current.filter(|now| now.sequence == parked.sequence()) {
            self.arrived.insert(now.sequence, now.time_ns);
        }
        if let (Some(awaits), Some(lane)) = (&parked.awaits, &parked.lane) {
            let key = awaiting::key(awaits, parked.sequence());
            self.awaiting.insert(key, Some(lane.user.clone()));
        }
        self.parked_bytes = self
            .parked_bytes
            .saturating_add(parked.record.payload.len())
            .saturating_add(1024);
        self.parked.insert(
            parked::key(parked.lane.as_ref(), parked.sequence()),
            Some(parked),
        );
        Ok(())
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), StorageError> {
        if let Some(awaits) = &parked.awaits {
            self.awaiting
                .insert(awaiting::key(awaits, parked.sequence()), None);
        }
        self.parked
            .insert(parked::key(parked.lane.as_ref(), parked.sequence()), None);
        Ok(())
    }

    fn count(&mut self, outcome: Outcome) {
        self.tally.count(outcome);
    }
}

/// Applies an overlay's changes to rows that were read.
fn lay_over<'o, T: Clone + 'o>(
    there: &mut BTreeMap<Vec<u8>, T>,
    changes: impl Iterator<Item = (&'o Vec<u8>, &'o Option<T>)>,
) {
    for (key, change) in changes {
        match change {
            Some(row) => there.insert(key.clone(), row.clone()),
            None => there.remove(key),
        };
    }
}

/// Whether a row counts as a user.
fn is_live(row: &UserRow) -> bool {
    matches!(row.document, UserDocument::Live { .. })
}

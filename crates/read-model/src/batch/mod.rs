//! A batch: what a run of records changes, gathered in memory and written at once.
//!
//! Rows are read from the last committed state and kept in an overlay. A commit writes the changed
//! ones sorted by key, which is the order in which a tree takes them fastest; a batch that has to go
//! on is spilled before (see [`crate::runs`]). Until then no write transaction is open, so a batch may
//! take as long as it likes.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{
    Checkpoint, Fingerprint, Lane, Outcome, Parked, ProfileRow, Sequence, State, UserId, UserRow,
    WorkosUserId,
};

use crate::file::ReadModel;
use crate::meta::Totals;
use crate::reader::Snapshot;
use crate::rows::{self, awaiting, parked, person};
use crate::runs::Kind;
use crate::{CommitError, Damage, StorageError};
use domain::codec::Problem;
use overlay::Rows;
use person_row::PersonRow;
use waiting::Waiting;

mod commit;
mod overlay;
mod person_row;
mod waiting;

/// Commits of more rows than this do not list them: everything may have changed.
const CHANGES_MAX: usize = 20_000;

/// What the time of a parked record takes, in bytes (about).
const ARRIVED_BYTES: usize = 48;

/// An owner's row has one part.
const OWNER: u8 = 1;

/// Gathers changes; [`Batch::commit`] and [`Batch::spill`] are the only ways to keep them.
pub struct Batch<'m> {
    model: &'m mut ReadModel,
    base: Arc<Snapshot>,
    /// Those of the rows as they are now, but for what the commit finds out.
    totals: Totals,
    /// Whose rows were asked for last.
    person: Option<Box<PersonRow>>,
    people: Rows,
    owners: Rows,
    parked: Waiting,
    awaiting: Waiting,
    /// The record that is applied now, where somebody told.
    current: Option<Fingerprint>,
    /// When those were stored that were parked in this batch.
    arrived: BTreeMap<Sequence, i64>,
    /// For rows that are written out.
    scratch: Vec<u8>,
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
            totals: base.totals,
            base,
            person: None,
            people: Rows::default(),
            owners: Rows::default(),
            parked: Waiting::default(),
            awaiting: Waiting::default(),
            current: None,
            arrived: BTreeMap::new(),
            scratch: Vec::new(),
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

    /// About how much memory the overlay takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        let waiting = self.parked.memory_bytes() + self.awaiting.memory_bytes();
        let arrived = self.arrived.len().saturating_mul(ARRIVED_BYTES);
        self.people.memory_bytes() + self.owners.memory_bytes() + waiting + arrived
    }

    /// Writes the changed rows and the checkpoint in one transaction (R1), durable when it returns,
    /// and lets readers see them. Spilled rows go into the tables with them.
    ///
    /// The checkpoint has to be ahead of the file's, in the same stream (R2). After a
    /// [`StorageError`] all of the batch is kept or nothing: [`ReadModel::reopen`] shows which.
    pub fn commit(mut self, to: Checkpoint) -> Result<Committed, CommitError> {
        self.check(&to)?;
        self.put_down();
        let changes = self.changes().map_err(bad_row("people"))?;
        let totals = self.write(&to)?;
        self.model.publish(None)?;
        debug_assert_eq!(totals, self.model.current.load().totals);
        Ok(Committed {
            checkpoint: to,
            changes,
        })
    }

    /// Keeps what the batch has so far, as [`Batch::commit`] does, and goes on.
    ///
    /// The rows go into a run, which takes less time than the tables do, and which the next commit
    /// merges into them. The overlay keeps them too, so that they need not be read again, unless
    /// that takes more than `keep_bytes` of memory.
    pub fn spill(&mut self, to: Checkpoint, keep_bytes: usize) -> Result<Committed, CommitError> {
        self.check(&to)?;
        self.put_down();
        let written = self.write_run(&to)?;
        self.model.publish(Some(written))?;
        self.base = self.model.current.load_full();
        self.totals = self.base.totals;
        (self.parked, self.awaiting) = (Waiting::default(), Waiting::default());
        self.arrived.clear();
        if keep_bytes < self.memory_bytes() {
            (self.people, self.owners) = (Rows::default(), Rows::default());
        } else {
            self.people.settle();
            self.owners.settle();
        }
        Ok(Committed {
            checkpoint: to,
            changes: Changes::everything(),
        })
    }

    /// Merges what was spilled into the tables, if anything was, for a batch that never came to its
    /// commit. Drops what this batch gathered.
    pub fn settle(self) -> Result<(), StorageError> {
        let Some(held) = self
            .base
            .checkpoint
            .clone()
            .filter(|_| !self.base.runs.is_empty())
        else {
            return Ok(());
        };
        let nothing = Batch::new(self.model);
        nothing.write(&held)?;
        nothing.model.publish(None)
    }

    fn check(&self, to: &Checkpoint) -> Result<(), CommitError> {
        let Some(held) = &self.base.checkpoint else {
            return Ok(());
        };
        if held.stream != to.stream {
            let (held, offered) = (held.stream.clone(), to.stream.clone());
            return Err(CommitError::OtherStream { held, offered });
        }
        let (held, offered) = (held.sequence(), to.sequence());
        if offered <= held {
            return Err(CommitError::Backward { held, offered });
        }
        Ok(())
    }

    fn changes(&self) -> Result<Changes, Problem> {
        let count = self.people.changed_count() + self.owners.changed_count();
        if !self.base.runs.is_empty() || CHANGES_MAX < count {
            return Ok(Changes::everything());
        }
        let (people, owners) = (self.people.changed(), self.owners.changed());
        let users = people
            .iter()
            .filter(|changed| changed.row.changed & person::PROFILES != 0);
        let users = users.map(|changed| rows::user_id(changed.key));
        let identities = owners.iter().map(|changed| rows::workos_id(changed.key));
        Ok(Changes {
            users: users.collect::<Result<_, _>>()?,
            identities: identities.collect::<Result<_, _>>()?,
            everything: false,
        })
    }

    /// The rows of a user, at hand until those of another are asked for.
    fn pick_up(&mut self, id: &UserId) -> Result<&mut PersonRow, StorageError> {
        let person = if let Some(person) = self.person.take_if(|person| person.id == *id) {
            person
        } else {
            self.put_down();
            Box::new(self.look_up(id)?)
        };
        Ok(self.person.insert(person))
    }

    fn look_up(&self, id: &UserId) -> Result<PersonRow, StorageError> {
        let spot = self.people.spot(id.as_str().as_bytes());
        if let Some(row) = self.people.get(spot) {
            return PersonRow::read(id, spot, row.bytes).map_err(bad_row("people"));
        }
        let base = self.base.person(id)?;
        let mut person = PersonRow::read(id, spot, &base).map_err(bad_row("people"))?;
        person.base = Some(base);
        Ok(person)
    }

    /// Puts what was picked up back into the overlay.
    fn put_down(&mut self) {
        let Some(person) = self.person.take() else {
            return;
        };
        let key = person.id.as_str().as_bytes();
        if person.changed == 0 {
            if let Some(base) = &person.base {
                self.people.put(person.spot, key, base, 0);
            }
            return;
        }
        let held = self.people.get(person.spot);
        // A row goes out of the digest with its first change, and in as it is written.
        if held.is_none_or(|row| row.changed == 0) {
            let old = held.map(|row| row.bytes).or(person.base.as_deref());
            if let Some(old) = old.filter(|old| !Kind::Person.is_none(old)) {
                self.totals.digest.remove("people", key, old);
            }
        }
        person.recount(&mut self.totals);
        self.scratch.clear();
        person::write(&person.user, &person.profiles, &mut self.scratch);
        self.people
            .put(person.spot, key, &self.scratch, person.changed);
    }
}

/// What is wrong with a row of ours in memory, or with one whose check holds: a defect.
fn bad_row(table: &'static str) -> impl FnOnce(Problem) -> StorageError {
    move |problem| Damage::somewhere(table, problem).into()
}

impl State for Batch<'_> {
    type Error = StorageError;

    fn user(&mut self, user: &UserId) -> Result<&UserRow, StorageError> {
        self.pick_up(user).map(|person| &person.user)
    }

    fn user_mut(&mut self, user: &UserId) -> Result<&mut UserRow, StorageError> {
        let person = self.pick_up(user)?;
        person.changed |= person::USER;
        Ok(&mut person.user)
    }

    fn profiles(&mut self, user: &UserId) -> Result<&ProfileRow, StorageError> {
        self.pick_up(user).map(|person| &person.profiles)
    }

    fn profiles_mut(&mut self, user: &UserId) -> Result<&mut ProfileRow, StorageError> {
        let person = self.pick_up(user)?;
        person.changed |= person::PROFILES;
        Ok(&mut person.profiles)
    }

    fn owner(&mut self, workos_id: &WorkosUserId) -> Result<Option<UserId>, StorageError> {
        let key = workos_id.as_str().as_bytes();
        let read = |owner: &[u8]| {
            let owner = (!owner.is_empty()).then(|| rows::user_id(owner));
            owner.transpose().map_err(bad_row("owners"))
        };
        if let Some(row) = self.owners.get(self.owners.spot(key)) {
            return read(row.bytes);
        }
        read(&self.base.owner_row(workos_id)?)
    }

    fn set_owner(
        &mut self,
        workos_id: &WorkosUserId,
        owner: Option<&UserId>,
    ) -> Result<(), StorageError> {
        let owner = owner.map_or("", UserId::as_str);
        let key = workos_id.as_str().as_bytes();
        let spot = self.owners.spot(key);
        self.owners.put(spot, key, owner.as_bytes(), OWNER);
        Ok(())
    }

    fn next_parked(&mut self, lane: &Lane, after: u64) -> Result<Option<Parked>, StorageError> {
        let prefix = parked::lane_prefix(Some(lane));
        let read = |_: &[u8], row: &[u8]| parked::read(row).map_err(bad_row("parked"));
        self.parked.next(&self.base.parked, &prefix, after, read)
    }

    fn next_awaiting(
        &mut self,
        workos_id: &WorkosUserId,
        after: u64,
    ) -> Result<Option<(Sequence, UserId)>, StorageError> {
        let prefix = awaiting::prefix(workos_id);
        let read = |key: &[u8], user: &[u8]| {
            let sequence = rows::sequence_of(key).map_err(bad_row("awaiting"))?;
            let user = rows::user_id(user).map_err(bad_row("awaiting"))?;
            Ok((sequence, user))
        };
        self.awaiting
            .next(&self.base.awaiting, &prefix, after, read)
    }

    fn park(&mut self, parked: Parked) -> Result<(), StorageError> {
        // One that was parked before keeps the time it has.
        if let Some(now) = self.current.filter(|now| now.sequence == parked.sequence()) {
            self.arrived.insert(now.sequence, now.time_ns);
        }
        if parked.lane.is_none() {
            // It never leaves, and is parked once.
            self.totals.parked_alone = self.totals.parked_alone.saturating_add(1);
        }
        if let (Some(awaits), Some(lane)) = (&parked.awaits, &parked.lane) {
            let key = awaiting::key(awaits, parked.sequence());
            self.awaiting.put(key, Some(lane.user.as_str().as_bytes()));
        }
        self.scratch.clear();
        parked::write(&parked, &mut self.scratch);
        let key = parked::key(parked.lane.as_ref(), parked.sequence());
        self.parked.put(key, Some(&self.scratch));
        Ok(())
    }

    fn parked_alone(&mut self) -> Result<u64, StorageError> {
        Ok(self.totals.parked_alone)
    }

    fn unpark(&mut self, parked: &Parked) -> Result<(), StorageError> {
        // What was parked behind the last commit is not in the tables.
        let held = self
            .base
            .checkpoint
            .as_ref()
            .map_or(0, Checkpoint::sequence);
        let is_new = held < parked.sequence().get();
        let remove = |from: &mut Waiting, key: Vec<u8>| {
            if is_new {
                from.forget(&key);
            } else {
                from.put(key, None);
            }
        };
        if let Some(awaits) = &parked.awaits {
            let key = awaiting::key(awaits, parked.sequence());
            remove(&mut self.awaiting, key);
        }
        let key = parked::key(parked.lane.as_ref(), parked.sequence());
        remove(&mut self.parked, key);
        Ok(())
    }

    fn count(&mut self, outcome: Outcome) {
        self.totals.outcomes.count(outcome);
    }
}

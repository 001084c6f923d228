//! Readers: one committed state each, and no lock on the way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use domain::{Checkpoint, Profile, ProfileRow, UserId, UserRow, WorkosUserId};
use redb::{
    AccessGuard, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
};

use crate::StorageError;
use crate::codec::Problem;
use crate::inspect::Inspection;
use crate::meta::{self, Totals};
use crate::rows::{self, person, profile};
use crate::runs::{self, Kind, Run, Written};
use crate::tables::{ARRIVALS, AWAITING, Bytes, META, OWNERS, PARKED, PEOPLE};

pub(crate) type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// Where a person's row is read from.
enum Row {
    /// Held where it lies. A commit does not touch it.
    InTable(AccessGuard<'static, &'static [u8]>),
    InRun(Vec<u8>),
}

impl Row {
    /// The bytes of the profiles' row; none for a row that holds nothing.
    fn profiles(&self) -> Result<&[u8], Problem> {
        let person = match self {
            Self::InTable(row) => row.value(),
            Self::InRun(person) => person,
        };
        Ok(person::split(person)?.1)
    }
}

/// One committed state: its tables, held open, and what is small enough to be at hand.
pub(crate) struct Snapshot {
    pub(crate) people: Table,
    pub(crate) owners: Table,
    pub(crate) parked: Table,
    pub(crate) arrivals: Table,
    pub(crate) awaiting: Table,
    /// Newest first; they have the word before the tables.
    pub(crate) runs: Vec<Run>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) totals: Totals,
    pub(crate) was_live: bool,
}

/// An answer and the sequence it is of, from one snapshot (R5).
pub struct Answer {
    /// The user that the caller is, with or without a profile; `None` for no such user or a deleted one.
    pub user: Option<UserId>,
    /// The last sequence applied when it was read, 0 before the first.
    pub sequence: u64,
    /// That user's row.
    row: Option<Row>,
}

/// A profile and whose it is, where they lie in their row. `Debug` shows none of its members.
#[derive(Debug)]
pub struct AnsweredProfile<'r> {
    /// The user it belongs to.
    pub user: &'r str,
    /// The document's id.
    pub id: &'r str,
    /// Its members.
    pub profile: Profile<&'r str>,
}

impl Answer {
    /// What somebody is answered who is no user.
    pub fn of_nobody(sequence: u64) -> Self {
        Self {
            user: None,
            sequence,
            row: None,
        }
    }

    /// The caller's profile, if there is one.
    pub fn profile(&self) -> Result<Option<AnsweredProfile<'_>>, StorageError> {
        let (Some(user), Some(row)) = (&self.user, &self.row) else {
            return Ok(None);
        };
        let live = row.profiles().and_then(profile::read_answer);
        let live = live.map_err(row_of(PEOPLE))?;
        Ok(live.map(|(id, profile)| AnsweredProfile {
            user: user.as_str(),
            id,
            profile,
        }))
    }
}

/// Reads the committed rows. Cheap to clone; never waits for the writer, and holds up nobody.
#[derive(Clone)]
pub struct Reader {
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    pub(crate) writing: Arc<AtomicBool>,
}

impl Reader {
    /// The profile that a token for this identity is answered with.
    pub fn profile_of(&self, workos_id: &WorkosUserId) -> Result<Answer, StorageError> {
        self.current.load().profile_of(workos_id)
    }

    /// A reader that goes on seeing the rows of now, whatever is committed later. It keeps the file
    /// from using the room of rows that are replaced, so it should not be kept for long.
    #[must_use]
    pub fn pinned(&self) -> Self {
        Self {
            current: Arc::new(ArcSwap::new(self.current.load_full())),
            writing: Arc::clone(&self.writing),
        }
    }

    /// Whether a commit is under way. One that merges what was spilled may take minutes.
    pub fn is_writing(&self) -> bool {
        self.writing.load(Ordering::Relaxed)
    }

    /// Up to where the rows hold the stream; `None` before the stream was ever seen.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.current.load().checkpoint.clone()
    }

    /// Figures over the rows.
    pub fn totals(&self) -> Totals {
        self.current.load().totals
    }

    /// Whether the projector was live since the file was made.
    pub fn was_live(&self) -> bool {
        self.current.load().was_live
    }

    /// One committed state, to look at more closely. Hold it briefly: pages it shows are not used again.
    pub fn inspect(&self) -> Inspection {
        Inspection(self.current.load_full())
    }
}

/// Adds the table to what is wrong with a row of it.
pub(crate) fn row_of(table: Bytes) -> impl FnOnce(Problem) -> StorageError {
    move |problem| StorageError::Row {
        table: table_name(table),
        problem,
    }
}

fn table_name(table: Bytes) -> &'static str {
    [("people", PEOPLE), ("owners", OWNERS), ("parked", PARKED)]
        .into_iter()
        .chain([
            ("arrivals", ARRIVALS),
            ("awaiting", AWAITING),
            ("meta", META),
        ])
        .find(|(_, known)| redb::TableHandle::name(known) == redb::TableHandle::name(&table))
        .map_or("an unknown table", |(name, _)| name)
}

fn open_table(transaction: &ReadTransaction, table: Bytes) -> Result<Table, StorageError> {
    transaction
        .open_table(table)
        .map_err(StorageError::engine("open a table of"))
}

pub(crate) fn get<T>(
    from: &Table,
    table: Bytes,
    key: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Problem>,
) -> Result<Option<T>, StorageError> {
    match ReadableTable::get(from, key).map_err(StorageError::engine("read"))? {
        None => Ok(None),
        Some(row) => read(row.value()).map(Some).map_err(row_of(table)),
    }
}

impl Snapshot {
    /// Takes what is committed. `known` are runs that were open before, `written` is one that is new.
    pub(crate) fn take(
        database: &Database,
        known: &[Run],
        written: Option<Written>,
    ) -> Result<Self, StorageError> {
        let transaction = database
            .begin_read()
            .map_err(StorageError::engine("read"))?;
        let meta = open_table(&transaction, META)?;
        let checkpoint = get(&meta, META, meta::CHECKPOINT_KEY, meta::read_checkpoint)?;
        let totals = get(&meta, META, meta::TOTALS_KEY, meta::read_totals)?;
        let was_live = get(&meta, META, meta::WAS_LIVE_KEY, |_| Ok(()))?;
        let ids = get(&meta, META, meta::RUNS_KEY, runs::read_ids)?;
        Ok(Self {
            runs: runs::open(&transaction, &ids.unwrap_or_default(), known, written)?,
            people: open_table(&transaction, PEOPLE)?,
            owners: open_table(&transaction, OWNERS)?,
            parked: open_table(&transaction, PARKED)?,
            arrivals: open_table(&transaction, ARRIVALS)?,
            awaiting: open_table(&transaction, AWAITING)?,
            checkpoint,
            totals: totals.unwrap_or_default(),
            was_live: was_live.is_some(),
        })
    }

    fn profile_of(&self, workos_id: &WorkosUserId) -> Result<Answer, StorageError> {
        let sequence = self.checkpoint.as_ref().map_or(0, Checkpoint::sequence);
        let Some(user) = self.owner(workos_id)? else {
            return Ok(Answer::of_nobody(sequence));
        };
        let row = match self.run_row(Kind::Person, user.as_str())? {
            Some(person) => Some(Row::InRun(person)),
            None => self
                .people
                .get(user.as_str().as_bytes())
                .map_err(StorageError::engine("read"))?
                .map(Row::InTable),
        };
        Ok(Answer {
            row,
            user: Some(user),
            sequence,
        })
    }

    pub(crate) fn owner(&self, workos_id: &WorkosUserId) -> Result<Option<UserId>, StorageError> {
        if let Some(row) = self.run_row(Kind::Owner, workos_id.as_str())? {
            let user = (!row.is_empty()).then(|| rows::user_id(&row)).transpose();
            return user.map_err(row_of(OWNERS));
        }
        get(
            &self.owners,
            OWNERS,
            workos_id.as_str().as_bytes(),
            rows::user_id,
        )
    }

    /// The user id that an identity maps to, as bytes; none for none.
    pub(crate) fn owner_row(&self, workos_id: &WorkosUserId) -> Result<Vec<u8>, StorageError> {
        if let Some(row) = self.run_row(Kind::Owner, workos_id.as_str())? {
            return Ok(row);
        }
        let key = workos_id.as_str().as_bytes();
        let row = get(&self.owners, OWNERS, key, |row| Ok(row.to_vec()))?;
        Ok(row.unwrap_or_default())
    }

    /// A user's row, as [`rows::person`] writes it.
    pub(crate) fn person(&self, id: &UserId) -> Result<Vec<u8>, StorageError> {
        if let Some(row) = self.run_row(Kind::Person, id.as_str())? {
            return Ok(row);
        }
        let key = id.as_str().as_bytes();
        let row = get(&self.people, PEOPLE, key, |row| Ok(row.to_vec()))?;
        Ok(row.unwrap_or_else(|| person::NOTHING.to_vec()))
    }

    fn run_row(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        runs::get(&self.runs, kind, key.as_bytes())
    }

    pub(crate) fn user(&self, id: &UserId) -> Result<UserRow, StorageError> {
        let row = person::read(&self.person(id)?).map_err(row_of(PEOPLE))?;
        Ok(row.0)
    }

    pub(crate) fn profiles(&self, id: &UserId) -> Result<ProfileRow, StorageError> {
        let row = person::read(&self.person(id)?).map_err(row_of(PEOPLE))?;
        Ok(row.1)
    }
}

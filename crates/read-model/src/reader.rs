//! Readers: one committed state each, and no lock on the way to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use domain::{Checkpoint, Profile, ProfileRow, UserId, UserRow, WorkosUserId};
use redb::{Database, ReadableDatabase};

use crate::check::{Checked, Rows, guarded};
use crate::damage::Damages;
use crate::inspect::Inspection;
use crate::meta::{self, Totals};
use crate::origin::{self, Origin};
use crate::rows::{self, person, profile, user};
use crate::runs::{self, Kind, Run, Written};
use crate::tables::{ARRIVALS, AWAITING, META, OWNERS, PARKED, PEOPLE};
use crate::{Damage, StorageError};
use domain::codec::Problem;

/// Where a person's row is read from.
enum Row {
    InTable(Checked),
    InRun(Vec<u8>),
}

impl Row {
    /// The bytes of the user's row and of the profiles'; none for a row that holds nothing.
    fn split(&self) -> Result<(&[u8], &[u8]), Problem> {
        person::split(self.person())
    }

    fn person(&self) -> &[u8] {
        match self {
            Self::InTable(row) => row.row(),
            Self::InRun(person) => person,
        }
    }
}

/// One committed state: its tables, held open, and what is small enough to be at hand.
pub(crate) struct Snapshot {
    pub(crate) people: Rows,
    pub(crate) owners: Rows,
    pub(crate) parked: Rows,
    pub(crate) arrivals: Rows,
    pub(crate) awaiting: Rows,
    pub(crate) meta: Rows,
    /// Newest first; they have the word before the tables.
    pub(crate) runs: Vec<Run>,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) totals: Totals,
    pub(crate) was_live: bool,
    /// What was found damaged in the file since it was opened.
    pub(crate) damages: Arc<Damages>,
    /// What the file is of; `None` in one of a release that did not say.
    pub(crate) origin: Option<Origin>,
    /// One for all snapshots of one opening of the file: who holds one keeps it open.
    pub(crate) readers: Arc<()>,
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

    /// The size of the row that the answer is made from, which is near that of its profile.
    pub fn row_bytes(&self) -> usize {
        self.row.as_ref().map_or(0, |row| row.person().len())
    }

    /// The caller's profile, if there is one.
    pub fn profile(&self) -> Result<Option<AnsweredProfile<'_>>, StorageError> {
        let (Some(user), Some(row)) = (&self.user, &self.row) else {
            return Ok(None);
        };
        let live = row.split().and_then(|row| profile::read_answer(row.1));
        let live = live.map_err(|problem| {
            let key = user.as_str().as_bytes();
            Damage::of_row("people", key, problem)
        })?;
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

    /// The damaged rows that were met since the file was opened. They stay damaged: a rebuild puts
    /// another file in its place.
    pub fn damages(&self) -> Vec<Damage> {
        self.current.load().damages.all()
    }

    /// One committed state, to look at more closely. Hold it briefly: pages it shows are not used again.
    pub fn inspect(&self) -> Inspection {
        Inspection(self.current.load_full())
    }
}

/// What is wrong with an owner's row that names somebody who does not own the identity.
pub(crate) const NOT_THE_OWNER: &str = "it names a user who does not have the identity";

impl Snapshot {
    /// Takes what is committed. `known` are runs that were open before, `written` is one that is new.
    pub(crate) fn take(
        database: &Database,
        known: &[Run],
        written: Option<Written>,
        damages: &Arc<Damages>,
    ) -> Result<Self, StorageError> {
        let transaction = guarded("meta", || {
            let transaction = database.begin_read();
            transaction.map_err(StorageError::engine("read"))
        })?;
        let open = |table| Rows::open(&transaction, table, damages);
        let meta = open(&META)?;
        let checkpoint = meta.read(meta::CHECKPOINT_KEY, meta::read_checkpoint)?;
        let totals = meta.read(meta::TOTALS_KEY, meta::read_totals)?;
        let was_live = meta.get(meta::WAS_LIVE_KEY)?;
        let origin = meta.read(meta::ORIGIN_KEY, origin::read)?;
        let ids = meta
            .read(meta::RUNS_KEY, runs::read_ids)?
            .unwrap_or_default();
        Ok(Self {
            runs: runs::open(&transaction, &ids, known, written, damages)?,
            people: open(&PEOPLE)?,
            owners: open(&OWNERS)?,
            parked: open(&PARKED)?,
            arrivals: open(&ARRIVALS)?,
            awaiting: open(&AWAITING)?,
            meta,
            checkpoint,
            totals: totals.unwrap_or_default(),
            was_live: was_live.is_some(),
            damages: Arc::clone(damages),
            origin,
            readers: Arc::default(),
        })
    }

    fn profile_of(&self, workos_id: &WorkosUserId) -> Result<Answer, StorageError> {
        let sequence = self.checkpoint.as_ref().map_or(0, Checkpoint::sequence);
        let Some(user) = self.owner(workos_id)? else {
            return Ok(Answer::of_nobody(sequence));
        };
        let row = match self.run_row(Kind::Person, user.as_str())? {
            Some(person) => Some(Row::InRun(person)),
            None => self.people.get(user.as_str().as_bytes())?.map(Row::InTable),
        };
        let owned = row
            .as_ref()
            .map_or(Ok(None), |row| user::read_identity(row.split()?.0));
        let owned =
            owned.map_err(|problem| self.people.damaged(user.as_str().as_bytes(), problem))?;
        if owned != Some(workos_id.as_str()) {
            return Err(self.owners.damaged(&[], NOT_THE_OWNER));
        }
        Ok(Answer {
            row,
            user: Some(user),
            sequence,
        })
    }

    pub(crate) fn owner(&self, workos_id: &WorkosUserId) -> Result<Option<UserId>, StorageError> {
        let row = self.owner_row(workos_id)?;
        let user = (!row.is_empty()).then(|| rows::user_id(&row)).transpose();
        user.map_err(|problem| self.owners.damaged(&[], problem))
    }

    /// The user id that an identity maps to, as bytes; none for none.
    pub(crate) fn owner_row(&self, workos_id: &WorkosUserId) -> Result<Vec<u8>, StorageError> {
        if let Some(row) = self.run_row(Kind::Owner, workos_id.as_str())? {
            return Ok(row);
        }
        let row = self.owners.get(workos_id.as_str().as_bytes())?;
        Ok(row.map(|row| row.row().to_vec()).unwrap_or_default())
    }

    /// A user's row, as [`rows::person`] writes it.
    pub(crate) fn person(&self, id: &UserId) -> Result<Vec<u8>, StorageError> {
        if let Some(row) = self.run_row(Kind::Person, id.as_str())? {
            return Ok(row);
        }
        let row = self.people.get(id.as_str().as_bytes())?;
        Ok(row.map_or_else(|| person::NOTHING.to_vec(), |row| row.row().to_vec()))
    }

    fn run_row(&self, kind: Kind, key: &str) -> Result<Option<Vec<u8>>, StorageError> {
        runs::get(&self.runs, kind, key.as_bytes())
    }

    pub(crate) fn rows_of(&self, id: &UserId) -> Result<(UserRow, ProfileRow), StorageError> {
        let row = person::read(&self.person(id)?);
        row.map_err(|problem| self.people.damaged(id.as_str().as_bytes(), problem))
    }
}

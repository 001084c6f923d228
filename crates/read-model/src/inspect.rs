//! A close look at one committed state: what is parked, and what is kept of one person.

use std::sync::Arc;

use domain::{
    Checkpoint, Family, Lane, Parked, ProfileRow, Sequence, UserId, UserRow, WorkosUserId,
};
use redb::ReadableTable;

use crate::StorageError;
use crate::meta::Totals;
use crate::reader::{Snapshot, Table, get, row_of};
use crate::rows::arrival::{self, Arrival};
use crate::rows::{self, parked};
use crate::runs::{self, Kind, Run};
use crate::tables::{ARRIVALS, AWAITING, Bytes, OWNERS, PARKED};

/// One committed state (R5). Everything it tells belongs together.
pub struct Inspection(pub(crate) Arc<Snapshot>);

/// A parked record and when the stream got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// The record.
    pub parked: Parked,
    /// Nanoseconds since the epoch; `None` for a fold that was told no times.
    pub time_ns: Option<i64>,
}

/// What is kept of one person. All of it is nothing but a tombstone after an erasure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// The user's row.
    pub user: UserRow,
    /// The profiles' row.
    pub profiles: ProfileRow,
    /// Identities that map to the user.
    pub identities: u64,
    /// Records parked in the user's lanes.
    pub parked: u64,
    /// Records of the user that wait for an identity.
    pub awaiting: u64,
}

impl Inspection {
    /// Up to where the rows hold the stream; `None` before the stream was ever seen.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.0.checkpoint.as_ref()
    }

    /// Figures over the rows.
    pub fn totals(&self) -> Totals {
        self.0.totals
    }

    /// The oldest parked record's place and time.
    pub fn oldest(&self) -> Result<Option<(Sequence, Option<i64>)>, StorageError> {
        let first = self.0.arrivals.first();
        let Some((key, row)) = first.map_err(StorageError::engine("read"))? else {
            return Ok(None);
        };
        let sequence = arrival::read_key(key.value()).map_err(row_of(ARRIVALS))?;
        let Arrival { time_ns, .. } = arrival::read(row.value()).map_err(row_of(ARRIVALS))?;
        Ok(Some((sequence, time_ns)))
    }

    /// Parked records behind a sequence, in the order of the stream. Each is read when it is asked for.
    pub fn parked_after(
        &self,
        after: u64,
    ) -> Result<impl Iterator<Item = Result<Arrived, StorageError>>, StorageError> {
        let first = after.saturating_add(1).to_be_bytes();
        let rows = self
            .0
            .arrivals
            .range(first.as_slice()..)
            .map_err(StorageError::engine("read"))?;
        Ok(rows.map(|row| {
            let (_, row) = row.map_err(StorageError::engine("read"))?;
            let arrival = arrival::read(row.value()).map_err(row_of(ARRIVALS))?;
            self.arrived(&arrival)
        }))
    }

    /// The record parked from this place of the stream.
    pub fn parked_at(&self, sequence: Sequence) -> Result<Option<Arrived>, StorageError> {
        let arrival = get(
            &self.0.arrivals,
            ARRIVALS,
            &arrival::key(sequence),
            arrival::read,
        )?;
        arrival.map(|arrival| self.arrived(&arrival)).transpose()
    }

    fn arrived(&self, arrival: &Arrival) -> Result<Arrived, StorageError> {
        let parked = get(&self.0.parked, PARKED, &arrival.key, parked::read)?;
        let time_ns = arrival.time_ns;
        let parked = parked.ok_or("it names a record that is not parked");
        let parked = parked.map_err(row_of(ARRIVALS))?;
        Ok(Arrived { parked, time_ns })
    }

    /// What is parked in a lane, in the order of the stream. Each is read when it is asked for.
    pub fn lane(
        &self,
        lane: &Lane,
    ) -> Result<impl Iterator<Item = Result<Arrived, StorageError>>, StorageError> {
        let (first, last) = rows::sequences_of(&parked::lane_prefix(Some(lane)), 0);
        let range = first.as_slice()..=last.as_slice();
        let rows = ReadableTable::range(&self.0.parked, range);
        let rows = rows.map_err(StorageError::engine("read"))?;
        Ok(rows.map(|row| {
            let (key, row) = row.map_err(StorageError::engine("read"))?;
            let parked = parked::read(row.value()).map_err(row_of(PARKED))?;
            let sequence = rows::sequence_of(key.value()).map_err(row_of(PARKED))?;
            let key = arrival::key(sequence);
            let arrival = get(&self.0.arrivals, ARRIVALS, &key, arrival::read)?;
            let time_ns = arrival.and_then(|arrival| arrival.time_ns);
            Ok(Arrived { parked, time_ns })
        }))
    }

    /// The user's row; the default one for nobody.
    pub fn user(&self, user: &UserId) -> Result<UserRow, StorageError> {
        self.0.user(user)
    }

    /// The user's profiles; the default row for none.
    pub fn profiles(&self, user: &UserId) -> Result<ProfileRow, StorageError> {
        self.0.profiles(user)
    }

    /// The live user that an identity maps to.
    pub fn owner(&self, identity: &WorkosUserId) -> Result<Option<UserId>, StorageError> {
        self.0.owner(identity)
    }

    /// All that is kept of one person. Reads the whole of both indexes, so that it proves what it says:
    /// about a second for a million users.
    pub fn left_of(&self, user: &UserId) -> Result<Left, StorageError> {
        let mut parked = 0_u64;
        for family in [Family::User, Family::Profile, Family::Quarantine] {
            let user = user.clone();
            for record in self.lane(&Lane { user, family })? {
                record?;
                parked = parked.saturating_add(1);
            }
        }
        Ok(Left {
            user: self.user(user)?,
            profiles: self.profiles(user)?,
            identities: count_of(user, &self.0.owners, &self.0.runs, OWNERS)?,
            parked,
            awaiting: count_of(user, &self.0.awaiting, &[], AWAITING)?,
        })
    }
}

/// How many rows of an index name a user.
fn count_of(user: &UserId, index: &Table, runs: &[Run], table: Bytes) -> Result<u64, StorageError> {
    let mut count = 0_u64;
    for row in runs::rows(index, runs, Kind::Owner)? {
        let (_, named) = row?;
        let named = rows::user_id(&named).map_err(row_of(table))?;
        count = count.saturating_add(u64::from(named == *user));
    }
    Ok(count)
}

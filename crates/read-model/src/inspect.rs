//! A close look at one committed state: what is parked, and what is kept of one person.

use std::sync::Arc;

use domain::{
    Checkpoint, Family, Lane, Parked, ProfileRow, Sequence, UserId, UserRow, WorkosUserId,
};

use crate::check::Rows;
use crate::meta::Totals;
use crate::reader::Snapshot;
use crate::rows::arrival::{self, Arrival};
use crate::rows::{self, parked};
use crate::runs::{self, Kind, Run};
use crate::{Damage, StorageError};

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

    /// The damaged rows that were met since the file was opened.
    pub fn damages(&self) -> Vec<Damage> {
        self.0.damages.all()
    }

    /// The oldest parked record's place and time.
    pub fn oldest(&self) -> Result<Option<(Sequence, Option<i64>)>, StorageError> {
        let arrivals = &self.0.arrivals;
        let Some((key, row)) = arrivals.scan(&[])?.next().transpose()? else {
            return Ok(None);
        };
        let damaged = |problem| arrivals.damaged(key.value(), problem);
        let sequence = arrival::read_key(key.value()).map_err(damaged)?;
        let Arrival { time_ns, .. } = arrival::read(row.row()).map_err(damaged)?;
        Ok(Some((sequence, time_ns)))
    }

    /// Parked records behind a sequence, in the order of the stream. Each is read when it is asked for.
    pub fn parked_after(
        &self,
        after: u64,
    ) -> Result<impl Iterator<Item = Result<Arrived, StorageError>>, StorageError> {
        let arrivals = &self.0.arrivals;
        let rows = arrivals.scan(&after.saturating_add(1).to_be_bytes())?;
        Ok(rows.map(|row| {
            let (key, row) = row?;
            let arrival = arrival::read(row.row());
            let damaged = |problem| arrivals.damaged(key.value(), problem);
            self.arrived(key.value(), &arrival.map_err(damaged)?)
        }))
    }

    /// The record parked from this place of the stream.
    pub fn parked_at(&self, sequence: Sequence) -> Result<Option<Arrived>, StorageError> {
        let key = arrival::key(sequence);
        let arrival = self.0.arrivals.read(&key, arrival::read)?;
        arrival
            .map(|arrival| self.arrived(&key, &arrival))
            .transpose()
    }

    fn arrived(&self, key: &[u8], arrival: &Arrival) -> Result<Arrived, StorageError> {
        let time_ns = arrival.time_ns;
        match self.0.parked.read(&arrival.key, parked::read)? {
            Some(parked) => Ok(Arrived { parked, time_ns }),
            None => Err(self.0.arrivals.damaged(key, NOT_PARKED)),
        }
    }

    /// What is parked in a lane, in the order of the stream. Each is read when it is asked for.
    pub fn lane(
        &self,
        lane: &Lane,
    ) -> Result<impl Iterator<Item = Result<Arrived, StorageError>>, StorageError> {
        let Snapshot {
            parked, arrivals, ..
        } = &*self.0;
        let (first, last) = rows::sequences_of(&parked::lane_prefix(Some(lane)), 0);
        Ok(parked.scan(&first)?.upto(last).map(|row| {
            let (key, row) = row?;
            let damaged = |problem| parked.damaged(key.value(), problem);
            let record = parked::read(row.row()).map_err(damaged)?;
            let sequence = rows::sequence_of(key.value()).map_err(damaged)?;
            let arrival = arrivals.read(&arrival::key(sequence), arrival::read)?;
            let time_ns = arrival.and_then(|arrival| arrival.time_ns);
            Ok(Arrived {
                parked: record,
                time_ns,
            })
        }))
    }

    /// The user's row; the default one for nobody.
    pub fn user(&self, user: &UserId) -> Result<UserRow, StorageError> {
        Ok(self.0.rows_of(user)?.0)
    }

    /// The user's profiles; the default row for none.
    pub fn profiles(&self, user: &UserId) -> Result<ProfileRow, StorageError> {
        Ok(self.0.rows_of(user)?.1)
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
            identities: count_of(user, &self.0.owners, &self.0.runs)?,
            parked,
            awaiting: count_of(user, &self.0.awaiting, &[])?,
        })
    }
}

/// What is wrong with an arrival whose record is not parked.
pub(crate) const NOT_PARKED: &str = "it names a record that is not parked";

/// How many rows of an index name a user.
fn count_of(user: &UserId, index: &Rows, runs: &[Run]) -> Result<u64, StorageError> {
    let mut count = 0_u64;
    for row in runs::rows(index, runs, Kind::Owner)? {
        let (_, named) = row?;
        let named = rows::user_id(&named).map_err(|problem| index.damaged(&[], problem))?;
        count = count.saturating_add(u64::from(named == *user));
    }
    Ok(count)
}

//! Writing a batch: changed rows in key order, figures brought up to date by the rows they replace.

use domain::{Checkpoint, ParkedSummary};
use hashbrown::HashMap;
use redb::{Table, WriteTransaction};

use super::{Batch, Slot, is_live};
use crate::StorageError;
use crate::codec::Problem;
use crate::meta::{self, Totals};
use crate::rows::{arrival, parked, profile, user};
use crate::tables::{ARRIVALS, AWAITING, Bytes, META, OWNERS, PARKED, PROFILES, USERS};

type WriteTable<'t> = Table<'t, &'static [u8], &'static [u8]>;

impl Batch<'_> {
    /// One transaction, durable when it returns. Gives the totals that it wrote.
    pub(super) fn write(&self, to: &Checkpoint) -> Result<Totals, StorageError> {
        let mut transaction = self
            .model
            .database()?
            .begin_write()
            .map_err(StorageError::engine("write"))?;
        // The allocator's state goes with the commit, so that opening after a crash does not walk
        // the whole file: a service killed with a million users answers again at once.
        transaction.set_quick_repair(true);
        let mut totals = self.base.totals;
        self.write_users(&transaction, &mut totals)?;
        self.write_profiles(&transaction, &mut totals)?;
        self.write_parked(&transaction, &mut totals)?;
        self.write_indexes(&transaction)?;
        for (outcome, times) in self.tally.iter() {
            totals.outcomes.add(outcome, times);
        }
        let mut table = open(&transaction, META)?;
        put(
            &mut table,
            meta::CHECKPOINT_KEY,
            Some(&meta::write_checkpoint(to)),
            |_| Ok(()),
        )?;
        put(
            &mut table,
            meta::TOTALS_KEY,
            Some(&meta::write_totals(&totals)),
            |_| Ok(()),
        )?;
        drop(table);
        transaction
            .commit()
            .map_err(StorageError::engine("commit"))?;
        Ok(totals)
    }

    fn write_users(
        &self,
        transaction: &WriteTransaction,
        totals: &mut Totals,
    ) -> Result<(), StorageError> {
        let mut table = open(transaction, USERS)?;
        let mut bytes = Vec::new();
        for (id, row) in changed(&self.users) {
            bytes.clear();
            let written = user::write(row, &mut bytes).map(|()| bytes.as_slice());
            let key = id.as_str().as_bytes();
            put(&mut table, key, written, |old| {
                let old_row = user::read(old).map_err(bad_row("users"))?;
                totals.users = totals.users.saturating_sub(u64::from(is_live(&old_row)));
                uncount_lane(totals, &old_row.parked);
                totals.digest.remove("users", key, old);
                Ok(())
            })?;
            totals.users = totals.users.saturating_add(u64::from(is_live(row)));
            count_lane(totals, &row.parked);
            if let Some(written) = written {
                totals.digest.add("users", key, written);
            }
        }
        Ok(())
    }

    fn write_profiles(
        &self,
        transaction: &WriteTransaction,
        totals: &mut Totals,
    ) -> Result<(), StorageError> {
        let mut table = open(transaction, PROFILES)?;
        let mut bytes = Vec::new();
        for (id, row) in changed(&self.profiles) {
            bytes.clear();
            let written = profile::write(row, &mut bytes).map(|()| bytes.as_slice());
            let key = id.as_str().as_bytes();
            put(&mut table, key, written, |old| {
                let old_row = profile::read(old).map_err(bad_row("profiles"))?;
                let lived = u64::from(old_row.live.is_some());
                totals.profiles = totals.profiles.saturating_sub(lived);
                uncount_lane(totals, &old_row.parked);
                totals.digest.remove("profiles", key, old);
                Ok(())
            })?;
            totals.profiles = totals
                .profiles
                .saturating_add(u64::from(row.live.is_some()));
            count_lane(totals, &row.parked);
            if let Some(written) = written {
                totals.digest.add("profiles", key, written);
            }
        }
        Ok(())
    }

    fn write_parked(
        &self,
        transaction: &WriteTransaction,
        totals: &mut Totals,
    ) -> Result<(), StorageError> {
        let mut table = open(transaction, PARKED)?;
        let mut arrivals = open(transaction, ARRIVALS)?;
        let mut bytes = Vec::new();
        for (key, row) in &self.parked {
            bytes.clear();
            let mut was_there = false;
            let written = row.as_ref().map(|row| {
                parked::write(row, &mut bytes);
                bytes.as_slice()
            });
            put(&mut table, key, written, |old| {
                was_there = true;
                let reason = parked::read_reason(old).map_err(bad_row("parked"))?;
                totals.count_parked(reason, |count| count.saturating_sub(1));
                totals.digest.remove("parked", key, old);
                Ok(())
            })?;
            if let (Some(written), Some(row)) = (written, row) {
                totals.count_parked(row.reason, |count| count.saturating_add(1));
                totals.digest.add("parked", key, written);
            }
            self.note_arrival(&mut arrivals, key, was_there, row.is_some())?;
        }
        Ok(())
    }

    /// Keeps the place and time of what is parked now and was not, and forgets what is no more.
    fn note_arrival(
        &self,
        arrivals: &mut WriteTable<'_>,
        key: &[u8],
        was_there: bool,
        is_there: bool,
    ) -> Result<(), StorageError> {
        if was_there == is_there {
            return Ok(());
        }
        let sequence = parked::sequence_of(key).map_err(bad_row("parked"))?;
        let row = is_there.then(|| arrival::write(key, self.arrived.get(&sequence).copied()));
        put(
            arrivals,
            &arrival::key(sequence),
            row.as_deref(),
            |_| Ok(()),
        )
    }

    fn write_indexes(&self, transaction: &WriteTransaction) -> Result<(), StorageError> {
        let mut table = open(transaction, OWNERS)?;
        for (id, owner) in changed(&self.owners) {
            let written = owner.as_ref().map(|user| user.as_str().as_bytes());
            put(&mut table, id.as_str().as_bytes(), written, |_| Ok(()))?;
        }
        let mut table = open(transaction, AWAITING)?;
        for (key, user) in &self.awaiting {
            let written = user.as_ref().map(|user| user.as_str().as_bytes());
            put(&mut table, key, written, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// The changed rows of an overlay, sorted by key.
fn changed<K: Ord, T>(slots: &HashMap<K, Slot<T>>) -> Vec<(&K, &T)> {
    let mut changed: Vec<_> = slots
        .iter()
        .filter(|(_, slot)| slot.changed)
        .map(|(id, slot)| (id, &slot.row))
        .collect();
    changed.sort_unstable_by_key(|(id, _)| *id);
    changed
}

fn open(transaction: &WriteTransaction, table: Bytes) -> Result<WriteTable<'_>, StorageError> {
    transaction
        .open_table(table)
        .map_err(StorageError::engine("open a table of"))
}

/// Writes or removes a row and shows the one it replaces.
fn put(
    table: &mut WriteTable<'_>,
    key: &[u8],
    value: Option<&[u8]>,
    replaced: impl FnOnce(&[u8]) -> Result<(), StorageError>,
) -> Result<(), StorageError> {
    let old = match value {
        Some(value) => table.insert(key, value),
        None => table.remove(key),
    };
    match old.map_err(StorageError::engine("write"))? {
        Some(old) => replaced(old.value()),
        None => Ok(()),
    }
}

fn bad_row(table: &'static str) -> impl FnOnce(Problem) -> StorageError {
    move |problem| StorageError::Row { table, problem }
}

fn count_lane(totals: &mut Totals, parked: &ParkedSummary) {
    totals.parked_lanes = totals
        .parked_lanes
        .saturating_add(u64::from(!parked.is_empty()));
}

fn uncount_lane(totals: &mut Totals, parked: &ParkedSummary) {
    totals.parked_lanes = totals
        .parked_lanes
        .saturating_sub(u64::from(!parked.is_empty()));
}

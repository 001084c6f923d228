//! Writing a batch: changed rows in key order, figures brought up to date by the rows they replace.

use domain::Checkpoint;
use redb::WriteTransaction;

use super::overlay::{Changed, Sorted};
use super::{Batch, bad_row};
use crate::StorageError;
use crate::check::{RowsMut, guarded};
use crate::meta::{self, Totals};
use crate::rows::{self, arrival, parked};
use crate::runs::{self, Kind, Merge, RUNS_MAX, RunId, RunWriter, Source, Written};
use crate::tables::{ARRIVALS, AWAITING, META, OWNERS, PARKED, PEOPLE};

impl Batch<'_> {
    /// One transaction, durable when it returns. Gives the totals that it wrote.
    pub(super) fn write(&self, to: &Checkpoint) -> Result<Totals, StorageError> {
        let _writing = self.model.writing();
        self.guarded(|| self.write_into_tables(to))
    }

    /// The same, but that rows go into a run.
    pub(super) fn write_run(&self, to: &Checkpoint) -> Result<Written, StorageError> {
        let _writing = self.model.writing();
        self.guarded(|| self.write_into_run(to))
    }

    /// Damage that is met on the way is noted, as that which readers meet.
    fn guarded<T>(
        &self,
        write: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let written = guarded("people", write);
        if let Err(StorageError::Damaged(damage)) = &written {
            self.base.damages.note(damage);
        }
        written
    }

    fn write_into_tables(&self, to: &Checkpoint) -> Result<Totals, StorageError> {
        let transaction = self.begin_write()?;
        let changed = self.changed();
        let totals = changed.totals;
        let mut sources = changed.sources;
        for run in &self.base.runs {
            sources.push(Box::new(run.source()?));
        }
        write_tables(&transaction, Merge::new(sources))?;
        for run in &self.base.runs {
            delete_run(&transaction, run.id)?;
        }
        self.finish(transaction, to, totals, &[])
    }

    fn write_into_run(&self, to: &Checkpoint) -> Result<Written, StorageError> {
        let transaction = self.begin_write()?;
        let Changes {
            totals,
            mut sources,
            mut rows,
        } = self.changed();
        let mut ids: Vec<RunId> = self.base.runs.iter().map(|run| run.id).collect();
        let newest = ids.iter().map(|id| id.number).max();
        let merged = if ids.len() < RUNS_MAX {
            Vec::new()
        } else {
            std::mem::take(&mut ids)
        };
        for run in self.base.runs.iter().filter(|run| merged.contains(&run.id)) {
            sources.push(Box::new(run.source()?));
            rows = rows.saturating_add(usize::try_from(run.id.rows).unwrap_or(usize::MAX));
        }
        let number = newest.map_or(0, |newest| newest.saturating_add(1));
        let mut table = RowsMut::open_named(&transaction, runs::table_name(number).into())?;
        let loader = table
            .loader()?
            .ok_or_else(|| bad_row("runs")("a new run has rows"))?;
        let mut run = RunWriter::new(loader, number, rows);
        let mut merge = Merge::new(sources);
        while let Some(entry) = merge.entry() {
            run.push(&entry)?;
            merge.advance()?;
        }
        let written = run.finish()?;
        drop(table);
        for id in merged {
            delete_run(&transaction, id)?;
        }
        ids.insert(0, written.id);
        self.finish(transaction, to, totals, &ids)?;
        Ok(written)
    }

    fn begin_write(&self) -> Result<WriteTransaction, StorageError> {
        let mut transaction = self
            .model
            .database()?
            .begin_write()
            .map_err(StorageError::engine("write"))?;
        // The allocator's state goes with the commit, so that opening after a crash does not walk
        // the whole file: a service killed with a million users answers again at once.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    /// The overlay's changes in key order, and the totals with them.
    fn changed(&self) -> Changes<'_> {
        let mut totals = self.totals;
        let people = self.people.changed();
        for Sorted { key, row, .. } in &people {
            if !Kind::Person.is_none(row.bytes) {
                totals.digest.add("people", key, row.bytes);
            }
        }
        let owners = self.owners.changed();
        let rows = people.len().saturating_add(owners.len());
        let sources: Vec<Box<dyn Source + '_>> = vec![
            Box::new(Changed::new(Kind::Person, people)),
            Box::new(Changed::new(Kind::Owner, owners)),
        ];
        Changes {
            totals,
            sources,
            rows,
        }
    }

    /// Writes what has no place in a run, and commits.
    fn finish(
        &self,
        transaction: WriteTransaction,
        to: &Checkpoint,
        mut totals: Totals,
        runs: &[RunId],
    ) -> Result<Totals, StorageError> {
        self.write_parked(&transaction, &mut totals)?;
        self.write_awaiting(&transaction)?;
        let mut table = RowsMut::open(&transaction, &META)?;
        let runs = (!runs.is_empty()).then(|| runs::write_ids(runs));
        for (key, value) in [
            (meta::CHECKPOINT_KEY, Some(meta::write_checkpoint(to))),
            (meta::TOTALS_KEY, Some(meta::write_totals(&totals))),
            (meta::RUNS_KEY, runs),
        ] {
            table.put(key, value.as_deref())?;
        }
        drop(table);
        transaction
            .commit()
            .map_err(StorageError::engine("commit"))?;
        Ok(totals)
    }

    fn write_parked(
        &self,
        transaction: &WriteTransaction,
        totals: &mut Totals,
    ) -> Result<(), StorageError> {
        let mut table = RowsMut::open(transaction, &PARKED)?;
        let mut arrivals = RowsMut::open(transaction, &ARRIVALS)?;
        for (key, row) in self.parked.iter() {
            let old = table.put_over(key, row, |old| {
                let reason = parked::read_reason(old)?;
                totals.count_parked(reason, |count| count.saturating_sub(1));
                totals.digest.remove("parked", key, old);
                Ok(())
            })?;
            if let Some(row) = row {
                let reason = parked::read_reason(row).map_err(bad_row("parked"))?;
                totals.count_parked(reason, |count| count.saturating_add(1));
                totals.digest.add("parked", key, row);
            }
            self.note_arrival(&mut arrivals, key, old.is_some(), row.is_some())?;
        }
        Ok(())
    }

    /// Keeps the place and time of what is parked now and was not, and forgets what is no more.
    fn note_arrival(
        &self,
        arrivals: &mut RowsMut<'_>,
        key: &[u8],
        was_there: bool,
        is_there: bool,
    ) -> Result<(), StorageError> {
        if was_there == is_there {
            return Ok(());
        }
        let sequence = rows::sequence_of(key).map_err(bad_row("parked"))?;
        let row = is_there.then(|| arrival::write(key, self.arrived.get(&sequence).copied()));
        arrivals.put(&arrival::key(sequence), row.as_deref())?;
        Ok(())
    }

    fn write_awaiting(&self, transaction: &WriteTransaction) -> Result<(), StorageError> {
        let mut table = RowsMut::open(transaction, &AWAITING)?;
        for (key, user) in self.awaiting.iter() {
            table.put(key, user)?;
        }
        Ok(())
    }
}

/// What the overlay has to be written.
struct Changes<'b> {
    totals: Totals,
    sources: Vec<Box<dyn Source + 'b>>,
    rows: usize,
}

fn delete_run(transaction: &WriteTransaction, id: RunId) -> Result<(), StorageError> {
    let name = runs::table_name(id.number);
    transaction
        .delete_table(runs::definition(&name))
        .map_err(StorageError::engine("remove a table of"))?;
    Ok(())
}

/// Writes rows to where readers look for them for good.
fn write_tables(transaction: &WriteTransaction, mut rows: Merge<'_>) -> Result<(), StorageError> {
    for (kind, table) in [(Kind::Person, &PEOPLE), (Kind::Owner, &OWNERS)] {
        let mut table = RowsMut::open(transaction, table)?;
        if let Some(mut loader) = table.loader()? {
            while let Some(entry) = rows.entry().filter(|entry| entry.kind == kind) {
                if !kind.is_none(entry.value) {
                    loader.push(entry.key, entry.value)?;
                }
                rows.advance()?;
            }
            loader.finish()?;
        } else {
            while let Some(entry) = rows.entry().filter(|entry| entry.kind == kind) {
                let value = (!kind.is_none(entry.value)).then_some(entry.value);
                table.put(entry.key, value)?;
                rows.advance()?;
            }
        }
    }
    Ok(())
}

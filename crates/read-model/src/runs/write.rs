//! Writing a run: entries in order, gathered into blocks that fill a page each.

use super::filter::{Filter, KeyHash};
use super::{Entry, RunId, Written, block_key};
use crate::StorageError;
use crate::loader::Loader;
use domain::codec::Writer;

/// A block, its key and what the engine adds fill a page of 4 KiB.
const BLOCK_BYTES: usize = 3_900;

/// Writes one run within a transaction.
pub(crate) struct RunWriter<'t> {
    table: Loader<'t>,
    number: u64,
    rows: u64,
    filter: Filter,
    /// Of the first entry in `block`.
    first: Vec<u8>,
    block: Vec<u8>,
}

impl<'t> RunWriter<'t> {
    /// Begins run `number`, of at most `rows_max` rows, whose table `table` fills.
    pub(crate) fn new(table: Loader<'t>, number: u64, rows_max: usize) -> Self {
        Self {
            table,
            number,
            rows: 0,
            filter: Filter::with_room(rows_max),
            first: Vec::new(),
            block: Vec::with_capacity(BLOCK_BYTES),
        }
    }

    /// Appends an entry, which lies behind the one before.
    pub(crate) fn push(&mut self, entry: &Entry<'_>) -> Result<(), StorageError> {
        let length = entry.key.len().saturating_add(entry.value.len());
        let room = BLOCK_BYTES.saturating_sub(self.block.len());
        // Its kind and lengths take at most a dozen bytes.
        if room < length.saturating_add(12) {
            self.flush()?;
        }
        if self.block.is_empty() {
            self.first = block_key(entry.kind, entry.key);
        }
        let mut to = Writer(&mut self.block);
        to.byte(entry.kind.byte());
        to.bytes(entry.key);
        to.bytes(entry.value);
        self.filter.insert(KeyHash::of(entry.kind, entry.key));
        self.rows = self.rows.saturating_add(1);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.table.push(&self.first, &self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> Result<Written, StorageError> {
        self.flush()?;
        self.table.finish()?;
        let id = RunId {
            number: self.number,
            rows: self.rows,
        };
        Ok(Written {
            id,
            filter: self.filter,
        })
    }
}

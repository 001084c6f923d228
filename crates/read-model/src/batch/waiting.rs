//! The rows of a batch that are read in the order of sequences: parked records, and who awaits what.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::ReadableTable;

use crate::StorageError;
use crate::reader::Table;
use crate::rows;

/// What an entry takes beside its key and its row, in bytes (about).
const ENTRY_BYTES: usize = 128;

/// Changed rows by key, as they are stored; `None` is a removal.
#[derive(Default)]
pub(super) struct Waiting {
    rows: BTreeMap<Vec<u8>, Option<Box<[u8]>>>,
    bytes: usize,
}

fn size(key: &[u8], row: Option<&[u8]>) -> usize {
    let row = row.map_or(0, <[u8]>::len);
    key.len().saturating_add(row).saturating_add(ENTRY_BYTES)
}

impl Waiting {
    pub(super) fn put(&mut self, key: Vec<u8>, row: Option<&[u8]>) {
        self.forget(&key);
        self.bytes = self.bytes.saturating_add(size(&key, row));
        self.rows.insert(key, row.map(Into::into));
    }

    /// Takes a change back.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(row) = self.rows.remove(key) {
            self.bytes = self.bytes.saturating_sub(size(key, row.as_deref()));
        }
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes
    }

    /// The changes in the order of keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.rows.iter().map(|(key, row)| (&**key, row.as_deref()))
    }

    /// The first row of `table`, as it is with these changes, whose key is `prefix` and a sequence above
    /// `after`; its key and value are given to `read`.
    pub(super) fn next<T>(
        &self,
        table: &Table,
        prefix: &[u8],
        after: u64,
        read: impl FnOnce(&[u8], &[u8]) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        let Some(from) = after.checked_add(1) else {
            return Ok(None);
        };
        let (from, to) = rows::sequences_of(prefix, from);
        let (from, to) = (from.as_slice(), to.as_slice());
        let range = (Bound::Included(from), Bound::Included(to));
        let mut changes = self.rows.range::<[u8], _>(range);
        let mut change = changes.next();
        for row in ReadableTable::range(table, from..=to).map_err(StorageError::engine("read"))? {
            let (key, value) = row.map_err(StorageError::engine("read"))?;
            let mut is_removed = false;
            while let Some((at, row)) = change.filter(|(at, _)| at.as_slice() <= key.value()) {
                if let Some(row) = row {
                    return read(at, row).map(Some);
                }
                is_removed = at.as_slice() == key.value();
                change = changes.next();
            }
            if !is_removed {
                return read(key.value(), value.value()).map(Some);
            }
        }
        while let Some((at, row)) = change {
            if let Some(row) = row {
                return read(at, row).map(Some);
            }
            change = changes.next();
        }
        Ok(None)
    }
}

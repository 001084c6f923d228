//! The rows of a batch that are read in the order of sequences: parked records, and who awaits what.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use crate::StorageError;
use crate::check::Rows;
use crate::rows;

/// What an entry takes beside its key and its row, in bytes (about).
const ENTRY_BYTES: usize = 128;

/// Changed rows by key, as they are stored; `None` is a removal. A key is a prefix and a sequence.
#[derive(Default)]
pub(super) struct Waiting {
    rows: BTreeMap<Vec<u8>, Option<Box<[u8]>>>,
    bytes: usize,
    /// By prefix the sequence up to which no row is left, where removals were passed over: thousands
    /// who wait for one identity are not passed over once for each of them.
    none_upto: HashMap<Vec<u8>, u64>,
}

fn size(key: &[u8], row: Option<&[u8]>) -> usize {
    let row = row.map_or(0, <[u8]>::len);
    key.len().saturating_add(row).saturating_add(ENTRY_BYTES)
}

impl Waiting {
    pub(super) fn put(&mut self, key: Vec<u8>, row: Option<&[u8]>) {
        self.forget(&key);
        if row.is_some()
            && let Some((prefix, _)) = key.split_last_chunk::<8>()
            && let Some(upto) = self.none_upto.get_mut(prefix)
        {
            *upto = sequence_of(&key).saturating_sub(1).min(*upto);
        }
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
        &mut self,
        table: &Rows,
        prefix: &[u8],
        after: u64,
        read: impl FnOnce(&[u8], &[u8]) -> Result<T, StorageError>,
    ) -> Result<Option<T>, StorageError> {
        let none_upto = self.none_upto.get(prefix).copied().unwrap_or(0);
        let Some(from) = after.max(none_upto).checked_add(1) else {
            return Ok(None);
        };
        let (from, to) = rows::sequences_of(prefix, from);
        let (from, to) = (from.as_slice(), to.as_slice());
        let range = (Bound::Included(from), Bound::Included(to));
        let mut changes = self.rows.range::<[u8], _>(range);
        let mut change = changes.next();
        let mut kept = table.scan(from)?.upto(to.to_vec());
        let mut passes_over = false;
        let found = loop {
            let row = kept.next().transpose()?;
            let upto = row.as_ref().map_or(to, |(key, _)| key.value());
            let mut is_removed = false;
            let mut instead = None;
            while let Some((at, row)) = change.filter(|(at, _)| at.as_slice() <= upto) {
                if let Some(row) = row {
                    instead = Some((at.as_slice(), &**row));
                    break;
                }
                is_removed = at.as_slice() == upto;
                passes_over = true;
                change = changes.next();
            }
            match (instead, &row) {
                (Some((key, row)), _) => break Some((sequence_of(key), read(key, row)?)),
                (None, Some((key, row))) if !is_removed => {
                    break Some((sequence_of(key.value()), read(key.value(), row.row())?));
                }
                (None, Some(_)) => {}
                (None, None) => break None,
            }
        };
        if passes_over && after <= none_upto {
            let upto = found
                .as_ref()
                .map_or(u64::MAX, |(at, _)| at.saturating_sub(1));
            if self.none_upto.insert(prefix.to_vec(), upto).is_none() {
                self.bytes = self.bytes.saturating_add(size(prefix, None));
            }
        }
        Ok(found.map(|(_, row)| row))
    }
}

/// The sequence that a key ends with.
fn sequence_of(key: &[u8]) -> u64 {
    key.last_chunk().copied().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use proptest::prelude::*;
    use redb::backends::InMemoryBackend;
    use redb::{Builder, Database, ReadableDatabase};

    use super::*;
    use crate::check::RowsMut;
    use crate::tables::PARKED;

    fn key(prefix: u8, sequence: u64) -> Vec<u8> {
        [&[prefix][..], &sequence.to_be_bytes()].concat()
    }

    /// A table of these rows, and what keeps it open.
    fn table_of(keys: &BTreeSet<Vec<u8>>) -> (Database, Rows) {
        let backend = InMemoryBackend::new();
        let database = Builder::new().create_with_backend(backend).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut table = RowsMut::open(&transaction, &PARKED).unwrap();
            for key in keys {
                table.put(key, Some(key)).unwrap();
            }
        }
        transaction.commit().unwrap();
        let transaction = database.begin_read().unwrap();
        let table = Rows::open(&transaction, &PARKED, &Arc::default()).unwrap();
        (database, table)
    }

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Put,
        Remove,
        Next,
    }

    fn acts() -> impl Strategy<Value = Vec<(u8, u64, Act)>> {
        let act = prop_oneof![1 => Just(Act::Put), 3 => Just(Act::Remove), 3 => Just(Act::Next)];
        prop::collection::vec((1_u8..3, 1_u64..9, act), 1..60)
    }

    proptest! {
        #[test]
        fn the_next_row_is_the_first_that_is_there(
            kept in prop::collection::btree_set((1_u8..3, 1_u64..9), 0..16),
            acts in acts(),
        ) {
            let kept: BTreeSet<Vec<u8>> =
                kept.into_iter().map(|(prefix, at)| key(prefix, at)).collect();
            let (_open, table) = table_of(&kept);
            let mut there = kept.clone();
            let mut waiting = Waiting::default();
            for (prefix, at, act) in acts {
                let row = key(prefix, at);
                match act {
                    Act::Put => {
                        waiting.put(row.clone(), Some(&row));
                        there.insert(row);
                    }
                    // As a batch does with what is not in the tables.
                    Act::Remove if !kept.contains(&row) => {
                        waiting.forget(&row);
                        there.remove(&row);
                    }
                    Act::Remove => {
                        there.remove(&row);
                        waiting.put(row, None);
                    }
                    Act::Next => {
                        for after in [0, at] {
                            let (first, last) = (key(prefix, after + 1), key(prefix, u64::MAX));
                            let expected = there.range(first..=last).next().cloned();
                            let read = |key: &[u8], row: &[u8]| {
                                assert_eq!(key, row);
                                Ok(row.to_vec())
                            };
                            let found = waiting.next(&table, &[prefix], after, read).unwrap();
                            prop_assert_eq!(found, expected);
                        }
                    }
                }
            }
            let size = waiting.memory_bytes();
            let rows = waiting.iter().map(|(key, row)| self::size(key, row)).sum::<usize>();
            prop_assert!(rows <= size && size <= rows + 2 * (1 + ENTRY_BYTES));
        }
    }
}

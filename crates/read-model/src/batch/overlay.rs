//! The rows that a batch has touched, as bytes: compact, and written out as they are.

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;

use crate::StorageError;
use crate::runs::{Entry, Kind, Source};

/// A row in the overlay.
pub(super) struct Row {
    pub(super) bytes: Box<[u8]>,
    /// Which parts of it are not written yet.
    pub(super) changed: u8,
}

/// Rows of one kind by key.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<Box<[u8]>, Row>,
    /// Of keys and values.
    bytes: usize,
}

/// What the allocator adds to a key and to a value.
const ALLOCATED: usize = 16;

impl Rows {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Row> {
        self.rows.get(key)
    }

    /// The row of `key`, read with `load` when it is not here yet.
    pub(super) fn read(
        &mut self,
        key: &[u8],
        load: impl FnOnce() -> Result<Vec<u8>, StorageError>,
    ) -> Result<&Row, StorageError> {
        Ok(match self.rows.entry_ref(key) {
            EntryRef::Occupied(row) => row.into_mut(),
            EntryRef::Vacant(vacant) => {
                let bytes = load()?.into_boxed_slice();
                let more = key.len() + bytes.len() + 2 * ALLOCATED;
                self.bytes = self.bytes.saturating_add(more);
                vacant
                    .insert_entry_with_key(key.into(), Row { bytes, changed: 0 })
                    .into_mut()
            }
        })
    }

    /// Replaces a row that was read before.
    pub(super) fn write(&mut self, key: &[u8], bytes: &[u8], changed: u8) {
        let Some(row) = self.rows.get_mut(key) else {
            return;
        };
        row.changed |= changed;
        if row.bytes.len() == bytes.len() {
            row.bytes.copy_from_slice(bytes);
        } else {
            let less = self.bytes.saturating_sub(row.bytes.len());
            self.bytes = less.saturating_add(bytes.len());
            row.bytes = bytes.into();
        }
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let slot = size_of::<(Box<[u8]>, Row)>() + 1;
        // A table is at most seven eighths full.
        let slots = self.rows.capacity() / 7 * 8;
        self.bytes.saturating_add(slots.saturating_mul(slot))
    }

    /// The rows with changes, sorted by key.
    pub(super) fn changed(&self) -> Vec<(&[u8], &Row)> {
        let changed = || self.rows.iter().filter(|(_, row)| row.changed != 0);
        let mut keys = changed().map(|(key, _)| &**key);
        let first = keys.next().unwrap_or_default();
        let common = keys.fold(first.len(), |common, key| {
            let same = first.iter().zip(key).take(common);
            same.take_while(|(one, other)| one == other).count()
        });
        // Keys lie all over the memory: most are told apart by what is copied here.
        let mut sorted: Vec<(u64, &[u8], &Row)> = changed()
            .map(|(key, row)| (eight_from(key, common), &**key, row))
            .collect();
        sorted.sort_unstable_by(|(first, one, _), (second, other, _)| {
            first.cmp(second).then_with(|| one.cmp(other))
        });
        sorted.into_iter().map(|(_, key, row)| (key, row)).collect()
    }

    /// Takes all changes for written.
    pub(super) fn settle(&mut self) {
        self.rows.values_mut().for_each(|row| row.changed = 0);
    }
}

/// The eight bytes of a key from `at` on, zeros behind its end, as a number that sorts as they do.
fn eight_from(key: &[u8], at: usize) -> u64 {
    let rest = key.get(at..).unwrap_or_default();
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(eight)
}

/// Sorted rows as entries of a run.
pub(super) struct Changed<'r> {
    pub(super) kind: Kind,
    pub(super) rows: std::vec::IntoIter<(&'r [u8], &'r Row)>,
}

impl Source for Changed<'_> {
    fn entry(&self) -> Option<Entry<'_>> {
        let (key, row) = self.rows.as_slice().first()?;
        Some(Entry {
            kind: self.kind,
            key,
            flags: row.changed,
            value: &row.bytes,
        })
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        self.rows.next();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_rows_come_in_the_order_of_keys() {
        let mut rows = Rows::default();
        let mut keys: Vec<String> = (0..500).map(|number| format!("u000{number:020}")).collect();
        keys.extend(["u", "u0", "u0000000000000000000001", "u0001\u{0}x"].map(String::from));
        for key in &keys {
            rows.read(key.as_bytes(), || Ok(Vec::new())).unwrap();
            rows.write(key.as_bytes(), b"1", 1);
        }
        rows.read(b"unchanged", || Ok(Vec::new())).unwrap();
        keys.sort_unstable();
        let changed: Vec<&[u8]> = rows.changed().into_iter().map(|(key, _)| key).collect();
        assert!(changed.into_iter().eq(keys.iter().map(String::as_bytes)));
        rows.settle();
        assert!(rows.changed().is_empty());
    }
}

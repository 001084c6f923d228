//! Tables whose rows carry a check of their own ([`crate::crc`]), compared whenever one is read.
//!
//! A key that is damaged makes its row seem to be missing, and no check of a row that is there shows that.
//! So where no row is found, the rows on both sides of its place are looked at: of rows in order, a search
//! is led astray only by a key that is a neighbour of the place where it ends.

use std::borrow::Cow;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};

use crate::StorageError;
use crate::crc::{CHECK_BYTES, Check};
use crate::damage::{Damage, Damages, ENGINE_FAILS};
use crate::loader::Loader;
use crate::tables::Bytes;

type Table = ReadOnlyTable<&'static [u8], &'static [u8]>;
type Guard = AccessGuard<'static, &'static [u8]>;

/// A row that was checked, held where it lies. A commit does not touch it.
pub(crate) struct Checked(Guard);

impl Checked {
    pub(crate) fn row(&self) -> &[u8] {
        let stored = self.0.value();
        let length = stored.len().saturating_sub(CHECK_BYTES);
        stored.get(..length).unwrap_or_default()
    }
}

/// A committed table. Gives no row whose check fails, and says of none that it is not there where a
/// damaged key may hide it.
pub(crate) struct Rows {
    table: Table,
    name: Cow<'static, str>,
    check: Check,
    damages: Arc<Damages>,
}

impl Rows {
    pub(crate) fn open(
        transaction: &ReadTransaction,
        table: &'static Bytes,
        damages: &Arc<Damages>,
    ) -> Result<Self, StorageError> {
        Self::open_named(transaction, redb::TableHandle::name(table).into(), damages)
    }

    pub(crate) fn open_named(
        transaction: &ReadTransaction,
        name: Cow<'static, str>,
        damages: &Arc<Damages>,
    ) -> Result<Self, StorageError> {
        let damages = Arc::clone(damages);
        let table = guarded(&name, || {
            let definition = TableDefinition::new(&name);
            transaction
                .open_table(definition)
                .map_err(StorageError::engine("open a table of"))
        });
        let table = noted(&damages, table)?;
        Ok(Self {
            table,
            check: Check::of_table(&name),
            name,
            damages,
        })
    }

    pub(crate) fn len(&self) -> Result<u64, StorageError> {
        self.guarded(|| self.table.len().map_err(StorageError::engine("read")))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Checked>, StorageError> {
        self.guarded(|| {
            let stored = self.table.get(key).map_err(StorageError::engine("read"))?;
            match stored {
                Some(stored) => self.check(key, stored).map(Some),
                None => self.is_absent(key).map(|()| None),
            }
        })
    }

    /// Reads the row under `key`; what `read` finds wrong with it is damage.
    pub(crate) fn read<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<Option<T>, StorageError> {
        let row = self.get(key)?;
        row.map(|row| read(row.row()).map_err(|problem| self.damaged(key, problem)))
            .transpose()
    }

    /// The rows from `from` on, to the end of the table.
    pub(crate) fn scan(&self, from: &[u8]) -> Result<Scan, StorageError> {
        let range = self.guarded(|| {
            // What stands before the first must not be a row that belongs behind it.
            if !from.is_empty() {
                self.neighbour(from, false)?;
            }
            self.table
                .range(from..)
                .map_err(StorageError::engine("read"))
        })?;
        Ok(Scan {
            range: Some(range),
            before: from.to_vec(),
            is_first: true,
            name: self.name.clone(),
            check: self.check,
            damages: Arc::clone(&self.damages),
        })
    }

    /// The last row whose key is not above `key`.
    pub(crate) fn last_upto(&self, key: &[u8]) -> Result<Option<Checked>, StorageError> {
        self.guarded(|| {
            let upto = (Bound::Unbounded, Bound::Included(key));
            let range = self.table.range::<&[u8]>(upto);
            let mut range = range.map_err(StorageError::engine("read"))?;
            let Some(entry) = range.next_back() else {
                return Ok(None);
            };
            let (found, stored) = entry.map_err(StorageError::engine("read"))?;
            self.check(found.value(), stored).map(Some)
        })
    }

    /// Damage of this table, noted.
    pub(crate) fn damaged(&self, key: &[u8], problem: &'static str) -> StorageError {
        let damage = Damage::of_row(&self.name, key, problem);
        self.damages.note(&damage);
        damage.into()
    }

    fn check(&self, key: &[u8], stored: Guard) -> Result<Checked, StorageError> {
        match self.check.row(key, stored.value()) {
            Some(_) => Ok(Checked(stored)),
            None => Err(Damage::of_row(&self.name, key, CHECK_FAILS).into()),
        }
    }

    /// Proves that no row has this key, as far as one damaged key goes.
    pub(crate) fn is_absent(&self, key: &[u8]) -> Result<(), StorageError> {
        self.guarded(|| {
            self.neighbour(key, true)?;
            self.neighbour(key, false)
        })
    }

    /// Checks the row next to where `key` would be, above it or below.
    fn neighbour(&self, key: &[u8], above: bool) -> Result<(), StorageError> {
        let bounds = if above {
            (Bound::Excluded(key), Bound::Unbounded)
        } else {
            (Bound::Unbounded, Bound::Excluded(key))
        };
        let range = self.table.range::<&[u8]>(bounds);
        let mut range = range.map_err(StorageError::engine("read"))?;
        let entry = if above {
            range.next()
        } else {
            range.next_back()
        };
        let Some(entry) = entry else {
            return Ok(());
        };
        let (found, stored) = entry.map_err(StorageError::engine("read"))?;
        let found = found.value();
        self.check(found, stored)?;
        let is_in_order = if above { key < found } else { found < key };
        if is_in_order {
            Ok(())
        } else {
            Err(Damage::of_row(&self.name, found, OUT_OF_ORDER).into())
        }
    }

    fn guarded<T>(
        &self,
        read: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        noted(&self.damages, guarded(&self.name, read))
    }
}

pub(crate) const CHECK_FAILS: &str = "its check fails";
const OUT_OF_ORDER: &str = "it is not in its place";

/// Rows in key order. A damaged one is an error, and the next may follow.
pub(crate) struct Scan {
    /// `None` at the end.
    range: Option<Range<'static, &'static [u8], &'static [u8]>>,
    /// The key before.
    before: Vec<u8>,
    is_first: bool,
    name: Cow<'static, str>,
    check: Check,
    damages: Arc<Damages>,
}

impl Scan {
    /// Ends behind `last`. The row that shows that is checked too: it may be one of these.
    pub(crate) fn upto(self, last: Vec<u8>) -> impl Iterator<Item = Entry> {
        self.take_while(move |row| {
            let row = row.as_ref();
            row.map_or(true, |(key, _)| key.value() <= last.as_slice())
        })
    }
}

/// A row and its key.
pub(crate) type Entry = Result<(Guard, Checked), StorageError>;

impl Iterator for Scan {
    type Item = Entry;

    fn next(&mut self) -> Option<Self::Item> {
        let mut range = self.range.take()?;
        let entry = guarded(&self.name, || {
            let entry = range.next().transpose();
            let entry = entry.map_err(StorageError::engine("read"))?;
            // Whether its bytes can be had is found out here, not by whoever uses them.
            if let Some((key, stored)) = &entry {
                let _ = (key.value(), stored.value());
            }
            Ok(entry)
        });
        let (key, stored) = match entry {
            Ok(None) => return None,
            Ok(Some(entry)) => entry,
            Err(error) => return Some(noted(&self.damages, Err(error))),
        };
        self.range = Some(range);
        let found = key.value();
        let is_in_order = if std::mem::take(&mut self.is_first) {
            self.before.as_slice() <= found
        } else {
            self.before.as_slice() < found
        };
        let problem = match self.check.row(found, stored.value()) {
            Some(_) if is_in_order => None,
            Some(_) => Some(OUT_OF_ORDER),
            None => Some(CHECK_FAILS),
        };
        if let Some(problem) = problem {
            let damage = Damage::of_row(&self.name, found, problem);
            return Some(noted(&self.damages, Err(damage.into())));
        }
        self.before.clear();
        self.before.extend_from_slice(found);
        Some(Ok((key, Checked(stored))))
    }
}

/// A table that is written. Gives each row its check.
pub(crate) struct RowsMut<'t> {
    table: redb::Table<'t, &'static [u8], &'static [u8]>,
    name: Cow<'static, str>,
    check: Check,
    buffer: Vec<u8>,
}

impl<'t> RowsMut<'t> {
    pub(crate) fn open(
        transaction: &'t WriteTransaction,
        table: &'static Bytes,
    ) -> Result<Self, StorageError> {
        Self::open_named(transaction, redb::TableHandle::name(table).into())
    }

    pub(crate) fn open_named(
        transaction: &'t WriteTransaction,
        name: Cow<'static, str>,
    ) -> Result<Self, StorageError> {
        let table = transaction
            .open_table(TableDefinition::new(&name))
            .map_err(StorageError::engine("open a table of"))?;
        Ok(Self {
            table,
            check: Check::of_table(&name),
            name,
            buffer: Vec::new(),
        })
    }

    /// To fill it; `None` if it has rows.
    pub(crate) fn loader(&mut self) -> Result<Option<Loader<'_>>, StorageError> {
        if !self
            .table
            .is_empty()
            .map_err(StorageError::engine("read"))?
        {
            return Ok(None);
        }
        let end = self.table.upper_bound_mut(Bound::<&[u8]>::Unbounded);
        let end = end.map_err(StorageError::engine("write"))?;
        Ok(Some(Loader::new(end, self.check)))
    }

    /// Writes or removes a row; whether there was one.
    pub(crate) fn put(&mut self, key: &[u8], row: Option<&[u8]>) -> Result<bool, StorageError> {
        Ok(self.replace(key, row)?.is_some())
    }

    /// The same, and gives what `read` makes of the row that it replaces.
    pub(crate) fn put_over<T>(
        &mut self,
        key: &[u8],
        row: Option<&[u8]>,
        read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
    ) -> Result<Option<T>, StorageError> {
        let (name, check) = (self.name.clone(), self.check);
        let Some(old) = self.replace(key, row)? else {
            return Ok(None);
        };
        let old = check.row(key, old.value()).ok_or(CHECK_FAILS);
        let read = old.and_then(read);
        let damage = |problem| StorageError::from(Damage::of_row(&name, key, problem));
        read.map(Some).map_err(damage)
    }

    fn replace(
        &mut self,
        key: &[u8],
        row: Option<&[u8]>,
    ) -> Result<Option<AccessGuard<'_, &'static [u8]>>, StorageError> {
        let old = match row {
            Some(row) => {
                self.buffer.clear();
                self.buffer.extend_from_slice(row);
                let check = self.check.of(key, row);
                self.buffer.extend_from_slice(&check);
                self.table.insert(key, self.buffer.as_slice())
            }
            None => self.table.remove(key),
        };
        old.map_err(StorageError::engine("write"))
    }
}

/// Does what the engine may panic over, as it does over some damage of its pages.
pub(crate) fn guarded<T>(
    table: &str,
    read: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    let damaged = || Damage::somewhere(table, ENGINE_FAILS).into();
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Err(error)) if error.is_corruption() => Err(damaged()),
        Ok(read) => read,
        Err(_panic) => Err(damaged()),
    }
}

/// Notes the damage that a result is about.
fn noted<T>(damages: &Damages, result: Result<T, StorageError>) -> Result<T, StorageError> {
    if let Err(StorageError::Damaged(damage)) = &result {
        damages.note(damage);
    }
    result
}

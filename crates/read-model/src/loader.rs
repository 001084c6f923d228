//! Rows into a table that is empty, in the order of keys: the engine then fills page after page, instead of
//! looking for the place of each row.

use redb::CursorMut;

use crate::StorageError;
use crate::crc::Check;

/// Fills a table. Gives each row its check.
pub(crate) struct Loader<'t> {
    rows: CursorMut<'t, &'static [u8], &'static [u8]>,
    check: Check,
    buffer: Vec<u8>,
}

impl<'t> Loader<'t> {
    /// `end` stands at the end of the table.
    pub(crate) fn new(end: CursorMut<'t, &'static [u8], &'static [u8]>, check: Check) -> Self {
        Self {
            rows: end,
            check,
            buffer: Vec::new(),
        }
    }

    /// Appends a row, whose key is above those before.
    pub(crate) fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), StorageError> {
        self.buffer.clear();
        self.buffer.extend_from_slice(row);
        let check = self.check.of(key, row);
        self.buffer.extend_from_slice(&check);
        let pushed = self.rows.insert_before(key, self.buffer.as_slice());
        pushed.map_err(StorageError::engine("write"))
    }

    /// Writes what is left.
    pub(crate) fn finish(self) -> Result<(), StorageError> {
        self.rows.close().map_err(StorageError::engine("write"))
    }
}

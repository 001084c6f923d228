//! Rows to a snapshot.

use std::io::{self, Write};
use std::ops::ControlFlow;

use redb::TableHandle;

use super::{
    ContentHash, END, Manifest, OfSnapshot, SNAPSHOT_MAGIC, SnapshotError, TABLES, TELL_EVERY,
};
use crate::audit::NOT_THE_TOTALS;
use crate::digest::Digest;
use crate::inspect::Inspection;
use crate::meta::{write_checkpoint, write_totals};
use crate::runs::{self, Kind, Row};
use crate::tables::LAYOUT;
use crate::{Damage, StorageError};

impl Inspection {
    /// What a snapshot of this state says of itself.
    pub fn manifest(&self) -> Result<Manifest, SnapshotError> {
        let mut rows: u64 = 0;
        for (.., table_of) in TABLES {
            rows = rows.saturating_add(self.count(table_of)?);
        }
        let checkpoint = self.checkpoint().filter(|held| held.applied.is_some());
        Ok(Manifest {
            layout: LAYOUT,
            rows,
            checkpoint: checkpoint.cloned().ok_or(SnapshotError::Empty)?,
            totals: self.totals(),
        })
    }

    /// Writes this state as a snapshot. `copied` hears now and then of how many rows are written, and
    /// can break off.
    ///
    /// Each row is checked on its way, and all together by the digest: what is written can be restored.
    ///
    /// Takes the memory of one row. The writer goes on meanwhile, but pages that this state shows are
    /// not used again before it is dropped: the file grows by what is rewritten in that time.
    pub fn write_snapshot(
        &self,
        to: &mut impl Write,
        mut copied: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ContentHash, SnapshotError> {
        let manifest = self.manifest()?;
        let mut to = Hashing {
            to,
            hasher: blake3::Hasher::new(),
        };
        to.write_all(&SNAPSHOT_MAGIC)?;
        to.write_all(&manifest.layout.to_le_bytes())?;
        to.write_all(&manifest.rows.to_le_bytes())?;
        to.text(&write_checkpoint(&manifest.checkpoint))?;
        to.text(&write_totals(&manifest.totals))?;
        let (mut rows, mut digest) = (0_u64, Digest::default());
        for (code, table, table_of) in TABLES {
            let table = table.name();
            for row in self.rows(table_of)? {
                let (key, value) = row?;
                if Digest::TABLES.contains(&table) {
                    digest.add(table, &key, &value);
                }
                to.row(code, &key, &value)?;
                rows = rows.saturating_add(1);
                if rows.is_multiple_of(TELL_EVERY) && copied(rows).is_break() {
                    return Err(SnapshotError::Stopped);
                }
            }
        }
        if (rows, digest) != (manifest.rows, manifest.totals.digest) {
            return Err(Damage::somewhere("people", NOT_THE_TOTALS).into());
        }
        to.write_all(&[END])?;
        let hash = to.hasher.finalize();
        to.to.write_all(hash.as_bytes())?;
        to.to.flush()?;
        Ok(ContentHash(hash))
    }
}

impl Inspection {
    /// A table's rows in key order, those that are spilled with them.
    fn rows(
        &self,
        table_of: OfSnapshot,
    ) -> Result<impl Iterator<Item = Result<Row, StorageError>>, StorageError> {
        let (table, spilled) = table_of(&self.0);
        match spilled {
            Some(kind) => runs::rows(table, &self.0.runs, kind),
            // Without runs it is all one what would be taken from them.
            None => runs::rows(table, &[], Kind::Owner),
        }
    }

    fn count(&self, table_of: OfSnapshot) -> Result<u64, StorageError> {
        if self.0.runs.is_empty() {
            return table_of(&self.0).0.len();
        }
        let mut count = 0_u64;
        for row in self.rows(table_of)? {
            row?;
            count = count.saturating_add(1);
        }
        Ok(count)
    }
}

/// Hashes what it passes on.
struct Hashing<W> {
    to: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Hashing<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.to.write_all(bytes)
    }

    fn length(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.write_all(&length.to_le_bytes())
    }

    fn text(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length(bytes)?;
        self.write_all(bytes)
    }

    fn row(&mut self, code: u8, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.write_all(&[code])?;
        self.length(key)?;
        self.length(value)?;
        self.write_all(key)?;
        self.write_all(value)
    }
}

//! A snapshot to a file.

use std::cmp::Ordering;
use std::io::{Read, Take};
use std::ops::ControlFlow;
use std::path::Path;

use redb::{Database, TableHandle};

use super::{END, Manifest, ROW_BYTES_MAX, RestoreError, SNAPSHOT_MAGIC, TABLES, TELL_EVERY};
use crate::check::RowsMut;
use crate::digest::Digest;
use crate::file::{self, Options};
use crate::loader::Loader;
use crate::meta::{self, read_checkpoint, read_totals};
use crate::tables::{LAYOUT, META};
use crate::{Maker, Outgoing, Place, StorageError, place};

/// Read at a time where nothing but the hash is of interest.
const PIECE_BYTES: u64 = 1024 * 1024;

/// A snapshot that is being read.
pub struct Incoming<R> {
    manifest: Manifest,
    from: Hashing<R>,
}

impl<R: Read> Incoming<R> {
    /// Reads what the snapshot says of itself, and refuses one that cannot be taken (R4). Nothing of it
    /// is to be believed before the rest was read.
    pub fn open(from: R) -> Result<Self, RestoreError> {
        let hasher = blake3::Hasher::new();
        let mut from = Hashing { from, hasher };
        if from.array().ok() != Some(SNAPSHOT_MAGIC) {
            return Err(RestoreError::Foreign);
        }
        let layout = from.number()?;
        if layout != LAYOUT {
            return Err(RestoreError::OtherLayout {
                found: layout,
                expected: LAYOUT,
            });
        }
        let rows = u64::from_le_bytes(from.array()?);
        let (mut checkpoint, mut totals) = (Vec::new(), Vec::new());
        from.text(&mut checkpoint)?;
        from.text(&mut totals)?;
        let manifest = Manifest {
            layout,
            rows,
            checkpoint: read_checkpoint(&checkpoint).map_err(RestoreError::Damaged)?,
            totals: read_totals(&totals).map_err(RestoreError::Damaged)?,
        };
        Ok(Self { manifest, from })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether it ends with the hash of everything before: what it says of itself is judged by that too.
    pub fn check(mut self) -> Result<(), RestoreError> {
        let mut held = Vec::new();
        let mut hasher = self.from.hasher;
        loop {
            let read = self
                .from
                .from
                .by_ref()
                .take(PIECE_BYTES)
                .read_to_end(&mut held)?;
            if read == 0 {
                break;
            }
            // The hash itself is what comes last.
            let until = held.len().saturating_sub(blake3::OUT_LEN);
            let piece: Vec<u8> = held.drain(..until).collect();
            hasher.update(&piece);
        }
        let found: [u8; blake3::OUT_LEN] =
            held.try_into().map_err(|_short| RestoreError::CutOff)?;
        if hasher.finalize() != found {
            return Err(RestoreError::Damaged(
                "its hash is not that of its contents",
            ));
        }
        Ok(())
    }

    /// Makes the live file of `folder` from it: whole, or not at all (R6). A live file that is there
    /// becomes the previous one; nobody may have it open.
    pub fn restore(
        mut self,
        folder: &Path,
        options: Options,
        copied: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), RestoreError> {
        file::make_folder(folder)?;
        let unfinished = place::unfinished(&Place::Live.path(folder));
        let made = file::make(&unfinished, options, Maker::Snapshot, |database| {
            self.fill(database, copied)
        });
        if let Err(error) = made {
            // The first error tells more, and the next attempt begins with the same removal.
            let _ = place::remove_if_there(&unfinished);
            return Err(error);
        }
        Ok(place::put_live(
            folder,
            &unfinished,
            Outgoing::Previous,
            |_| Ok(()),
        )?)
    }

    fn fill(
        &mut self,
        database: &Database,
        mut copied: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), RestoreError> {
        let transaction = database.begin_write().map_err(engine("write"))?;
        let (mut rows, mut digest) = (0_u64, Digest::default());
        let mut next = self.code()?;
        for (code, definition, _) in TABLES {
            let mut table = RowsMut::open(&transaction, definition)?;
            let mut table = table
                .loader()?
                .ok_or(RestoreError::Damaged("its file has rows"))?;
            let mut last = None;
            while next == code {
                self.row(&mut table, definition.name(), &mut digest, &mut last)?;
                rows = rows.saturating_add(1);
                if rows.is_multiple_of(TELL_EVERY) && copied(rows).is_break() {
                    return Err(RestoreError::Stopped);
                }
                next = self.code()?;
            }
            table.finish()?;
        }
        if next != END {
            return Err(RestoreError::Damaged("its tables are not in their order"));
        }
        self.check_end(rows, digest)?;
        let mut table = RowsMut::open(&transaction, &META)?;
        let checkpoint = meta::write_checkpoint(&self.manifest.checkpoint);
        let totals = meta::write_totals(&self.manifest.totals);
        for (key, value) in [
            (meta::CHECKPOINT_KEY, checkpoint),
            (meta::TOTALS_KEY, totals),
        ] {
            table.put(key, Some(&value))?;
        }
        drop(table);
        transaction.commit().map_err(engine("commit"))
    }

    fn code(&mut self) -> Result<u8, RestoreError> {
        let [code] = self.from.array()?;
        Ok(code)
    }

    fn row(
        &mut self,
        table: &mut Loader<'_>,
        name: &str,
        digest: &mut Digest,
        last: &mut Option<Vec<u8>>,
    ) -> Result<(), RestoreError> {
        let (key_length, value_length) = (self.from.number()?, self.from.number()?);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        self.from.bytes(key_length, &mut key)?;
        self.from.bytes(value_length, &mut value)?;
        match last.as_ref().map(|last| key.cmp(last)) {
            Some(Ordering::Less) => {
                return Err(RestoreError::Damaged("its rows are not in their order"));
            }
            Some(Ordering::Equal) => return Err(RestoreError::Damaged("a row is in it twice")),
            Some(Ordering::Greater) | None => {}
        }
        if Digest::TABLES.contains(&name) {
            digest.add(name, &key, &value);
        }
        table.push(&key, &value)?;
        *last = Some(key);
        Ok(())
    }

    /// Whether everything before is what was written.
    fn check_end(&mut self, rows: u64, digest: Digest) -> Result<(), RestoreError> {
        let hash = self.from.hasher.finalize();
        let found: [u8; blake3::OUT_LEN] = self.from.array()?;
        if hash != found {
            return Err(RestoreError::Damaged(
                "its hash is not that of its contents",
            ));
        }
        if self.from.from.read(&mut [0])? != 0 {
            return Err(RestoreError::Damaged("something stands behind its end"));
        }
        if (rows, digest) != (self.manifest.rows, self.manifest.totals.digest) {
            return Err(RestoreError::Damaged(
                "its rows are not those it was made from",
            ));
        }
        Ok(())
    }
}

/// Hashes what it gives.
struct Hashing<R> {
    from: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Hashing<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u32, RestoreError> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self, to: &mut Vec<u8>) -> Result<(), RestoreError> {
        let length = self.number()?;
        self.bytes(length, to)
    }

    /// Grows with what comes, not with what is announced.
    fn bytes(&mut self, length: u32, to: &mut Vec<u8>) -> Result<(), RestoreError> {
        if ROW_BYTES_MAX < length {
            return Err(RestoreError::Damaged("a length is out of range"));
        }
        let mut piece: Take<&mut R> = self.from.by_ref().take(length.into());
        piece.read_to_end(to)?;
        if piece.limit() != 0 {
            return Err(RestoreError::CutOff);
        }
        self.hasher.update(to);
        Ok(())
    }
}

/// A failure of the file that is made.
fn engine<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> RestoreError {
    move |error| StorageError::engine(doing)(error).into()
}

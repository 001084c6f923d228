//! A snapshot: one committed state as a run of bytes, for another folder to begin with.
//!
//! ```text
//! magic  layout u32  rows u64  checkpoint  totals          texts are a length u32 and bytes
//! rows:  table u8, key length u32, value length u32, key, value      by table, then by key
//! 0 u8, and the BLAKE3 hash of everything before it
//! ```
//!
//! Numbers are little-endian; rows, checkpoint and totals are the file's own bytes. One state has one
//! form, so two replicas at one place make the same snapshot. It holds rows and nothing else: neither
//! free pages, in which deleted rows may still stand, nor whether the projector was live.

mod read;
mod write;

use std::io;

use domain::Checkpoint;

pub use read::Incoming;

use crate::check::Rows;
use crate::meta::Totals;
use crate::reader::Snapshot;
use crate::runs::Kind;
use crate::tables::{ARRIVALS, AWAITING, Bytes, OWNERS, PARKED, PEOPLE};
use crate::{Damage, OpenError, StorageError};

/// What a snapshot begins with, its format's number included.
pub const SNAPSHOT_MAGIC: [u8; 16] = *b"profile-models-1";

/// Marks the end of the rows.
const END: u8 = 0;
/// The tables in their order, each with the code that stands before its rows. Pinned.
const TABLES: [(u8, &Bytes, OfSnapshot); 5] = [
    (1, &PEOPLE, |of| (&of.people, Some(Kind::Person))),
    (2, &OWNERS, |of| (&of.owners, Some(Kind::Owner))),
    (3, &PARKED, |of| (&of.parked, None)),
    (4, &ARRIVALS, |of| (&of.arrivals, None)),
    (5, &AWAITING, |of| (&of.awaiting, None)),
];

/// A table, and what its rows are in a run, where they are spilled at all.
type OfSnapshot = fn(&Snapshot) -> (&Rows, Option<Kind>);

/// More is no row of ours: a length that was damaged must not take the memory.
const ROW_BYTES_MAX: u32 = 256 * 1024 * 1024;
/// Rows between two words about how many there are.
const TELL_EVERY: u64 = 4096;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Of the rows.
    pub layout: u32,
    /// How many rows there are, in all tables.
    pub rows: u64,
    /// Up to where they hold the stream, and which stream.
    pub checkpoint: Checkpoint,
    /// Figures over them; the digest is checked when they are read.
    pub totals: Totals,
}

/// The hash of a snapshot's contents, which it ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHash(blake3::Hash);

impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Nothing was applied yet.
    #[error("the read model is empty: nothing of the stream was applied yet")]
    Empty,
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The snapshot cannot be written.
    #[error("it cannot be written")]
    Write(#[from] io::Error),
    /// What is stored is not what was written: the snapshot could not be restored.
    #[error(
        "the read model is damaged, and a snapshot of it could not be restored ({0}): `profile-projector \
         rebuild` makes it anew from the stream"
    )]
    Damaged(Damage),
    /// The rows cannot be read.
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for SnapshotError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Damaged(damage) => Self::Damaged(damage),
            other @ (StorageError::Engine { .. } | StorageError::Closed) => Self::Storage(other),
        }
    }
}

impl From<Damage> for SnapshotError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// Why a snapshot was not taken. The folder is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is something else, or of a release with another format.
    #[error("it is no snapshot that this release can read")]
    Foreign,
    /// Its rows have another layout (R4).
    #[error("its rows have layout {found}, this release reads layout {expected}")]
    OtherLayout {
        /// Its layout.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// It ends too early.
    #[error("it is cut off")]
    CutOff,
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The file cannot be made.
    #[error(transparent)]
    File(#[from] OpenError),
    /// The file cannot be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::CutOff;
        }
        Self::Read(error)
    }
}

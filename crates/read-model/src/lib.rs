//! The read model on disk: rows and checkpoint in one redb file.
//!
//! [`ReadModel`] is the one writer; a [`Batch`] borrows it, gathers the rows that a run of records
//! touches, and can be kept only by [`Batch::commit`], which takes the checkpoint that belongs to
//! them. [`Reader`]s see what is committed and never wait.
//!
//! Invariants:
//!
//! - **R1** Rows and checkpoint change together or not at all.
//! - **R2** A checkpoint only moves forward, within one stream.
//! - **R3** One writer: a batch borrows the model mutably, and the file is locked for one process.
//! - **R4** A file of another layout is never read or migrated. It is rebuilt.
//! - **R5** A reader sees rows and checkpoint of one commit.
//! - **R6** A file is created whole or not at all, from nothing or from a snapshot.
//! - **R7** One file of a folder is live. Another takes its place in one step, and the one before is kept.
//! - **R8** No row is used whose check fails: damaged bytes are an error, never an answer.
//!
//! Knows redb and nothing of NATS, HTTP, or what events mean.

mod audit;
mod batch;
mod check;
mod crc;
mod damage;
mod differences;
mod digest;
mod endless;
mod error;
mod file;
mod inspect;
mod loader;
mod look;
mod meta;
mod origin;
mod place;
mod reader;
mod rows;
mod runs;
mod snapshot;
mod tables;
#[cfg(feature = "testing")]
pub mod testing;

pub use audit::Audit;
pub use batch::{Batch, Changes, Committed};
pub use damage::Damage;
pub use differences::{Difference, DifferenceKind, differences};
pub use digest::Digest;
pub use error::{CommitError, OpenError, StorageError};
pub use file::{Options, ReadModel};
pub use inspect::{Arrived, Inspection, Left};
pub use look::Glance;
pub use meta::Totals;
pub use origin::{Maker, Origin};
pub use place::{Outgoing, Place};
pub use reader::{Answer, AnsweredProfile, Reader};
pub use snapshot::{ContentHash, Incoming, Manifest, RestoreError, SNAPSHOT_MAGIC, SnapshotError};

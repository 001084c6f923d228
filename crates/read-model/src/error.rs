//! What can go wrong with the file.

use std::io;
use std::path::PathBuf;

use domain::StreamId;

use crate::Damage;

/// Why a read model cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be made, written or renamed.
    #[error("cannot {doing} {}", path.display())]
    Folder {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has the file open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a release with another layout (R4).
    #[error("{} has layout {found}, this release reads layout {expected}", path.display())]
    OtherLayout {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The file was made by a job that never finished it (R7).
    #[error("{} is what a job began and never finished", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// There is a last good file already, and it was not given up.
    #[error("{} is kept from before and was not given up", path.display())]
    LastGoodKept {
        /// The file.
        path: PathBuf,
    },
    /// The file is not one that this program wrote, or was damaged since.
    #[error("{} cannot be read as a read model", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: StorageError,
    },
}

/// The file could not be read or written. The handle is of no more use: close and open again.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The storage engine failed.
    #[error("cannot {doing} the read model")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: Box<redb::Error>,
    },
    /// A row is not what was written.
    #[error("{0}")]
    Damaged(Damage),
    /// It failed before and could not be opened again since.
    #[error("the read model is closed")]
    Closed,
}

impl StorageError {
    /// Adds what was tried to what the engine said.
    pub(crate) fn engine<E: Into<redb::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Engine {
            doing,
            source: Box::new(source.into()),
        }
    }

    /// The row that is not what was written, where that is what failed.
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Damaged(damage) => Some(damage),
            Self::Engine { .. } | Self::Closed => None,
        }
    }

    /// Whether the engine says that its pages are damaged.
    pub(crate) fn is_corruption(&self) -> bool {
        let Self::Engine { source, .. } = self else {
            return false;
        };
        if let redb::Error::Io(error) = &**source {
            return error.kind() == io::ErrorKind::UnexpectedEof;
        }
        matches!(
            **source,
            redb::Error::Corrupted(_) | redb::Error::LockPoisoned(_)
        )
    }

    /// Whether the disk, quota or file size limit is what failed: space, not the file.
    pub fn is_disk_full(&self) -> bool {
        let Self::Engine { source, .. } = self else {
            return false;
        };
        let redb::Error::Io(source) = &**source else {
            return false;
        };
        is_no_space(source)
    }
}

impl From<Damage> for StorageError {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl OpenError {
    /// Whether the disk, quota or file size limit is what failed: space, not the file.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Folder { source, .. } => is_no_space(source),
            Self::Damaged { source, .. } => source.is_disk_full(),
            Self::InUse { .. }
            | Self::OtherLayout { .. }
            | Self::Unfinished { .. }
            | Self::LastGoodKept { .. } => false,
        }
    }
}

fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Why a batch was not kept.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The checkpoint is of another stream than the rows.
    #[error("the rows were folded from stream {}, the checkpoint is of {}", held.name, offered.name)]
    OtherStream {
        /// The stream in the file.
        held: StreamId,
        /// The stream of the checkpoint.
        offered: StreamId,
    },
    /// The checkpoint does not move forward.
    #[error("the rows hold message {held}, the checkpoint is at {offered}")]
    Backward {
        /// The sequence in the file.
        held: u64,
        /// The sequence of the checkpoint.
        offered: u64,
    },
    /// The file could not be read or written. All of the batch was kept or nothing: a disk that fails
    /// at the last step may have done it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl CommitError {
    /// The row that is not what was written, where that is what failed.
    pub fn damage(&self) -> Option<&Damage> {
        match self {
            Self::Storage(source) => source.damage(),
            Self::OtherStream { .. } | Self::Backward { .. } => None,
        }
    }

    /// Whether the disk, quota or file size limit is what failed: space, not the file.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Storage(source) => source.is_disk_full(),
            Self::OtherStream { .. } | Self::Backward { .. } => false,
        }
    }
}

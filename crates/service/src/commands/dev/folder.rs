//! The folder of `dev`: ours alone, and one `dev` at a time.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

/// The folder, locked as long as this lives.
pub(super) struct DevFolder {
    path: PathBuf,
    _lock: File,
}

impl DevFolder {
    /// Makes the folder if it is not there and locks it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let unusable = || format!("--data-dir {} cannot be used", path.display());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(unusable)?;
        let lock = File::create(path.join("lock")).with_context(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(fs::TryLockError::WouldBlock) => anyhow::bail!(
                "another dev runs in {}: end it, or give --data-dir",
                path.display()
            ),
            Err(fs::TryLockError::Error(problem)) => Err(problem).with_context(unusable),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a whole file that only its owner can read.
    pub(super) fn write_private(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let written = || -> std::io::Result<()> {
            let mut file = NamedTempFile::new_in(&self.path)?;
            writeln!(file, "{text}")?;
            file.persist(path)?;
            Ok(())
        };
        written().with_context(|| format!("{} cannot be written", path.display()))
    }
}

//! A snapshot's file: whole or not there, and for its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use read_model::{ContentHash, Inspection, Manifest, SNAPSHOT_MAGIC, SnapshotError};

/// The name that a snapshot has in the read model's folder, before it goes where it is to go.
pub(crate) const FILE_NAME: &str = "read-model.snapshot";

/// Bytes written at once.
const WRITE_BYTES: usize = 1024 * 1024;

/// A snapshot that was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) manifest: Manifest,
    pub(crate) hash: ContentHash,
    pub(crate) bytes: u64,
}

/// Makes the file `path` from one committed state; what was there is replaced in one step.
pub(crate) fn make(
    inspection: &Inspection,
    path: &Path,
    copied: impl FnMut(u64) -> ControlFlow<()>,
) -> anyhow::Result<Made> {
    let manifest = inspection.manifest()?;
    let (hash, bytes) = whole(path, |file| {
        let mut to = BufWriter::with_capacity(WRITE_BYTES, file);
        let hash = inspection.write_snapshot(&mut to, copied);
        let hash = hash.map_err(|error| cannot_write(path, error))?;
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((hash, file.metadata()?.len()))
    })?;
    Ok(Made {
        manifest,
        hash,
        bytes,
    })
}

fn cannot_write(path: &Path, error: SnapshotError) -> anyhow::Error {
    match error {
        SnapshotError::Write(error) => {
            anyhow!("{} cannot be written: {error}", path.display())
        }
        other @ (SnapshotError::Empty
        | SnapshotError::Stopped
        | SnapshotError::Damaged(_)
        | SnapshotError::Storage(_)) => other.into(),
    }
}

/// Removes what a `snapshot` left in the read model's folder that was killed, finished or not: it holds everybody's
/// profiles, and nobody fetches it any more. For whoever has the read model open.
pub(crate) fn remove_left(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(FILE_NAME);
    for left in [unfinished(&path), path] {
        match fs::remove_file(&left) {
            Ok(()) => {
                tracing::warn!(file = %left.display(), "a snapshot that nobody fetched was removed");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "{} is a snapshot that nobody fetched, and cannot be removed",
                        left.display()
                    )
                });
            }
        }
    }
    Ok(())
}

fn unfinished(path: &Path) -> PathBuf {
    path.with_added_extension("unfinished")
}

/// Gives a snapshot's file another place, on another disk if need be.
pub(crate) fn move_to(from: &Path, to: &Path) -> anyhow::Result<()> {
    match fs::rename(from, to) {
        Ok(()) => return Ok(sync_folder_of(to)?),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
        Err(error) => return Err(error).with_context(|| cannot_make(to)),
    }
    let mut source = File::open(from).with_context(|| cannot_make(to))?;
    whole(to, |file| {
        let copied = io::copy(&mut source, file);
        copied.map(|_bytes| ()).with_context(|| cannot_make(to))
    })?;
    Ok(fs::remove_file(from)?)
}

fn cannot_make(path: &Path) -> String {
    format!("{} cannot be made", path.display())
}

/// Makes a file under another name, and gives it its own when it is whole and on disk.
fn whole<T>(path: &Path, fill: impl FnOnce(&mut File) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let unfinished = unfinished(path);
    let made = make_unfinished(&unfinished, path, fill);
    if made.is_err() {
        // The error tells more, and the next attempt begins with the same removal.
        let _ = fs::remove_file(&unfinished);
    }
    made
}

fn make_unfinished<T>(
    unfinished: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| cannot_make(path));
        }
        _ => {}
    }
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(unfinished);
    let mut made = made.with_context(|| cannot_make(path))?;
    let filled = fill(&mut made)?;
    made.sync_all().with_context(|| cannot_make(path))?;
    fs::rename(unfinished, path).with_context(|| cannot_make(path))?;
    sync_folder_of(path)?;
    Ok(filled)
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.map_or_else(|| PathBuf::from("."), PathBuf::from))?.sync_all()
}

/// Whether a snapshot may be written there: nothing is there, or a snapshot is.
pub(crate) fn is_replaceable(path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        opened => opened?,
    };
    let mut start = [0; SNAPSHOT_MAGIC.len()];
    let is_snapshot = file.read_exact(&mut start).is_ok() && start == SNAPSHOT_MAGIC;
    Ok(is_snapshot)
}

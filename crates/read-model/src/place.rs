//! The files of a folder: which one is live, and how another takes its place (R7).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::file::failed;

/// What a file in the folder of a read model is there for. Its name says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It is served.
    Live,
    /// It is being built, to take the live one's place.
    Rebuild,
    /// It was live before the one that is.
    Previous,
    /// It was live when the stream turned out not to be its own any more. Kept until it is given up.
    LastGood,
    /// It is built to be compared with the live one, and thrown away.
    Verify,
}

/// What the live file is to be when another one has taken its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outgoing {
    /// The previous one.
    Previous,
    /// The previous one, and under a second name the last good one, which later ones do not replace: the
    /// stream as it is now does not give its rows.
    LastGood,
}

impl Outgoing {
    /// The live file's second name while another takes its place.
    fn file_name(self) -> &'static str {
        match self {
            Self::Previous => "read-model.outgoing.redb",
            Self::LastGood => "read-model.outgoing-good.redb",
        }
    }
}

impl Place {
    /// The file's name in the folder.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Live => "read-model.redb",
            Self::Rebuild => "read-model.rebuild.redb",
            Self::Previous => "read-model.previous.redb",
            Self::LastGood => "read-model.last-good.redb",
            Self::Verify => "read-model.verify.redb",
        }
    }

    /// The file in `folder`.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(self.file_name())
    }

    /// Whether there is such a file.
    pub fn is_there(self, folder: &Path) -> Result<bool, OpenError> {
        let path = self.path(folder);
        path.try_exists().map_err(failed("look for", &path))
    }

    /// Removes the file. Whoever has it open keeps it.
    pub fn discard(self, folder: &Path) -> Result<(), OpenError> {
        remove_if_there(&self.path(folder))?;
        sync_folder(folder)
    }

    /// Removes what releases before left that no release reads any more.
    pub fn discard_leftovers(folder: &Path) -> Result<(), OpenError> {
        remove_if_there(&folder.join("read-model.bootstrap.redb"))
    }

    /// Gives the live file the previous one's place, so that another is made. For a live file that
    /// cannot be read: it is kept for a release, or a person, that can.
    pub fn set_aside(folder: &Path) -> Result<(), OpenError> {
        let live = Self::Live.path(folder);
        let previous = Self::Previous.path(folder);
        fs::rename(&live, previous).map_err(failed("rename", &live))?;
        sync_folder(folder)
    }

    /// Puts this file in the live one's place, which becomes the previous one.
    ///
    /// There is a live file at every moment, the old one or the new one. What a crash in between
    /// leaves is put in order when the live file is opened next.
    pub fn put_live(self, folder: &Path, outgoing: Outgoing) -> Result<(), OpenError> {
        put_live(folder, &self.path(folder), outgoing, |_| Ok(()))
    }

    /// The same; `before` is asked before each step, and its error ends it there, as a crash does.
    #[cfg(feature = "testing")]
    pub fn put_live_interrupted(
        self,
        folder: &Path,
        outgoing: Outgoing,
        before: impl FnMut(&'static str) -> io::Result<()>,
    ) -> Result<(), OpenError> {
        put_live(folder, &self.path(folder), outgoing, before)
    }
}

/// Where a file is made that is to get this name.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    path.with_added_extension("unfinished")
}

/// Puts `incoming` in the live file's place, if there is one.
pub(crate) fn put_live(
    folder: &Path,
    incoming: &Path,
    outgoing: Outgoing,
    mut before: impl FnMut(&'static str) -> io::Result<()>,
) -> Result<(), OpenError> {
    let live = Place::Live.path(folder);
    let second_name = folder.join(outgoing.file_name());
    let mut step = |name, path: &Path| before(name).map_err(failed(name, path));
    finish(folder)?;
    let kept = Place::LastGood.path(folder);
    if outgoing == Outgoing::LastGood && kept.exists() && !is_same_file(&kept, incoming) {
        return Err(OpenError::LastGoodKept { path: kept });
    }
    step("link", &live)?;
    match fs::hard_link(&live, &second_name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        linked => linked.map_err(failed("link", &live))?,
    }
    step("rename", incoming)?;
    fs::rename(incoming, &live).map_err(failed("rename", incoming))?;
    step("sync", folder)?;
    sync_folder(folder)?;
    step("put in order", folder)?;
    finish(folder)
}

/// Brings to its end what a crash in [`Place::put_live`] left: a live file under a second name is not
/// outgoing after all, nor to be kept as the last good one, and any other is the previous one.
pub(crate) fn finish(folder: &Path) -> Result<(), OpenError> {
    let live = Place::Live.path(folder);
    let kept = Place::LastGood.path(folder);
    if is_same_file(&kept, &live) {
        remove_if_there(&kept)?;
        sync_folder(folder)?;
    }
    for outgoing in [Outgoing::Previous, Outgoing::LastGood] {
        let path = folder.join(outgoing.file_name());
        if !path.try_exists().map_err(failed("look for", &path))? {
            continue;
        }
        if !is_same_file(&path, &live) {
            if outgoing == Outgoing::LastGood {
                match fs::hard_link(&path, &kept) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    linked => linked.map_err(failed("link", &path))?,
                }
            }
            let previous = Place::Previous.path(folder);
            fs::rename(&path, previous).map_err(failed("rename", &path))?;
        }
        // Two names of one file are left as they are by a renaming.
        remove_if_there(&path)?;
        sync_folder(folder)?;
    }
    Ok(())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let inode = |path: &Path| path.metadata().map(|of| (of.dev(), of.ino())).ok();
    inode(one).is_some_and(|one| Some(one) == inode(other))
}

pub(crate) fn remove_if_there(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed("remove", path)),
    }
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

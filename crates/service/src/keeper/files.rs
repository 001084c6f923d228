//! The files of jobs: which one a job begins with, and what becomes of it.

use std::path::Path;
use std::time::SystemTime;

use read_model::{Maker, OpenError, Options, Place, ReadModel};
use serde::{Deserialize, Serialize};

use super::{Job, JobFault, JobKind};

impl Job {
    /// The file that the job makes, or goes back to.
    pub(super) fn place(self) -> Place {
        match self.kind {
            JobKind::Rebuild => Place::Rebuild,
            JobKind::Verify => Place::Verify,
            JobKind::Rollback if self.last_good => Place::LastGood,
            JobKind::Rollback => Place::Previous,
            JobKind::GiveUp => Place::LastGood,
        }
    }

    /// Whether the file is the job's own: of no use to any other, and to none when it has failed.
    fn makes_file(self) -> bool {
        match self.kind {
            JobKind::Rebuild | JobKind::Verify => true,
            JobKind::Rollback | JobKind::GiveUp => false,
        }
    }

    /// Opens the file that the job begins with.
    pub(super) fn open_in(self, folder: &Path) -> Result<ReadModel, JobFault> {
        let place = self.place();
        if !self.makes_file() {
            return kept(place, folder);
        }
        if !self.resumes || !goes_on(place, folder)? {
            place.discard(folder)?;
        }
        Ok(ReadModel::open_at(folder, place, Options::default())?)
    }

    /// Removes the file of a job that has failed, whatever the reason: what was refused once must not be
    /// taken for rows that are good. Only the end of the process leaves it, for the next one to go on.
    pub(super) fn discard_failed(self, fault: &JobFault, folder: &Path) {
        if matches!(fault, JobFault::Stopped) || !self.makes_file() {
            return;
        }
        if let Err(error) = self.place().discard(folder) {
            let error = crate::exit::in_one_line(&error);
            tracing::warn!(error, "the file of the failed job could not be removed");
        }
    }
}

/// Whether a rebuild of this release, which nothing but the end of a process cut off, left the file.
fn goes_on(place: Place, folder: &Path) -> Result<bool, JobFault> {
    if !place.is_there(folder)? {
        return Ok(true);
    }
    let opened = ReadModel::open_at(folder, place, Options::default());
    let why = match opened.map(|model| model.origin()) {
        Ok(Some(origin)) if origin.maker == Maker::Rebuild && origin.is_ours() => return Ok(true),
        Ok(Some(origin)) => format!("release {}, fold {}", origin.release, origin.fold),
        Ok(None) => "a release that did not say which it is".to_owned(),
        Err(OpenError::OtherLayout { .. } | OpenError::Damaged { .. }) => {
            "another layout, or it is damaged".to_owned()
        }
        Err(error) => return Err(error.into()),
    };
    tracing::info!("the file of the unfinished rebuild is of {why}: it begins again");
    Ok(false)
}

/// A file to go back to.
fn kept(place: Place, folder: &Path) -> Result<ReadModel, JobFault> {
    let file = place.file_name();
    if !place.is_there(folder)? {
        let why = format!("there is nothing to go back to: {file} is not there");
        return Err(JobFault::Refused(why));
    }
    let model = match ReadModel::open_at(folder, place, Options::default()) {
        Err(OpenError::InUse { .. }) => {
            let why =
                format!("{file} is read still, by a snapshot perhaps: try again when that is done");
            return Err(JobFault::Refused(why));
        }
        Err(OpenError::OtherLayout {
            found, expected, ..
        }) => {
            return Err(JobFault::Refused(format!(
                "{file} has layout {found} and is of another release, this one reads layout {expected}: \
                 go back with that release"
            )));
        }
        opened => opened?,
    };
    match model.origin() {
        Some(origin) if origin.is_unfinished() => {
            let why = format!("{file} is what a job began and never finished");
            Err(JobFault::Refused(why))
        }
        Some(_) | None => Ok(model),
    }
}

/// Removes the last good file.
pub(super) fn give_up(folder: &Path) -> Result<(), JobFault> {
    if !Place::LastGood.is_there(folder)? {
        let why = format!("there is no {}", Place::LastGood.file_name());
        return Err(JobFault::Refused(why));
    }
    Ok(Place::LastGood.discard(folder)?)
}

/// What is to be said of rows that another release began.
pub(super) fn of_another_release(model: &ReadModel) -> Option<String> {
    match model.origin() {
        Some(origin) if origin.is_ours() => None,
        Some(origin) => Some(format!(
            "these rows were begun by release {}, fold {}: a rebuild gives those of this release",
            origin.release, origin.fold
        )),
        None => Some(
            "these rows were begun by an earlier release: a rebuild gives those of this one"
                .to_owned(),
        ),
    }
}

/// The member `last_good` of `/status`: the rows of the stream before, until they are given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastGood {
    pub(crate) file: String,
    pub(crate) bytes: u64,
    /// How long ago it was written last.
    pub(crate) age_seconds: Option<u64>,
}

impl LastGood {
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let of = Place::LastGood.path(folder).metadata().ok()?;
        let written = of.modified().ok();
        let age = written.and_then(|at| SystemTime::now().duration_since(at).ok());
        Some(Self {
            file: Place::LastGood.file_name().to_owned(),
            bytes: of.len(),
            age_seconds: age.map(|age| age.as_secs()),
        })
    }
}

#[cfg(test)]
mod tests;

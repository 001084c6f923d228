//! A look at a file that changes nothing in it.

mod untouched;

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use domain::Checkpoint;
use redb::DatabaseError;
use redb::backends::FileBackend;

use self::untouched::Untouched;
use crate::file::{self, Options};
use crate::meta::Totals;
use crate::{OpenError, Place};

/// Little is read.
const CACHE_BYTES: usize = 1024 * 1024;

/// What a file says of itself.
#[derive(Debug, Clone)]
pub struct Glance {
    /// Up to where the rows hold the stream; `None` before the stream was ever seen.
    pub checkpoint: Option<Checkpoint>,
    /// Figures over the rows.
    pub totals: Totals,
    /// The layout of the file.
    pub layout: u32,
}

impl Place {
    /// What the file says of itself, also one that a crash left. It is not written to, and it is locked
    /// for this moment, as any reader locks it: who opens it meanwhile is told that it is in use.
    /// `None` for a file that has to be walked whole to put it in order.
    pub fn look(self, folder: &Path) -> Result<Option<Glance>, OpenError> {
        let path = self.path(folder);
        let file = file::open_file(OpenOptions::new().read(true), &path)?;
        let length = file.metadata().map_err(file::failed("look at", &path))?;
        let storage = FileBackend::new(file).map_err(file::open_failed(&path))?;
        let options = Options {
            cache_bytes: CACHE_BYTES,
        };
        file::guarded(&path, || {
            let opened = file::builder(options)
                .set_repair_callback(redb::RepairSession::abort)
                .create_with_backend(Untouched::new(storage, length.len()));
            let database = match opened {
                Err(DatabaseError::RepairAborted) => return Ok(None),
                opened => opened.map_err(file::open_failed(&path))?,
            };
            let (_database, snapshot) = file::checked(database, &path, &Arc::default())?;
            Ok(Some(Glance {
                checkpoint: snapshot.checkpoint.clone(),
                totals: snapshot.totals,
                layout: crate::tables::LAYOUT,
            }))
        })
    }
}

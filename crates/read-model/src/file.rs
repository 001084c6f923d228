//! The file: made whole (R6), opened by one process (R3), of one layout (R4).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use domain::StreamId;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
};

use crate::batch::Batch;
use crate::check::{CHECK_FAILS, RowsMut};
use crate::crc::Check;
use crate::damage::Damages;
use crate::endless::Endless;
use crate::meta;
use crate::origin::{self, Maker, Origin};
use crate::reader::{Reader, Snapshot};
use crate::runs::Written;
use crate::tables::{ARRIVALS, AWAITING, LAYOUT, META, OWNERS, PARKED, PEOPLE};
use crate::{Damage, OpenError, Place, StorageError, place};

/// How long readers of a file that another one took the place of are waited for. They take microseconds,
/// but for snapshots and the like, which go on.
const READERS_WAIT: Duration = Duration::from_millis(200);
/// How often it is looked whether such a one is done.
const READERS_LOOK: Duration = Duration::from_millis(50);
/// Files whose place another one took that are read still.
const LINGERING_MAX: usize = 4;

/// How the file is used.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory for pages of the file, in bytes.
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 40 * 1024 * 1024,
        }
    }
}

/// Opens the storage of one read model, as often as it is asked.
type OpenStorage =
    Box<dyn Fn(&Arc<Damages>) -> Result<(Database, Snapshot), OpenError> + Send + Sync>;

/// The one writer of the read model (R3).
pub struct ReadModel {
    /// `None` after a failure, until [`ReadModel::reopen`] succeeds.
    database: Option<Database>,
    open: OpenStorage,
    pub(crate) current: Arc<ArcSwap<Snapshot>>,
    /// Whether a commit is under way.
    writing: Arc<AtomicBool>,
    /// What all snapshots of this opening share.
    readers: Arc<()>,
    /// Files before, each until its last reader is done.
    lingering: Vec<JoinHandle<()>>,
}

impl ReadModel {
    /// Opens the live read model of a folder; makes the folder (0700) and the file (0600) as needed.
    ///
    /// A crash while the file is made leaves nothing that a later call could mistake for it, and one
    /// while another file took its place is brought to its end.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        let model = Self::open_at(folder, Place::Live, options)?;
        if model.origin().is_some_and(|origin| origin.is_unfinished()) {
            let path = Place::Live.path(folder);
            return Err(OpenError::Unfinished { path });
        }
        // Not before the file is locked: another process may be at it.
        place::finish(folder)?;
        Ok(model)
    }

    /// Opens the read model of a place in a folder, or makes it.
    pub fn open_at(folder: &Path, place: Place, options: Options) -> Result<Self, OpenError> {
        make_folder(folder)?;
        let path = place.path(folder);
        if !place.is_there(folder)? {
            create(folder, &path, options, Maker::of(place))?;
        }
        let open = move |damages: &Arc<Damages>| {
            let file = open_file(OpenOptions::new().read(true).write(true), &path)?;
            let opened = inode(file.metadata(), &path)?;
            guarded(&path, || {
                let database = open_database(file, &path, options)?;
                if opened != inode(path.metadata(), &path)? {
                    // Its owner put another in its place between our opening and our locking.
                    return Err(OpenError::InUse { path: path.clone() });
                }
                checked(database, &path, damages)
            })
        };
        Self::opened_with(Box::new(open))
    }

    /// A read model that is in memory alone and goes with its handle: for replays in tests.
    pub fn in_memory() -> Result<Self, OpenError> {
        Self::on_backend(InMemoryBackend::new)
    }

    /// Opens a read model on any storage, empty or not; for tests.
    #[cfg(feature = "testing")]
    pub fn on_storage(storage: impl redb::StorageBackend + Clone) -> Result<Self, OpenError> {
        Self::on_backend(move || storage.clone())
    }

    fn on_backend<B: redb::StorageBackend>(
        storage: impl Fn() -> B + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let path = Path::new("storage");
        let open = move |damages: &Arc<Damages>| {
            let database = builder(Options::default())
                .create_with_backend(storage())
                .map_err(open_failed(path))?;
            if layout_of(&database).map_err(damaged(path))?.is_none() {
                initialise(&database, Maker::Service).map_err(damaged(path))?;
            }
            checked(database, path, damages)
        };
        Self::opened_with(Box::new(open))
    }

    fn opened_with(open: OpenStorage) -> Result<Self, OpenError> {
        let (database, snapshot) = open(&Arc::default())?;
        let readers = Arc::clone(&snapshot.readers);
        Ok(Self {
            database: Some(database),
            open,
            current: Arc::new(ArcSwap::from_pointee(snapshot)),
            writing: Arc::default(),
            readers,
            lingering: Vec::new(),
        })
    }

    /// What the file is of; `None` in one of a release that did not say.
    pub fn origin(&self) -> Option<Origin> {
        self.current.load().origin.clone()
    }

    /// Remembers that the job that makes these rows brought them to its goal.
    pub fn finish(&mut self) -> Result<(), StorageError> {
        let origin = self.origin().unwrap_or_else(|| Origin::new(Maker::Service));
        let origin = origin::write(&Origin {
            is_finished: true,
            ..origin
        });
        self.mark(meta::ORIGIN_KEY, &origin)
    }

    /// Whether another file may take this one's place now: of those before, only a few may be read still.
    pub fn may_be_succeeded(&mut self) -> bool {
        self.lingering.retain(|file| !file.is_finished());
        self.lingering.len() < LINGERING_MAX
    }

    /// Gives the readers of `old` these rows from now on, and closes `old`, whose place this one has taken,
    /// when no read is under way in it any more.
    ///
    /// A read that is under way ends with the rows it began with; none fails, none waits, and none is
    /// waited for longer than a moment. Readers that this model itself gave out before go on seeing the
    /// rows of now, and no later ones.
    pub fn succeed(&mut self, old: Self) {
        let Self {
            database,
            open,
            current,
            writing,
            readers,
            lingering,
        } = old;
        drop(current.swap(self.current.load_full()));
        (self.current, self.writing) = (current, writing);
        (self.open, self.lingering) = (open, lingering);
        let until = Instant::now() + READERS_WAIT;
        while 1 < Arc::strong_count(&readers) && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        if 1 < Arc::strong_count(&readers) {
            // A read fails when its file is closed under it.
            self.lingering.push(thread::spawn(move || {
                while 1 < Arc::strong_count(&readers) {
                    thread::sleep(READERS_LOOK);
                }
                drop(database);
            }));
        }
    }

    /// Closes the file and opens it again, which is what it takes after a [`StorageError`]: the
    /// engine gives a handle up at the first failure. Readers go on from what is kept, the commit
    /// that failed included if it is. When the file cannot be opened, they keep what of the last
    /// commit is in memory, and this can be called again.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        // The lock goes with the old handle, so that one goes first.
        self.database = None;
        // What was damaged in it still is.
        let damages = Arc::clone(&self.current.load().damages);
        let (database, snapshot) = (self.open)(&damages)?;
        self.readers = Arc::clone(&snapshot.readers);
        self.current.store(Arc::new(snapshot));
        self.database = Some(database);
        Ok(())
    }

    /// Whether the file is open. It is until a [`ReadModel::reopen`] fails.
    pub fn is_open(&self) -> bool {
        self.database.is_some()
    }

    pub(crate) fn database(&self) -> Result<&Database, StorageError> {
        self.database.as_ref().ok_or(StorageError::Closed)
    }

    /// A reader of what is committed, now and later.
    pub fn reader(&self) -> Reader {
        Reader {
            current: Arc::clone(&self.current),
            writing: Arc::clone(&self.writing),
        }
    }

    /// Begins to gather changes. Dropping the batch drops them.
    pub fn begin(&mut self) -> Batch<'_> {
        Batch::new(self)
    }

    /// Remembers that the projector was live.
    pub fn mark_live(&mut self) -> Result<(), StorageError> {
        if self.current.load().was_live {
            return Ok(());
        }
        self.mark(meta::WAS_LIVE_KEY, &[])
    }

    /// Remembers that the stream of the rows, recognised by its messages, is called and dated otherwise
    /// than it was.
    pub fn mark_stream(&mut self, stream: &StreamId) -> Result<(), StorageError> {
        let held = self.current.load().checkpoint.clone();
        let Some(held) = held.filter(|held| held.stream != *stream) else {
            return Ok(());
        };
        let checkpoint = meta::write_checkpoint(&held.in_stream(stream.clone()));
        self.mark(meta::CHECKPOINT_KEY, &checkpoint)
    }

    /// Writes one value of `meta`, durable when this returns.
    fn mark(&self, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        let mut transaction = self
            .database()?
            .begin_write()
            .map_err(StorageError::engine("write"))?;
        // As every commit of rows: opening after a crash need not walk the file.
        transaction.set_quick_repair(true);
        RowsMut::open(&transaction, &META)?.put(key, Some(value))?;
        transaction
            .commit()
            .map_err(StorageError::engine("commit"))?;
        self.publish(None)
    }

    /// Gives the room that no row takes back to the file system, and closes the file; for one that nobody
    /// reads. Spilled runs leave more of it than the rows take.
    ///
    /// A crash on the way loses nothing, but the next to open the file has to walk it.
    pub fn compact(mut self) -> Result<(), StorageError> {
        let database = self.database.take();
        // The engine compacts only where no reader is open.
        drop(self);
        let mut database = database.ok_or(StorageError::Closed)?;
        database
            .compact()
            .map_err(StorageError::engine("compact"))?;
        Ok(())
    }

    /// Tells readers that a commit is under way, until what it gives is dropped.
    pub(crate) fn writing(&self) -> impl Drop + use<> {
        Writing::begin(Arc::clone(&self.writing))
    }

    /// Lets readers see the latest commit, which may have written a run.
    pub(crate) fn publish(&self, written: Option<Written>) -> Result<(), StorageError> {
        let known = self.current.load_full();
        let damages = &known.damages;
        let mut snapshot = Snapshot::take(self.database()?, &known.runs, written, damages)?;
        snapshot.readers = Arc::clone(&self.readers);
        self.current.store(Arc::new(snapshot));
        Ok(())
    }
}

/// A commit that is under way.
struct Writing(Arc<AtomicBool>);

impl Writing {
    fn begin(flag: Arc<AtomicBool>) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

pub(crate) fn builder(options: Options) -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes);
    builder
}

/// Makes the file under another name and renames it when it is whole and on disk (R6).
fn create(folder: &Path, path: &Path, options: Options, maker: Maker) -> Result<(), OpenError> {
    let unfinished = place::unfinished(path);
    make(&unfinished, options, maker, |_empty| Ok::<_, OpenError>(()))?;
    fs::rename(&unfinished, path).map_err(failed("rename", &unfinished))?;
    place::sync_folder(folder)
}

/// Makes a file with what `fill` puts into its empty tables. When this returns, it is closed and on disk.
pub(crate) fn make<E: From<OpenError>>(
    path: &Path,
    options: Options,
    maker: Maker,
    fill: impl FnOnce(&Database) -> Result<(), E>,
) -> Result<(), E> {
    place::remove_if_there(path)?;
    let how = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .clone();
    let database = open_database(open_file(&how, path)?, path, options)?;
    initialise(&database, maker).map_err(damaged(path))?;
    fill(&database)?;
    database.close().map_err(open_failed(path))?;
    let made = open_file(OpenOptions::new().read(true), path)?;
    Ok(made.sync_all().map_err(failed("sync", path))?)
}

/// Makes the folder (0700), if it is not there.
pub(crate) fn make_folder(folder: &Path) -> Result<(), OpenError> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed("create the folder", folder))
}

fn inode(of: io::Result<fs::Metadata>, path: &Path) -> Result<(u64, u64), OpenError> {
    let of = of.map_err(failed("look at", path))?;
    Ok((of.dev(), of.ino()))
}

pub(crate) fn open_file(how: &OpenOptions, path: &Path) -> Result<File, OpenError> {
    how.open(path).map_err(failed("open", path))
}

fn open_database(file: File, path: &Path, options: Options) -> Result<Database, OpenError> {
    let storage = FileBackend::new(file).map_err(open_failed(path))?;
    builder(options)
        .create_with_backend(Endless(storage))
        .map_err(open_failed(path))
}

fn initialise(database: &Database, maker: Maker) -> Result<(), StorageError> {
    let transaction = database
        .begin_write()
        .map_err(StorageError::engine("write"))?;
    for table in [PEOPLE, OWNERS, PARKED, ARRIVALS, AWAITING] {
        transaction
            .open_table(table)
            .map_err(StorageError::engine("make a table of"))?;
    }
    {
        let mut meta = RowsMut::open(&transaction, &META)?;
        meta.put(meta::LAYOUT_KEY, Some(&LAYOUT.to_le_bytes()))?;
        meta.put(meta::ORIGIN_KEY, Some(&origin::write(&Origin::new(maker))))?;
    }
    transaction.commit().map_err(StorageError::engine("commit"))
}

/// Opens a file. The engine panics over some damage instead of naming it.
pub(crate) fn guarded<T>(
    path: &Path,
    open: impl FnOnce() -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    // What was opened so far is dropped on the way, and nothing else is touched.
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_panic| {
        let why = redb::Error::Corrupted("the engine panicked over it".to_owned());
        Err(damaged(path)(StorageError::engine("open")(why)))
    })
}

/// A file of our layout (R4), and what is committed in it.
pub(crate) fn checked(
    database: Database,
    path: &Path,
    damages: &Arc<Damages>,
) -> Result<(Database, Snapshot), OpenError> {
    match layout_of(&database).map_err(damaged(path))? {
        Some(LAYOUT) => {
            let snapshot = Snapshot::take(&database, &[], None, damages).map_err(damaged(path))?;
            Ok((database, snapshot))
        }
        found => Err(OpenError::OtherLayout {
            path: path.into(),
            found: found.unwrap_or(0),
            expected: LAYOUT,
        }),
    }
}

/// `None` for a file without a layout, which a crash on bare storage can leave.
fn layout_of(database: &Database) -> Result<Option<u32>, StorageError> {
    let transaction = database
        .begin_read()
        .map_err(StorageError::engine("read"))?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(StorageError::engine("open a table of")(error)),
    };
    let damaged = |problem| StorageError::from(Damage::of_row("meta", meta::LAYOUT_KEY, problem));
    let row = ReadableTable::get(&table, meta::LAYOUT_KEY).map_err(StorageError::engine("read"))?;
    let Some(row) = row else {
        let is_empty = table.is_empty().map_err(StorageError::engine("read"))?;
        return if is_empty {
            Ok(None)
        } else {
            Err(damaged("it is missing"))
        };
    };
    let stored = row.value();
    // The number comes first whatever the layout.
    let layout = stored
        .first_chunk()
        .ok_or_else(|| damaged("it is no number"))?;
    let layout = u32::from_le_bytes(*layout);
    // What another layout has behind its number is not known.
    if layout == LAYOUT
        && Check::of_table("meta")
            .row(meta::LAYOUT_KEY, stored)
            .is_none()
    {
        return Err(damaged(CHECK_FAILS));
    }
    Ok(Some(layout))
}

pub(crate) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = PathBuf::from(path);
    move |source| OpenError::Folder {
        doing,
        path,
        source,
    }
}

fn damaged(path: &Path) -> impl FnOnce(StorageError) -> OpenError {
    let path = PathBuf::from(path);
    move |source| OpenError::Damaged { path, source }
}

pub(crate) fn open_failed(path: &Path) -> impl FnOnce(DatabaseError) -> OpenError {
    let path = PathBuf::from(path);
    move |source| {
        if let DatabaseError::DatabaseAlreadyOpen = source {
            return OpenError::InUse { path };
        }
        OpenError::Damaged {
            path,
            source: StorageError::engine("open")(source),
        }
    }
}

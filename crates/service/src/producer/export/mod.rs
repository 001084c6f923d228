//! A Convex snapshot export as events: every user and every profile at version 1.
//!
//! The tables are read as streams, row by row, so neither a large export nor a small one that unpacks
//! to something huge takes more memory than its longest row and some bytes for each row's ids.

mod row;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use event_lines::Lines;
use serde_json::Value;
use tokio::sync::mpsc;
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::check::Checker;
use super::event::OutgoingEvent;
use super::fault::Fault;
use super::read::{Judged, Place, Read};
use crate::printable;

use row::Rows;
pub(crate) use row::Unknown;

/// Bytes unpacked at a time.
const READ_BYTES: usize = 256 * 1024;
/// The longest row: the largest document, and room for the members that are left out.
const ROW_BYTES_MAX: usize = domain::STRUCTURED_BYTES_MAX;
/// Rows handed over together.
const BATCH_ROWS: usize = 64;
/// Batches read ahead.
const BATCHES_AHEAD: usize = 4;
/// Tables named when those that are needed are missing.
const SHOWN_MAX: usize = 10;

/// The tables, in the order in which they are read: a profile has to find its user.
const TABLES: [&str; 2] = ["users", "profiles"];

/// An opened export.
pub(crate) struct Export {
    zip: ZipArchive<BufReader<File>>,
    /// Where in the zip the tables lie: empty, or a path with its last slash.
    folder: String,
    /// Of both tables, unpacked, as the zip says; another size ends in a fault.
    pub(crate) bytes: u64,
}

/// One row, judged.
pub(crate) struct Row {
    pub(crate) place: Place,
    /// The event, structured and as it is published.
    pub(crate) event: Result<(Value, OutgoingEvent), Vec<Fault>>,
    pub(crate) bytes_read: u64,
}

impl Export {
    /// Opens a file, if it is an export.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let (file, _) = open_file(path)?;
        let mut zip = match ZipArchive::new(BufReader::with_capacity(READ_BYTES, file)) {
            Ok(zip) => zip,
            Err(ZipError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(error).with_context(|| format!("{shown} cannot be read"));
            }
            Err(problem) => bail!(
                "{shown} is no zip file, or is cut off ({problem}): expected what npx convex export --path {shown} writes"
            ),
        };
        let folder = folder_of(&zip, path)?;
        let mut bytes = 0_u64;
        for table in TABLES {
            let Some(size) = size_of(&mut zip, &file_of(&folder, table))? else {
                let tables = tables_of(&zip);
                bail!(
                    "{shown} is no Convex export with the tables users and profiles: it has no {table}/documents.jsonl ({tables})"
                );
            };
            bytes = bytes.saturating_add(size);
        }
        Ok(Self { zip, folder, bytes })
    }

    /// Reads and judges every row until `take` has enough. Gives the members that were left out.
    pub(crate) fn each(
        &mut self,
        checker: &Checker,
        source: &str,
        mut take: impl FnMut(Row) -> io::Result<bool>,
    ) -> io::Result<Unknown> {
        let mut rows = Rows::new(source);
        let mut before = 0;
        for table in TABLES {
            let file = self.zip.by_name(&file_of(&self.folder, table))?;
            let lines = Lines::of(BufReader::with_capacity(READ_BYTES, file));
            let mut lines = lines.of_at_most(ROW_BYTES_MAX);
            let mut bytes_read = before;
            loop {
                let line = lines.next_line().map_err(|error| at_end(table, &error))?;
                let Some(line) = line else { break };
                bytes_read = line.bytes_read.saturating_add(before);
                let row = line.number;
                let event = rows.event(checker, table, &line);
                let place = Place::Row { table, row };
                let judged = Row {
                    place,
                    event,
                    bytes_read,
                };
                if !take(judged)? {
                    return Ok(rows.unknown);
                }
            }
            before = bytes_read;
        }
        Ok(rows.unknown)
    }

    /// Reads on a thread of its own, which ends when the receiver is gone. What was left out is told
    /// before the channel is closed.
    pub(crate) fn read_in_background(
        mut self,
        checker: Checker,
        source: String,
        left_out: Arc<Mutex<Unknown>>,
    ) -> anyhow::Result<mpsc::Receiver<io::Result<Read>>> {
        let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
        std::thread::Builder::new()
            .name("read-export".to_owned())
            .spawn(move || {
                let mut batch = Batch::new(batches);
                let read = self.each(&checker, &source, |row| Ok(batch.take(row)));
                match read {
                    Ok(unknown) => {
                        *left_out.lock().unwrap_or_else(PoisonError::into_inner) = unknown;
                        batch.flush();
                    }
                    Err(error) => batch.fail(error),
                }
            })
            .context("no thread can be started")?;
        Ok(receiver)
    }
}

fn open_file(path: &Path) -> anyhow::Result<(File, u64)> {
    let shown = path.display();
    anyhow::ensure!(
        path != Path::new("-"),
        "an export cannot come from standard input: its table of contents is at its end"
    );
    let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let about = file.metadata()?;
    anyhow::ensure!(!about.is_dir(), "{shown} is a folder, not an export's zip");
    Ok((file, about.len()))
}

fn file_of(folder: &str, table: &str) -> String {
    format!("{folder}{table}/documents.jsonl")
}

/// Where the tables lie: whoever unpacks an export and zips it again may put it into a folder. The tables
/// of a component are not the app's, and what Finder adds is nothing.
fn folder_of(zip: &ZipArchive<BufReader<File>>, path: &Path) -> anyhow::Result<String> {
    let [first, _] = TABLES;
    let is_others = |folder: &str| {
        let mut names = folder.split('/');
        names.any(|name| ["_components", "__MACOSX"].contains(&name))
    };
    let names = zip.file_names().filter_map(Result::ok);
    let folders = names.filter_map(|name| {
        let folder = name.strip_suffix(&*file_of("", first))?;
        let is_folder = folder.is_empty() || folder.ends_with('/');
        (is_folder && !is_others(folder)).then(|| folder.to_owned())
    });
    let mut folders: Vec<String> = folders.take(2).collect();
    ensure!(
        folders.len() < 2,
        "{} holds more than one export, in {}: leave one of them in it",
        path.display(),
        folders
            .iter()
            .map(|folder| format!("{folder:?}"))
            .collect::<Vec<_>>()
            .join(" and ")
    );
    Ok(folders.pop().unwrap_or_default())
}

/// What a table unpacks to, as the zip says; `None` without such a table.
fn size_of(zip: &mut ZipArchive<BufReader<File>>, name: &str) -> anyhow::Result<Option<u64>> {
    match zip.by_name(name) {
        Ok(file) => Ok(Some(ZipFile::size(&file))),
        Err(ZipError::FileNotFound) => Ok(None),
        Err(problem) => bail!("{name} cannot be unpacked: {problem}"),
    }
}

fn tables_of(zip: &ZipArchive<BufReader<File>>) -> String {
    let names = zip.file_names().filter_map(|name| {
        let name = name.ok()?;
        let table = name.strip_suffix("/documents.jsonl")?;
        (!table.starts_with('_')).then(|| printable::piece(table).into_owned())
    });
    let mut tables: Vec<_> = names.collect();
    tables.sort_unstable();
    let more = tables.len().saturating_sub(SHOWN_MAX);
    tables.truncate(SHOWN_MAX);
    match (tables.len(), more) {
        (0, _) => "it has no tables at all".to_owned(),
        (_, 0) => format!("its tables are {}", tables.join(", ")),
        (_, more) => format!("its tables are {} and {more} more", tables.join(", ")),
    }
}

fn at_end(table: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{} is damaged ({error})", file_of("", table)),
    )
}

/// Rows gathered for the sender.
struct Batch {
    batches: mpsc::Sender<io::Result<Read>>,
    rows: Vec<Judged>,
    line: u64,
    bytes_read: u64,
}

impl Batch {
    fn new(batches: mpsc::Sender<io::Result<Read>>) -> Self {
        Self {
            batches,
            rows: Vec::with_capacity(BATCH_ROWS),
            line: 0,
            bytes_read: 0,
        }
    }

    /// False when nobody receives any more.
    fn take(&mut self, row: Row) -> bool {
        self.line = self.line.saturating_add(1);
        self.bytes_read = row.bytes_read;
        self.rows.push(Judged {
            line: self.line,
            place: row.place,
            event: row.event.map(|(_, outgoing)| outgoing),
        });
        self.rows.len() < BATCH_ROWS || self.flush()
    }

    fn flush(&mut self) -> bool {
        let lines = std::mem::take(&mut self.rows);
        let bytes_read = self.bytes_read;
        let read = Read { lines, bytes_read };
        self.batches.blocking_send(Ok(read)).is_ok()
    }

    fn fail(&mut self, error: io::Error) {
        // Gone is the receiver, and with it the interest.
        let _ = self.flush() && self.batches.blocking_send(Err(error)).is_ok();
    }
}

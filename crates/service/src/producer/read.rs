//! Reads and checks a file on a thread of its own.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::Context;
use event_lines::Lines;
use serde::Serialize;
use tokio::sync::mpsc;

use super::check::Checker;
use super::event::OutgoingEvent;
use super::fault::Fault;
use super::other_format::of_first;
use super::repeats::{Ids, Seen, other_event};

/// Bytes read at a time.
pub(super) const READ_BYTES: usize = 256 * 1024;
/// Lines handed over together; fewer when the input makes us wait.
const BATCH_LINES: usize = 64;
/// Batches read ahead. With events of the largest size this bounds the memory to 80 MiB.
const BATCHES_AHEAD: usize = 4;

/// Where an event stands in its input, as people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Place {
    /// A line of a file.
    Line {
        /// Counted from 1.
        line: u64,
    },
    /// A row of a table.
    Row {
        /// Which table.
        table: &'static str,
        /// Counted from 1.
        row: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line } => write!(f, "line {line}"),
            Self::Row { table, row } => write!(f, "{table} row {row}"),
        }
    }
}

/// One event, judged.
pub(crate) struct Judged {
    /// Its number in the order of the input; for a file its line.
    pub(crate) line: u64,
    /// Where it stands.
    pub(crate) place: Place,
    pub(crate) event: Result<OutgoingEvent, Vec<Fault>>,
}

/// Some lines, judged, and how far into the input they reach.
pub(crate) struct Read {
    pub(crate) lines: Vec<Judged>,
    pub(crate) bytes_read: u64,
}

/// Opens `path`, or standard input for `-`; tells the length where there is one.
pub(crate) fn open(path: &Path) -> anyhow::Result<(Box<dyn io::Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let about = file
        .metadata()
        .with_context(|| format!("{} cannot be read", path.display()))?;
    anyhow::ensure!(
        !about.is_dir(),
        "{} is a folder, not a file",
        path.display()
    );
    let length = about.is_file().then_some(about.len());
    Ok((Box::new(file), length))
}

/// Reads and checks on a thread of its own, which nobody waits for: a read of a terminal cannot be
/// interrupted. It ends at the end of the input, at the first error, or when the receiver is gone.
pub(crate) fn read_in_background(
    input: Box<dyn io::Read + Send>,
    checker: Checker,
) -> anyhow::Result<mpsc::Receiver<io::Result<Read>>> {
    let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
    std::thread::Builder::new()
        .name("read-events".to_owned())
        .spawn(move || {
            if let Err(error) = read(input, &checker, &batches) {
                // Gone is the receiver, and with it the interest.
                let _ = batches.blocking_send(Err(error));
            }
        })
        .context("no thread can be started")?;
    Ok(receiver)
}

fn read(
    input: Box<dyn io::Read + Send>,
    checker: &Checker,
    batches: &mpsc::Sender<io::Result<Read>>,
) -> io::Result<()> {
    let mut lines = Lines::of(BufReader::with_capacity(READ_BYTES, input));
    let mut batch = Vec::with_capacity(BATCH_LINES);
    let mut is_first = true;
    let mut ids = Ids::new();
    while let Some(line) = lines.next_line()? {
        let other = if std::mem::take(&mut is_first) {
            of_first(&line)
        } else {
            None
        };
        let (number, bytes_read) = (line.number, line.bytes_read);
        let is_other_file = other.is_some();
        let event = other.map_or_else(|| checker.check(&line), |fault| Err(vec![fault]));
        batch.push(Judged {
            line: number,
            place: Place::Line { line: number },
            event: event.and_then(|event| event_of_its_own(event, &mut ids, number)),
        });
        if is_other_file || batch.len() == BATCH_LINES || lines.may_wait() {
            let lines = std::mem::take(&mut batch);
            if batches
                .blocking_send(Ok(Read { lines, bytes_read }))
                .is_err()
            {
                return Ok(());
            }
        }
        if is_other_file {
            break;
        }
    }
    Ok(())
}

/// Refuses an event whose id stood for another one before.
fn event_of_its_own(
    event: OutgoingEvent,
    ids: &mut Ids,
    line: u64,
) -> Result<OutgoingEvent, Vec<Fault>> {
    match ids.see(&event.id, event.contents, line) {
        Seen::Other(first) => Err(vec![other_event(Place::Line { line: first })]),
        Seen::New | Seen::Same | Seen::Unknown => Ok(event),
    }
}

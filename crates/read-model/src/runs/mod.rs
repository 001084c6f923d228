//! Runs: rows that were spilled on the way to the tail, sorted, each run a table of its own.
//!
//! A tree takes rows in key order many times faster than in the order of events, and a state larger
//! than memory cannot wait in memory for that. So a batch that goes on is spilled as a run: a few
//! large values in key order, written once. Look-ups go through the runs, newest first, before the
//! tables; the commit that ends catching up merges all of them into the tables in one pass.
//!
//! Runs are in the same file and the same transactions as everything else: the checkpoint is theirs
//! too (R1), and a killed rebuild goes on from the last one.

mod filter;
mod merge;
mod view;
mod write;

use std::sync::Arc;

use redb::{ReadTransaction, TableDefinition};

use crate::check::Rows;
use crate::damage::Damages;
use crate::rows::person;
use crate::{Damage, StorageError};
use domain::codec::{Cursor, Problem, Writer};
use filter::{Filter, KeyHash};
pub(crate) use merge::{Entry, Merge, Source};
pub(crate) use view::{Row, rows};
pub(crate) use write::RunWriter;

/// More runs than this become one when the next is written: a look-up may ask each of them.
pub(crate) const RUNS_MAX: usize = 8;

/// What a run holds beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// User id to [`crate::rows::person`]; [`person::NOTHING`] for none.
    Person = 1,
    /// `workosUserId` to user id; empty for none.
    Owner = 2,
}

impl Kind {
    fn of_byte(byte: u8) -> Result<Self, Problem> {
        match byte {
            1 => Ok(Self::Person),
            2 => Ok(Self::Owner),
            _ => Err("the kind of row is unknown"),
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Person => 1,
            Self::Owner => 2,
        }
    }

    /// Whether a value says that there is no row.
    pub(crate) fn is_none(self, value: &[u8]) -> bool {
        match self {
            Self::Person => value == person::NOTHING,
            Self::Owner => value.is_empty(),
        }
    }
}

/// A run as `meta` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunId {
    /// Names its table.
    pub(crate) number: u64,
    /// How many rows it holds.
    pub(crate) rows: u64,
}

/// A run that can be asked.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    table: Arc<Rows>,
    filter: Arc<Filter>,
}

/// A run that was written in a transaction not committed yet.
pub(crate) struct Written {
    pub(crate) id: RunId,
    filter: Filter,
}

pub(crate) fn table_name(number: u64) -> String {
    format!("run-{number}")
}

pub(crate) fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// Opens the runs that `ids` lists. `known` are those that were open before, and `written` is new:
/// any other is read once, for its filter.
pub(crate) fn open(
    transaction: &ReadTransaction,
    ids: &[RunId],
    known: &[Run],
    written: Option<Written>,
    damages: &Arc<Damages>,
) -> Result<Vec<Run>, StorageError> {
    let mut written = written;
    ids.iter()
        .map(|id| {
            let table = Rows::open_named(transaction, table_name(id.number).into(), damages)?;
            let filter = if let Some(run) = known.iter().find(|run| run.id == *id) {
                Arc::clone(&run.filter)
            } else if let Some(new) = written.take_if(|new| new.id == *id) {
                Arc::new(new.filter)
            } else {
                Arc::new(filter_of(*id, &table)?)
            };
            Ok(Run {
                id: *id,
                table: Arc::new(table),
                filter,
            })
        })
        .collect()
}

fn filter_of(id: RunId, table: &Rows) -> Result<Filter, StorageError> {
    let mut filter = Filter::with_room(usize::try_from(id.rows).unwrap_or(usize::MAX));
    for block in table.scan(&[])? {
        let (_, block) = block?;
        let mut rest = Cursor(block.row());
        while !rest.is_empty() {
            let entry = Entry::read(&mut rest).map_err(bad_run)?;
            filter.insert(KeyHash::of(entry.kind, entry.key));
        }
    }
    Ok(filter)
}

impl Run {
    /// The row, if this run has it.
    fn get(&self, kind: Kind, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let wanted = block_key(kind, key);
        if let Some(block) = self.table.last_upto(&wanted)? {
            let mut rest = Cursor(block.row());
            while !rest.is_empty() {
                let entry = Entry::read(&mut rest).map_err(bad_run)?;
                if (entry.kind, entry.key) == (kind, key) {
                    return Ok(Some(entry.value.to_vec()));
                }
            }
        }
        // The block that has it may stand under another key.
        self.table.is_absent(&wanted)?;
        Ok(None)
    }
}

/// The newest row of any run.
pub(crate) fn get(runs: &[Run], kind: Kind, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
    if runs.is_empty() {
        return Ok(None);
    }
    let hash = KeyHash::of(kind, key);
    for run in runs.iter().filter(|run| run.filter.may_hold(hash)) {
        let found = run.get(kind, key)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The key of a block whose first entry this is.
fn block_key(kind: Kind, key: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(key.len().saturating_add(1));
    whole.push(kind.byte());
    whole.extend_from_slice(key);
    whole
}

fn bad_run(problem: Problem) -> StorageError {
    Damage::somewhere("runs", problem).into()
}

/// The list of runs as `meta` keeps it, newest first.
pub(crate) fn write_ids(ids: &[RunId]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut to = Writer(&mut bytes);
    for id in ids {
        to.number(id.number);
        to.number(id.rows);
    }
    bytes
}

pub(crate) fn read_ids(bytes: &[u8]) -> Result<Vec<RunId>, Problem> {
    let mut from = Cursor(bytes);
    let mut ids = Vec::new();
    while !from.is_empty() {
        ids.push(RunId {
            number: from.number()?,
            rows: from.number()?,
        });
    }
    Ok(ids)
}

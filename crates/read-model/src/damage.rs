//! What is known of rows that are not what was written: which, never what they hold.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use domain::UserId;

use crate::rows;
use crate::tables::{ARRIVALS, AWAITING, META, OWNERS, PARKED, PEOPLE};

/// What is wrong with pages that the engine cannot make sense of.
pub(crate) const ENGINE_FAILS: &str = "the engine cannot read its pages";

/// More damaged rows than this are not told apart: the file is to be rebuilt long before.
const KEPT_MAX: usize = 100;

/// A row that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The table it is in; `runs` are rows that wait for their table.
    pub table: &'static str,
    /// Which row: a user id or a sequence. Empty where the key is an identity or unknown.
    pub row: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            row,
            problem,
        } = self;
        match row.as_str() {
            "" => write!(f, "a row of {table} is damaged: {problem}"),
            row => write!(f, "the row of {table} for {row} is damaged: {problem}"),
        }
    }
}

impl Damage {
    /// Whether the engine could not read its own pages: then the handle is of no more use.
    pub fn is_of_pages(&self) -> bool {
        self.problem == ENGINE_FAILS
    }

    /// Damage of a row whose key is not known.
    pub(crate) fn somewhere(table: &str, problem: &'static str) -> Self {
        Self::of_row(table, &[], problem)
    }

    pub(crate) fn of_row(table: &str, key: &[u8], problem: &'static str) -> Self {
        let table = public_name(table);
        Self {
            table,
            row: label(table, key),
            problem,
        }
    }
}

/// The damaged rows of one file that were met so far.
#[derive(Debug, Default)]
pub(crate) struct Damages(Mutex<BTreeSet<Damage>>);

impl Damages {
    pub(crate) fn note(&self, damage: &Damage) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT_MAX {
            kept.insert(damage.clone());
        }
    }

    pub(crate) fn all(&self) -> Vec<Damage> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

/// The name that people know a table by.
fn public_name(table: &str) -> &'static str {
    let tables = [&PEOPLE, &OWNERS, &PARKED, &ARRIVALS, &AWAITING, &META];
    let mut names = tables.into_iter().map(redb::TableHandle::name);
    names.find(|name| *name == table).unwrap_or("runs")
}

/// What of a key may be shown: user ids are opaque and sequences are numbers, identities are neither.
fn label(table: &str, key: &[u8]) -> String {
    let user = |text: &[u8]| {
        let text = str::from_utf8(text).ok();
        let user = text.and_then(|text| UserId::parse(text).ok());
        user.map_or(String::new(), |user| user.as_str().to_owned())
    };
    let sequence = || {
        let sequence = rows::sequence_of(key).ok();
        sequence.map_or(String::new(), |at| format!("sequence {}", at.get()))
    };
    match table {
        "people" => user(key),
        "parked" | "arrivals" | "awaiting" => sequence(),
        "meta" => String::from_utf8_lossy(key).into_owned(),
        _ => String::new(),
    }
}

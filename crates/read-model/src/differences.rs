//! Where two read models differ, for people: by user and table, never by content.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Peekable;

use crate::check;
use crate::reader::{Reader, Snapshot};
use crate::rows::person;
use crate::runs::{self, Kind, Row, Run};
use crate::{Digest, StorageError};
use domain::codec::Problem;

/// A row that two read models do not have alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Whose row; empty for a parked record whose subject names no user.
    pub user: String,
    /// What of the user's: `users`, `profiles` or `parked`.
    pub table: &'static str,
    /// What is different.
    pub kind: DifferenceKind,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceKind {
    /// Only the first read model has it.
    OnlyFirst,
    /// Only the second has it.
    OnlySecond,
    /// Both have it, with other contents.
    Content,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OnlyFirst => "is only in the first",
            Self::OnlySecond => "is only in the second",
            Self::Content => "differs",
        })
    }
}

/// The first `limit` rows that differ, table by table in the order of users. Reads one commit of each;
/// both must have been read from the same place for the answer to mean anything. A damaged row counts as
/// missing: an audit names it.
pub fn differences(
    first: &Reader,
    second: &Reader,
    limit: usize,
) -> Result<Vec<Difference>, StorageError> {
    let (first, second) = (first.current.load_full(), second.current.load_full());
    let mut found = Vec::new();
    for (name, rows) in tables() {
        walk(name, rows(&first)?, rows(&second)?, limit, &mut found)?;
    }
    Ok(found)
}

type Rows = Peekable<Box<dyn Iterator<Item = Result<Row, StorageError>>>>;
type OfSnapshot = fn(&Snapshot) -> Result<Rows, StorageError>;

fn tables() -> [(&'static str, OfSnapshot); 3] {
    [
        ("users", |of| {
            rows(&of.people, &of.runs, |person| Ok(person::split(person)?.0))
        }),
        ("profiles", |of| {
            rows(&of.people, &of.runs, |person| Ok(person::split(person)?.1))
        }),
        ("parked", |of| rows(&of.parked, &[], |parked| Ok(parked))),
    ]
}

/// Takes from a row what is compared; empty for nothing.
type Part = fn(&[u8]) -> Result<&[u8], Problem>;

fn rows(table: &check::Rows, runs: &[Run], part: Part) -> Result<Rows, StorageError> {
    let rows = runs::rows(table, runs, Kind::Person)?;
    let parts = rows.filter_map(move |row| match row {
        Ok((key, row)) => {
            let part = part(&row).ok().filter(|part| !part.is_empty())?;
            Some(Ok((key, part.to_vec())))
        }
        Err(StorageError::Damaged(_)) => None,
        Err(other) => Some(Err(other)),
    });
    let parts: Box<dyn Iterator<Item = _>> = Box::new(parts);
    Ok(parts.peekable())
}

/// Goes through two tables side by side, which both lie in key order.
fn walk(
    name: &'static str,
    mut first: Rows,
    mut second: Rows,
    limit: usize,
    found: &mut Vec<Difference>,
) -> Result<(), StorageError> {
    while found.len() < limit {
        let order = match (first.peek(), second.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Ok((one, _))), Some(Ok((other, _)))) => one.cmp(other),
            (Some(Err(_)), Some(_)) | (Some(_), Some(Err(_))) => Ordering::Equal,
        };
        let one = if order.is_le() { first.next() } else { None };
        let other = if order.is_ge() { second.next() } else { None };
        let (one, other) = (one.transpose()?, other.transpose()?);
        let (key, kind) = match (one, other) {
            (Some((_, one)), Some((_, other)))
                if Digest::covered(name, &one) == Digest::covered(name, &other) =>
            {
                continue;
            }
            (Some((key, _)), Some(_)) => (key, DifferenceKind::Content),
            (Some((key, _)), None) => (key, DifferenceKind::OnlyFirst),
            (None, Some((key, _))) => (key, DifferenceKind::OnlySecond),
            (None, None) => break,
        };
        let user = key.split(|byte| *byte == 0).next().unwrap_or_default();
        found.push(Difference {
            user: String::from_utf8_lossy(user).into_owned(),
            table: name,
            kind,
        });
    }
    Ok(())
}

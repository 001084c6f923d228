//! Merging: several sources in key order, of which the newest has the word.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Kind, Run, bad_run};
use crate::StorageError;
use crate::check::Scan;
use domain::codec::{Cursor, Problem};

/// A row of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: Kind,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(super) fn read(from: &mut Cursor<'a>) -> Result<Self, Problem> {
        Ok(Self {
            kind: Kind::of_byte(from.byte()?)?,
            key: from.bytes()?,
            value: from.bytes()?,
        })
    }
}

/// Gives entries in the order of kind and key.
pub(crate) trait Source {
    /// The entry that it stands at; `None` at the end.
    fn entry(&self) -> Option<Entry<'_>>;
    /// Goes to the next.
    fn advance(&mut self) -> Result<(), StorageError>;
}

/// Several sources as one: each key once, with the value of the first source that has it.
pub(crate) struct Merge<'s> {
    sources: Vec<Box<dyn Source + 's>>,
    /// The first source that stands at the lowest key.
    first: Option<usize>,
    /// Those behind it that stand there too.
    same: Vec<usize>,
}

impl<'s> Merge<'s> {
    /// Merges sources, the newest first.
    pub(crate) fn new(sources: Vec<Box<dyn Source + 's>>) -> Self {
        let mut merge = Self {
            sources,
            first: None,
            same: Vec::new(),
        };
        merge.find();
        merge
    }

    /// Finds the lowest key.
    fn find(&mut self) {
        let mut lowest: Option<Entry<'_>> = None;
        self.first = None;
        for (index, source) in self.sources.iter().enumerate() {
            let Some(entry) = source.entry() else {
                continue;
            };
            let order =
                lowest.map(|lowest| (entry.kind, entry.key).cmp(&(lowest.kind, lowest.key)));
            match order {
                Some(Ordering::Greater) => {}
                Some(Ordering::Equal) => self.same.push(index),
                Some(Ordering::Less) | None => {
                    lowest = Some(entry);
                    self.first = Some(index);
                    self.same.clear();
                }
            }
        }
    }
}

impl Source for Merge<'_> {
    fn entry(&self) -> Option<Entry<'_>> {
        self.sources.get(self.first?)?.entry()
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        for index in self.first.into_iter().chain(self.same.drain(..)) {
            if let Some(source) = self.sources.get_mut(index) {
                source.advance()?;
            }
        }
        self.find();
        Ok(())
    }
}

/// Reads a run from its first entry to its last.
pub(super) struct RunSource {
    blocks: Scan,
    block: Vec<u8>,
    /// What is not read of the block.
    rest: Range<usize>,
    /// The entry; `None` at the end.
    parts: Option<Parts>,
}

/// Where the parts of an entry stand in its block.
struct Parts {
    kind: Kind,
    key: Range<usize>,
    value: Range<usize>,
}

impl Run {
    /// All entries of this run.
    pub(crate) fn source(&self) -> Result<impl Source + use<>, StorageError> {
        let mut source = RunSource {
            blocks: self.table.scan(&[])?,
            block: Vec::new(),
            rest: 0..0,
            parts: None,
        };
        source.advance()?;
        Ok(source)
    }
}

impl Source for RunSource {
    fn entry(&self) -> Option<Entry<'_>> {
        let parts = self.parts.as_ref()?;
        Some(Entry {
            kind: parts.kind,
            key: self.block.get(parts.key.clone())?,
            value: self.block.get(parts.value.clone())?,
        })
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        if self.rest.is_empty() {
            let Some(block) = self.blocks.next() else {
                self.parts = None;
                return Ok(());
            };
            let (_, block) = block?;
            self.block.clear();
            self.block.extend_from_slice(block.row());
            self.rest = 0..self.block.len();
        }
        let rest = self.block.get(self.rest.clone()).unwrap_or_default();
        let parts = Parts::read(rest, self.rest.end).map_err(bad_run)?;
        self.rest.start = parts.value.end;
        self.parts = Some(parts);
        Ok(())
    }
}

impl Parts {
    /// Reads the first entry of `rest`, which ends at `end` of its block.
    fn read(rest: &[u8], end: usize) -> Result<Self, Problem> {
        let mut rest = Cursor(rest);
        let range = |rest: &Cursor<'_>, length: usize| {
            let at = end.saturating_sub(rest.0.len());
            at.saturating_sub(length)..at
        };
        let kind = Kind::of_byte(rest.byte()?)?;
        let length = rest.bytes()?.len();
        let key = range(&rest, length);
        let length = rest.bytes()?.len();
        let value = range(&rest, length);
        Ok(Self { kind, key, value })
    }
}

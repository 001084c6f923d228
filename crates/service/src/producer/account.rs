//! What became of the events of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::read::Place;

/// What became of the events so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Account {
    /// Stored by this run.
    pub(crate) new: u64,
    /// Already in the stream.
    pub(crate) duplicates: u64,
    /// Of these, those whose ids alone are known to be there.
    pub(crate) not_compared: u64,
    /// Not sent, because the stream holds a later version of their document.
    pub(crate) passed: u64,
    /// Not sent, or not taken by the server, for a fault of their own.
    pub(crate) refused: u64,
    /// Users stored together with their default profile.
    pub(crate) pairs: u64,
    /// The highest sequence that an ack named.
    pub(crate) last_sequence: u64,
    /// Everything up to this line of the input is settled: in the stream, or refused.
    pub(crate) settled_lines: u64,
    /// How much of the input was read.
    #[serde(skip)]
    pub(crate) bytes_read: u64,
}

impl Account {
    /// Events that are in the stream, or need not be.
    pub(crate) fn confirmed(&self) -> u64 {
        let there = self.new.saturating_add(self.duplicates);
        there.saturating_add(self.passed)
    }
}

/// Places that are remembered; they take some 50 MiB.
const PLACES_MAX: usize = 1_000_000;

/// Where in the stream the events of a run are, and where in its input each stands.
#[derive(Debug, Default)]
pub(crate) struct Landed {
    places: BTreeMap<u64, Place>,
    range: Option<(u64, u64)>,
    has_more: bool,
}

/// Whose a message of the stream is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// This run's, or the run found it there.
    Ours(Place),
    /// Another producer's.
    Others,
    /// There are more events than are remembered.
    Unknown,
}

impl Landed {
    pub(super) fn add(&mut self, sequence: u64, place: Place) {
        let (first, last) = self.range.unwrap_or((sequence, sequence));
        self.range = Some((first.min(sequence), last.max(sequence)));
        if self.places.len() < PLACES_MAX {
            self.places.insert(sequence, place);
        } else {
            self.has_more = true;
        }
    }

    /// The first and the last sequence; `None` without events.
    pub(crate) fn range(&self) -> Option<(u64, u64)> {
        self.range
    }

    pub(crate) fn place(&self, sequence: u64) -> Whose {
        match self.places.get(&sequence) {
            Some(place) => Whose::Ours(*place),
            None if self.has_more => Whose::Unknown,
            None => Whose::Others,
        }
    }
}

/// Which lines are read and not yet settled; events are settled in any order.
#[derive(Debug, Default)]
pub(super) struct OpenLines {
    open: BTreeSet<u64>,
    read: u64,
}

impl OpenLines {
    pub(super) fn read(&mut self, line: u64) {
        self.open.insert(line);
        self.read = self.read.max(line);
    }

    pub(super) fn settle(&mut self, line: u64) {
        self.open.remove(&line);
    }

    /// The last line up to which nothing is open.
    pub(super) fn settled(&self) -> u64 {
        let first_open = self.open.first();
        first_open.map_or(self.read, |first| first.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_settled_up_to_the_first_open_one() {
        let mut lines = OpenLines::default();
        assert_eq!(lines.settled(), 0);
        for line in [1, 2, 4, 5] {
            lines.read(line);
        }
        assert_eq!(lines.settled(), 0);
        lines.settle(2);
        assert_eq!(lines.settled(), 0);
        lines.settle(1);
        assert_eq!(lines.settled(), 3, "a blank line is settled");
        lines.settle(5);
        lines.settle(4);
        assert_eq!(lines.settled(), 5);
    }
}

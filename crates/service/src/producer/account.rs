//! What became of the events of a run.

use std::collections::BTreeSet;

use serde::Serialize;

/// What became of the events so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Account {
    /// Stored by this run.
    pub(crate) new: u64,
    /// Already in the stream.
    pub(crate) duplicates: u64,
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

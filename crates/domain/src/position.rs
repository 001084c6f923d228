//! Places in the stream, and when a held place may be gone on from.
//!
//! A sequence means nothing without the stream it counts in: a stream can be made anew, restored
//! from an older copy, or trimmed. [`Checkpoint::resume`] is the only way to find out where to go on,
//! and each refusal holds both sides of what disagreed.

use std::fmt;
use std::num::NonZeroU64;

use crate::landmarks::{self, Passed};

/// A place in the stream. The broker counts from 1, so 0 cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(NonZeroU64);

impl Sequence {
    /// The place of a stream's first message.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// `None` for 0.
    pub fn new(sequence: u64) -> Option<Self> {
        NonZeroU64::new(sequence).map(Self)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which stream, by what the broker says of it. Neither name nor time settles it: servers have given a
/// stream another creation time without touching a message, and a mirror has its origin's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamId {
    /// The stream's name.
    pub name: Box<str>,
    /// When the broker created it, in nanoseconds since the epoch.
    pub created_ns: i64,
}

/// What recognises one message of one history: its place and the time the broker stored it.
/// A stream restored from an older copy keeps its creation time, but not this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Where the message stands.
    pub sequence: Sequence,
    /// When the broker stored it, in nanoseconds since the epoch.
    pub time_ns: i64,
}

/// Up to where the rows hold the stream. Durable in the same transaction as the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The stream that the rows were folded from.
    pub stream: StreamId,
    /// The last message applied; `None` before the first.
    pub applied: Option<Fingerprint>,
    /// Some earlier ones, newest first: a few dozen, spread over all of the history.
    pub earlier: Vec<Fingerprint>,
}

/// A message that a checkpoint remembers, and what stands in its place now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// As it was applied.
    pub held: Fingerprint,
    /// When the message that is there was stored, in nanoseconds since the epoch.
    pub found_ns: i64,
}

impl Sighting {
    /// Whether it is the message that was applied.
    fn is_same(&self) -> bool {
        self.held.time_ns == self.found_ns
    }
}

/// What the broker holds now. `first` is `last + 1` when it holds nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBounds {
    /// Which stream.
    pub stream: StreamId,
    /// The first sequence that can still be read.
    pub first: u64,
    /// The last sequence ever given.
    pub last: u64,
}

/// Why the projector must not go on. Rows are kept and served; nothing is applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The stream has another creation time than the one the rows came from, and its messages do not
    /// show that it is the same all the same.
    #[error(
        "the rows were folded from a stream created at {held_ns} ns, this one was created at {found_ns} ns, \
         and {}", other_messages(.other.as_ref())
    )]
    StreamRecreated {
        /// Creation time in the checkpoint, nanoseconds since the epoch.
        held_ns: i64,
        /// Creation time of the stream that is there now.
        found_ns: i64,
        /// A place where another message stands now; `None` where no known message is left.
        other: Option<Sighting>,
    },
    /// The message at a place we know has another time: this is another history.
    #[error(
        "message {sequence} was stored at {held_ns} ns when it was applied, now it says {found_ns} ns"
    )]
    HistoryRewritten {
        /// The place compared.
        sequence: Sequence,
        /// Its time when it was applied.
        held_ns: i64,
        /// Its time now.
        found_ns: i64,
    },
    /// The stream ends before our checkpoint: it lost messages that the rows hold.
    #[error("the rows hold message {applied}, but the stream ends at {last}")]
    AheadOfLog {
        /// The checkpoint's sequence.
        applied: u64,
        /// The stream's last sequence.
        last: u64,
    },
    /// Messages after our checkpoint were removed before we read them.
    #[error("the rows end at message {applied}, but the stream now begins at {first}")]
    RetentionGap {
        /// The checkpoint's sequence.
        applied: u64,
        /// The stream's first sequence.
        first: u64,
    },
    /// The read model's disk takes no more.
    #[error("the read model cannot be written: {detail}")]
    DiskLow {
        /// What the storage said.
        detail: String,
    },
    /// A stored row that the next record needs is not what was written.
    #[error("{detail}: rebuild")]
    Damaged {
        /// Which row, and what is wrong with it.
        detail: String,
    },
    /// A message is there, and neither a consumer nor a request for it alone gives it.
    #[error("the first message from {sequence} on cannot be read: {detail}")]
    MessageUnreadable {
        /// Behind the last one that was read.
        sequence: Sequence,
        /// What came instead.
        detail: String,
    },
}

impl Refusal {
    /// The word for it in `/status`, metrics, logs and the runbook.
    pub fn word(&self) -> &'static str {
        match self {
            Self::StreamRecreated { .. } => "stream_recreated",
            Self::HistoryRewritten { .. } => "history_rewritten",
            Self::AheadOfLog { .. } => "ahead_of_log",
            Self::RetentionGap { .. } => "retention_gap",
            Self::DiskLow { .. } => "disk_low",
            Self::Damaged { .. } => "damaged",
            Self::MessageUnreadable { .. } => "message_unreadable",
        }
    }

    /// Every word.
    pub const WORDS: [&'static str; 7] = [
        "stream_recreated",
        "history_rewritten",
        "ahead_of_log",
        "retention_gap",
        "disk_low",
        "damaged",
        "message_unreadable",
    ];

    /// Whether the rows are of the stream all the same, and something else is in the way.
    pub fn is_of_same_stream(&self) -> bool {
        match self {
            Self::DiskLow { .. } | Self::Damaged { .. } | Self::MessageUnreadable { .. } => true,
            Self::StreamRecreated { .. }
            | Self::HistoryRewritten { .. }
            | Self::AheadOfLog { .. }
            | Self::RetentionGap { .. } => false,
        }
    }
}

impl Checkpoint {
    /// The place before the first message of a stream.
    pub fn start_of(stream: StreamId) -> Self {
        Self {
            stream,
            applied: None,
            earlier: Vec::new(),
        }
    }

    /// The last applied sequence, 0 before the first.
    pub fn sequence(&self) -> u64 {
        self.applied.map_or(0, |at| at.sequence.get())
    }

    /// The checkpoint after one more message.
    #[must_use]
    pub fn advanced(&self, applied: Fingerprint) -> Self {
        let mut passed = Passed::default();
        passed.push(applied);
        self.advanced_over(&passed)
    }

    /// The checkpoint after more messages.
    #[must_use]
    pub fn advanced_over(&self, passed: &Passed) -> Self {
        let mut known: Vec<_> = self.fingerprints().collect();
        known.reverse();
        known.extend(passed.iter());
        landmarks::thin(&mut known);
        let applied = known.pop();
        known.reverse();
        Self {
            stream: self.stream.clone(),
            applied,
            earlier: known,
        }
    }

    /// The same place, in what the broker now says is the stream.
    #[must_use]
    pub fn in_stream(&self, stream: StreamId) -> Self {
        Self {
            stream,
            ..self.clone()
        }
    }

    /// The first sequence to ask for, if the log can be the one the rows came from.
    ///
    /// `seen` is what stands now at places out of [`Checkpoint::fingerprints`]; a message that was
    /// deleted says nothing. A stream that says it is another one is the same where all of them are the
    /// messages that were applied, and at least one is. Before the first applied message any stream
    /// and any beginning is taken: there is nothing to disagree with, and an erased first message
    /// moves the beginning.
    pub fn resume(&self, log: &LogBounds, seen: &[Sighting]) -> Result<u64, Refusal> {
        let other = seen.iter().find(|seen| !seen.is_same()).copied();
        let is_known = self.applied.is_none() || (other.is_none() && !seen.is_empty());
        if self.stream != log.stream && !is_known {
            return Err(Refusal::StreamRecreated {
                held_ns: self.stream.created_ns,
                found_ns: log.stream.created_ns,
                other,
            });
        }
        let applied = self.sequence();
        if log.last < applied {
            return Err(Refusal::AheadOfLog {
                applied,
                last: log.last,
            });
        }
        if let Some(Sighting { held, found_ns }) = other {
            return Err(Refusal::HistoryRewritten {
                sequence: held.sequence,
                held_ns: held.time_ns,
                found_ns,
            });
        }
        if applied != 0 && applied.saturating_add(1) < log.first {
            return Err(Refusal::RetentionGap {
                applied,
                first: log.first,
            });
        }
        Ok(applied.saturating_add(1))
    }

    /// The messages worth comparing, latest first.
    pub fn fingerprints(&self) -> impl Iterator<Item = Fingerprint> + '_ {
        self.applied.iter().chain(&self.earlier).copied()
    }
}

/// What speaks against a stream that says it is another one.
fn other_messages(other: Option<&Sighting>) -> String {
    match other {
        Some(Sighting { held, found_ns }) => format!(
            "message {} was stored at {} ns when it was applied, now it says {found_ns} ns",
            held.sequence, held.time_ns
        ),
        None => "no message that would show it to be the same is left in it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(created_ns: i64) -> StreamId {
        StreamId {
            name: "S".into(),
            created_ns,
        }
    }

    fn at(sequence: u64) -> Fingerprint {
        Fingerprint {
            sequence: Sequence::new(sequence).unwrap(),
            time_ns: 1000,
        }
    }

    fn resume(applied: u64, created_ns: i64, first: u64, last: u64) -> Result<u64, &'static str> {
        seeing(applied, created_ns, first, last, &[])
    }

    fn seeing(
        applied: u64,
        created_ns: i64,
        first: u64,
        last: u64,
        seen: &[(u64, i64)],
    ) -> Result<u64, &'static str> {
        let mut held = Checkpoint::start_of(stream(7));
        if applied != 0 {
            held = held.advanced(at(applied));
        }
        let log = LogBounds {
            stream: stream(created_ns),
            first,
            last,
        };
        let seen = seen.iter().map(|&(sequence, found_ns)| Sighting {
            held: at(sequence),
            found_ns,
        });
        let seen: Vec<_> = seen.collect();
        held.resume(&log, &seen).map_err(|refusal| refusal.word())
    }

    #[test]
    fn resumes_only_from_the_same_log() {
        assert_eq!(resume(0, 7, 1, 0), Ok(1));
        assert_eq!(
            resume(0, 7, 5, 9),
            Ok(1),
            "an erased first message moves the beginning"
        );
        assert_eq!(resume(9, 7, 1, 9), Ok(10));
        assert_eq!(
            resume(9, 7, 10, 9),
            Ok(10),
            "everything purged, nothing missed"
        );
        assert_eq!(resume(9, 7, 1, 8), Err("ahead_of_log"));
        assert_eq!(resume(9, 7, 11, 20), Err("retention_gap"));
    }

    #[test]
    fn a_moved_creation_time_is_judged_by_the_messages() {
        assert_eq!(seeing(9, 8, 1, 9, &[(9, 1000)]), Ok(10), "the same history");
        assert_eq!(seeing(9, 8, 1, 20, &[(5, 1000), (2, 1000)]), Ok(10));
        let recreated = Err("stream_recreated");
        assert_eq!(resume(9, 8, 1, 9), recreated, "nothing known is left");
        assert_eq!(resume(9, 8, 1, 0), recreated, "empty");
        assert_eq!(seeing(9, 8, 1, 9, &[(9, 1001)]), recreated);
        assert_eq!(seeing(9, 8, 1, 9, &[(9, 1000), (2, 1001)]), recreated);
        assert_eq!(
            seeing(1, 8, 1, 1, &[(1, 1001)]),
            recreated,
            "a young stream"
        );
        assert_eq!(resume(0, 8, 1, 9), Ok(1), "nothing was applied yet");
        assert_eq!(seeing(9, 8, 1, 8, &[(8, 1000)]), Err("ahead_of_log"));
        assert_eq!(seeing(9, 8, 11, 20, &[(9, 1000)]), Err("retention_gap"));
    }

    #[test]
    fn a_rewritten_history_is_recognised_by_any_message() {
        assert_eq!(seeing(9, 7, 1, 9, &[(9, 1000), (8, 1000)]), Ok(10));
        let rewritten = Err("history_rewritten");
        assert_eq!(seeing(9, 7, 1, 9, &[(9, 1001)]), rewritten);
        assert_eq!(seeing(9, 7, 1, 9, &[(9, 1000), (4, 1001)]), rewritten);
        assert_eq!(seeing(9, 7, 1, 8, &[(8, 1001)]), Err("ahead_of_log"));
    }

    #[test]
    fn a_refusal_says_what_speaks_against_the_stream() {
        let other = Some(Sighting {
            held: at(4),
            found_ns: 5,
        });
        let [with, without] = [other, None].map(|other| {
            let (held_ns, found_ns) = (1, 2);
            let refusal = Refusal::StreamRecreated {
                held_ns,
                found_ns,
                other,
            };
            refusal.to_string()
        });
        assert!(
            with.ends_with("message 4 was stored at 1000 ns when it was applied, now it says 5 ns")
        );
        assert!(without.ends_with("no message that would show it to be the same is left in it"));
    }

    #[test]
    fn every_refusal_has_its_word_among_all() {
        let (held_ns, found_ns, applied) = (1, 2, 3);
        let all = [
            Refusal::StreamRecreated {
                held_ns,
                found_ns,
                other: None,
            },
            Refusal::HistoryRewritten {
                sequence: Sequence::FIRST,
                held_ns,
                found_ns,
            },
            Refusal::AheadOfLog { applied, last: 1 },
            Refusal::RetentionGap { applied, first: 9 },
            Refusal::DiskLow {
                detail: String::new(),
            },
            Refusal::Damaged {
                detail: String::new(),
            },
            Refusal::MessageUnreadable {
                sequence: Sequence::FIRST,
                detail: String::new(),
            },
        ];
        assert_eq!(all.map(|refusal| refusal.word()), Refusal::WORDS);
    }
}

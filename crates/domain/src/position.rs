//! Places in the stream, and when a held place may be gone on from.
//!
//! A sequence means nothing without the stream it counts in: a stream can be made anew, restored
//! from an older copy, or trimmed. [`Checkpoint::resume`] and [`Checkpoint::recognise`] are the only
//! ways to find out where to go on, and each refusal holds both sides of what disagreed.

use std::fmt;
use std::num::NonZeroU64;

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

/// Which stream: a name alone does not tell a stream from one made anew under that name.
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

/// How many earlier fingerprints a checkpoint keeps, for the case that the latest message was deleted.
pub const EARLIER_MAX: usize = 16;

/// Up to where the rows hold the stream. Durable in the same transaction as the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The stream that the rows were folded from.
    pub stream: StreamId,
    /// The last message applied; `None` before the first.
    pub applied: Option<Fingerprint>,
    /// Some earlier ones, newest first, at most [`EARLIER_MAX`].
    pub earlier: Vec<Fingerprint>,
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
    /// The stream has another creation time than the one the rows came from.
    #[error(
        "the rows were folded from a stream created at {held_ns} ns, this one was created at {found_ns} ns"
    )]
    StreamRecreated {
        /// Creation time in the checkpoint, nanoseconds since the epoch.
        held_ns: i64,
        /// Creation time of the stream that is there now.
        found_ns: i64,
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
        }
    }

    /// Every word.
    pub const WORDS: [&'static str; 5] = [
        "stream_recreated",
        "history_rewritten",
        "ahead_of_log",
        "retention_gap",
        "disk_low",
    ];
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

    /// The checkpoint after `applied`; what was the latest becomes the newest of the earlier ones.
    #[must_use]
    pub fn advanced(&self, applied: Fingerprint) -> Self {
        let earlier = self
            .applied
            .iter()
            .chain(&self.earlier)
            .copied()
            .take(EARLIER_MAX)
            .collect();
        Self {
            stream: self.stream.clone(),
            applied: Some(applied),
            earlier,
        }
    }

    /// The first sequence to ask for, if the log can be the one the rows came from.
    ///
    /// Compares what the broker says of the stream; [`Checkpoint::recognise`] then compares a message.
    /// Before the first applied message any beginning is taken: an erased first message moves it.
    pub fn resume(&self, log: &LogBounds) -> Result<u64, Refusal> {
        let (held_ns, found_ns) = (self.stream.created_ns, log.stream.created_ns);
        if held_ns != found_ns {
            return Err(Refusal::StreamRecreated { held_ns, found_ns });
        }
        let applied = self.sequence();
        if log.last < applied {
            return Err(Refusal::AheadOfLog {
                applied,
                last: log.last,
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

    /// Compares a message that is still in the stream with what was applied.
    pub fn recognise(held: Fingerprint, found_ns: i64) -> Result<(), Refusal> {
        if held.time_ns == found_ns {
            return Ok(());
        }
        let Fingerprint {
            sequence,
            time_ns: held_ns,
        } = held;
        Err(Refusal::HistoryRewritten {
            sequence,
            held_ns,
            found_ns,
        })
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
        let mut held = Checkpoint::start_of(stream(7));
        if applied != 0 {
            held = held.advanced(at(applied));
        }
        let log = LogBounds {
            stream: stream(created_ns),
            first,
            last,
        };
        held.resume(&log).map_err(|refusal| refusal.word())
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
        assert_eq!(resume(9, 8, 1, 9), Err("stream_recreated"));
        assert_eq!(resume(9, 7, 1, 8), Err("ahead_of_log"));
        assert_eq!(resume(9, 7, 11, 20), Err("retention_gap"));
    }

    #[test]
    fn every_refusal_has_its_word_among_all() {
        let (held_ns, found_ns, applied) = (1, 2, 3);
        let all = [
            Refusal::StreamRecreated { held_ns, found_ns },
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
        ];
        assert_eq!(all.map(|refusal| refusal.word()), Refusal::WORDS);
    }

    #[test]
    fn a_restored_history_is_recognised() {
        assert!(Checkpoint::recognise(at(4), 1000).is_ok());
        assert_eq!(
            Checkpoint::recognise(at(4), 1001).unwrap_err().word(),
            "history_rewritten"
        );
    }

    #[test]
    fn the_ring_of_earlier_fingerprints_is_bounded_and_newest_first() {
        let mut held = Checkpoint::start_of(stream(7));
        for sequence in 1..=100 {
            held = held.advanced(at(sequence));
        }
        let places: Vec<u64> = held.fingerprints().map(|f| f.sequence.get()).collect();
        assert_eq!(places, (84..=100).rev().collect::<Vec<_>>());
    }
}

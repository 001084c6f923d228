//! How far the projector is and what it is connected to: the words of `/status`.

use crate::{Checkpoint, Refusal};

/// What the projector is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Phase {
    /// Not yet attached to the stream.
    #[default]
    Starting,
    /// Below the tail that was noted when it attached.
    CatchingUp {
        /// That tail.
        target: u64,
    },
    /// It has reached that tail, and applies what comes.
    Live,
    /// It refuses to apply. Reads go on from the rows it has.
    Blocked(Refusal),
}

impl Phase {
    /// The word for it everywhere.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp { .. } => "catching_up",
            Self::Live => "live",
            Self::Blocked(_) => "blocked",
        }
    }

    /// Every word, for metrics that show one of them.
    pub const WORDS: [&'static str; 4] = ["starting", "catching_up", "live", "blocked"];
}

/// What stands between the projector and its stream. Beside the phase, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// Reading.
    Connected,
    /// No server answers.
    #[default]
    Disconnected,
    /// The server has no such stream.
    StreamMissing,
    /// The server refuses the credentials.
    Unauthorized,
    /// The credentials lack a permission.
    PermissionDenied,
    /// The server or account has no `JetStream`.
    JetstreamDisabled,
    /// The server makes no consumer for us.
    ConsumerRefused,
}

impl Connection {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Connected,
        Self::Disconnected,
        Self::StreamMissing,
        Self::Unauthorized,
        Self::PermissionDenied,
        Self::JetstreamDisabled,
        Self::ConsumerRefused,
    ];

    /// The word for it everywhere.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::StreamMissing => "stream_missing",
            Self::Unauthorized => "unauthorized",
            Self::PermissionDenied => "permission_denied",
            Self::JetstreamDisabled => "jetstream_disabled",
            Self::ConsumerRefused => "consumer_refused",
        }
    }
}

/// How far the projector is. Told after the commit it speaks of (what is told is durable, but for what is read).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// What it is connected to.
    pub connection: Connection,
    /// More about a connection or phase that is not as it should be, for people.
    pub detail: Option<String>,
    /// What it waits for, when nothing moves although something should and nothing else says why.
    pub waits_for: Option<String>,
    /// The durable checkpoint; `None` before the stream was ever seen.
    pub checkpoint: Option<Checkpoint>,
    /// The last sequence folded since the checkpoint, in memory yet. It changes without waking who watches.
    pub folded: u64,
    /// When the first record folded since the checkpoint was stored in the stream.
    pub unkept_ns: Option<i64>,
    /// The last sequence of the stream, as far as known.
    pub tail: Option<u64>,
    /// What was found to be left of the stream.
    pub ahead: Ahead,
    /// Whether the projector has been live since the file was made, in this process or before.
    pub was_live: bool,
}

impl Progress {
    /// The word for a projector that stands still and is neither blocked nor cut off.
    pub const STANDING_STILL: &'static str = "standing_still";

    /// Why nothing moves, of those reasons that are neither a phase nor a connection.
    pub fn standing_still(&self) -> Option<&str> {
        let is_told = self.connection != Connection::Connected && self.detail.is_some();
        let is_blocked = matches!(self.phase, Phase::Blocked(_));
        self.waits_for
            .as_deref()
            .filter(|_| !is_told && !is_blocked)
    }

    /// The last applied sequence, 0 before the first.
    pub fn applied(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::sequence)
    }

    /// The last sequence read and folded. Those past the applied one are read again after a crash.
    pub fn read(&self) -> u64 {
        self.folded.max(self.applied())
    }

    /// Up to where nothing can come any more: the rows hold it, or it was deleted.
    pub fn reached(&self) -> u64 {
        let applied = self.applied();
        match self.ahead.void {
            Some(void) if void.after <= applied => applied.max(void.to),
            Some(_) | None => applied,
        }
    }

    /// How many records can still come before the tail, as far as known: never fewer than there are.
    pub fn lag_events(&self) -> u64 {
        let Some(tail) = self.tail else {
            return 0;
        };
        let sequences = tail.saturating_sub(self.reached());
        self.ahead.counted.map_or(
            sequences,
            |Counted {
                 pending,
                 tail: then,
             }| { sequences.min(pending.saturating_add(tail.saturating_sub(then))) },
        )
    }
}

/// What was found to be left of the stream. Sequences say little: deleted ones come no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ahead {
    /// The latest stretch that was found to be empty.
    pub void: Option<Void>,
    /// How many records are behind the checkpoint.
    pub counted: Option<Counted>,
}

/// A stretch of the stream from which nothing comes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Void {
    /// It begins behind this sequence.
    pub after: u64,
    /// It ends with this one.
    pub to: u64,
}

/// The broker's count of what comes behind the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Records.
    pub pending: u64,
    /// A tail that the stream had when they were counted, or before.
    pub tail: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fingerprint, Sequence, StreamId};

    fn progress(applied: u64, tail: u64) -> Progress {
        let stream = StreamId {
            name: "S".into(),
            created_ns: 1,
        };
        let start = Checkpoint::start_of(stream);
        let checkpoint = Sequence::new(applied).map_or(start.clone(), |sequence| {
            start.advanced(Fingerprint {
                sequence,
                time_ns: 1,
            })
        });
        Progress {
            checkpoint: Some(checkpoint),
            tail: Some(tail),
            ..Progress::default()
        }
    }

    #[test]
    fn deleted_messages_are_no_lag() {
        let mut now = progress(9, 10);
        assert_eq!((now.reached(), now.lag_events()), (9, 1));
        now.ahead.void = Some(Void { after: 9, to: 10 });
        assert_eq!((now.reached(), now.lag_events()), (10, 0));
        now.tail = Some(12);
        assert_eq!(
            (now.reached(), now.lag_events()),
            (10, 2),
            "what came since"
        );
        now.ahead.void = Some(Void { after: 3, to: 5 });
        assert_eq!(now.reached(), 9, "an old one");
    }

    #[test]
    fn what_is_read_and_not_kept_is_still_to_come() {
        let mut now = progress(5, 10);
        now.ahead.void = Some(Void { after: 9, to: 10 });
        assert_eq!((now.reached(), now.lag_events()), (5, 5));
    }

    #[test]
    fn a_count_is_believed_with_what_may_have_come_since() {
        let mut now = progress(0, 5_000_000_020);
        now.ahead.void = Some(Void {
            after: 0,
            to: 4_999_999_999,
        });
        assert_eq!(now.lag_events(), 21);
        let (pending, tail) = (3, 5_000_000_015);
        now.ahead.counted = Some(Counted { pending, tail });
        assert_eq!(now.lag_events(), 8);
        now.ahead.counted = Some(Counted { pending, tail: 1 });
        assert_eq!(now.lag_events(), 21);
    }
}

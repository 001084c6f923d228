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
}

impl Connection {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Connected,
        Self::Disconnected,
        Self::StreamMissing,
        Self::Unauthorized,
        Self::PermissionDenied,
        Self::JetstreamDisabled,
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
        }
    }
}

/// How far the projector is. Told after the commit it speaks of (what is told is durable).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// What it is connected to.
    pub connection: Connection,
    /// More about a connection or phase that is not as it should be, for people.
    pub detail: Option<String>,
    /// The durable checkpoint; `None` before the stream was ever seen.
    pub checkpoint: Option<Checkpoint>,
    /// The last sequence of the stream, as far as known.
    pub tail: Option<u64>,
    /// Whether the projector has been live since the file was made, in this process or before.
    pub was_live: bool,
}

impl Progress {
    /// The last applied sequence, 0 before the first.
    pub fn applied(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::sequence)
    }

    /// How many sequences the rows are behind the tail. Counts deleted messages too.
    pub fn lag_events(&self) -> u64 {
        self.tail
            .map_or(0, |tail| tail.saturating_sub(self.applied()))
    }
}

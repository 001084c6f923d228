//! Jobs, and what is told of them in `/status`.

use serde::{Deserialize, Serialize};

use super::compare::Comparison;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) kind: JobKind,
    /// Whether rows may be fewer than before, from the same place of the same stream.
    #[serde(default)]
    pub(crate) accept_loss: bool,
    /// Whether a rollback is to the last good file instead of the previous one.
    #[serde(default)]
    pub(crate) last_good: bool,
    /// Whether a rebuild goes on from what the end of a process cut off. One that is asked for never does.
    #[serde(skip)]
    pub(crate) resumes: bool,
}

impl Job {
    pub(crate) fn of(kind: JobKind) -> Self {
        Self {
            kind,
            accept_loss: false,
            last_good: false,
            resumes: false,
        }
    }
}

/// What is to be done. Of a rebuild and a rollback: which file is to be the live one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobKind {
    /// One that is made from the stream as it is now.
    Rebuild,
    /// The one before.
    Rollback,
    /// None: the live one is compared with a fold of the stream.
    Verify,
    /// None: the last good file is removed.
    GiveUp,
}

impl JobKind {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Rebuild, Self::Rollback, Self::Verify, Self::GiveUp];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Rollback => "rollback",
            Self::Verify => "verify",
            Self::GiveUp => "removal",
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    /// There was none since the start.
    #[default]
    None,
    Running,
    Done,
    Failed,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// The stream is read and folded.
    Reading,
    /// The file is made as small as its rows.
    Compacting,
    /// Every row is read.
    Checking,
    /// The live rows have to come as far.
    Waiting,
    /// The rows take the live ones' place; nothing is applied meanwhile.
    Swapping,
}

impl Stage {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Compacting => "compacting",
            Self::Checking => "checking",
            Self::Waiting => "waiting",
            Self::Swapping => "swapping",
        }
    }
}

/// The member `job` of `/status`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct JobStatus {
    pub(crate) state: JobState,
    /// Counts the jobs since the start.
    pub(crate) number: u64,
    pub(crate) kind: Option<JobKind>,
    /// What it is doing; none when it is not running.
    #[serde(default)]
    pub(crate) stage: Option<Stage>,
    /// Durable in the file that it makes.
    pub(crate) applied_sequence: u64,
    /// Read and folded; what is above the applied one is in memory yet.
    #[serde(default)]
    pub(crate) read_sequence: u64,
    /// The tail when it began: fixed, whatever is published meanwhile.
    pub(crate) target_sequence: Option<u64>,
    pub(crate) parked_records: u64,
    /// Why it failed, or what it waits for.
    pub(crate) detail: Option<String>,
    /// Whether its rows were held against the live ones, and were alike.
    pub(crate) equal: Option<bool>,
    /// What differed, or why nothing could be compared.
    pub(crate) differences: Vec<String>,
    /// What else is to be known of the rows that are served now.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

impl JobStatus {
    pub(super) fn begun(job: Job, number: u64) -> Self {
        Self {
            state: JobState::Running,
            number,
            kind: Some(job.kind),
            ..Self::default()
        }
    }

    pub(super) fn compared(&mut self, comparison: &Comparison) {
        self.detail = None;
        self.equal = comparison.equal();
        self.differences = comparison.lines();
    }
}

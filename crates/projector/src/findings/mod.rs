//! What endangers the events: findings, and the rules that find them in a stream's settings. Pure.

mod settings;
mod stream;
mod subjects;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use settings::dangers;
pub use settings::judge_stream;

/// What a message of the event contract may take: its data, and its headers or envelope.
pub const MESSAGE_BYTES_MAX: usize = domain::DATA_BYTES_MAX + 4 * 1024;

/// How bad it is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Events can be lost, or cannot be read.
    Danger,
    /// Events can be lost or refused when something else goes wrong too.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// As `doctor` and the log write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found. A danger's `what` does not change from look to look while it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The setting, permission or part that it is about.
    pub subject: &'static str,
    /// What was found.
    pub what: String,
    /// What comes of it.
    pub why: &'static str,
    /// What to do about it.
    pub mend: String,
}

impl Finding {
    /// Puts one together.
    pub fn new(
        severity: Severity,
        subject: &'static str,
        what: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            subject,
            what: what.into(),
            why,
            mend: mend.into(),
        }
    }
}

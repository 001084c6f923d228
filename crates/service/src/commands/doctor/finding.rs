//! What the doctor found: how bad, what, why it matters, how to mend it.

use serde::Serialize;

/// How bad it is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Events can be lost, or cannot be read.
    Danger,
    /// Events can be lost when something else goes wrong too.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Danger => "danger",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The setting, permission or part that it is about.
    pub(super) subject: String,
    pub(super) what: String,
    pub(super) why: &'static str,
    pub(super) mend: String,
}

impl Finding {
    pub(super) fn new(
        severity: Severity,
        subject: &str,
        what: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            subject: subject.to_owned(),
            what: what.into(),
            why,
            mend: mend.into(),
        }
    }
}

//! What the doctor tells: what it looked at, what it found there, and whether it could look at all.

use std::io::{self, Write};

use anyhow::anyhow;
use projector::{Finding, Severity};
use serde_json::json;

use crate::exit::Failure;
use crate::printable::{self, counted};

/// Everything that is told.
#[derive(Debug, Default)]
pub(super) struct Report {
    seen: Vec<(&'static str, String)>,
    findings: Vec<Finding>,
    /// Nothing is known of the stream, not even that it is missing.
    is_blind: bool,
}

impl Report {
    /// Tells how a part is that was looked at.
    pub(super) fn see(&mut self, part: &'static str, what: impl Into<String>) {
        self.seen.push((part, what.into()));
    }

    pub(super) fn find(&mut self, found: impl IntoIterator<Item = Finding>) {
        self.findings.extend(found);
    }

    /// Tells that a part was not looked at. The rest is worth telling.
    pub(super) fn not_seen(
        &mut self,
        part: &'static str,
        problem: &str,
        why: &'static str,
        mend: impl Into<String>,
    ) {
        let what = format!("not looked at: {problem}");
        self.find([Finding::new(Severity::Note, part, what, why, mend)]);
    }

    /// Tells that nothing can be known of the stream.
    pub(super) fn blind(&mut self, found: Finding) {
        self.is_blind = true;
        self.find([found]);
    }

    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.is_blind {
            return Err(Failure::Blind(anyhow!("the stream could not be looked at")));
        }
        match self.count(Severity::Danger) {
            0 => Ok(()),
            _ => Err(Failure::Told),
        }
    }

    fn count(&self, of: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == of;
        self.findings.iter().filter(of).count()
    }

    /// What was seen, then the findings, worst first, then how many there are.
    pub(super) fn write(&mut self, json: bool, out: &mut impl Write) -> io::Result<()> {
        let mut told = Vec::new();
        self.render(json, &mut told)?;
        // Names come from the broker, and whoever made them may have put anything into them.
        let told = String::from_utf8_lossy(&told);
        out.write_all(printable::text(&told).as_bytes())
    }

    fn render(&mut self, json: bool, out: &mut impl Write) -> io::Result<()> {
        self.findings.sort_by_key(|finding| finding.severity);
        let [dangers, warnings, notes] =
            [Severity::Danger, Severity::Warning, Severity::Note].map(|of| self.count(of));
        if json {
            for (part, what) in &self.seen {
                writeln!(out, "{}", json!({"seen": part, "what": what}))?;
            }
            for finding in &self.findings {
                writeln!(out, "{}", json!(finding))?;
            }
            let stream_seen = !self.is_blind;
            let summary = json!({"dangers": dangers, "warnings": warnings, "notes": notes, "stream_seen": stream_seen});
            return writeln!(out, "{summary}");
        }
        for (part, what) in &self.seen {
            writeln!(out, "seen     {part}: {what}")?;
        }
        for finding in &self.findings {
            let Finding {
                severity,
                subject,
                what,
                why,
                mend,
            } = finding;
            writeln!(out, "{:<8} {subject}: {what}", severity.word())?;
            writeln!(out, "         why:  {why}\n         mend: {mend}")?;
        }
        let dangers = counted(dangers, "danger", "dangers");
        let warnings = counted(warnings, "warning", "warnings");
        let notes = counted(notes, "note", "notes");
        writeln!(out, "{dangers}, {warnings}, {notes}")
    }
}

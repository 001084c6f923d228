//! The read model of a data folder: whose it is, how far it is, and what it stands on. It is only read,
//! and not even that while another process has it open.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use domain::Checkpoint;
use indicatif::BinaryBytes;
use projector::{Finding, LogError, Severity};
use query::TOKEN_FILE;
use read_model::{Glance, OpenError, Place};
use serde_json::Value;

use super::report::Report;
use super::running;
use crate::exit;
use crate::keeper::LastGood;
use crate::log_access::LogAccess;
use crate::printable::counted;

/// The part that this is about.
pub(super) const PART: &str = "read model";
/// What is in the file.
pub(super) const ROWS: &str = "rows";
/// What the service does when something is in the way of the next event.
const BLOCKED: &str = "nothing more is applied, the rows so far are served";
/// What is not known of a file that is not looked into.
pub(super) const UNKNOWN: &str =
    "whether it goes on from this stream, and how far it is, is not known";
/// Less room than this is gone before anybody looks.
const ROOM_MIN: u64 = 64 * 1024 * 1024;
/// What others may do with a file.
const OTHERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// What is known of the stream that the rows should be of.
pub(super) struct Stream<'a> {
    pub(super) name: &'a str,
    /// `None` when it could not be looked at.
    pub(super) info: Option<&'a Value>,
}

/// Asks the service at `admin`, and looks at its folder. Where it answers, a folder that it does not have open is not
/// its own, and says nothing of it.
pub(super) async fn look(
    folder: &Path,
    admin: Option<&str>,
    stream: Stream<'_>,
    log: &LogAccess,
    report: &mut Report,
) {
    let Some(admin) = admin else {
        return of_folder(folder, &stream, log, report).await;
    };
    match running::look(admin, stream.name, report).await {
        Ok(()) => {
            let is_open = Place::Live.look(folder);
            if let (Err(OpenError::InUse { .. }), Ok(of_file)) =
                (is_open, Place::Live.path(folder).metadata())
            {
                surroundings(folder, &of_file, report);
            }
        }
        Err(error) => {
            let mend = "give --admin URL, the --admin-listen of that service";
            report.not_seen("service", &format!("{error:#}"), UNKNOWN, mend);
            of_folder(folder, &stream, log, report).await;
        }
    }
}

/// Looks at a folder alone.
async fn of_folder(folder: &Path, stream: &Stream<'_>, log: &LogAccess, report: &mut Report) {
    let path = Place::Live.path(folder);
    let found = match (folder.metadata(), path.metadata()) {
        (Err(error), _) | (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
            let problem = format!("{} cannot be looked at ({error})", path.display());
            return report.not_seen(PART, &problem, UNKNOWN, "run it as the service's user");
        }
        (Ok(_), Ok(of_file)) => of_file,
        (Err(_), _) | (_, Err(_)) => {
            return report.see(PART, format!("there is none in {}", folder.display()));
        }
    };
    surroundings(folder, &found, report);
    // Closed again before anything else is done: while it is read, no service can open it.
    match Place::Live.look(folder) {
        Ok(Some(glance)) => {
            closed(&glance, stream, log, report).await;
            let whose = format!("--data-dir {}", folder.display());
            report.see(ROWS, not_looked_at(&whose));
        }
        Ok(None) => report.not_seen(
            PART,
            "it was never closed, and its next opening has to put it in order",
            UNKNOWN,
            "start the service",
        ),
        Err(OpenError::InUse { .. }) => report.not_seen(
            PART,
            "another process has it open",
            UNKNOWN,
            "give --admin URL, the --admin-listen of that service",
        ),
        Err(error) => cannot_open(&error, report),
    }
}

/// What is judged without a look into the file: what others may do, the room, and what is kept beside it.
fn surroundings(folder: &Path, of_file: &Metadata, report: &mut Report) {
    let (path, token) = (Place::Live.path(folder), folder.join(TOKEN_FILE));
    for (path, of) in [(folder, "folder"), (&path, "file"), (&token, "token")] {
        if let Ok(found) = path.metadata() {
            report.find(mode(path, found.mode(), of));
        }
    }
    if let Ok(disk) = rustix::fs::statvfs(folder) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        report.find(room(of_file.size(), free));
    }
    if let Some(kept) = LastGood::of(folder) {
        report.find([last_good(&kept)]);
    }
}

/// Which command looks at every row: bytes that changed within a page are seen by nobody else before they are read.
pub(super) fn not_looked_at(whose: &str) -> String {
    format!("not looked at, damaged ones are not seen here: profile-projector verify {whose}")
}

fn cannot_open(error: &OpenError, report: &mut Report) {
    let problem = exit::in_one_line(error);
    let (severity, why, mend) = match error {
        OpenError::OtherLayout { .. } => (
            Severity::Warning,
            "the next start of this release builds it anew: until then it answers from few rows or none",
            "begin with a snapshot of this release, or go on with the release that wrote it",
        ),
        OpenError::Damaged { .. } => (
            Severity::Danger,
            "the service cannot start on it",
            "remove the file: it is rebuilt from the stream; or restore a snapshot",
        ),
        OpenError::Unfinished { .. } => (
            Severity::Danger,
            "the service cannot start on it",
            "remove the file: the read model is rebuilt from the stream; or restore a snapshot",
        ),
        OpenError::Folder { .. } | OpenError::InUse { .. } | OpenError::LastGoodKept { .. } => {
            return report.not_seen(PART, &problem, UNKNOWN, "run it as the service's user");
        }
    };
    report.find([Finding::new(severity, PART, problem, why, mend)]);
}

/// Judges what others may do, of a folder (0700), a file or the token (0600).
fn mode(path: &Path, mode: u32, of: &str) -> Option<Finding> {
    let found = |severity, why| {
        let what = format!("the {of} {} has mode {:04o}", path.display(), mode & 0o7777);
        let mend = format!("chmod go= {}", path.display());
        Some(Finding::new(severity, "mode", what, why, mend))
    };
    match (of, mode) {
        ("folder", mode) if mode & OTHERS_WRITE != 0 => found(
            Severity::Warning,
            "other users of this machine can put another file in the place of this one",
        ),
        ("file", mode) if mode & OTHERS != 0 => found(
            Severity::Danger,
            "other users of this machine can read everybody's profile, or change it",
        ),
        ("token", mode) if mode & OTHERS != 0 => found(
            Severity::Danger,
            "other users of this machine can give orders with it; put another token in it if one of them may have read it",
        ),
        (_, mode) if mode & OTHERS != 0 => found(
            Severity::Note,
            "other users of this machine see the files' names and sizes",
        ),
        _ => None,
    }
}

/// Tells of the file that nobody has given up.
fn last_good(kept: &LastGood) -> Finding {
    let days = kept.age_seconds.map_or(0, |seconds| seconds / 86_400);
    let what = format!(
        "{} has {}, written last {days} days ago",
        kept.file,
        BinaryBytes(kept.bytes)
    );
    Finding::new(
        Severity::Note,
        "last good",
        what,
        "it holds the rows of a stream that is gone; while it is kept, a model that is blocked is not rebuilt",
        "rebuild --give-up-last-good removes it, rebuild --rollback=last-good goes back to it",
    )
}

/// Judges the room that is left beside a file of this size.
fn room(size: u64, free: u64) -> Option<Finding> {
    let what = format!(
        "{} are free, the file has {}",
        BinaryBytes(free),
        BinaryBytes(size)
    );
    if free < ROOM_MIN.max(size / 10) {
        return Some(Finding::new(
            Severity::Danger,
            "disk",
            what,
            "when no more fits, nothing is applied (blocked: disk_low)",
            "make room on the disk of the data folder",
        ));
    }
    (free < size.saturating_mul(2)).then(|| {
        Finding::new(
            Severity::Warning,
            "disk",
            what,
            "a rebuild needs room for a second file, which may grow to twice what its rows take",
            "make room before a rebuild",
        )
    })
}

/// What the broker says of the checkpoint of a file that nobody has open.
async fn closed(glance: &Glance, stream: &Stream<'_>, log: &LogAccess, report: &mut Report) {
    report.find(parked(glance.totals.parked_records));
    let layout = glance.layout;
    let Some(held) = &glance.checkpoint else {
        return report.see(PART, format!("layout {layout}, no stream was seen yet"));
    };
    if *held.stream.name != *stream.name {
        return report.find([other_stream(&held.stream.name)]);
    }
    let Some(info) = stream.info else {
        report.see(
            PART,
            format!("layout {layout}, message {}", held.sequence()),
        );
        return report.not_seen(
            PART,
            "the stream was not seen",
            UNKNOWN,
            "mend what is in the way of looking at the stream",
        );
    };
    match projector::check_log(&log.projector_config(""), held).await {
        Ok(()) => report.see(PART, place_of(layout, held, info)),
        Err(LogError::Refused(refusal)) => {
            report.find([blocked(refusal.word(), &refusal.to_string())]);
        }
        Err(LogError::Unreadable(problem)) => report.not_seen(
            PART,
            &problem,
            UNKNOWN,
            "mend what is in the way of reading the stream",
        ),
    }
}

fn place_of(layout: u32, held: &Checkpoint, info: &Value) -> String {
    let state = info.get("state").and_then(|state| state.get("last_seq"));
    let tail = state.and_then(Value::as_u64).unwrap_or(0);
    let applied = held.sequence();
    let behind = tail.saturating_sub(applied);
    format!("layout {layout}, of this stream, message {applied} of {tail}, {behind} behind")
}

pub(super) fn other_stream(found: &str) -> Finding {
    Finding::new(
        Severity::Danger,
        PART,
        format!("its rows are of stream {found}"),
        "the service cannot go on from them with this stream (blocked: stream_recreated)",
        format!("give --stream {found}, or another --data-dir"),
    )
}

pub(super) fn blocked(word: &str, detail: &str) -> Finding {
    Finding::new(
        Severity::Danger,
        PART,
        format!("blocked: {word}: {detail}"),
        BLOCKED,
        format!(
            "see `{word}` in deploy/RUNBOOK.md; `profile-projector rebuild` accepts the stream as it is"
        ),
    )
}

pub(super) fn parked(records: u64) -> Option<Finding> {
    (0 < records).then(|| {
        Finding::new(
            Severity::Note,
            "quarantine",
            counted(records, "record is parked", "records are parked"),
            "their documents keep an older state until they heal or are given up",
            "profile-projector quarantine list",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(found: Option<Finding>) -> String {
        found.map_or(String::new(), |found| {
            format!("{} {}", found.severity.word(), found.what)
        })
    }

    #[test]
    fn modes_are_judged_by_what_others_may_do() {
        for (of, found, expected) in [
            ("folder", 0o40_700, ""),
            ("file", 0o100_600, ""),
            ("file", 0o100_400, ""),
            ("folder", 0o40_755, "note the folder /d has mode 0755"),
            ("folder", 0o41_777, "warning the folder /d has mode 1777"),
            ("file", 0o100_640, "danger the file /d has mode 0640"),
            ("file", 0o100_622, "danger the file /d has mode 0622"),
        ] {
            assert_eq!(
                line(mode(Path::new("/d"), found, of)),
                expected,
                "{found:o}"
            );
        }
    }

    #[test]
    fn room_is_judged_by_the_size_of_the_file() {
        const MIB: u64 = 1024 * 1024;
        for (size, free, expected) in [
            (MIB, 100 * MIB, ""),
            (
                MIB,
                63 * MIB,
                "danger 63.00 MiB are free, the file has 1.00 MiB",
            ),
            (1024 * MIB, 2048 * MIB, ""),
            (
                1024 * MIB,
                1500 * MIB,
                "warning 1.46 GiB are free, the file has 1.00 GiB",
            ),
            (
                1024 * MIB,
                100 * MIB,
                "danger 100.00 MiB are free, the file has 1.00 GiB",
            ),
        ] {
            assert_eq!(line(room(size, free)), expected, "{size} {free}");
        }
    }
}

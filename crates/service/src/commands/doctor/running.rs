//! What a running service says of its read model.

use domain::Progress;
use projector::{Finding, Severity};
use serde::Deserialize;

use super::folder::{PART, ROWS, blocked, not_looked_at, other_stream, parked};
use super::report::Report;
use crate::admin_client::AdminClient;
use crate::printable::counted;

/// Its `/status`.
#[derive(Deserialize)]
struct Status {
    phase: String,
    reason: Option<String>,
    connection: String,
    detail: Option<String>,
    stream: Option<StreamOf>,
    applied_sequence: u64,
    tail_sequence: Option<u64>,
    lag_events: Option<u64>,
    parked_records: u64,
    #[serde(default)]
    damaged: Vec<String>,
}

#[derive(Deserialize)]
struct StreamOf {
    name: String,
}

/// Asks the service at `admin` how its read model is; fails where it does not answer.
pub(super) async fn look(admin: &str, stream: &str, report: &mut Report) -> anyhow::Result<()> {
    let service = AdminClient::new(admin, None)?;
    let status = service.get::<Status>("/status").await?;
    judge(&status, stream, report);
    report.see(ROWS, not_looked_at(&format!("--admin {}", service.url())));
    Ok(())
}

fn judge(status: &Status, stream: &str, report: &mut Report) {
    let known = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    let (tail, behind) = (known(status.tail_sequence), known(status.lag_events));
    report.see(
        PART,
        format!(
            "in use, phase {}, message {} of {tail}, {behind} behind",
            status.phase, status.applied_sequence
        ),
    );
    report.find(parked(status.parked_records));
    let detail = status.detail.as_deref().unwrap_or("no detail");
    if let Some(of) = status.stream.as_ref().filter(|of| of.name != stream) {
        report.find([other_stream(&of.name)]);
    }
    if let Some(damage) = status.damaged.first() {
        report.find([Finding::new(
            Severity::Danger,
            PART,
            format!(
                "{} read, the first: {damage}",
                counted(status.damaged.len(), "damaged row was", "damaged rows were")
            ),
            "who needs them gets an error, and the service is not ready",
            "profile-projector rebuild; look at the disk and its log",
        )]);
    }
    if status.reason.as_deref() == Some(Progress::STANDING_STILL) {
        report.find([Finding::new(
            Severity::Danger,
            PART,
            format!("the service stands still: {detail}"),
            "rows grow old",
            format!("see `{}` in deploy/RUNBOOK.md", Progress::STANDING_STILL),
        )]);
    } else if let Some(reason) = &status.reason {
        report.find([blocked(reason, detail)]);
    }
    if status.connection != "connected" {
        let word = &status.connection;
        report.find([Finding::new(
            Severity::Danger,
            PART,
            format!("the service says {word}: {detail}"),
            "the stream cannot be read: rows grow old",
            format!("see `{word}` in deploy/RUNBOOK.md"),
        )]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_running_service_says_is_judged() {
        let says = |phase: &str, reason: Option<&str>, connection: &str, stream: &str| {
            let is_damaged = reason == Some("damaged");
            let row = "the row of people for u7 is damaged: its check fails".to_owned();
            let status = Status {
                phase: phase.to_owned(),
                reason: reason.map(Into::into),
                connection: connection.to_owned(),
                detail: Some("why".to_owned()),
                stream: Some(StreamOf {
                    name: stream.to_owned(),
                }),
                applied_sequence: 7,
                tail_sequence: Some(9),
                lag_events: Some(2),
                parked_records: 1,
                damaged: is_damaged.then_some(row).into_iter().collect(),
            };
            let mut report = Report::default();
            judge(&status, "S", &mut report);
            let mut out = Vec::new();
            report.write(false, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let is_head = |line: &&str| !line.starts_with(' ');
            let lines: Vec<&str> = text.lines().filter(is_head).collect();
            lines.join("\n")
        };
        let seen = |phase| {
            format!("seen     read model: in use, phase {phase}, message 7 of 9, 2 behind\n")
        };
        let parked = "note     quarantine: 1 record is parked\n";
        assert_eq!(
            says("live", None, "connected", "S"),
            format!("{}{parked}0 dangers, 0 warnings, 1 note", seen("live"))
        );
        assert_eq!(
            says("live", Some("standing_still"), "connected", "S"),
            format!(
                "{}danger   read model: the service stands still: why\n{parked}1 danger, 0 warnings, 1 note",
                seen("live")
            )
        );
        assert_eq!(
            says("blocked", Some("disk_low"), "connected", "S"),
            format!(
                "{}danger   read model: blocked: disk_low: why\n{parked}1 danger, 0 warnings, 1 note",
                seen("blocked")
            )
        );
        assert_eq!(
            says("blocked", Some("damaged"), "connected", "S"),
            format!(
                "{}danger   read model: 1 damaged row was read, the first: the row of people for u7 is \
                 damaged: its check fails\ndanger   read model: blocked: damaged: why\n{parked}2 dangers, 0 \
                 warnings, 1 note",
                seen("blocked")
            )
        );
        assert_eq!(
            says("live", None, "stream_missing", "T"),
            format!(
                "{}danger   read model: its rows are of stream T\ndanger   read model: the service says stream_missing: why\n\
                 {parked}2 dangers, 0 warnings, 1 note",
                seen("live")
            )
        );
    }
}

//! The members of `/status` in lines for a person.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::Value;

use crate::printable::counted;

/// The screen of a service that says this of itself.
pub(super) fn of(status: &Value, ready: &str, url: &str) -> String {
    let mut screen = format!("profile-projector {} at {url}\n\n", text(status, "version"));
    let mut line = |name: &str, said: String| {
        if !said.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(screen, "{name:<10}{said}");
        }
    };
    line("ready", ready.to_owned());
    line("phase", phase(status));
    line("", detail(status));
    line("stream", text(&status["stream"], "name").to_owned());
    line("position", position(status));
    line("rows", rows(status));
    line("damaged", damaged(status));
    line("parked", parked(status));
    for key in list(status, "keys") {
        line("keys", keys(key));
    }
    line("job", job(&status["job"]));
    line("snapshot", snapshot(&status["snapshot"]));
    line("last good", last_good(&status["last_good"]));
    screen
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of[name].as_str().unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or_default()
}

fn count(of: &Value, name: &str) -> HumanCount {
    HumanCount(number(of, name))
}

fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of[name].as_array().map_or(&[], Vec::as_slice)
}

fn ago(seconds: u64) -> HumanDuration {
    HumanDuration(Duration::from_secs(seconds))
}

fn phase(status: &Value) -> String {
    let (phase, connection) = (text(status, "phase"), text(status, "connection"));
    match text(status, "reason") {
        "" => format!("{phase}, {connection}"),
        reason => format!("{phase}: {reason}, {connection}"),
    }
}

/// What is the matter, and where that is explained.
fn detail(status: &Value) -> String {
    let connection = text(status, "connection");
    let word = match text(status, "reason") {
        "" if connection == "connected" => return text(status, "detail").to_owned(),
        "" => connection,
        reason => reason,
    };
    let detail = text(status, "detail");
    let colon = if detail.is_empty() { "" } else { ": " };
    format!("{detail}{colon}see `{word}` in RUNBOOK.md")
}

fn position(status: &Value) -> String {
    let applied = count(status, "applied_sequence");
    let Some(tail) = status["tail_sequence"].as_u64() else {
        return format!("{applied} applied; the stream's end is not known");
    };
    let mut said = format!("{applied} of {} applied", HumanCount(tail));
    if number(status, "applied_sequence") < number(status, "read_sequence") {
        let _ = write!(said, ", {} read", count(status, "read_sequence"));
    }
    match number(status, "lag_events") {
        0 => said.push_str(", nothing waits"),
        waiting => {
            let _ = write!(said, ", {} wait", HumanCount(waiting));
            if let Some(seconds) = status["lag_seconds"].as_f64() {
                let lag = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                let _ = write!(said, ", the oldest for {}", HumanDuration(lag));
            }
        }
    }
    said
}

fn rows(status: &Value) -> String {
    format!(
        "{} users, {} profiles, digest {}",
        count(status, "users"),
        count(status, "profiles"),
        text(status, "digest")
    )
}

fn damaged(status: &Value) -> String {
    let rows: Vec<&str> = list(status, "damaged")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    rows.join(", ")
}

fn parked(status: &Value) -> String {
    let records = number(status, "parked_records");
    if records == 0 {
        return "nothing".to_owned();
    }
    let lanes = counted(number(status, "parked_lanes"), "document", "documents");
    let mut said = format!("{} of {lanes}", counted(records, "record", "records"));
    for (reason, count) in status["parked_by_reason"].as_object().into_iter().flatten() {
        let _ = write!(said, ", {reason} {count}");
    }
    if let Some(seconds) = status["parked_oldest_seconds"].as_u64() {
        let _ = write!(said, ", the oldest for {}", ago(seconds));
    }
    said.push_str(": profile-projector quarantine list");
    said
}

fn keys(key: &Value) -> String {
    let keys = counted(number(key, "keys"), "key", "keys");
    let mut said = format!("{keys} of {}", text(key, "source"));
    if let Some(seconds) = key["age_seconds"].as_u64() {
        let _ = write!(said, ", confirmed {} ago", ago(seconds));
    }
    if key["usable"] != true {
        said.push_str(", NOT USABLE");
    }
    if let Some(error) = key["error"].as_str() {
        let _ = write!(said, "; {} loads failed: {error}", number(key, "failures"));
    }
    said
}

fn job(job: &Value) -> String {
    let kind = text(job, "kind");
    match text(job, "state") {
        "running" => {
            let (read, target) = (number(job, "read_sequence"), number(job, "target_sequence"));
            let percent = read.saturating_mul(100).checked_div(target).unwrap_or(0);
            format!(
                "{kind} {percent} %: {} of {} read",
                HumanCount(read),
                HumanCount(target)
            )
        }
        "failed" => format!("{kind} failed: {}", text(job, "detail")),
        "done" => match job["equal"].as_bool() {
            Some(true) => format!("{kind} done, the rows are equal"),
            Some(false) => format!("{kind} done, the rows DIFFER"),
            None => format!("{kind} done"),
        },
        _ => "none since the start".to_owned(),
    }
}

fn snapshot(snapshot: &Value) -> String {
    match text(snapshot, "state") {
        "running" => format!(
            "{} of {} rows",
            count(snapshot, "rows"),
            count(snapshot, "rows_total")
        ),
        "failed" => format!("failed: {}", text(snapshot, "detail")),
        "done" => format!(
            "of {}, {}",
            count(snapshot, "sequence"),
            HumanBytes(number(snapshot, "bytes"))
        ),
        _ => "none since the start".to_owned(),
    }
}

fn last_good(kept: &Value) -> String {
    if kept.is_null() {
        return String::new();
    }
    "kept from a stream that is gone: see `Accepting another stream` in RUNBOOK.md".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn well() -> Value {
        json!({
            "phase": "live", "reason": null, "connection": "connected", "detail": null,
            "stream": {"name": "IDENTITY_EVENTS"}, "damaged": [], "applied_sequence": 4_711,
            "read_sequence": 4_711, "tail_sequence": 4_711, "lag_events": 0, "lag_seconds": 0.0,
            "users": 2_000, "profiles": 1_999, "parked_lanes": 0, "parked_records": 0,
            "parked_by_reason": {}, "parked_oldest_seconds": null, "digest": "93c3", "version": "0.1.0",
            "keys": [{"source": "https://issuer/jwks", "usable": true, "keys": 2, "age_seconds": 90,
                "failures": 0, "error": null}],
            "job": {"state": "none"}, "snapshot": {"state": "none"}, "last_good": null,
        })
    }

    #[test]
    fn a_service_that_is_well_takes_few_lines() {
        let wanted = "profile-projector 0.1.0 at http://a:3211\n\n\
            ready     ready\n\
            phase     live, connected\n\
            stream    IDENTITY_EVENTS\n\
            position  4,711 of 4,711 applied, nothing waits\n\
            rows      2,000 users, 1,999 profiles, digest 93c3\n\
            parked    nothing\n\
            keys      2 keys of https://issuer/jwks, confirmed 2 minutes ago\n\
            job       none since the start\n\
            snapshot  none since the start\n";
        assert_eq!(of(&well(), "ready", "http://a:3211"), wanted);
    }

    #[test]
    fn what_is_wrong_is_said_with_where_it_is_explained() {
        let mut sick = well();
        let changes = json!({
            "phase": "blocked", "reason": "disk_low", "detail": "no room", "damaged": ["people of u1"],
            "read_sequence": 4_800, "tail_sequence": 5_000, "lag_events": 289, "lag_seconds": 61.0,
            "parked_lanes": 1, "parked_records": 2, "parked_by_reason": {"invalid": 2},
            "parked_oldest_seconds": 7_200,
            "keys": [{"source": "https://issuer/jwks", "usable": false, "keys": 0, "age_seconds": null,
                "failures": 3, "error": "no answer"}],
            "job": {"state": "running", "kind": "rebuild", "read_sequence": 2_500, "target_sequence": 5_000},
            "snapshot": {"state": "done", "sequence": 4_000, "bytes": 2_048}, "last_good": {"bytes": 1},
        });
        for (name, value) in changes.as_object().unwrap() {
            sick[name.as_str()] = value.clone();
        }
        let said = of(&sick, "not ready: a stored row is damaged", "http://a:3211");
        for line in [
            "ready     not ready: a stored row is damaged",
            "phase     blocked: disk_low, connected",
            "          no room: see `disk_low` in RUNBOOK.md",
            "position  4,711 of 5,000 applied, 4,800 read, 289 wait, the oldest for 61 seconds",
            "damaged   people of u1",
            "parked    2 records of 1 document, invalid 2, the oldest for 2 hours: profile-projector quarantine list",
            "keys      0 keys of https://issuer/jwks, NOT USABLE; 3 loads failed: no answer",
            "job       rebuild 50 %: 2,500 of 5,000 read",
            "snapshot  of 4,000, 2.00 KiB",
            "last good kept from a stream that is gone: see `Accepting another stream` in RUNBOOK.md",
        ] {
            assert!(
                said.lines().any(|said| said == line),
                "no {line:?} in\n{said}"
            );
        }
    }

    #[test]
    fn a_release_that_says_less_is_shown_all_the_same() {
        let said = of(&json!({}), "ready", "http://a:3211");
        assert!(said.contains("the stream's end is not known"), "{said}");
    }
}

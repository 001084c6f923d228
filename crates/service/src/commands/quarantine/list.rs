//! `quarantine list` and `quarantine show`: for people as a table, for programs as the listener's JSON.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Context;
use query::quarantine::{Entry, Page, Shown, Wanted};

use super::Source;
use super::select::{Groups, each, wanted};
use crate::cli::{ListArgs, ShowArgs};
use crate::commands::block_on;
use crate::exit::Failure;
use crate::printable;

pub(super) fn list(args: &ListArgs) -> Result<(), Failure> {
    let wanted = Wanted {
        after: args.after,
        limit: Some(args.limit),
        ..wanted(&args.select)?
    };
    let source = Source::of(&args.from)?;
    block_on(async {
        if args.group {
            let mut groups = Groups::default();
            each(&source, wanted, |entry| {
                groups.add(&entry);
                Ok(())
            })
            .await?;
            let text = if args.json {
                groups.json().to_string()
            } else {
                groups.table()
            };
            return print(&text);
        }
        let page = source.page(&wanted).await?;
        let text = if args.json {
            serde_json::to_string(&page).context("the page cannot be written")?
        } else {
            table(&page)
        };
        print(&text)
    })
}

pub(super) fn show(args: &ShowArgs) -> Result<(), Failure> {
    let source = Source::of(&args.from)?;
    block_on(async {
        let Some(shown) = source.show(args.sequence).await? else {
            let sequence = args.sequence;
            return Err(anyhow::anyhow!(
                "record {sequence} is not parked: it was applied or skipped, has healed, was dropped, or was not read yet"
            )
            .into());
        };
        let text = if args.json {
            serde_json::to_string(&shown).context("the record cannot be written")?
        } else {
            card(&shown, source.stream().await.as_deref())
        };
        print(&text)
    })
}

pub(super) fn print(text: &str) -> Result<(), Failure> {
    let text = printable::text(text.trim_end());
    writeln!(io::stdout(), "{text}").context("nobody reads the output")?;
    Ok(())
}

fn table(page: &Page) -> String {
    let Page {
        applied_sequence,
        parked_records,
        parked_by_reason,
        oldest,
        records,
        next,
    } = page;
    if *parked_records == 0 {
        return format!("nothing is parked; applied up to sequence {applied_sequence}");
    }
    let reasons: Vec<_> = parked_by_reason
        .iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let mut text = format!("{parked_records} parked: {}", reasons.join(", "));
    if let Some(oldest) = oldest {
        let _ = write!(text, "; the oldest is record {}", oldest.sequence);
        if let Some(age) = oldest.age_seconds {
            let _ = write!(text, ", {} old", duration(age));
        }
    }
    text.push('\n');
    if !records.is_empty() {
        let _ = writeln!(
            text,
            "{}",
            row(["SEQUENCE", "LANE", "REASON", "STORED"], "WHAT")
        );
    }
    for entry in records {
        let cells = [
            &*entry.sequence.to_string(),
            &lane(entry),
            &entry.reason,
            entry.stored.as_deref().unwrap_or("unknown"),
        ];
        let _ = writeln!(text, "{}", row(cells, &what(entry)));
    }
    if let Some(next) = next {
        let _ = writeln!(text, "more: --after {next}");
    }
    text
}

fn row([sequence, lane, reason, stored]: [&str; 4], what: &str) -> String {
    let row = format!("{sequence:>8}  {lane:<40}  {reason:<16}  {stored:<30}  {what}");
    row.trim_end().to_owned()
}

fn lane(entry: &Entry) -> String {
    match (&entry.user, &entry.lane) {
        (Some(user), Some(lane)) => format!("{user}.{lane}"),
        _ => "none".to_owned(),
    }
}

/// The document where there is one, else what is wrong.
fn what(entry: &Entry) -> String {
    match (&entry.document, &entry.detail) {
        (Some(document), _) => format!("{} version {}", document.id, document.version),
        (None, Some(detail)) => detail.clone(),
        (None, None) => String::new(),
    }
}

fn card(shown: &Shown, stream: Option<&str>) -> String {
    let stream = stream.unwrap_or("STREAM");
    let entry = &shown.entry;
    let mut text = format!("record {} is parked: {}\n", entry.sequence, entry.reason);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    if let Some(detail) = &entry.detail {
        line("fault", detail.clone());
    }
    line("lane", lane(entry));
    if let Some(document) = &entry.document {
        line(
            "document",
            format!("{} version {}", document.id, document.version),
        );
    }
    let stored = entry.stored.as_deref().unwrap_or("unknown");
    let age = entry
        .age_seconds
        .map(|age| format!(", {} ago", duration(age)));
    line("stored", format!("{stored}{}", age.unwrap_or_default()));
    let sequence = entry.sequence;
    line(
        "body",
        format!(
            "{} bytes; nats stream get {stream} {sequence} shows them",
            entry.bytes
        ),
    );
    text.push_str("What was last good stays served. Any one of these lets it go:\n");
    for remedy in &shown.heals {
        let _ = writeln!(text, "  - {remedy}");
    }
    text
}

/// Two units at most: nobody decides by the seconds of a week.
fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, unit)| *unit <= seconds);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units.iter().skip(first.unwrap_or(3)).take(2) {
        let count = rest / unit;
        rest %= unit;
        if count != 0 || parts.is_empty() {
            parts.push(format!("{count} {name}"));
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(records: &serde_json::Value, next: Option<u64>) -> Page {
        serde_json::from_value(json!({
            "applied_sequence": 4711, "parked_records": 3,
            "parked_by_reason": {"behind": 1, "invalid": 2},
            "oldest": {"sequence": 3, "stored": "2026-11-24T19:00:00Z", "age_seconds": 7_500},
            "records": records, "next": next,
        }))
        .unwrap()
    }

    #[test]
    fn what_people_read() {
        let behind = json!({
            "sequence": 4, "user": "jd7adasampleuser0000000000000000", "lane": "profile",
            "reason": "behind", "detail": null, "document": {"id": "k57a", "version": 2},
            "bytes": 120, "stored": "2026-11-24T19:00:00.25Z", "age_seconds": 59,
        });
        let nowhere = json!({
            "sequence": 3, "user": null, "lane": null, "reason": "invalid",
            "detail": "the subject names no lane", "document": null, "bytes": 0, "stored": null,
            "age_seconds": null,
        });
        let mut empty = page(&json!([]), None);
        empty.parked_records = 0;
        let shown = |mut entry: serde_json::Value, heals: serde_json::Value| {
            entry["heals"] = heals;
            card(&serde_json::from_value(entry).unwrap(), Some("EVENTS"))
        };
        let texts = [
            table(&empty),
            table(&page(&json!([nowhere, behind]), Some(4))),
            shown(behind, json!(["a remedy", "another"])),
            shown(nowhere, json!(["no decision: ..."])),
        ];
        crate::golden::assert("quarantine.txt", &texts.join("\n\n"));
    }

    #[test]
    fn durations_have_two_units() {
        let shown = [0, 59, 60, 61, 7_500, 86_400, 90_061].map(duration);
        let expected = [
            "0 s",
            "59 s",
            "1 min",
            "1 min 1 s",
            "2 h 5 min",
            "1 d",
            "1 d 1 h",
        ];
        assert_eq!(shown, expected);
    }
}

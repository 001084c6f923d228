//! `check`: judges a file of events; touches nothing.

use std::io::{self, BufReader, BufWriter, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use crate::cli::CheckArgs;
use crate::exit::Failure;
use crate::printable::{self, counted};
use crate::producer::{
    Checker, Fault, Ids, Line, Lines, Note, OutgoingEvent, Place, Seen, VersionCounts, Versions,
    of_first, open, other_event,
};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (input, _) = open(&args.input)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let counts = Check::new(args.json, &mut out)?
        .run(input)
        .and_then(|counts| out.flush().map(|()| counts));
    match counts {
        Ok(counts) if counts.invalid == 0 => Ok(()),
        Ok(_) => Err(Failure::Told),
        // Whoever reads the output has seen enough; the input was not judged whole.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Told),
        Err(error) => {
            let error = anyhow::Error::from(error);
            Err(error.context("the check did not come to its end").into())
        }
    }
}

/// What a check came to.
#[derive(Debug, Default, Serialize)]
struct Counts {
    events: u64,
    invalid: u64,
    faults: u64,
    /// Events that are there before, with the same id and the same contents.
    duplicates: u64,
    /// Events with new ids behind the first million, which are not compared.
    ids_not_compared: u64,
    versions: VersionCounts,
}

/// What is told of one line.
#[derive(Serialize)]
struct Numbered<T: Serialize> {
    line: u64,
    #[serde(flatten)]
    what: T,
}

/// One run over one input. Its memory does not grow with the input, but for the versions, which are
/// bounded.
struct Check<'a, W> {
    checker: Checker,
    versions: Versions,
    ids: Ids,
    counts: Counts,
    json: bool,
    out: &'a mut W,
}

impl<'a, W: Write> Check<'a, W> {
    fn new(json: bool, out: &'a mut W) -> anyhow::Result<Self> {
        Ok(Self {
            checker: Checker::new().context("the schemas cannot be used")?,
            versions: Versions::new(),
            ids: Ids::new(),
            counts: Counts::default(),
            json,
            out,
        })
    }

    fn run(mut self, input: impl io::Read) -> io::Result<Counts> {
        let mut lines = Lines::of(BufReader::with_capacity(READ_BYTES, input));
        let mut is_first = true;
        while let Some(line) = lines.next_line()? {
            if std::mem::take(&mut is_first)
                && let Some(fault) = of_first(&line)
            {
                self.counts.events = 1;
                self.tell_faults(line.number, &[fault])?;
                break;
            }
            self.judge(&line)?;
        }
        self.counts.versions = self.versions.counts();
        self.tell_summary()?;
        Ok(self.counts)
    }

    fn judge(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.counts.events = self.counts.events.saturating_add(1);
        match self.checker.check(line) {
            Ok(event) => self.compare(line.number, &event),
            Err(faults) => self.tell_faults(line.number, &faults),
        }
    }

    /// Compares an event with those before it.
    fn compare(&mut self, line: u64, event: &OutgoingEvent) -> io::Result<()> {
        match self.ids.see(&event.id, event.contents, line) {
            Seen::Other(first) => {
                return self.tell_faults(line, &[other_event(Place::Line { line: first })]);
            }
            Seen::Same => self.counts.duplicates += 1,
            Seen::Unknown => self.counts.ids_not_compared += 1,
            Seen::New => {}
        }
        match self.versions.see(&event.id, event.is_erasure()) {
            Some(note) => tell_note(self.out, self.json, line, &note),
            None => Ok(()),
        }
    }

    fn tell_faults(&mut self, line: u64, faults: &[Fault]) -> io::Result<()> {
        self.counts.invalid = self.counts.invalid.saturating_add(1);
        faults
            .iter()
            .try_for_each(|fault| self.tell_fault(line, fault))
    }

    fn tell_fault(&mut self, line: u64, fault: &Fault) -> io::Result<()> {
        self.counts.faults = self.counts.faults.saturating_add(1);
        if self.json {
            tell_json(self.out, &Numbered { line, what: fault })
        } else {
            let text = format!("line {line}: {fault}");
            writeln!(self.out, "{}", printable::text(&text))
        }
    }

    fn tell_summary(&mut self) -> io::Result<()> {
        if self.json {
            return writeln!(self.out, "{}", json!({ "summary": self.counts }));
        }
        let Counts {
            events,
            invalid,
            faults,
            duplicates,
            ids_not_compared,
            versions,
        } = &self.counts;
        write!(
            self.out,
            "{} checked, {invalid} invalid, {}",
            counted(*events, "event", "events"),
            counted(*faults, "fault", "faults")
        )?;
        if *duplicates != 0 {
            let duplicates = counted(*duplicates, "duplicate", "duplicates");
            write!(self.out, ", {duplicates} of events before")?;
        }
        if *ids_not_compared != 0 {
            write!(
                self.out,
                "; the ids of {} behind the first million were not compared",
                counted(*ids_not_compared, "event", "events")
            )?;
        }
        writeln!(self.out)?;
        let VersionCounts {
            documents,
            missing,
            repeated,
            backward,
            too_far,
            not_compared,
        } = versions;
        if missing | repeated | backward | too_far | not_compared == 0 {
            return Ok(());
        }
        write!(
            self.out,
            "versions of {}: {missing} missing, {repeated} repeated, {backward} going back",
            counted(*documents, "document", "documents")
        )?;
        if *too_far != 0 {
            write!(self.out, ", {too_far} too far ahead")?;
        }
        if *not_compared != 0 {
            write!(
                self.out,
                "; {not_compared} events of further documents not compared"
            )?;
        }
        writeln!(self.out)
    }
}

fn tell_json(out: &mut impl Write, told: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", printable::text(&json!(told).to_string()))
}

fn tell_note(out: &mut impl Write, json: bool, line: u64, note: &Note<'_>) -> io::Result<()> {
    if json {
        tell_json(out, &Numbered { line, what: note })
    } else {
        writeln!(out, "line {line}: note: {note}")
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const FAULTY: &str = include_str!("../../golden/faulty.ndjson");
    const MESSAGES: &str = include_str!("../../../../schemas/golden/v1/unreadable.ndjson");
    const FORMS: &str = include_str!("../../../../schemas/golden/v1/three-forms.ndjson");

    fn said(input: &[u8], json: bool) -> String {
        let mut out = Vec::new();
        let check = Check::new(json, &mut out).unwrap();
        check.run(input).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_fault_has_its_words() {
        crate::golden::assert("check.txt", &said(FAULTY.as_bytes(), false));
        crate::golden::assert("check.json.txt", &said(FAULTY.as_bytes(), true));
    }

    #[test]
    fn messages_are_judged_as_the_projector_reads_them() {
        crate::golden::assert("check_messages.txt", &said(MESSAGES.as_bytes(), false));
        let forms = FORMS.replace(r#","ce-myextension":"is ignored""#, "");
        assert_eq!(
            said(forms.as_bytes(), false),
            "6 events checked, 0 invalid, 0 faults\n"
        );
    }

    #[test]
    fn versions_are_compared_in_the_order_of_the_file() {
        let line = |version: u64| {
            format!(
                r#"{{"specversion":"1.0","id":"user:u1:{version}","source":"/s","type":"app.connvo.user.deleted.v1","data":{{"entity":{{"kind":"user","id":"u1","userId":"u1","version":{version}}},"deletedAt":1}}}}"#
            )
        };
        let input = [1, 4, 4, 3, 2_000_000].map(line).join("\r\n");
        crate::golden::assert("check_versions.txt", &said(input.as_bytes(), false));
        crate::golden::assert("check_versions.json.txt", &said(input.as_bytes(), true));
    }

    #[test]
    fn files_in_other_encodings_and_damaged_ones_are_told_line_by_line() {
        let event = FAULTY.lines().next().unwrap();
        // A file is judged as a whole by its first line.
        let mut input = b"{}\n".to_vec();
        for line in [
            [b"\xef\xbb\xbf", event.as_bytes()].concat(),
            event
                .replace("Ada", "Zo\u{eb}")
                .chars()
                .map(|c| u8::try_from(c).unwrap())
                .collect(),
            event.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            event.replace("Ada", "A\0da").into_bytes(),
            event.replace("1795420860000", "1e999").into_bytes(),
            event
                .replace("\"email\"", "\"email\":\"x\",\"email\"")
                .into_bytes(),
            event.split_at(300).0.into(),
            vec![b'x'; event_lines::LINE_BYTES_MAX + 1],
            event
                .replace("Ada", &"x".repeat(domain::DATA_BYTES_MAX))
                .into_bytes(),
        ] {
            input.extend(line);
            input.extend(b"\r\n");
        }
        crate::golden::assert("check_encodings.txt", &said(&input, false));
    }

    #[test]
    fn a_file_of_another_format_is_told_once_with_the_way_out() {
        let event: serde_json::Value =
            serde_json::from_str(FAULTY.lines().next().unwrap()).unwrap();
        let pretty = serde_json::to_string_pretty(&event).unwrap();
        let array = serde_json::to_string_pretty(&[&event, &event]).unwrap();
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let table = "id;version;display name\nk57a;3;x\n";
        let inputs: [(Vec<u8>, &str); 14] = [
            (pretty.clone().into(), "jq -c . FILE"),
            (format!("\n{pretty}\n{pretty}").into(), "jq -c . FILE"),
            (array.into(), "jq -c '.[]' FILE"),
            (format!("[{event},{event}]\n").into(), "jq -c '.[]' FILE"),
            (
                format!("[\n{event},\n{event}\n]").into(),
                "jq -c '.[]' FILE",
            ),
            (
                format!("{event}{event}\n{event}{event}").into(),
                "jq -c . FILE",
            ),
            (
                format!("\u{1e}{event}\n\u{1e}{event}\n").into(),
                "tr -d '\\036'",
            ),
            (format!("\u{feff}{event}\n{event}\n").into(), "sed '1s/"),
            (
                utf16(&format!("\u{feff}{event}\n{event}\n")),
                "iconv -f UTF-16",
            ),
            (utf16(&format!("{event}\n{event}\n")), "iconv -f UTF-16"),
            (b"\x1f\x8b\x08\0\n\0\x03\n".into(), "gzip -dc FILE"),
            (
                b"PK\x03\x04\n\n\x01\n".into(),
                "profile-projector import FILE",
            ),
            (table.into(), "schemas/README.md"),
            (table.replace(';', ",").into(), "schemas/README.md"),
        ];
        for (input, cure) in inputs {
            let told = said(&input, false);
            assert_eq!(told.lines().count(), 2, "{told}");
            assert!(
                told.contains(": file: found ") && told.contains(cure),
                "{told}"
            );
            assert!(
                told.ends_with("1 event checked, 1 invalid, 1 fault\n"),
                "{told}"
            );
        }
    }

    #[test]
    fn no_text_of_a_person_and_nothing_for_a_terminal_gets_out() {
        let secret = "Ada\u{1b}[31m Lovelace\u{9b}";
        let event: serde_json::Value =
            serde_json::from_str(FAULTY.lines().next().unwrap()).unwrap();
        let mut input = String::new();
        for place in [
            "/data",
            "/data/entity",
            "/data/state",
            "/data/state/email",
            "/data/state/age",
            "/data/changed",
        ] {
            for value in [
                json!(secret),
                json!([secret]),
                json!({secret: secret}),
                json!(json!({"name": secret}).to_string()),
            ] {
                let mut event = event.clone();
                if let Some(data) = event["data"].as_object_mut() {
                    data.insert("changed".to_owned(), json!([]));
                    data["state"]["age"] = json!(1);
                }
                *event.pointer_mut(place).unwrap() = value.clone();
                writeln!(input, "{event}").unwrap();
                let message = json!({"subject": "identity.v1.u1.user", "headers": {"ce-id": "x"}, "payload": value});
                writeln!(input, "{message}").unwrap();
            }
        }
        let escapes = json!({"specversion": "1.0", "id": "user:\u{1b}[31m\u{9b}\u{202e}:1", "type": "\u{9b}2J", "data": {}});
        writeln!(input, "{escapes}").unwrap();
        for json in [false, true] {
            let told = said(input.as_bytes(), json);
            assert!(
                !told.contains("Ada") && !told.contains("Lovelace"),
                "{told}"
            );
            assert!(
                told.contains("a text that is JSON: encoded twice?"),
                "{told}"
            );
            let is_raw = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!told.contains(is_raw), "{told:?}");
        }
    }

    #[test]
    fn nothing_is_right() {
        assert_eq!(said(b"", false), "0 events checked, 0 invalid, 0 faults\n");
    }

    #[test]
    fn the_event_that_the_page_shows_is_right() {
        let page = include_str!("../../../../schemas/README.md");
        let shown = page
            .lines()
            .find(|line| line.starts_with("    {\"specversion\""));
        let told = said(shown.unwrap().trim().as_bytes(), false);
        assert!(told.starts_with("1 event checked, 0 invalid"), "{told}");
    }
}

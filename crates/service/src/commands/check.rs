//! `check`: judges a file of events; touches nothing.

use std::io::{self, BufReader, BufWriter, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use crate::cli::CheckArgs;
use crate::exit::Failure;
use crate::producer::{Checker, Fault, Lines, open};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (input, _) = open(&args.input)?;
    let checker = Checker::new()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let counts = check(&checker, input, args.json, &mut out)
        .and_then(|counts| out.flush().map(|()| counts))
        .context("the check did not come to its end")?;
    if counts.invalid == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

/// What a check came to.
#[derive(Debug, Default, Serialize)]
struct Counts {
    events: u64,
    invalid: u64,
    faults: u64,
}

/// A fault and its line.
#[derive(Serialize)]
struct Numbered<'a> {
    line: u64,
    #[serde(flatten)]
    fault: &'a Fault,
}

fn check(
    checker: &Checker,
    input: impl io::Read,
    json: bool,
    out: &mut impl Write,
) -> io::Result<Counts> {
    let mut counts = Counts::default();
    let mut lines = Lines::of(BufReader::new(input));
    while let Some(line) = lines.next_line()? {
        counts.events = counts.events.saturating_add(1);
        let Err(faults) = checker.check(&line) else {
            continue;
        };
        counts.invalid = counts.invalid.saturating_add(1);
        let line = line.number;
        for fault in &faults {
            counts.faults = counts.faults.saturating_add(1);
            if json {
                writeln!(out, "{}", json!(Numbered { line, fault }))?;
            } else {
                writeln!(out, "line {line}: {fault}")?;
            }
        }
    }
    if json {
        writeln!(out, "{}", json!({ "summary": counts }))?;
    } else {
        let Counts {
            events,
            invalid,
            faults,
        } = counts;
        writeln!(
            out,
            "{events} events checked, {invalid} invalid, {faults} faults"
        )?;
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAULTY: &str = include_str!("../../golden/faulty.ndjson");

    fn said(input: &str, json: bool) -> String {
        let mut out = Vec::new();
        check(&Checker::new().unwrap(), input.as_bytes(), json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_fault_has_its_words() {
        crate::golden::assert("check.txt", &said(FAULTY, false));
        crate::golden::assert("check.json.txt", &said(FAULTY, true));
    }

    #[test]
    fn nothing_is_right() {
        assert_eq!(said("", false), "0 events checked, 0 invalid, 0 faults\n");
    }
}

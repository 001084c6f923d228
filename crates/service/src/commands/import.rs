//! `import`: the users and profiles of a Convex export, as events of version 1.
//!
//! Always compare-and-set, so that it never overwrites: a document that the stream has is a duplicate,
//! or passed by its later version, and one that the export has with other data is refused.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use serde_json::json;

use super::new_file;
use super::sending::{Refusal, Sending};
use crate::cli::ImportArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats;
use crate::printable::{self, counted};
use crate::producer::send::{How, Order};
use crate::producer::{Checker, Export, Place, Row, Unknown};
use crate::signals;

pub(crate) fn run(args: &ImportArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let export = Export::open(&args.export)?;
    match &args.output {
        Some(output) => convert(args, export, Some(output)),
        None if args.dry_run => convert(args, export, None),
        None => publish(args, &config, export),
    }
}

fn publish(args: &ImportArgs, config: &NatsConfig, export: Export) -> Result<(), Failure> {
    super::block_on(async {
        let stop = signals::stop_token()?;
        let connecting = nats::connect(config, "import");
        let connection = stop.run_until_cancelled(connecting).await;
        let connection = connection
            .ok_or_else(|| anyhow!("interrupted before the first event"))?
            .map_err(anyhow::Error::from)?;
        let how = How {
            order: Order::CompareAndSet,
            keeps_places: !args.wait.wait.is_empty(),
            ..How::default()
        };
        let sending = Sending {
            connection: &connection,
            stream: &config.stream,
            how,
            wait: &args.wait,
            json: args.json,
            length: Some(export.bytes),
            can_skip: false,
        };
        let unknown = Arc::new(Mutex::new(Unknown::default()));
        let source = args.source.clone();
        let rows = export.read_in_background(Checker::new()?, source, Arc::clone(&unknown))?;
        let ended = sending.run(rows, &stop).await;
        tell_unknown(
            &unknown.lock().unwrap_or_else(PoisonError::into_inner),
            args.json,
        );
        ended
    })
}

/// Rows by what became of them.
#[derive(Debug, Default, serde::Serialize)]
struct Counts {
    users: u64,
    profiles: u64,
    refused: u64,
}

/// Judges every row, and writes the events of those that fit where there is a place for them.
fn convert(args: &ImportArgs, mut export: Export, output: Option<&Path>) -> Result<(), Failure> {
    let mut output = output.map(create).transpose()?;
    let checker = Checker::new()?;
    let mut counts = Counts::default();
    let unknown = export
        .each(&checker, &args.source, |row| {
            take(row, args.json, &mut counts, output.as_mut())?;
            Ok(true)
        })
        .and_then(|unknown| match &mut output {
            Some(output) => output.flush().map(|()| unknown),
            None => Ok(unknown),
        })
        .map_err(|error| anyhow!("the import did not come to its end: {error}"))?;
    tell_unknown(&unknown, args.json);
    let Counts {
        users,
        profiles,
        refused,
    } = &counts;
    let text = if args.json {
        json!({ "summary": counts }).to_string()
    } else {
        let (users, profiles) = (
            counted(*users, "user", "users"),
            counted(*profiles, "profile", "profiles"),
        );
        let refused = counted(*refused, "row does", "rows do");
        format!("{users} and {profiles} fit, {refused} not")
    };
    // Standard output may be where the events go.
    let told = match output {
        Some(_) => writeln!(io::stderr(), "{text}"),
        None => writeln!(io::stdout(), "{text}"),
    };
    told.context("nobody reads the output")?;
    if *refused == 0 {
        Ok(())
    } else {
        Err(Failure::Told)
    }
}

fn take(
    row: Row,
    json: bool,
    counts: &mut Counts,
    output: Option<&mut Box<dyn Write>>,
) -> io::Result<()> {
    let event = match row.event {
        Ok((event, _)) => event,
        Err(faults) => {
            counts.refused = counts.refused.saturating_add(1);
            for fault in &faults {
                Refusal {
                    place: row.place,
                    fault,
                }
                .tell(json && output.is_none())?;
            }
            return Ok(());
        }
    };
    let count = match row.place {
        Place::Row { table: "users", .. } => &mut counts.users,
        Place::Row { .. } | Place::Line { .. } => &mut counts.profiles,
    };
    *count = count.saturating_add(1);
    match output {
        Some(output) => writeln!(output, "{event}"),
        None => Ok(()),
    }
}

/// A new file, or standard output.
fn create(path: &Path) -> anyhow::Result<Box<dyn Write>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    Ok(Box::new(BufWriter::new(new_file(path)?)))
}

fn tell_unknown(unknown: &Unknown, json: bool) {
    for ((table, member), rows) in &unknown.0 {
        // What is left out is said once; nobody hearing it changes nothing.
        let _ = if json {
            let unknown = json!({"table": table, "unknown": member, "rows": rows});
            writeln!(io::stderr(), "{}", printable::text(&unknown.to_string()))
        } else {
            writeln!(
                io::stderr(),
                "{table}: member {member} of {} is not in the contract and is left out",
                counted(*rows, "row", "rows")
            )
        };
    }
}

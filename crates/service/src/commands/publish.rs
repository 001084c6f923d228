//! `publish`: a file of events into the stream.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::cli::PublishArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats::{self, Connection};
use crate::printable::counted;
use crate::producer::send::{How, Order};
use crate::producer::{Checker, Place, open, other_event, other_events, read_in_background};
use crate::signals;

use super::sending::{Refusal, Sending};

/// Lines that are told one by one.
const TOLD_MAX: usize = 100;

pub(crate) fn run(args: &PublishArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    look_through(args)?;
    let (input, length) = open(&args.input)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        let connecting = nats::connect(&config, "publish");
        let connection = stop.run_until_cancelled(connecting).await;
        let connection = connection
            .ok_or_else(|| anyhow::anyhow!("interrupted before the first event"))?
            .map_err(anyhow::Error::from)?;
        let how = how(args, &connection, &config.stream).await;
        let sending = Sending {
            connection: &connection,
            stream: &config.stream,
            how,
            wait: &args.wait,
            json: args.json,
            length,
            can_skip: true,
        };
        let batches = read_in_background(input, Checker::new()?)?;
        sending.run(batches, &stop).await
    })
}

/// What of the stream's settings decides how events are sent.
#[derive(Default)]
struct Settings {
    takes_batches: bool,
    /// A stream with copies refuses an event that goes behind another one only after it has taken its id,
    /// and then refuses the event itself for as long as it knows the id.
    takes_runs: bool,
}

impl Settings {
    /// Asks for them. One whose settings cannot be read gets each event by itself.
    async fn of(connection: &Connection, stream: &str) -> Result<Self, &'static str> {
        match connection.stream(stream).await {
            Ok(found) => Ok(Self {
                takes_batches: found.allow_atomic,
                takes_runs: found.replicas == 1,
            }),
            Err(_) => Err("its settings cannot be read"),
        }
    }
}

/// How events are sent. Says so where they cannot go in pairs that were asked for.
async fn how(args: &PublishArgs, connection: &Connection, stream: &str) -> How {
    let settings = Settings::of(connection, stream).await;
    let why = match &settings {
        Ok(settings) if settings.takes_batches => None,
        Ok(_) => Some("its setting allow_atomic is off (servers from 2.12 on know it)"),
        Err(why) => Some(*why),
    };
    if let (true, Some(why)) = (args.atomic, why) {
        let _ = writeln!(
            io::stderr(),
            "stream {stream} takes no atomic batches: {why}; each user and its profile go one after the other"
        );
    }
    let settings = settings.unwrap_or_default();
    let order = match (args.compare_and_set, settings.takes_runs) {
        (true, _) => Order::CompareAndSet,
        (false, true) => Order::Runs,
        (false, false) => Order::OneByOne,
    };
    How {
        order,
        verify_duplicates: args.verify_duplicates,
        pairs: args.atomic && settings.takes_batches,
        from_line: args.from_line,
        keeps_places: !args.wait.wait.is_empty(),
    }
}

/// Sends nothing of a file in which an id stands for two events: which of them is right, nobody can tell. Of an input
/// that comes once, such as a pipe, the second one is refused when it comes.
fn look_through(args: &PublishArgs) -> Result<(), Failure> {
    let is_file = args.input != Path::new("-") && args.input.is_file();
    // Whatever keeps it from being opened is told where it is read.
    let Some(mut file) = is_file.then(|| File::open(&args.input).ok()).flatten() else {
        return Ok(());
    };
    let found = other_events(&mut file)
        .with_context(|| format!("{} cannot be looked through", args.input.display()))?;
    // What an earlier run settled is not sent again.
    let found: Vec<_> = found
        .iter()
        .filter(|repeat| args.from_line <= repeat.line)
        .collect();
    for repeat in found.iter().take(TOLD_MAX) {
        let fault = other_event(Place::Line { line: repeat.first });
        let place = Place::Line { line: repeat.line };
        let refusal = Refusal {
            place,
            fault: &fault,
        };
        // The error tells how many there are.
        let _ = refusal.tell(args.json);
    }
    match u64::try_from(found.len()).unwrap_or(u64::MAX) {
        0 => Ok(()),
        many => Err(anyhow!(
            "nothing was published: {} the id of another one",
            counted(many, "event has", "events have")
        )
        .into()),
    }
}

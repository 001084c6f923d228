//! `publish`: a file of events into the stream.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::PublishArgs;
use crate::config::NatsConfig;
use crate::exit::Failure;
use crate::nats;
use crate::producer::send::{Account, End, Report, SendError, Sender};
use crate::producer::{Checker, Fault, open, read_in_background};
use crate::signals;

pub(crate) fn run(args: &PublishArgs) -> Result<(), Failure> {
    let config = NatsConfig::of(&args.nats)?;
    let (input, length) = open(&args.input)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        let connection = tokio::select! {
            connected = nats::connect(&config, "profile-projector publish") => {
                connected.map_err(anyhow::Error::from)?
            }
            () = stop.cancelled() => return Err(anyhow::anyhow!("interrupted before the first event").into()),
        };
        let batches = read_in_background(input, Checker::new()?)?;
        let mut report = Terminal::new(length);
        let mut sender = Sender::new(&connection, &config.stream, &mut report);
        let ended = sender.run(batches, &stop).await;
        let account = sender.account();
        report.bar.finish_and_clear();
        conclude(&ended, &account, &config.stream, &mut io::stdout().lock())
    })
}

/// Tells what became of the events and gives the command's end.
fn conclude(
    ended: &Result<End, SendError>,
    account: &Account,
    stream: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let told = writeln!(out, "{}", summary(account, stream));
    told.map_err(anyhow::Error::from)?;
    match ended {
        Ok(End::Complete) if account.refused == 0 => Ok(()),
        Ok(End::Complete) => Err(Failure::Told),
        Ok(End::Interrupted) => Err(anyhow::anyhow!(
            "interrupted; run it again to go on, what is there counts as duplicate"
        )
        .into()),
        Err(error) if account.confirmed() == 0 => Err(anyhow::anyhow!("{error}").into()),
        Err(error) => Err(anyhow::anyhow!(
            "{error}; run it again to go on, what is there counts as duplicate"
        )
        .into()),
    }
}

fn summary(account: &Account, stream: &str) -> String {
    let Account {
        new,
        duplicates,
        refused,
        last_sequence,
        ..
    } = account;
    let mut text = format!("{stream}: {new} new, {duplicates} duplicates, {refused} refused");
    if *last_sequence != 0 {
        let _ = write!(text, "; the last is at sequence {last_sequence}");
    }
    text
}

/// Progress and refusals on standard error; the bar hides itself where there is no terminal.
struct Terminal {
    bar: ProgressBar,
    started: Instant,
    told: Instant,
}

/// A bar that moves more often cannot be read.
const TELL_EVERY: Duration = Duration::from_millis(100);

impl Terminal {
    fn new(length: Option<u64>) -> Self {
        let (bar, template) = match length {
            Some(length) => (
                ProgressBar::new(length),
                "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left",
            ),
            None => (ProgressBar::no_length(), "{spinner} {bytes}  {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            started: now,
            told: now,
        }
    }
}

impl Report for Terminal {
    fn refused(&mut self, line: u64, fault: &Fault) {
        self.bar.suspend(|| {
            // The account tells the number even if nobody hears this.
            let _ = writeln!(io::stderr(), "line {line}: {fault}");
        });
    }

    fn progress(&mut self, account: &Account) {
        let now = Instant::now();
        if now.duration_since(self.told) < TELL_EVERY {
            return;
        }
        self.told = now;
        let events = account.confirmed();
        let millis = now.duration_since(self.started).as_millis().max(1);
        let rate = u128::from(events).saturating_mul(1000) / millis;
        self.bar.set_position(account.bytes_read);
        self.bar.set_message(format!("{events} events, {rate}/s"));
    }
}

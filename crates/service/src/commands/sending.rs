//! A run of events into the stream as a person sees it: progress, refusals, the account, the end.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::waiting;
use crate::cli::WaitArgs;
use crate::exit::Failure;
use crate::nats::Connection;
use crate::producer::send::{End, How, Report, SendError, Sender};
use crate::producer::{Account, Fault, Place, Read};

/// A bar that moves more often cannot be read.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// What is sent, how, and how it is told.
pub(super) struct Sending<'a> {
    pub(super) connection: &'a Connection,
    pub(super) stream: &'a str,
    pub(super) how: How,
    pub(super) wait: &'a WaitArgs,
    /// Whether a program reads what is printed.
    pub(super) json: bool,
    /// Bytes of the input, where known.
    pub(super) length: Option<u64>,
    /// What to do after an interruption beside running it again: for inputs whose lines are counted.
    pub(super) can_skip: bool,
}

impl Sending<'_> {
    /// Sends, tells what became of the events, waits where asked to, and gives the command's end.
    pub(super) async fn run(
        &self,
        batches: mpsc::Receiver<io::Result<Read>>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let services = waiting::services(self.wait)?;
        let mut report = Terminal::new(self.length, self.json);
        let mut sender = Sender::new(self.connection, self.stream, self.how, &mut report);
        let ended = sender.run(batches, stop).await;
        let account = sender.account();
        report.bar.finish_and_clear();
        let mut end = self.end_of(ended, &account);
        let mut applied = None;
        if end.is_ok() && !services.is_empty() && account.last_sequence != 0 {
            let waited = waiting::applied(&services, self.stream, account.last_sequence, self.wait);
            let waited = stop.run_until_cancelled(waited).await;
            let waited = waited.unwrap_or_else(|| Err(anyhow!("interrupted while waiting")));
            applied = Some(waited.is_ok());
            end = waited;
        }
        self.tell(&account, end.as_ref().err(), applied)?;
        match end {
            Ok(()) if account.refused == 0 => Ok(()),
            Ok(()) => Err(Failure::Told),
            Err(error) => Err(error.into()),
        }
    }

    fn end_of(&self, ended: Result<End, SendError>, account: &Account) -> anyhow::Result<()> {
        let skip = match account.settled_lines {
            settled if self.can_skip && settled != 0 => {
                let next = settled.saturating_add(1);
                format!("; --from-line {next} skips what is settled")
            }
            _ => String::new(),
        };
        let again = format!("run it again to go on, what is there counts as duplicate{skip}");
        match ended {
            Ok(End::Complete) => Ok(()),
            Ok(End::Interrupted) => Err(anyhow!("interrupted; {again}")),
            Err(error) if account.confirmed() == 0 => Err(error.into()),
            Err(error) => Err(anyhow!("{error}; {again}")),
        }
    }

    fn tell(
        &self,
        account: &Account,
        error: Option<&anyhow::Error>,
        applied: Option<bool>,
    ) -> anyhow::Result<()> {
        let text = if self.json {
            let error = error.map(ToString::to_string);
            let stream = self.stream;
            let summary = Summary {
                stream,
                account,
                applied,
                error,
            };
            json!({ "summary": summary }).to_string()
        } else {
            self.summary(account, applied)
        };
        writeln!(io::stdout(), "{text}").context("nobody reads the output")
    }

    fn summary(&self, account: &Account, applied: Option<bool>) -> String {
        let Account {
            new,
            duplicates,
            passed,
            refused,
            pairs,
            last_sequence,
            ..
        } = account;
        let mut text = format!("{}: {new} new", self.stream);
        if *pairs != 0 {
            let _ = write!(text, " ({pairs} pairs of user and profile)");
        }
        let _ = write!(text, ", {duplicates} duplicates");
        if *passed != 0 {
            let _ = write!(text, ", {passed} passed by a later version");
        }
        let _ = write!(text, ", {refused} refused");
        if *last_sequence != 0 {
            let _ = write!(text, "; the last is at sequence {last_sequence}");
        }
        if applied == Some(true) {
            text.push_str(", and applied");
        }
        text
    }
}

/// The account as programs read it.
#[derive(Serialize)]
struct Summary<'a> {
    stream: &'a str,
    #[serde(flatten)]
    account: &'a Account,
    /// Null when nobody was waited for.
    applied: Option<bool>,
    error: Option<String>,
}

/// A refusal as programs read it.
#[derive(Serialize)]
pub(super) struct Refusal<'a> {
    #[serde(flatten)]
    pub(super) place: Place,
    #[serde(flatten)]
    pub(super) fault: &'a Fault,
}

impl Refusal<'_> {
    /// To standard output for programs, to standard error for people.
    pub(super) fn tell(&self, json: bool) -> io::Result<()> {
        let Self { place, fault } = self;
        if json {
            writeln!(io::stdout(), "{}", json!(self))
        } else {
            writeln!(io::stderr(), "{place}: {fault}")
        }
    }
}

/// Progress and refusals; the bar hides itself where there is no terminal.
struct Terminal {
    bar: ProgressBar,
    json: bool,
    started: Instant,
    told: Instant,
}

impl Terminal {
    fn new(length: Option<u64>, json: bool) -> Self {
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
            json,
            started: now,
            told: now,
        }
    }
}

impl Report for Terminal {
    fn refused(&mut self, place: Place, fault: &Fault) {
        self.bar.suspend(|| {
            // The account tells the number even if nobody hears this.
            let _ = Refusal { place, fault }.tell(self.json);
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

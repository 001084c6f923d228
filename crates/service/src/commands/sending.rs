//! A run of events into the stream as a person sees it: progress, refusals, the account, the end.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{HumanCount, ProgressBar};
use query::quarantine::Entry;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{bar, waiting};
use crate::admin_client::AdminClient;
use crate::cli::WaitArgs;
use crate::exit::Failure;
use crate::nats::Connection;
use crate::printable::{self, counted};
use crate::producer::send::{End, How, Report, SendError, Sender};
use crate::producer::{Account, Fault, Landed, Place, Read};

/// Parked events that are told one by one.
const PARKED_TOLD_MAX: u64 = 100;
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
        let (account, landed) = (sender.account(), sender.landed());
        report.bar.finish_and_clear();
        if matches!(ended, Ok(End::Complete)) && account.settled_lines == 0 {
            let from = match self.how.from_line {
                0 | 1 => String::new(),
                line => format!(" from line {line} on"),
            };
            // Nobody hears it whose standard error is closed.
            let _ = writeln!(io::stderr(), "the input holds no event{from}");
        }
        let mut end = self.end_of(ended, &account);
        let mut parked = None;
        if end.is_ok() && !services.is_empty() && account.last_sequence != 0 {
            let waited = self.applied(&services, account.last_sequence, &landed);
            let waited = stop.run_until_cancelled(waited).await;
            match waited.unwrap_or_else(|| Err(anyhow!("interrupted while waiting"))) {
                Ok(count) => parked = Some(count),
                Err(error) => end = Err(error),
            }
        }
        self.tell(&account, end.as_ref().err(), parked)?;
        match end {
            Ok(()) if account.refused == 0 && parked.unwrap_or_default() == 0 => Ok(()),
            Ok(()) => Err(Failure::Told),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits, and tells which events were applied by being parked. Gives how many there are.
    async fn applied(
        &self,
        services: &[AdminClient],
        last: u64,
        landed: &Landed,
    ) -> anyhow::Result<u64> {
        waiting::applied(services, self.connection, self.stream, last, self.wait).await?;
        let mut count = 0_u64;
        for service in services {
            for (entry, place) in waiting::parked(service, landed).await? {
                count = count.saturating_add(1);
                if count <= PARKED_TOLD_MAX {
                    let url = service.url();
                    Parked {
                        place,
                        entry: &entry,
                        url,
                    }
                    .tell(self.json)?;
                }
            }
        }
        if PARKED_TOLD_MAX < count && !self.json {
            let more = count.saturating_sub(PARKED_TOLD_MAX);
            let admin = services.first().map_or("", |first| first.url());
            writeln!(
                io::stderr(),
                "{more} more are parked: profile-projector quarantine list --admin {admin}"
            )?;
        }
        Ok(count)
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
        parked: Option<u64>,
    ) -> anyhow::Result<()> {
        let text = if self.json {
            let error = error.map(ToString::to_string);
            let stream = self.stream;
            let summary = Summary {
                stream,
                account,
                applied: (!self.wait.wait.is_empty()).then_some(parked == Some(0)),
                parked,
                error,
            };
            printable::text(&json!({ "summary": summary }).to_string()).into_owned()
        } else {
            self.summary(account, parked)
        };
        writeln!(io::stdout(), "{text}").context("nobody reads the output")
    }

    fn summary(&self, account: &Account, parked: Option<u64>) -> String {
        let Account {
            new,
            duplicates,
            passed,
            refused,
            pairs,
            last_sequence,
            not_compared,
            ..
        } = account;
        let mut text = format!("{}: {new} new", self.stream);
        if *pairs != 0 {
            let pairs = counted(*pairs, "pair", "pairs");
            let _ = write!(text, " ({pairs} of user and profile)");
        }
        let duplicates = counted(*duplicates, "duplicate", "duplicates");
        let _ = write!(text, ", {duplicates}");
        if *passed != 0 {
            let _ = write!(text, ", {passed} passed by a later version");
        }
        let _ = write!(text, ", {refused} refused");
        if *last_sequence != 0 {
            let _ = write!(text, "; the last is at sequence {last_sequence}");
        }
        match parked {
            Some(0) => text.push_str(", and applied"),
            Some(parked) => {
                let _ = write!(text, ", and applied but for {parked} parked");
            }
            None => {}
        }
        if *not_compared != 0 {
            let (ids, were) = match not_compared {
                1 => ("1 id was".to_owned(), "what is stored under it was"),
                ids => (format!("{ids} ids were"), "what is stored under them was"),
            };
            let _ = write!(
                text,
                "\n{ids} already stored; {were} not compared: the same command with --verify-duplicates compares it"
            );
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
    /// Whether every event is applied on every service; null when nobody was waited for.
    applied: Option<bool>,
    /// Events that services hold parked; null when that is not known.
    parked: Option<u64>,
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
            writeln!(
                io::stdout(),
                "{}",
                printable::text(&json!(self).to_string())
            )
        } else {
            let text = format!("{place}: {fault}");
            writeln!(io::stderr(), "{}", printable::text(&text))
        }
    }
}

/// An event of the run that a service holds parked.
#[derive(Serialize)]
struct Parked<'a> {
    /// Null where there are more events than are remembered.
    #[serde(flatten)]
    place: Option<Place>,
    #[serde(rename = "parked")]
    entry: &'a Entry,
    url: &'a str,
}

impl Parked<'_> {
    fn tell(&self, json: bool) -> io::Result<()> {
        let Self { place, entry, url } = self;
        if json {
            return writeln!(
                io::stdout(),
                "{}",
                printable::text(&json!(self).to_string())
            );
        }
        let place = place.map_or_else(String::new, |place| format!("{place}: "));
        let Entry {
            sequence,
            reason,
            detail,
            ..
        } = entry;
        let detail = detail
            .as_ref()
            .map_or_else(String::new, |detail| format!(", {detail}"));
        let text = format!("{place}sequence {sequence} is parked at {url}: {reason}{detail}");
        writeln!(io::stderr(), "{}", printable::text(&text))
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
        let now = Instant::now();
        Self {
            bar: bar::of_bytes(length),
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
        let rate = HumanCount(u64::try_from(rate).unwrap_or(u64::MAX));
        let events = HumanCount(events);
        self.bar.set_position(account.bytes_read);
        bar::note(&self.bar, &format!("{events} events, {rate}/s"));
    }
}

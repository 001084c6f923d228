//! Publishes checked events: many in flight, every ack awaited.
//!
//! Events are handed to the connection in the order of the file. An event whose ack does not come is
//! sent again; its id makes that safe, within the stream's duplicate window for the broker and for
//! ever for the projector.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::publish::PublishAck;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::attempt::{Meaning, publish};
use super::event::OutgoingEvent;
use super::fault::Fault;
use super::read::{Judged, Read};
use crate::nats::{Connection, NatsError};

/// Events whose ack is awaited at once.
const IN_FLIGHT_MAX: usize = 2048;
/// Their data together.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long an interrupted run waits for the acks that are under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// What became of the events so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Account {
    /// Stored by this run.
    pub(crate) new: u64,
    /// Already in the stream.
    pub(crate) duplicates: u64,
    /// Not sent, or not taken by the server, for a fault of their own.
    pub(crate) refused: u64,
    /// The highest sequence that an ack named.
    pub(crate) last_sequence: u64,
    /// How much of the input was read.
    pub(crate) bytes_read: u64,
}

impl Account {
    /// Events that are in the stream.
    pub(crate) fn confirmed(&self) -> u64 {
        self.new.saturating_add(self.duplicates)
    }
}

/// How a run ended that no failure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was sent or refused.
    Complete,
    /// The stop token was cancelled.
    Interrupted,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error("the input cannot be read further: {0}")]
    Input(#[from] io::Error),
}

/// Hears of a run as it goes.
pub(crate) trait Report {
    /// An event was refused.
    fn refused(&mut self, line: u64, fault: &Fault);
    /// The account moved.
    fn progress(&mut self, account: &Account);
}

/// One event's way, ended.
struct Sent {
    line: u64,
    bytes: usize,
    result: Result<PublishAck, PublishError>,
}

/// A run over one input.
pub(crate) struct Sender<'a, R> {
    connection: &'a Connection,
    stream: &'a str,
    report: &'a mut R,
    account: Account,
    waiting: VecDeque<Judged>,
    in_flight: FuturesUnordered<BoxFuture<'static, Sent>>,
    in_flight_bytes: usize,
}

impl<'a, R: Report> Sender<'a, R> {
    pub(crate) fn new(connection: &'a Connection, stream: &'a str, report: &'a mut R) -> Self {
        Self {
            connection,
            stream,
            report,
            account: Account::default(),
            waiting: VecDeque::new(),
            in_flight: FuturesUnordered::new(),
            in_flight_bytes: 0,
        }
    }

    /// What became of the events, also after a failure.
    pub(crate) fn account(&self) -> Account {
        self.account
    }

    /// Sends all that `input` gives.
    pub(crate) async fn run(
        &mut self,
        mut input: mpsc::Receiver<io::Result<Read>>,
        stop: &CancellationToken,
    ) -> Result<End, SendError> {
        let mut denied = self.connection.denied.clone();
        let mut has_ended = false;
        loop {
            self.start_waiting();
            if has_ended && self.waiting.is_empty() && self.in_flight.is_empty() {
                return Ok(End::Complete);
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.drain().await?;
                    return Ok(End::Interrupted);
                }
                Ok(problem) = denied.wait_for(Option::is_some) => {
                    if let Some(problem) = problem.clone() {
                        return Err(problem.into());
                    }
                }
                Some(sent) = self.in_flight.next() => self.settle(sent).await?,
                batch = input.recv(), if !has_ended && self.waiting.is_empty() => match batch {
                    Some(read) => self.take(read?),
                    None => has_ended = true,
                },
            }
        }
    }

    fn take(&mut self, read: Read) {
        self.account.bytes_read = read.bytes_read;
        self.waiting.extend(read.lines);
    }

    /// Puts under way what may be.
    fn start_waiting(&mut self) {
        while self.in_flight.len() < IN_FLIGHT_MAX && self.in_flight_bytes < IN_FLIGHT_BYTES_MAX {
            let Some(Judged { line, event }) = self.waiting.pop_front() else {
                return;
            };
            match event {
                Ok(event) => self.start(line, event),
                Err(faults) => self.refuse(line, &faults),
            }
        }
    }

    fn start(&mut self, line: u64, event: OutgoingEvent) {
        let bytes = event.payload.len();
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
        let jetstream = self.connection.jetstream.clone();
        self.in_flight.push(Box::pin(async move {
            let result = publish(&jetstream, &event).await;
            Sent {
                line,
                bytes,
                result,
            }
        }));
    }

    fn refuse(&mut self, line: u64, faults: &[Fault]) {
        self.account.refused = self.account.refused.saturating_add(1);
        for fault in faults {
            self.report.refused(line, fault);
        }
    }

    async fn settle(&mut self, sent: Sent) -> Result<(), NatsError> {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(sent.bytes);
        match sent.result {
            Ok(ack) => self.count(&ack)?,
            Err(error) => match self.connection.meaning_of(&error, self.stream).await {
                Meaning::OfEvent(fault) => self.refuse(sent.line, &[fault]),
                Meaning::OfAll(problem) => return Err(problem),
            },
        }
        self.report.progress(&self.account);
        Ok(())
    }

    fn count(&mut self, ack: &PublishAck) -> Result<(), NatsError> {
        if ack.stream != self.stream {
            return Err(NatsError::OtherStream {
                expected: self.stream.to_owned(),
                found: ack.stream.clone(),
            });
        }
        let count = if ack.duplicate {
            &mut self.account.duplicates
        } else {
            &mut self.account.new
        };
        *count = count.saturating_add(1);
        self.account.last_sequence = self.account.last_sequence.max(ack.sequence);
        Ok(())
    }

    /// Waits a little for acks that are under way, so that the account is near the truth.
    async fn drain(&mut self) -> Result<(), NatsError> {
        let deadline = tokio::time::Instant::now() + DRAIN_WITHIN;
        while let Ok(Some(sent)) = tokio::time::timeout_at(deadline, self.in_flight.next()).await {
            self.settle(sent).await?;
        }
        Ok(())
    }
}

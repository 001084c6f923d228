//! Publishes checked events: many subjects at a time, of each one run of events, every ack awaited.
//!
//! A subject's events are stored in the order of the file. Those of a run say which message they go
//! behind, so none of them is stored before one that is lost or refused; what was not stored goes again
//! by itself, in order, and the next run waits for it.
//!
//! An event whose ack does not come is sent again; its id makes that safe, within the stream's
//! duplicate window for the broker and for ever for the projector. With compare-and-set nothing is
//! stored twice however late it is repeated.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jetstream::PublishAck;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Landed, OpenLines};
use super::attempt::{Meaning, Outlet};
use super::event::OutgoingEvent;
use super::expected::{Fate, Known, Trouble};
use super::fault::Fault;
use super::pair::{is_pair, may_be_half};
use super::read::{Judged, Place, Read};
use super::way::{Done, Going, Way, send_as_pair, send_run};
use crate::nats::{Connection, NatsError};

/// Events whose ack is awaited at once, or that wait for one of their subject.
const IN_FLIGHT_MAX: usize = 2048;
/// Their data together.
const IN_FLIGHT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events of one subject that go together, at most.
const RUN_MAX: usize = 256;
/// Batches under way at once; the server takes 50 for a stream, from all its clients together.
const PAIRS_MAX: usize = 16;
/// Subjects whose last sequence is remembered; of another one the server is asked.
const KNOWN_MAX: usize = 100_000;
/// How long an interrupted run waits for the acks that are under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// How events are sent.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct How {
    pub(crate) order: Order,
    /// Where the broker takes an event for a duplicate, what is stored is looked at.
    pub(crate) verify_duplicates: bool,
    /// A user and its default profile as one atomic batch.
    pub(crate) pairs: bool,
    /// The lines before this one were settled by an earlier run.
    pub(crate) from_line: u64,
    /// Where each event stands in the stream is asked for afterwards.
    pub(crate) keeps_places: bool,
}

/// How the order of a document's events is kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One event of a subject at a time.
    #[default]
    OneByOne,
    /// Neighbours of a subject at once, each only if the one before it is the last message of the stream.
    /// Only for a stream of one copy: see `Outlet::publish_run`.
    Runs,
    /// One at a time, and only if it follows its document's last event in the stream.
    CompareAndSet,
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
    fn refused(&mut self, place: Place, fault: &Fault);
    /// The account moved.
    fn progress(&mut self, account: &Account);
}

/// A run over one input.
pub(crate) struct Sender<'a, R> {
    connection: &'a Connection,
    outlet: Outlet,
    stream: &'a str,
    how: How,
    report: &'a mut R,
    account: Account,
    lines: OpenLines,
    landed: Landed,
    waiting: VecDeque<Judged>,
    has_ended: bool,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Events that are in flight or wait for those of their subject, and their data.
    open: usize,
    open_bytes: usize,
    /// Subjects with a run under way, and what waits for it.
    busy: HashMap<String, VecDeque<Going>>,
    /// Whether an event was taken, or found there.
    has_begun: bool,
    /// How long a run may be now: others who publish into the stream break long ones.
    run_max: usize,
    known: HashMap<String, Known>,
    pairs: Arc<Semaphore>,
}

impl<'a, R: Report> Sender<'a, R> {
    pub(crate) fn new(
        connection: &'a Connection,
        stream: &'a str,
        how: How,
        report: &'a mut R,
    ) -> Self {
        Self {
            connection,
            outlet: Outlet::of(connection),
            stream,
            how,
            report,
            account: Account::default(),
            lines: OpenLines::default(),
            landed: Landed::default(),
            waiting: VecDeque::new(),
            has_ended: false,
            in_flight: FuturesUnordered::new(),
            open: 0,
            open_bytes: 0,
            busy: HashMap::new(),
            has_begun: false,
            run_max: if how.order == Order::Runs { RUN_MAX } else { 1 },
            known: HashMap::new(),
            pairs: Arc::new(Semaphore::new(PAIRS_MAX)),
        }
    }

    /// What became of the events, also after a failure.
    pub(crate) fn account(&self) -> Account {
        Account {
            settled_lines: self.lines.settled(),
            ..self.account
        }
    }

    /// Where the events are, if that was to be kept.
    pub(crate) fn landed(&mut self) -> Landed {
        std::mem::take(&mut self.landed)
    }

    /// Sends all that `input` gives.
    pub(crate) async fn run(
        &mut self,
        mut input: mpsc::Receiver<io::Result<Read>>,
        stop: &CancellationToken,
    ) -> Result<End, SendError> {
        loop {
            self.start_waiting();
            if self.has_ended && self.waiting.is_empty() && self.in_flight.is_empty() {
                return Ok(End::Complete);
            }
            // A pair may be cut between two hand-overs of the input.
            let wants_more = !self.has_ended && self.waiting.len() < 2;
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.drain().await?;
                    return Ok(End::Interrupted);
                }
                Some(done) = self.in_flight.next() => self.settle(done).await?,
                batch = input.recv(), if wants_more => match batch {
                    Some(read) => self.take(read?),
                    None => self.has_ended = true,
                },
            }
        }
    }

    fn take(&mut self, read: Read) {
        self.account.bytes_read = read.bytes_read;
        for judged in read.lines {
            if self.how.from_line <= judged.line {
                self.lines.read(judged.line);
                self.waiting.push_back(judged);
            }
        }
    }

    /// Whether a duplicate is one in its contents too. Who compares documents may read the stream.
    fn verifies(&self) -> bool {
        self.how.verify_duplicates || self.how.order == Order::CompareAndSet
    }

    /// Puts under way what may be.
    fn start_waiting(&mut self) {
        while self.open < self.open_max() && self.open_bytes < IN_FLIGHT_BYTES_MAX {
            if self.may_begin_pair() && self.waiting.len() < 2 && !self.has_ended {
                return;
            }
            let Some(Judged { line, place, event }) = self.waiting.pop_front() else {
                return;
            };
            match event {
                Ok(event) => self.start(Going { line, place, event }),
                Err(faults) => self.refuse(line, place, &faults),
            }
        }
    }

    /// The first event goes alone: it finds out whether its subject belongs to the stream.
    fn open_max(&self) -> usize {
        if self.has_begun { IN_FLIGHT_MAX } else { 1 }
    }

    fn may_begin_pair(&self) -> bool {
        let first = self.waiting.front();
        let event = first.and_then(|first| first.event.as_ref().ok());
        self.how.pairs && event.is_some_and(may_be_half)
    }

    fn start(&mut self, going: Going) {
        self.opens(&going);
        if let Some(queue) = self.busy.get_mut(&going.event.subject) {
            queue.push_back(going);
            return;
        }
        let subject = going.event.subject.clone();
        self.busy.insert(subject, VecDeque::new());
        if let Some(partner) = self.take_partner(&going) {
            self.send_pair(going, partner);
        } else {
            let run = self.take_run(going);
            self.send(run);
        }
    }

    fn opens(&mut self, going: &Going) {
        self.open = self.open.saturating_add(1);
        self.open_bytes = self.open_bytes.saturating_add(going.event.payload.len());
    }

    /// Those of the same subject that come next go with an event.
    fn take_run(&mut self, going: Going) -> VecDeque<Going> {
        let mut run = VecDeque::from([going]);
        while run.len() < self.run_max && self.open < self.open_max() {
            let subject = run.front().map(|first| &first.event.subject);
            let follows = |next: &mut Judged| {
                let next = next.event.as_ref().ok();
                next.map(|event| &event.subject) == subject
            };
            let Some(Judged { line, place, event }) = self.waiting.pop_front_if(follows) else {
                break;
            };
            let Ok(event) = event else { break };
            let going = Going { line, place, event };
            self.opens(&going);
            run.push_back(going);
        }
        run
    }

    /// The other half of a pair, if it comes next and nothing of its subject is under way.
    fn take_partner(&mut self, going: &Going) -> Option<Going> {
        let next = self.waiting.front()?.event.as_ref().ok()?;
        let is_free = !self.busy.contains_key(&next.subject);
        if !(self.how.pairs && is_free && is_pair(&going.event, next)) {
            return None;
        }
        let Judged { line, place, event } = self.waiting.pop_front()?;
        let event = event.ok()?;
        self.busy.insert(event.subject.clone(), VecDeque::new());
        let partner = Going { line, place, event };
        self.opens(&partner);
        Some(partner)
    }

    fn send(&mut self, run: VecDeque<Going>) {
        let ways = run.iter().map(|going| self.way_of(going)).collect();
        let outlet = self.outlet.clone();
        self.in_flight.push(Box::pin(send_run(outlet, run, ways)));
    }

    fn send_pair(&mut self, first: Going, last: Going) {
        let ways = [self.way_of(&first), self.way_of(&last)];
        let pairs = Arc::clone(&self.pairs);
        let must_be_new = self.how.order == Order::CompareAndSet;
        let stream = self.stream.to_owned();
        let sending = send_as_pair(pairs, stream, must_be_new, [first, last], ways);
        self.in_flight.push(Box::pin(sending));
    }

    fn way_of(&self, going: &Going) -> Way {
        Way {
            outlet: self.outlet.clone(),
            stream: (self.how.order == Order::CompareAndSet).then(|| self.stream.to_owned()),
            known: self.known.get(&going.event.subject).cloned(),
            first_of: (!self.has_begun).then(|| self.stream.to_owned()),
            duplicates_in: self.verifies().then(|| self.stream.to_owned()),
        }
    }

    fn refuse(&mut self, line: u64, place: Place, faults: &[Fault]) {
        self.lines.settle(line);
        self.account.refused = self.account.refused.saturating_add(1);
        for fault in faults {
            self.report.refused(place, fault);
        }
    }

    async fn settle(&mut self, mut done: Done) -> Result<(), NatsError> {
        if done.was_pair {
            self.account.pairs = self.account.pairs.saturating_add(1);
        }
        match done.was_run {
            Some(true) => self.run_max = self.run_max.saturating_mul(2).min(RUN_MAX),
            Some(false) => self.run_max = (self.run_max / 2).max(1),
            // By itself, since longer ones were broken.
            None if self.run_max == 1 && self.how.order == Order::Runs => self.run_max = 2,
            None => {}
        }
        let mut subjects = Vec::with_capacity(1);
        for (going, fate) in done.ended {
            let subject = going.event.subject.clone();
            self.settle_one(going, fate).await?;
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        for subject in subjects {
            self.advance(&subject, std::mem::take(&mut done.rest));
        }
        self.report.progress(&self.account);
        Ok(())
    }

    async fn settle_one(
        &mut self,
        going: Going,
        fate: Result<Fate, Trouble>,
    ) -> Result<(), NatsError> {
        let Going { line, place, event } = going;
        self.open = self.open.saturating_sub(1);
        self.open_bytes = self.open_bytes.saturating_sub(event.payload.len());
        // Where the event is the last on its subject.
        let mut last = None;
        match fate {
            Ok(Fate::Acked(ack)) => {
                self.count(&ack)?;
                self.see(ack.sequence, Some(place));
                last = (!ack.duplicate).then_some(ack.sequence);
            }
            Ok(Fate::There(sequence)) => {
                self.account.duplicates = self.account.duplicates.saturating_add(1);
                self.see(sequence, Some(place));
                last = Some(sequence);
            }
            Ok(Fate::Passed(sequence)) => {
                self.account.passed = self.account.passed.saturating_add(1);
                self.see(sequence, None);
            }
            Ok(Fate::Refused(fault)) => self.refuse(line, place, &[fault]),
            Err(Trouble::Read(problem)) => return Err(problem),
            Err(Trouble::Publish(error)) => {
                match self.connection.meaning_of(&error, self.stream).await {
                    Meaning::OfEvent(fault) => self.refuse(line, place, &[fault]),
                    Meaning::OfAll(problem) => return Err(problem),
                }
            }
        }
        self.lines.settle(line);
        self.know(event, last);
        Ok(())
    }

    /// An event is in the stream here, or need not be because of what is.
    fn see(&mut self, sequence: u64, place: Option<Place>) {
        self.has_begun = true;
        self.account.last_sequence = self.account.last_sequence.max(sequence);
        if let Some(place) = place.filter(|_| self.how.keeps_places) {
            self.landed.add(sequence, place);
        }
    }

    /// Lets the next events of a subject go, first those that were kept from going.
    fn advance(&mut self, subject: &str, mut rest: VecDeque<Going>) {
        let Some(queue) = self.busy.get_mut(subject) else {
            return;
        };
        rest.append(queue);
        let later = rest.split_off(rest.len().min(self.run_max));
        *queue = later;
        if rest.is_empty() {
            self.busy.remove(subject);
        } else {
            self.send(rest);
        }
    }

    /// Remembers what this run saw last on a subject.
    fn know(&mut self, event: OutgoingEvent, last: Option<u64>) {
        if self.how.order != Order::CompareAndSet {
            return;
        }
        if KNOWN_MAX <= self.known.len() {
            self.known.clear();
        }
        let OutgoingEvent { id, subject, .. } = event;
        match last {
            Some(sequence) => self.known.insert(subject, Known { id, sequence }),
            None => self.known.remove(&subject),
        };
    }

    fn count(&mut self, ack: &PublishAck) -> Result<(), NatsError> {
        if ack.stream != self.stream {
            return Err(NatsError::OtherStream {
                expected: self.stream.to_owned(),
                found: ack.stream.clone(),
            });
        }
        if ack.duplicate && !self.verifies() {
            self.account.not_compared = self.account.not_compared.saturating_add(1);
        }
        let count = if ack.duplicate {
            &mut self.account.duplicates
        } else {
            &mut self.account.new
        };
        *count = count.saturating_add(1);
        Ok(())
    }

    /// Waits a little for acks that are under way, so that the account is near the truth. What waits
    /// for its turn is not sent any more.
    async fn drain(&mut self) -> Result<(), NatsError> {
        self.busy.clear();
        let deadline = tokio::time::Instant::now() + DRAIN_WITHIN;
        while let Ok(Some(done)) = tokio::time::timeout_at(deadline, self.in_flight.next()).await {
            self.settle(done).await?;
        }
        Ok(())
    }
}

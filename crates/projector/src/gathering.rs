//! A batch with what it has taken in so far: when it is complete, when it is large, how it is kept.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{Checkpoint, Passed, apply};
use metrics::histogram;
use read_model::{Batch, CommitError, Committed};
use tokio::time::Instant;

use crate::announcer::Announcer;
use crate::chunk::Chunk;
use crate::config::BatchLimits;
use crate::metrics::{APPLY_DELAY, BATCH, COMMIT};
use crate::writer::WriteError;

/// A batch with what it has taken in so far.
pub(crate) struct Gathering<'m> {
    batch: Batch<'m>,
    /// Since they were last kept.
    records: u32,
    /// Behind the checkpoint that is kept.
    passed: Passed,
    /// When the first of them was stored.
    oldest_ns: Option<i64>,
    until: Option<u64>,
    /// The tail that catching up leads to.
    target: Option<u64>,
    /// What was asked for is in; the records behind it are not taken.
    pub(crate) is_done: bool,
    /// How many records the stream had behind the last one; `None` before the first.
    pub(crate) pending: Option<u64>,
}

impl<'m> Gathering<'m> {
    pub(crate) fn new(batch: Batch<'m>, until: Option<u64>, target: Option<u64>) -> Self {
        Self {
            batch,
            records: 0,
            passed: Passed::default(),
            oldest_ns: None,
            until,
            target,
            is_done: false,
            pending: None,
        }
    }

    /// Folds records, and tells how far that is.
    pub(crate) fn take(
        &mut self,
        records: &Chunk,
        announcer: &mut Announcer,
    ) -> Result<(), WriteError> {
        let alarms = &mut announcer.alarms;
        records.try_each(|place, record| {
            let sequence = record.sequence.get();
            if self.until.is_some_and(|until| until < sequence) {
                self.is_done = true;
                return Ok(ControlFlow::Break(()));
            }
            self.batch.arrives(place.at);
            let outcome = apply(&mut self.batch, record)?;
            alarms.take(outcome, record);
            self.records = self.records.saturating_add(1);
            self.passed.push(place.at);
            self.oldest_ns.get_or_insert(place.at.time_ns);
            self.pending = Some(place.pending);
            self.is_done = self
                .until
                .is_some_and(|until| until == sequence || place.pending == 0);
            Ok::<_, WriteError>(ControlFlow::Continue(()))
        })?;
        alarms.look();
        if let Some(last) = self.passed.last() {
            let sequence = last.sequence.get();
            announcer.teller.folded(sequence, self.oldest_ns);
        }
        Ok(())
    }

    /// Whether it holds all that it is to hold.
    pub(crate) fn is_complete(&self, limits: &BatchLimits) -> bool {
        self.is_done
            || match self.target {
                None => self.records >= limits.live_records_max,
                Some(_) => self.is_at_target(),
            }
    }

    fn is_at_target(&self) -> bool {
        let last = self.passed.last().map_or(0, |last| last.sequence.get());
        self.pending == Some(0) || self.target.is_some_and(|target| target <= last)
    }

    /// Whether its rows take as much memory as they may.
    pub(crate) fn is_large(&self, limits: &BatchLimits) -> bool {
        limits.memory_bytes_max <= self.batch.memory_bytes()
    }

    /// Keeps what it has, and goes on. `None` when that is nothing new.
    pub(crate) fn spill(&mut self, limits: &BatchLimits) -> Result<Option<Committed>, CommitError> {
        let Some(to) = self.checkpoint() else {
            return Ok(None);
        };
        let started = Instant::now();
        let committed = self.batch.spill(to, limits.memory_bytes_max / 2)?;
        note(started, self.records);
        self.records = 0;
        self.passed.clear();
        self.oldest_ns = None;
        Ok(Some(committed))
    }

    /// Keeps what it has. `None` when that is nothing new.
    ///
    /// What ends on the way to its target is spilled: it goes on with the next batch, or after a restart.
    pub(crate) fn keep(mut self, limits: &BatchLimits) -> Result<Option<Committed>, CommitError> {
        if !self.is_done && self.target.is_some() && !self.is_at_target() {
            return self.spill(limits);
        }
        let Some(to) = self.checkpoint() else {
            self.batch.settle()?;
            return Ok(None);
        };
        let (started, records) = (Instant::now(), self.records);
        let is_live = self.target.is_none() && self.until.is_none();
        let live_since = self.oldest_ns.filter(|_| is_live);
        let committed = self.batch.commit(to)?;
        note(started, records);
        if let Some(delay) = live_since.and_then(since) {
            histogram!(APPLY_DELAY).record(delay);
        }
        Ok(Some(committed))
    }

    /// The checkpoint behind the last record; `None` when it is kept already.
    fn checkpoint(&self) -> Option<Checkpoint> {
        let held = self.batch.checkpoint()?;
        self.passed.last()?;
        Some(held.advanced_over(&self.passed))
    }
}

fn note(started: Instant, records: u32) {
    histogram!(COMMIT).record(started.elapsed());
    histogram!(BATCH).record(f64::from(records));
}

/// How long ago a time of the broker was, by this machine's clock.
fn since(time_ns: i64) -> Option<Duration> {
    let time = Duration::from_nanos(u64::try_from(time_ns).ok()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Some(now.saturating_sub(time))
}

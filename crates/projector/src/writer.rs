//! The writer: records in, commits out, and only then word of them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use domain::{Checkpoint, Fingerprint, Outcome, RecordRef, Refusal, StreamId, apply};
use metrics::{counter, gauge, histogram};
use read_model::{Batch, Changes, CommitError, Committed, OpenError, ReadModel, StorageError};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::chunk::Chunk;
use crate::config::BatchLimits;
use crate::metrics::{BATCH, COMMIT, OLDEST, OUTCOMES, PARKED};
use crate::teller::Teller;

/// What the source hands to the writer, in order.
pub(crate) enum Feed {
    /// The stream was verified to be the one of the checkpoint; what follows comes from it.
    Attached {
        /// Which stream.
        stream: StreamId,
        /// The sequence that the records begin behind.
        after: u64,
        /// Its tail at that moment.
        tail: u64,
        /// Nothing is left to read before that tail.
        is_at_end: bool,
    },
    /// Records, each behind the one before.
    Records(Chunk),
}

/// Why the writer had to stop for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Reopen(#[from] OpenError),
    /// After a failure, the source attached before it heard of it, or the commit that failed turned
    /// out to be kept. A defect otherwise.
    #[error("the rows end at message {applied}, the records begin behind {after}")]
    Elsewhere { applied: u64, after: u64 },
}

impl WriteError {
    fn is_disk_full(&self) -> bool {
        match self {
            Self::Commit(error) => error.is_disk_full(),
            Self::Reopen(error) => error.is_disk_full(),
            Self::Elsewhere { .. } => false,
        }
    }

    /// What failed and why, in one line.
    fn chain(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |error| error.source());
        causes.fold(self.to_string(), |said, cause| format!("{said}: {cause}"))
    }
}

impl From<StorageError> for WriteError {
    fn from(error: StorageError) -> Self {
        Self::Commit(error.into())
    }
}

/// Folds what the source hands over.
pub(crate) struct Writer {
    pub(crate) model: ReadModel,
    /// Tells the source to attach again behind the checkpoint, and why.
    pub(crate) setback: mpsc::Sender<Refusal>,
    /// What it told last, until the source has attached behind the checkpoint.
    pub(crate) refusal: Option<Refusal>,
    pub(crate) feed: mpsc::Receiver<Feed>,
    pub(crate) teller: Teller,
    pub(crate) commits: broadcast::Sender<Arc<Committed>>,
    pub(crate) limits: BatchLimits,
    /// The last sequence to apply; it ends there. It goes on with the stream without.
    pub(crate) until: Option<u64>,
}

/// Why a batch ends, and what comes next.
enum Next {
    Feed(Option<Feed>),
    Closed,
}

impl Writer {
    /// Runs until the source is gone, or to the last sequence asked for; what was handed over by then
    /// is committed. Gives the read model back.
    ///
    /// A full disk does not end it: the records from there on are left out until the source, told to,
    /// has attached again behind the checkpoint.
    pub(crate) async fn run(mut self) -> Result<ReadModel, WriteError> {
        let mut follows = false;
        if self.teller.is_served() {
            self.tell_metrics();
        }
        let mut next = self.feed.recv().await;
        while let Some(feed) = next.take() {
            let after = match feed {
                Feed::Attached {
                    stream,
                    after,
                    tail,
                    is_at_end,
                } => {
                    let attached = self.attached(stream, after, tail, is_at_end);
                    follows = attached.is_ok();
                    attached
                }
                Feed::Records(records) if follows => self.batch(records).await,
                Feed::Records(_behind_what_was_not_kept) => Ok(Next::Feed(None)),
            };
            let after = match after {
                Ok(after) => after,
                Err(error) => {
                    follows = false;
                    self.set_back(error)?;
                    Next::Feed(None)
                }
            };
            next = match after {
                Next::Feed(Some(feed)) => Some(feed),
                Next::Feed(None) => self.feed.recv().await,
                Next::Closed => None,
            };
        }
        Ok(self.model)
    }

    /// Remembers the stream before its first record, so that another one is recognised even then.
    fn attached(
        &mut self,
        stream: StreamId,
        after: u64,
        tail: u64,
        is_at_end: bool,
    ) -> Result<Next, WriteError> {
        if !self.model.is_open() {
            self.model.reopen()?;
        }
        let batch = self.model.begin();
        let mut applied = batch.checkpoint().map_or(0, Checkpoint::sequence);
        if after != applied {
            return Err(WriteError::Elsewhere { applied, after });
        }
        self.refusal = None;
        if batch.checkpoint().is_none() {
            let committed = batch.commit(Checkpoint::start_of(stream))?;
            applied = committed.checkpoint.sequence();
            self.teller.committed(committed.checkpoint, false);
        }
        self.teller.attached(applied, tail, is_at_end);
        self.note_live()?;
        let is_done = self
            .until
            .is_some_and(|until| is_at_end || until <= applied);
        Ok(if is_done {
            Next::Closed
        } else {
            Next::Feed(None)
        })
    }

    /// Has the source begin again behind what was kept, if that can mend it; opens the file again.
    fn set_back(&mut self, error: WriteError) -> Result<(), WriteError> {
        let refusal = match (&error, self.refusal.take()) {
            (WriteError::Elsewhere { .. }, Some(before)) => before,
            (full, _) if full.is_disk_full() => Refusal::DiskLow {
                detail: full.chain(),
            },
            _ => return Err(error),
        };
        match self.model.reopen() {
            Err(error) if !error.is_disk_full() => return Err(error.into()),
            Err(_still_full) => {}
            Ok(()) => self.tell_kept(),
        }
        self.refusal = Some(refusal.clone());
        // One that is on its way already has the same effect.
        let _ = self.setback.try_send(refusal);
        Ok(())
    }

    /// A commit that failed at its last step may have been kept all the same.
    fn tell_kept(&self) {
        let kept = self.model.reader().checkpoint();
        if let Some(checkpoint) =
            kept.filter(|kept| self.teller.checkpoint().as_ref() != Some(kept))
        {
            let changes = Changes::everything();
            self.tell(
                Committed {
                    checkpoint,
                    changes,
                },
                false,
            );
        }
    }

    fn note_live(&mut self) -> Result<(), StorageError> {
        if self.teller.is_live() {
            self.model.mark_live()
        } else {
            Ok(())
        }
    }

    /// Gathers a batch that begins with `records`, commits it, and tells of it (P1).
    ///
    /// On the way to a target nobody waits for the latest record, so a batch goes on to the target
    /// or its bounds; otherwise it is what is at hand.
    async fn batch(&mut self, records: Chunk) -> Result<Next, WriteError> {
        let target = self.teller.target();
        let time_max = Instant::now() + self.limits.time_max;
        let mut gathering = Gathering::new(self.model.begin(), self.until);
        gathering.take(&records)?;
        let mut next = Next::Feed(None);
        while !gathering.is_enough(&self.limits, target) {
            let feed = match target {
                None => self.feed.try_recv().ok(),
                Some(_) => match timeout_at(time_max, self.feed.recv()).await {
                    Ok(None) => {
                        next = Next::Closed;
                        None
                    }
                    Ok(feed) => feed,
                    Err(_elapsed) => None,
                },
            };
            match feed {
                None => break,
                Some(Feed::Records(records)) => gathering.take(&records)?,
                Some(attached @ Feed::Attached { .. }) => {
                    next = Next::Feed(Some(attached));
                    break;
                }
            }
        }
        if gathering.is_done {
            next = Next::Closed;
        }
        let started = Instant::now();
        let is_at_end = gathering.is_at_end;
        if let Some(committed) = gathering.commit()? {
            histogram!(COMMIT).record(started.elapsed());
            self.tell(committed, is_at_end);
            self.note_live()?;
        }
        Ok(next)
    }

    fn tell(&self, committed: Committed, is_at_end: bool) {
        if self.teller.is_served() {
            self.tell_metrics();
        }
        self.teller
            .committed(committed.checkpoint.clone(), is_at_end);
        // Nobody listening is no fault: there may be no live subscription.
        let _ = self.commits.send(Arc::new(committed));
    }

    fn tell_metrics(&self) {
        let totals = self.model.reader().totals();
        for (outcome, times) in totals.outcomes.iter() {
            let (outcome, reason) = if let Outcome::Parked(reason) = outcome {
                ("parked", reason.as_str())
            } else {
                (outcome.as_str(), "")
            };
            counter!(OUTCOMES, "outcome" => outcome, "reason" => reason).absolute(times);
        }
        self.tell_parked();
    }

    /// Shows how much is parked and since when.
    fn tell_parked(&self) {
        let inspection = self.model.reader().inspect();
        for (reason, count) in inspection.totals().parked_by_reason() {
            gauge!(PARKED, "reason" => reason.as_str())
                .set(u32::try_from(count).map_or(f64::MAX, f64::from));
        }
        // A row that cannot be read is told of where it is needed, not by a gauge.
        let oldest = inspection.oldest().ok().flatten();
        let stored_ns = oldest.and_then(|(_, stored_ns)| stored_ns);
        let stored = u64::try_from(stored_ns.unwrap_or(0)).unwrap_or(0);
        gauge!(OLDEST).set(Duration::from_nanos(stored).as_secs_f64());
    }
}

/// A batch with what it has taken in so far.
struct Gathering<'m> {
    batch: Batch<'m>,
    records: u32,
    bytes: usize,
    last: Option<Fingerprint>,
    until: Option<u64>,
    /// What was asked for is in; the records behind it are not taken.
    is_done: bool,
    /// The stream had nothing behind the last record.
    is_at_end: bool,
}

impl<'m> Gathering<'m> {
    fn new(batch: Batch<'m>, until: Option<u64>) -> Self {
        Self {
            batch,
            records: 0,
            bytes: 0,
            last: None,
            until,
            is_done: false,
            is_at_end: false,
        }
    }

    fn take(&mut self, records: &Chunk) -> Result<(), StorageError> {
        records.try_each(|place, record| {
            let sequence = record.sequence.get();
            if self.until.is_some_and(|until| until < sequence) {
                self.is_done = true;
                return Ok(ControlFlow::Break(()));
            }
            self.batch.arrives(place.at);
            let outcome = apply(&mut self.batch, record)?;
            warn_of(outcome, record);
            self.records = self.records.saturating_add(1);
            self.bytes = self.bytes.saturating_add(record.payload.len());
            self.last = Some(place.at);
            self.is_at_end = place.is_last;
            self.is_done = self
                .until
                .is_some_and(|until| until == sequence || place.is_last);
            Ok(ControlFlow::Continue(()))
        })
    }

    fn is_enough(&self, limits: &BatchLimits, target: Option<u64>) -> bool {
        if self.is_done {
            return true;
        }
        let Some(target) = target else {
            return self.records >= limits.live_records_max;
        };
        let mean = self.bytes / usize::try_from(self.records.max(1)).unwrap_or(usize::MAX);
        self.is_at_end
            || self.last.is_some_and(|last| target <= last.sequence.get())
            || limits.memory_bytes_max <= self.batch.memory_bytes(mean)
    }

    /// `None` when nothing was taken in.
    fn commit(self) -> Result<Option<Committed>, CommitError> {
        let (Some(last), Some(held)) = (self.last, self.batch.checkpoint()) else {
            return Ok(None);
        };
        let to = held.advanced(last);
        histogram!(BATCH).record(f64::from(self.records));
        self.batch.commit(to).map(Some)
    }
}

/// Says of a record that a person should look at. Names its place, never its content.
fn warn_of(outcome: Outcome, record: &RecordRef<'_>) {
    let sequence = record.sequence.get();
    match outcome {
        Outcome::Parked(reason) => {
            tracing::warn!(sequence, reason = reason.as_str(), "record is parked");
        }
        Outcome::Resurrect => tracing::warn!(sequence, "record for something erased is given up"),
        Outcome::VersionGap
        | Outcome::Applied
        | Outcome::Duplicate
        | Outcome::Stale
        | Outcome::Deleted
        | Outcome::Erased
        | Outcome::UnknownType
        | Outcome::Dropped
        | Outcome::DecisionVoid
        | Outcome::Superseded => {}
    }
}

//! The writer: records in, commits out, and only then word of them.

use std::sync::Arc;

use domain::{Checkpoint, Fingerprint, Outcome, RecordRef, Sequence, StreamId, apply};
use metrics::{counter, gauge, histogram};
use read_model::{Batch, CommitError, Committed, ReadModel, StorageError};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, timeout_at};

use crate::config::BatchLimits;
use crate::metrics::{BATCH, COMMIT, OUTCOMES, PARKED};
use crate::teller::Teller;

/// A record as it was delivered, with its place verified.
pub(crate) struct Record {
    pub(crate) sequence: Sequence,
    pub(crate) time_ns: i64,
    pub(crate) message: async_nats::Message,
}

/// What the source hands to the writer, in order.
pub(crate) enum Feed {
    /// The stream was verified to be the one of the checkpoint; what follows comes from it.
    Attached {
        /// Which stream.
        stream: StreamId,
        /// Its tail at that moment.
        tail: u64,
    },
    /// Records, each behind the one before.
    Records(Vec<Record>),
}

/// Folds what the source hands over.
pub(crate) struct Writer {
    pub(crate) model: ReadModel,
    pub(crate) feed: mpsc::Receiver<Feed>,
    pub(crate) teller: Teller,
    pub(crate) commits: broadcast::Sender<Arc<Committed>>,
    pub(crate) limits: BatchLimits,
}

/// Why a batch ends, and what comes next.
enum Next {
    Feed(Option<Feed>),
    Closed,
}

impl Writer {
    /// Runs until the source is gone; what it handed over by then is committed.
    pub(crate) async fn run(mut self) -> Result<(), CommitError> {
        let mut next = self.feed.recv().await;
        while let Some(feed) = next.take() {
            let after = match feed {
                Feed::Attached { stream, tail } => {
                    self.attached(stream, tail)?;
                    Next::Feed(None)
                }
                Feed::Records(records) => self.batch(records).await?,
            };
            next = match after {
                Next::Feed(Some(feed)) => Some(feed),
                Next::Feed(None) => self.feed.recv().await,
                Next::Closed => None,
            };
        }
        Ok(())
    }

    /// Remembers the stream before its first record, so that another one is recognised even then.
    fn attached(&mut self, stream: StreamId, tail: u64) -> Result<(), CommitError> {
        let batch = self.model.begin();
        let mut applied = batch.checkpoint().map_or(0, Checkpoint::sequence);
        if batch.checkpoint().is_none() {
            let committed = batch.commit(Checkpoint::start_of(stream))?;
            applied = committed.checkpoint.sequence();
            self.teller.committed(committed.checkpoint);
        }
        self.teller.attached(applied, tail);
        self.note_live()?;
        Ok(())
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
    async fn batch(&mut self, records: Vec<Record>) -> Result<Next, CommitError> {
        let target = self.teller.target();
        let until = Instant::now() + self.limits.time_max;
        let mut gathering = Gathering::new(self.model.begin());
        gathering.take(&records)?;
        let mut next = Next::Feed(None);
        while !gathering.is_enough(&self.limits, target) {
            let feed = match target {
                None => self.feed.try_recv().ok(),
                Some(_) => match timeout_at(until, self.feed.recv()).await {
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
        let started = Instant::now();
        if let Some(committed) = gathering.commit()? {
            histogram!(COMMIT).record(started.elapsed());
            self.tell(committed);
            self.note_live()?;
        }
        Ok(next)
    }

    fn tell(&self, committed: Committed) {
        let totals = self.model.reader().totals();
        for (outcome, times) in totals.outcomes.iter() {
            let (outcome, reason) = if let Outcome::Parked(reason) = outcome {
                ("parked", reason.as_str())
            } else {
                (outcome.as_str(), "")
            };
            counter!(OUTCOMES, "outcome" => outcome, "reason" => reason).absolute(times);
        }
        gauge!(PARKED).set(u32::try_from(totals.parked_records).map_or(f64::MAX, f64::from));
        self.teller.committed(committed.checkpoint.clone());
        // Nobody listening is no fault: there may be no live subscription.
        let _ = self.commits.send(Arc::new(committed));
    }
}

/// A batch with what it has taken in so far.
struct Gathering<'m> {
    batch: Batch<'m>,
    records: u32,
    bytes: usize,
    last: Option<Fingerprint>,
}

impl<'m> Gathering<'m> {
    fn new(batch: Batch<'m>) -> Self {
        Self {
            batch,
            records: 0,
            bytes: 0,
            last: None,
        }
    }

    fn take(&mut self, records: &[Record]) -> Result<(), StorageError> {
        for Record {
            sequence,
            time_ns,
            message,
        } in records
        {
            let headers: Vec<(&str, &str)> = message
                .headers
                .iter()
                .flat_map(async_nats::HeaderMap::iter)
                .flat_map(|(name, values)| {
                    values
                        .iter()
                        .map(|value| (AsRef::<str>::as_ref(name), value.as_str()))
                })
                .collect();
            let record = RecordRef {
                sequence: *sequence,
                subject: &message.subject,
                headers: &headers,
                payload: &message.payload,
            };
            let outcome = apply(&mut self.batch, &record)?;
            warn_of(outcome, &record);
            self.records = self.records.saturating_add(1);
            self.bytes = self.bytes.saturating_add(message.payload.len());
            self.last = Some(Fingerprint {
                sequence: *sequence,
                time_ns: *time_ns,
            });
        }
        Ok(())
    }

    fn is_enough(&self, limits: &BatchLimits, target: Option<u64>) -> bool {
        let Some(target) = target else {
            return self.records >= limits.live_records_max;
        };
        let mean = self.bytes / usize::try_from(self.records.max(1)).unwrap_or(usize::MAX);
        self.last.is_some_and(|last| target <= last.sequence.get())
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

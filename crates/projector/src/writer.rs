//! The writer: records in, commits out, and only then word of them.

use domain::{Checkpoint, Refusal, StreamId};
use read_model::{Changes, CommitError, Committed, OpenError, ReadModel, StorageError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::announcer::Announcer;
use crate::chunk::Chunk;
use crate::config::BatchLimits;
use crate::gathering::Gathering;
use crate::source::Outlook;

/// What the source hands to the writer, in order.
pub(crate) enum Feed {
    /// The stream was verified to be the one of the checkpoint; what follows comes from it.
    Attached {
        /// Which stream.
        stream: StreamId,
        /// The sequence that the records begin behind.
        after: u64,
        /// What is left to read.
        outlook: Outlook,
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
    pub(crate) announcer: Announcer,
    pub(crate) limits: BatchLimits,
    /// The last sequence to apply; it ends there. It goes on with the stream without.
    pub(crate) until: Option<u64>,
}

/// Why a batch ends, and what comes next.
enum Next {
    Feed(Option<Feed>),
    Closed,
    /// It has come as far as it was to come.
    Done,
}

impl Writer {
    /// Runs until the source is gone, or to the last sequence asked for; what was handed over by then
    /// is committed. Gives the read model back.
    ///
    /// A full disk does not end it, nor does a damaged row: the records from there on are left out until
    /// the source, told to, has attached again behind the checkpoint.
    pub(crate) async fn run(mut self) -> Result<ReadModel, WriteError> {
        let mut follows = false;
        let mut next = self.next_feed().await;
        while let Some(feed) = next.take() {
            let after = match feed {
                Feed::Attached {
                    stream,
                    after,
                    outlook,
                } => {
                    let attached = self.attached(stream, after, outlook);
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
                Next::Feed(None) => self.next_feed().await,
                Next::Closed | Next::Done => None,
            };
        }
        self.announcer.alarms.say();
        Ok(self.model)
    }

    /// What comes next; meanwhile what there is to say in its time.
    async fn next_feed(&mut self) -> Option<Feed> {
        loop {
            let alarms = &mut self.announcer.alarms;
            alarms.look();
            let Some(due) = alarms.due() else {
                return self.feed.recv().await;
            };
            if let Ok(feed) = timeout_at(due, self.feed.recv()).await {
                return feed;
            }
        }
    }

    /// Remembers the stream before its first record, so that another one is recognised even then.
    fn attached(
        &mut self,
        stream: StreamId,
        after: u64,
        outlook: Outlook,
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
        let held = batch.checkpoint().cloned();
        match held {
            None => {
                let committed = batch.commit(Checkpoint::start_of(stream))?;
                applied = committed.checkpoint.sequence();
                self.announcer.teller.committed(committed.checkpoint, None);
            }
            Some(held) if held.stream != stream => {
                let held = held.in_stream(stream);
                self.model.mark_stream(&held.stream)?;
                self.announcer.teller.committed(held, None);
            }
            Some(_same) => {}
        }
        self.announcer.teller.attached(applied, outlook);
        let is_done = self
            .until
            .is_some_and(|until| outlook.pending == 0 || until <= applied);
        if is_done || self.announcer.teller.target().is_none() {
            self.model.begin().settle()?;
        }
        self.note_live()?;
        Ok(if is_done {
            Next::Done
        } else {
            Next::Feed(None)
        })
    }

    /// Has the source begin again behind what was kept, if that can mend it; opens the file again.
    fn set_back(&mut self, error: WriteError) -> Result<(), WriteError> {
        // One damaged row is no reason to close the file to those who read others.
        let mut is_open = false;
        let refusal = match (&error, self.refusal.take()) {
            (WriteError::Elsewhere { .. }, Some(before)) => before,
            (full, _) if full.is_disk_full() => Refusal::DiskLow {
                detail: full.chain(),
            },
            (WriteError::Commit(failed), _) if let Some(damage) = failed.damage() => {
                is_open = !damage.is_of_pages();
                let detail = damage.to_string();
                Refusal::Damaged { detail }
            }
            _ => return Err(error),
        };
        if !is_open {
            match self.model.reopen() {
                Err(error) if !error.is_disk_full() => return Err(error.into()),
                Err(_still_full) => {}
                Ok(()) => self.tell_kept(),
            }
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
            kept.filter(|kept| self.announcer.teller.checkpoint().as_ref() != Some(kept))
        {
            let changes = Changes::everything();
            self.announcer.committed(
                Committed {
                    checkpoint,
                    changes,
                },
                None,
            );
        }
    }

    fn note_live(&mut self) -> Result<(), StorageError> {
        if self.announcer.teller.is_live() {
            self.model.mark_live()
        } else {
            Ok(())
        }
    }

    /// Gathers a batch that begins with `records`, keeps it, and tells of it (P1).
    ///
    /// On the way to a target nobody waits for the latest record, so a batch goes on to the target,
    /// and what outgrows its bounds is spilled; otherwise it is what is at hand.
    async fn batch(&mut self, records: Chunk) -> Result<Next, WriteError> {
        let target = self.announcer.teller.target();
        let mut time_max = Instant::now() + self.limits.time_max;
        let mut gathering = Gathering::new(self.model.begin(), self.until, target);
        gathering.take(&records, &mut self.announcer)?;
        let mut next = Next::Feed(None);
        while !gathering.is_complete(&self.limits) {
            let feed = match target {
                None => self.feed.try_recv().ok(),
                Some(_) => match timeout_at(time_max, self.feed.recv()).await {
                    Ok(None) => {
                        next = Next::Closed;
                        None
                    }
                    Ok(feed) => feed,
                    Err(_elapsed) => Some(Feed::Records(Chunk::default())),
                },
            };
            match feed {
                None => break,
                Some(Feed::Records(records)) => gathering.take(&records, &mut self.announcer)?,
                Some(attached @ Feed::Attached { .. }) => {
                    next = Next::Feed(Some(attached));
                    break;
                }
            }
            if gathering.is_large(&self.limits) || time_max <= Instant::now() {
                time_max = Instant::now() + self.limits.time_max;
                let pending = gathering.pending;
                if let Some(committed) = gathering.spill(&self.limits)? {
                    self.announcer.committed(committed, pending);
                }
            }
        }
        if gathering.is_done {
            next = Next::Done;
        }
        let pending = gathering.pending;
        if let Some(committed) = gathering.keep(&self.limits)? {
            self.announcer.committed(committed, pending);
            self.note_live()?;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests;

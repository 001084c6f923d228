//! The first half of a job: a file beside the live one, brought to the tail of the stream.

use std::time::Duration;

use domain::{Phase, Progress, Refusal};
use projector::Projector;
use read_model::{OpenError, Options, Place, ReadModel, Reader};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Job, JobFault, JobKind, Keeper, Running};

/// What the consumer's name ends with beside the live one's.
pub(crate) const CONSUMER_SUFFIX: &str = "-rebuild";
/// A job that does not get on for this long has failed.
pub(super) const NO_PROGRESS_MAX: Duration = Duration::from_mins(1);
/// How often a job that does not get on is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl JobKind {
    pub(super) fn place(self) -> Place {
        match self {
            Self::Rebuild => Place::Rebuild,
            Self::Rollback => Place::Previous,
        }
    }
}

/// How a run to the tail ended.
enum Reached {
    Tail,
    /// The stream is not the one that the file was made from.
    Refused(Refusal),
}

impl Keeper {
    /// A read model that has all of the stream, closed to readers yet.
    pub(super) async fn build(
        &self,
        job: Job,
        stop: &CancellationToken,
    ) -> Result<ReadModel, JobFault> {
        let model = self.open(job.kind).await?;
        match (self.to_the_tail(model, stop).await?, job.kind) {
            // To go back to rows that the stream does not continue is what was asked for.
            ((model, Reached::Tail), _) | ((model, Reached::Refused(_)), JobKind::Rollback) => {
                Ok(model)
            }
            ((model, Reached::Refused(refusal)), JobKind::Rebuild) => {
                tracing::info!(
                    reason = refusal.word(),
                    "the unfinished file is given up: {refusal}"
                );
                drop(model);
                Place::Rebuild.discard(&self.folder)?;
                let model = self.open(job.kind).await?;
                match self.to_the_tail(model, stop).await? {
                    (model, Reached::Tail) => Ok(model),
                    (_, Reached::Refused(refusal)) => Err(JobFault::Refused(refusal.to_string())),
                }
            }
        }
    }

    async fn open(&self, kind: JobKind) -> Result<ReadModel, JobFault> {
        let (place, folder) = (kind.place(), self.folder.clone());
        if kind == JobKind::Rollback && !place.is_there(&folder)? {
            let why = format!(
                "there is nothing to go back to: {} is not there",
                place.file_name()
            );
            return Err(JobFault::Refused(why));
        }
        let opened = tokio::task::spawn_blocking(move || {
            match ReadModel::open_at(&folder, place, Options::default()) {
                // What is left of a rebuild by another release, or of a broken disk, is begun again.
                Err(OpenError::OtherLayout { .. } | OpenError::Damaged { .. })
                    if kind == JobKind::Rebuild =>
                {
                    place.discard(&folder)?;
                    ReadModel::open_at(&folder, place, Options::default())
                }
                opened => opened,
            }
        });
        Ok(opened.await??)
    }

    /// Runs a projector of `model` until it has all of the stream, and gives the model back.
    async fn to_the_tail(
        &self,
        model: ReadModel,
        stop: &CancellationToken,
    ) -> Result<(ReadModel, Reached), JobFault> {
        let reader = model.reader();
        let config = self.log.projector_config(CONSUMER_SUFFIX);
        let (projector, progress) = Projector::beside(config, model, None);
        let mut running = Running::start(projector);
        let reached = tokio::select! {
            () = stop.cancelled() => Err(JobFault::Stopped),
            ended = &mut running.task => return Err(ended?.map_or_else(JobFault::from, |_| JobFault::Stopped)),
            reached = self.follow(progress, &reader) => reached,
        };
        let model = running.stop().await?;
        Ok((model, reached?))
    }

    /// Tells of progress until there is nothing to wait for any more.
    async fn follow(
        &self,
        mut progress: watch::Receiver<Progress>,
        reader: &Reader,
    ) -> Result<Reached, JobFault> {
        let mut watchdog = Watchdog::default();
        loop {
            let now = progress.borrow_and_update().clone();
            let parked = reader.totals().parked_records;
            self.tell(|status| {
                status.applied_sequence = now.applied();
                status.target_sequence = status.target_sequence.or(now.tail);
                status.parked_records = parked;
                status.detail.clone_from(&now.detail);
            });
            match &now.phase {
                Phase::Live => return Ok(Reached::Tail),
                // A full disk: it goes on by itself when there is room, or that is the watchdog's reason.
                Phase::Starting
                | Phase::CatchingUp { .. }
                | Phase::Blocked(Refusal::DiskLow { .. }) => watchdog.look(&now)?,
                Phase::Blocked(refusal) => return Ok(Reached::Refused(refusal.clone())),
            }
            let _ = timeout(LOOK_EVERY, progress.changed()).await;
        }
    }
}

/// Turns "no progress" into a fault.
struct Watchdog {
    applied: u64,
    moved: Instant,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            applied: 0,
            moved: Instant::now(),
        }
    }
}

impl Watchdog {
    fn look(&mut self, now: &Progress) -> Result<(), JobFault> {
        if now.applied() != self.applied {
            self.applied = now.applied();
            self.moved = Instant::now();
        }
        if self.moved.elapsed() < NO_PROGRESS_MAX {
            return Ok(());
        }
        let of = now.tail.map(|tail| format!(" of {tail}"));
        Err(JobFault::NoProgress {
            seconds: NO_PROGRESS_MAX.as_secs(),
            applied: now.applied(),
            of: of.unwrap_or_default(),
            why: now.detail.clone().unwrap_or_else(|| {
                format!("the stream is {}, but nothing comes", now.connection.word())
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_barks_with_the_reason() {
        let mut watchdog = Watchdog::default();
        let now = Progress {
            tail: Some(9),
            detail: Some("NATS cannot be reached".into()),
            ..Progress::default()
        };
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        assert!(watchdog.look(&now).is_ok());
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        let said = watchdog.look(&now).unwrap_err().to_string();
        let expected = "no progress for 60 s at sequence 0 of 9: NATS cannot be reached";
        assert_eq!(said, expected);
    }
}

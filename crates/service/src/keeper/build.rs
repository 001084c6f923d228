//! The first half of a job: a file beside the live one, brought to a place in the stream.

use std::path::Path;
use std::time::Duration;

use domain::{Checkpoint, Phase, Progress, Refusal};
use projector::{Projector, ProjectorError};
use read_model::{CommitError, Options, Place, ReadModel, Reader};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::verify::damages_in;
use super::{Job, JobFault, JobKind, Keeper, Running, Stage};
use crate::log_access::BESIDE;

/// A job that does not get on for this long has failed.
const NO_PROGRESS_MAX: Duration = Duration::from_mins(1);
/// How often a job that does not get on is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far a file is to be brought.
pub(super) enum Goal {
    /// To the tail.
    Tail,
    /// To this place and no further.
    At(Checkpoint),
}

/// How a run to the goal ended.
pub(super) enum Reached {
    Goal,
    /// The stream is not the one that the file was made from.
    Refused(Refusal),
}

impl Keeper {
    /// A read model that has the stream up to the goal, closed to readers yet.
    pub(super) async fn build(
        &self,
        job: Job,
        goal: &Goal,
        stop: &CancellationToken,
    ) -> Result<ReadModel, JobFault> {
        let folding = Box::pin(self.fold(job, goal, stop));
        let model = self.in_stage(Stage::Reading, folding).await?;
        let model = match job.kind {
            JobKind::Rebuild => {
                let compacting = self.compact(job.place(), model, stop);
                self.in_stage(Stage::Compacting, compacting).await?
            }
            JobKind::Rollback | JobKind::Verify | JobKind::GiveUp => model,
        };
        let checking = damages_in(model.reader());
        let damages = self.in_stage(Stage::Checking, checking).await?;
        let Some(damage) = damages.first() else {
            return Ok(model);
        };
        Err(JobFault::Refused(format!(
            "{} is damaged ({damage}): look at the disk and its log, then try again",
            job.place().file_name()
        )))
    }

    async fn fold(
        &self,
        job: Job,
        goal: &Goal,
        stop: &CancellationToken,
    ) -> Result<ReadModel, JobFault> {
        let model = self.open(job).await?;
        let refusal = match (self.run_to(goal, model, stop).await?, job.kind) {
            // To go back to rows that the stream does not continue is what was asked for.
            ((model, Reached::Goal), _) | ((model, Reached::Refused(_)), JobKind::Rollback) => {
                return Ok(model);
            }
            // The file is good, and another one would come no further.
            ((_, Reached::Refused(unread @ Refusal::MessageUnreadable { .. })), _) => {
                return Err(JobFault::Refused(unread.to_string()));
            }
            ((_, Reached::Refused(refusal)), _) => refusal,
        };
        let reason = refusal.word();
        tracing::info!(reason, "the unfinished file is given up: {refusal}");
        let from_nothing = Job {
            resumes: false,
            ..job
        };
        let model = self.open(from_nothing).await?;
        match self.run_to(goal, model, stop).await? {
            (model, Reached::Goal) => Ok(model),
            (_, Reached::Refused(refusal)) => Err(JobFault::Refused(refusal.to_string())),
        }
    }

    /// The same rows in a file that is no larger than they are.
    async fn compact(
        &self,
        place: Place,
        model: ReadModel,
        stop: &CancellationToken,
    ) -> Result<ReadModel, JobFault> {
        let folder = self.folder.clone();
        let compacting = tokio::task::spawn_blocking(move || compacted(model, place, &folder));
        let compacted = stop.run_until_cancelled(compacting).await;
        compacted.ok_or(JobFault::Stopped)??
    }

    async fn open(&self, job: Job) -> Result<ReadModel, JobFault> {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || job.open_in(&folder)).await?
    }

    /// Brings rows that were built to a place that the live ones are at. Where that place's message was
    /// deleted meanwhile, the end of what is there is that place: a sequence that was told never goes
    /// back.
    pub(super) async fn level(
        &self,
        model: ReadModel,
        to: Checkpoint,
        stop: &CancellationToken,
    ) -> Result<ReadModel, JobFault> {
        let is_behind = |model: &ReadModel| {
            let held = model.reader().checkpoint();
            held.as_ref().map_or(0, Checkpoint::sequence) < to.sequence()
        };
        if !is_behind(&model) {
            return Ok(model);
        }
        let goal = Goal::At(to.clone());
        let mut model = match self.run_to(&goal, model, stop).await? {
            (model, Reached::Goal) => model,
            (_, Reached::Refused(refusal)) => return Err(JobFault::Refused(refusal.to_string())),
        };
        if is_behind(&model) {
            let taken = model.begin().commit(to);
            taken.map_err(ProjectorError::Commit)?;
        }
        Ok(model)
    }

    /// Runs a projector of `model` to the goal, and gives the model back.
    async fn run_to(
        &self,
        goal: &Goal,
        model: ReadModel,
        stop: &CancellationToken,
    ) -> Result<(ReadModel, Reached), JobFault> {
        let until = match goal {
            Goal::Tail => None,
            Goal::At(place) => Some(place.sequence()),
        };
        let reader = model.reader();
        let config = self.log.projector_config(BESIDE);
        let (projector, progress) = Projector::beside(config, model, until);
        let mut running = Running::start(projector);
        let reached = tokio::select! {
            () = stop.cancelled() => Err(JobFault::Stopped),
            ended = &mut running.task => return Ok((ended??, Reached::Goal)),
            reached = self.follow(until, progress, &reader) => reached,
        };
        let model = running.stop().await?;
        Ok((model, reached?))
    }

    /// Tells of progress until there is nothing to wait for any more.
    async fn follow(
        &self,
        until: Option<u64>,
        mut progress: watch::Receiver<Progress>,
        reader: &Reader,
    ) -> Result<Reached, JobFault> {
        let mut watchdog = Watchdog::default();
        loop {
            let now = progress.borrow_and_update().clone();
            let parked = reader.totals().parked_records;
            let target = match now.phase {
                Phase::CatchingUp { target } => Some(target),
                Phase::Live => now.tail,
                Phase::Starting | Phase::Blocked(_) => None,
            };
            self.tell(|status| {
                status.applied_sequence = now.applied();
                status.read_sequence = now.read();
                status.target_sequence = status.target_sequence.or(until).or(target);
                status.parked_records = parked;
                let waits = now.standing_still().map(ToOwned::to_owned);
                status.detail = now.detail.clone().or(waits);
            });
            match &now.phase {
                Phase::Live if until.is_none() => return Ok(Reached::Goal),
                Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => {
                    watchdog.look(&now, reader.is_writing())?;
                }
                // To wait for room would keep it from the live read model.
                Phase::Blocked(full @ Refusal::DiskLow { .. }) => {
                    return Err(JobFault::DiskLow(full.clone()));
                }
                Phase::Blocked(refusal) => return Ok(Reached::Refused(refusal.clone())),
            }
            let _ = timeout(LOOK_EVERY, progress.changed()).await;
        }
    }
}

/// Compacts a file and opens it again. It is not begun anew, whatever became of it: it would take the
/// live one's place without a row.
fn compacted(mut model: ReadModel, place: Place, folder: &Path) -> Result<ReadModel, JobFault> {
    // Before it: a commit afterwards makes a compact file twice as large.
    let finished = model.finish().map_err(CommitError::from);
    finished.map_err(ProjectorError::Commit)?;
    if let Err(error) = model.compact() {
        let why = crate::exit::in_one_line(&error);
        tracing::warn!(
            why,
            "the file that was built stays larger than its rows: {why}"
        );
    }
    if !place.is_there(folder)? {
        let why = format!("the file that was built is gone: {}", place.file_name());
        return Err(JobFault::Refused(why));
    }
    Ok(ReadModel::open_at(folder, place, Options::default())?)
}

/// Turns "no progress" into a fault.
struct Watchdog {
    /// The furthest sequence that was read.
    read: u64,
    moved: Instant,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            read: 0,
            moved: Instant::now(),
        }
    }
}

impl Watchdog {
    /// Judges by what is read: on the way to the tail little is made durable. While a commit is under way
    /// nothing more can be read, and the job could not end either. To read again what was not kept is not
    /// to get on.
    fn look(&mut self, now: &Progress, is_writing: bool) -> Result<(), JobFault> {
        if self.read < now.read() || is_writing {
            self.read = self.read.max(now.read());
            self.moved = Instant::now();
        }
        if self.moved.elapsed() < NO_PROGRESS_MAX {
            return Ok(());
        }
        let of = now.tail.map(|tail| format!(" of {tail}"));
        Err(JobFault::NoProgress {
            seconds: NO_PROGRESS_MAX.as_secs(),
            read: now.read(),
            of: of.unwrap_or_default(),
            why: now
                .detail
                .clone()
                .or(now.waits_for.clone())
                .unwrap_or_else(|| {
                    format!("the stream is {}, but nothing comes", now.connection.word())
                }),
        })
    }
}

#[cfg(test)]
mod tests {
    use read_model::OpenError;

    use super::*;

    #[test]
    fn a_file_that_was_built_is_never_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || ReadModel::open_at(folder.path(), Place::Rebuild, Options::default());
        let path = Place::Rebuild.path(folder.path());
        let again = compacted(open().unwrap(), Place::Rebuild, folder.path());
        drop(again.unwrap());

        let model = open().unwrap();
        std::fs::remove_file(&path).unwrap();
        let gone = compacted(model, Place::Rebuild, folder.path())
            .err()
            .unwrap();
        assert!(matches!(gone, JobFault::Refused(_)), "{gone}");
        assert!(!path.exists(), "no other was made");

        let model = open().unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, [7; 9000]).unwrap();
        let damaged = compacted(model, Place::Rebuild, folder.path())
            .err()
            .unwrap();
        let is_named = matches!(damaged, JobFault::File(OpenError::Damaged { .. }));
        assert!(is_named, "{damaged}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_barks_with_the_reason() {
        let mut watchdog = Watchdog::default();
        let now = Progress {
            tail: Some(9),
            detail: Some("NATS cannot be reached".into()),
            ..Progress::default()
        };
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        assert!(watchdog.look(&now, false).is_ok());
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        let said = watchdog.look(&now, false).unwrap_err().to_string();
        let expected = "no progress for 60 s at sequence 0 of 9: NATS cannot be reached";
        assert_eq!(said, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_judges_by_what_is_read() {
        let mut watchdog = Watchdog::default();
        let mut now = Progress::default();
        for folded in 1..5 {
            now.folded = folded;
            tokio::time::advance(NO_PROGRESS_MAX * 2 / 3).await;
            let looked = watchdog.look(&now, false);
            assert!(looked.is_ok(), "nothing is durable, and it gets on");
        }
        // Read up to there again and again, and never kept.
        for folded in [0, 4] {
            now.folded = folded;
            tokio::time::advance(NO_PROGRESS_MAX / 3).await;
            assert!(watchdog.look(&now, false).is_ok());
        }
        tokio::time::advance(NO_PROGRESS_MAX / 3).await;
        let said = watchdog.look(&now, false).unwrap_err().to_string();
        assert!(said.contains("at sequence 4: "), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_lets_a_commit_take_its_time() {
        let mut watchdog = Watchdog::default();
        let now = Progress::default();
        for _ in 0..5 {
            tokio::time::advance(NO_PROGRESS_MAX).await;
            assert!(watchdog.look(&now, true).is_ok());
        }
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        assert!(watchdog.look(&now, false).is_ok());
        tokio::time::advance(NO_PROGRESS_MAX / 2).await;
        assert!(watchdog.look(&now, false).is_err());
    }
}

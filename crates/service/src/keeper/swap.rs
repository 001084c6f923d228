//! The second half of a job: the file that was built takes the live one's place.

use std::time::Duration;

use domain::{Checkpoint, Phase, Refusal};
use projector::{Projector, ProjectorError};
use read_model::ReadModel;
use tokio::time::timeout;

use super::build::{CONSUMER_SUFFIX, NO_PROGRESS_MAX};
use super::compare::Comparison;
use super::{Job, JobFault, JobKind, Keeper, Running};

/// How long the live projector may take to get as far as the one beside it, before it is taken as it is.
const LIVE_BEHIND_MAX: Duration = Duration::from_secs(10);

/// What is served from now on, and how the job ended.
type TakenOver = (Running, Result<Comparison, JobFault>);

impl Keeper {
    /// Compares and swaps; the projector goes on with the rows that are served then. Reads go on all the
    /// time, from one file or the other.
    pub(super) async fn take_over(
        &self,
        job: Job,
        built: ReadModel,
        live: Running,
    ) -> anyhow::Result<TakenOver> {
        let trusted = self.level(&built).await;
        let old = live.stop().await?;
        let (model, result) = match self.ready(job, built, &old, trusted).await {
            Ok((built, comparison)) => match self.swap(job.kind, built, old).await? {
                Ok(model) => (model, Ok(comparison)),
                Err((old, fault)) => (old, Err(fault)),
            },
            Err(fault) => (old, Err(fault)),
        };
        let config = self.log.projector_config("");
        let projector = Projector::in_place_of(&self.handle, config, model);
        Ok((Running::start(projector), result))
    }

    /// Waits until the live rows are as far as the built ones. `false` when they are of another stream or
    /// history and never will be.
    async fn level(&self, built: &ReadModel) -> bool {
        let Some(to) = built.reader().checkpoint() else {
            return false;
        };
        let mut progress = self.handle.progress.clone();
        let is_of_it =
            |held: Option<&Checkpoint>| held.is_some_and(|held| held.stream == to.stream);
        let wanted = progress.wait_for(|now| {
            !goes_on(&now.phase)
                || !is_of_it(now.checkpoint.as_ref())
                || to.sequence() <= now.applied()
        });
        let _ = timeout(LIVE_BEHIND_MAX, wanted).await;
        let now = self.handle.progress.borrow();
        goes_on(&now.phase) && is_of_it(now.checkpoint.as_ref())
    }

    /// Brings the built rows to where the live ones stopped, and judges whether they may take their
    /// place.
    async fn ready(
        &self,
        job: Job,
        mut built: ReadModel,
        old: &ReadModel,
        trusted: bool,
    ) -> Result<(ReadModel, Comparison), JobFault> {
        if trusted && let Some(to) = old.reader().checkpoint() {
            built = self.to_place(built, to).await?;
        }
        let compared = Comparison::of(&old.reader(), &built.reader(), trusted);
        let comparison =
            compared.map_err(|error| JobFault::Refused(crate::exit::in_one_line(&error)))?;
        if job.kind == JobKind::Rebuild && comparison.is_loss() && !job.accept_loss {
            return Err(JobFault::Refused(format!(
                "the stream as it is now gives fewer people than are served ({}): rebuild with \
                 --accept-loss if that is right",
                comparison.summary()
            )));
        }
        Ok((built, comparison))
    }

    /// Applies what is left up to a place. Where its message was deleted meanwhile, the end of what is
    /// there is that place: a sequence that was told never goes back.
    async fn to_place(&self, model: ReadModel, to: Checkpoint) -> Result<ReadModel, JobFault> {
        let is_behind = |model: &ReadModel| {
            let held = model.reader().checkpoint();
            held.as_ref().map_or(0, Checkpoint::sequence) < to.sequence()
        };
        if !is_behind(&model) {
            return Ok(model);
        }
        let config = self.log.projector_config(CONSUMER_SUFFIX);
        let (projector, _) = Projector::beside(config, model, Some(to.sequence()));
        let mut running = Running::start(projector);
        let Ok(ended) = timeout(NO_PROGRESS_MAX, &mut running.task).await else {
            let why = "the last events could not be read: the stream does not answer";
            return Err(JobFault::Refused(why.to_owned()));
        };
        let mut model = ended??;
        if is_behind(&model) {
            let taken = model.begin().commit(to);
            taken.map_err(ProjectorError::Commit)?;
        }
        Ok(model)
    }

    /// On disk first, then for readers: killed in between, it starts with the new file.
    async fn swap(
        &self,
        kind: JobKind,
        mut built: ReadModel,
        old: ReadModel,
    ) -> anyhow::Result<Result<ReadModel, (ReadModel, JobFault)>> {
        let folder = self.folder.clone();
        let swapped = tokio::task::spawn_blocking(move || match kind.place().put_live(&folder) {
            Ok(()) => {
                built.succeed(old);
                Ok(built)
            }
            Err(error) => Err((old, JobFault::File(error))),
        });
        Ok(swapped.await?)
    }
}

/// Whether the rows belong to the stream as it is, written further or not.
fn goes_on(phase: &Phase) -> bool {
    match phase {
        Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => true,
        Phase::Blocked(refusal) => matches!(refusal, Refusal::DiskLow { .. }),
    }
}

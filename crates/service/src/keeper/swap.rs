//! The second half of a job: the file that was built takes the live one's place.

use std::path::Path;
use std::time::Duration;

use domain::{Checkpoint, Phase};
use projector::Projector;
use read_model::{OpenError, Outgoing, ReadModel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::compare::Comparison;
use super::files::of_another_release;
use super::verify::damages_in;
use super::{Job, JobFault, JobKind, Keeper, Running, Stage};

/// How long the live projector may take to get as far as the one beside it, before it is taken as it is.
const LIVE_BEHIND_MAX: Duration = Duration::from_secs(10);

/// What is known of the live rows.
struct Judged {
    /// Whether they belong to the stream as it is now.
    trusted: bool,
    /// What is damaged of them.
    damages: Vec<String>,
}

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
        stop: &CancellationToken,
    ) -> anyhow::Result<TakenOver> {
        // While the live projector goes on: what it adds from here on is checked as it is read.
        let checking = damages_in(self.reader.pinned());
        let damages = self.in_stage(Stage::Checking, checking).await?;
        let waiting = self.wait_for_live(&built);
        let trusted = self.in_stage(Stage::Waiting, waiting).await;
        let judged = Judged { trusted, damages };
        let swapping = Box::pin(async {
            let old = live.stop().await?;
            match self.ready(job, built, &old, judged, stop).await {
                Ok(accepted) => self.swap(job, accepted, old).await,
                Err(fault) => Ok((old, Err(fault))),
            }
        });
        let (model, result) = self.in_stage(Stage::Swapping, swapping).await?;
        let config = self.log.projector_config("");
        let projector = Projector::in_place_of(&self.handle, config, model);
        Ok((Running::start(projector), result))
    }

    /// Waits until the live rows are as far as the built ones. `false` when they are of another stream or
    /// history and never will be.
    async fn wait_for_live(&self, built: &ReadModel) -> bool {
        let Some(to) = built.reader().checkpoint() else {
            return false;
        };
        let mut progress = self.handle.progress.clone();
        let is_of_it =
            |held: Option<&Checkpoint>| held.is_some_and(|held| held.stream == to.stream);
        let wanted = progress.wait_for(|now| {
            let is_known = now.phase != Phase::Starting;
            matches!(now.phase, Phase::Blocked(_))
                || (is_known && !is_of_it(now.checkpoint.as_ref()))
                || (is_known && to.sequence() <= now.applied())
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
        Judged { trusted, damages }: Judged,
        stop: &CancellationToken,
    ) -> Result<Accepted, JobFault> {
        if trusted && let Some(to) = old.reader().checkpoint() {
            built = self.level(built, to, stop).await?;
        }
        let compared = Comparison::of(&old.reader(), &built.reader(), trusted, damages);
        let comparison =
            compared.map_err(|error| JobFault::Refused(crate::exit::in_one_line(&error)))?;
        if job.kind == JobKind::Rebuild && comparison.is_loss() && !job.accept_loss {
            return Err(JobFault::Refused(format!(
                "the stream as it is now gives fewer people than are served ({}): rebuild with \
                 --accept-loss if that is right",
                comparison.summary()
            )));
        }
        let held = old.reader().checkpoint();
        let is_last_good = !trusted && held.is_some_and(|held| held.applied.is_some());
        Ok(Accepted {
            model: built,
            comparison,
            outgoing: if is_last_good {
                Outgoing::LastGood
            } else {
                Outgoing::Previous
            },
        })
    }

    /// On disk first, then for readers: killed in between, it starts with the new file. Gives the rows
    /// that are served then.
    async fn swap(
        &self,
        job: Job,
        accepted: Accepted,
        mut old: ReadModel,
    ) -> anyhow::Result<(ReadModel, Result<Comparison, JobFault>)> {
        let folder = self.folder.clone();
        let note = match job.kind {
            JobKind::Rollback => of_another_release(&accepted.model),
            JobKind::Rebuild | JobKind::Verify | JobKind::GiveUp => None,
        };
        let swapped = tokio::task::spawn_blocking(move || {
            let Accepted {
                mut model,
                comparison,
                outgoing,
            } = accepted;
            match put_live(job, &mut old, outgoing, &folder) {
                Ok(()) => {
                    model.succeed(old);
                    (model, Ok(comparison))
                }
                Err(fault) => (old, Err(fault)),
            }
        });
        let swapped = swapped.await?;
        if let (Ok(_), Some(note)) = (&swapped.1, &note) {
            tracing::warn!("{note}");
            self.tell(|status| status.note = Some(note.clone()));
        }
        Ok(swapped)
    }
}

/// Rows that may take the live ones' place.
struct Accepted {
    model: ReadModel,
    comparison: Comparison,
    outgoing: Outgoing,
}

fn put_live(
    job: Job,
    old: &mut ReadModel,
    outgoing: Outgoing,
    folder: &Path,
) -> Result<(), JobFault> {
    if !old.may_be_succeeded() {
        let why =
            "files that were live before are read still: try again when those snapshots are done";
        return Err(JobFault::Refused(why.to_owned()));
    }
    let put = job.place().put_live(folder, outgoing);
    if let Err(OpenError::LastGoodKept { .. }) = put {
        return Err(JobFault::LastGoodKept);
    }
    Ok(put?)
}

/// Whether the rows belong to the stream as it is, written further or not.
pub(super) fn goes_on(phase: &Phase) -> bool {
    match phase {
        Phase::Starting | Phase::CatchingUp { .. } | Phase::Live => true,
        Phase::Blocked(refusal) => refusal.is_of_same_stream(),
    }
}

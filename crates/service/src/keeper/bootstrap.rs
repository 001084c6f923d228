//! A rebuild that begins with the last event of each subject instead of all of them.

use projector::{Projector, ProjectorError};
use read_model::{Options, Place, ReadModel};
use tokio_util::sync::CancellationToken;

use super::build::Reached;
use super::{JobFault, Keeper, Running};
use crate::log_access::BESIDE;

/// Attempts whose attachment ended on the way, each from the beginning.
const ATTEMPTS_MAX: u32 = 5;

impl Keeper {
    /// Makes the file of a rebuild from the last event of each subject, up to the tail of now. Until it is
    /// complete it has another name, under which nothing goes on from it.
    pub(super) async fn fill_with_last_states(
        &self,
        stop: &CancellationToken,
    ) -> Result<(), JobFault> {
        for attempt in 1..=ATTEMPTS_MAX {
            match self.try_to_fill(stop).await {
                Err(JobFault::Projector(ProjectorError::Interrupted)) if attempt < ATTEMPTS_MAX => {
                    tracing::info!(
                        attempt,
                        "reading the last events was interrupted and begins again"
                    );
                }
                Ok(model) => {
                    drop(model);
                    Place::Bootstrap.become_other(Place::Rebuild, &self.folder)?;
                    return Ok(());
                }
                // It begins again at the next start.
                Err(JobFault::Stopped) => return Err(JobFault::Stopped),
                Err(fault) => {
                    Place::Bootstrap.discard(&self.folder)?;
                    return Err(with_remedy(fault));
                }
            }
        }
        Err(ProjectorError::Interrupted.into())
    }

    async fn try_to_fill(&self, stop: &CancellationToken) -> Result<ReadModel, JobFault> {
        let folder = self.folder.clone();
        let opened = tokio::task::spawn_blocking(move || {
            Place::Bootstrap.discard(&folder)?;
            ReadModel::open_at(&folder, Place::Bootstrap, Options::default())
        });
        let model = opened.await??;
        let reader = model.reader();
        let config = self.log.projector_config(BESIDE);
        let (projector, progress) = Projector::of_last_states(config, model);
        let mut running = Running::start(projector);
        let reached = tokio::select! {
            () = stop.cancelled() => Err(JobFault::Stopped),
            ended = &mut running.task => return Ok(ended??),
            reached = self.follow(None, progress, &reader) => reached,
        };
        match reached? {
            Reached::Goal => Ok((&mut running.task).await??),
            Reached::Refused(refusal) => Err(JobFault::Refused(refusal.to_string())),
        }
    }
}

fn with_remedy(fault: JobFault) -> JobFault {
    if let JobFault::Projector(ProjectorError::NotWhole(why)) = fault {
        return JobFault::Refused(format!("{why}: build it in full, without --bootstrap"));
    }
    fault
}

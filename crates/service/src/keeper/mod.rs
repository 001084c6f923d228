//! Keeps the read model: runs the projector of what is served, and beside it builds another file when
//! that is asked for, which takes the first one's place.

mod build;
mod compare;
mod files;
mod metrics;
pub(crate) mod routes;
mod stage;
mod status;
mod swap;
mod verify;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use domain::Refusal;
use projector::{Handle, Projector, ProjectorError};
use read_model::{OpenError, Place, ReadModel, Reader};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::log_access::LogAccess;
use build::Goal;
use compare::Comparison;
pub(crate) use files::LastGood;
pub(crate) use metrics::describe as describe_metrics;
pub(crate) use status::{Job, JobKind, JobState, JobStatus, Stage};
use swap::goes_on;

/// Jobs that may wait; one is under way at a time, and more are refused.
const JOBS_MAX: usize = 1;

/// Why a job did not do what it was asked for. What was served before is served still.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobFault {
    #[error("the service stopped")]
    Stopped,
    #[error("{0}")]
    Refused(String),
    #[error("no progress for {seconds} s at sequence {read}{of}: {why}")]
    NoProgress {
        seconds: u64,
        read: u64,
        /// ` of <target>` where that is known.
        of: String,
        why: String,
    },
    #[error(
        "the rows that are served are not of the stream as it is now, and {} is kept from an earlier such \
         time: give that up with `rebuild --give-up-last-good`, or go back to it with \
         `rebuild --rollback=last-good`",
        Place::LastGood.file_name()
    )]
    LastGoodKept,
    #[error("{}", crate::exit::in_one_line(.0))]
    File(#[from] OpenError),
    #[error("there is no room for a second file: {0}")]
    DiskLow(Refusal),
    #[error("{}", crate::exit::in_one_line(.0))]
    Projector(#[from] ProjectorError),
    #[error("the job panicked")]
    Panicked(#[from] JoinError),
}

/// Runs the projector, and jobs beside it.
pub(crate) struct Keeper {
    log: LogAccess,
    folder: PathBuf,
    projector: Option<Projector>,
    reader: Reader,
    handle: Handle,
    jobs: mpsc::Receiver<Job>,
    told: Arc<watch::Sender<JobStatus>>,
}

/// Asks a [`Keeper`] for jobs, and sees what becomes of them.
#[derive(Clone)]
pub(crate) struct Desk {
    jobs: mpsc::Sender<Job>,
    told: Arc<watch::Sender<JobStatus>>,
}

impl Desk {
    /// What became of the latest job, or is becoming of it.
    pub(crate) fn status(&self) -> JobStatus {
        self.told.borrow().clone()
    }

    /// Hands a job in; `Err` while another is under way.
    pub(crate) fn ask(&self, job: Job) -> Result<JobStatus, Box<JobStatus>> {
        let mut accepted = false;
        self.told.send_if_modified(|status| {
            accepted = status.state != JobState::Running && self.jobs.try_send(job).is_ok();
            if accepted {
                *status = JobStatus::begun(job, status.number.saturating_add(1));
            }
            accepted
        });
        if accepted {
            Ok(self.status())
        } else {
            Err(Box::new(self.status()))
        }
    }
}

impl Keeper {
    /// A keeper of the live read model of `folder`.
    pub(crate) fn new(log: LogAccess, folder: PathBuf, model: ReadModel) -> (Self, Handle, Desk) {
        let reader = model.reader();
        let (projector, handle) = Projector::new(log.projector_config(""), model);
        let (sender, jobs) = mpsc::channel(JOBS_MAX);
        let told = Arc::new(watch::Sender::new(JobStatus::default()));
        let desk = Desk {
            jobs: sender,
            told: Arc::clone(&told),
        };
        let keeper = Self {
            log,
            folder,
            projector: Some(projector),
            reader,
            handle: handle.clone(),
            jobs,
            told,
        };
        (keeper, handle, desk)
    }

    /// Asks for the rebuild that was cut off before, or that is wanted at every start.
    pub(crate) fn rebuild_at_start(&self, desk: &Desk, wanted: bool) -> anyhow::Result<()> {
        Place::Verify.discard(&self.folder)?;
        Place::discard_leftovers(&self.folder)?;
        if Place::Rebuild.is_there(&self.folder)? {
            tracing::info!("a rebuild was cut off and goes on");
        } else if !wanted {
            return Ok(());
        } else if self.handle.progress.borrow().checkpoint.is_none() {
            tracing::info!(
                "the read model is empty: it is built as it is, without another beside it"
            );
            return Ok(());
        }
        // Nothing else can be under way yet.
        let _ = desk.ask(Job {
            resumes: true,
            ..Job::of(JobKind::Rebuild)
        });
        Ok(())
    }

    /// Runs until `stop`, or until the projector of what is served fails.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let Some(projector) = self.projector.take() else {
            return Ok(());
        };
        let mut live = Running::start(projector);
        loop {
            let job = tokio::select! {
                () = stop.cancelled() => {
                    live.stop().await?;
                    return Ok(());
                }
                ended = live.ended() => {
                    ended?;
                    return Ok(());
                }
                Some(job) = self.jobs.recv() => job,
            };
            live = self.job(job, live, &stop).await?;
        }
    }

    /// Does a job. `Err` only when nothing is served any more; a job that fails is told.
    async fn job(
        &self,
        job: Job,
        mut live: Running,
        stop: &CancellationToken,
    ) -> anyhow::Result<Running> {
        let kind = job.kind.word();
        tracing::info!(kind, "a {kind} begins beside the live read model");
        let beside = async {
            Ok(match job.kind {
                JobKind::Verify => Beside::Compared(self.verify(job, &self.reader, stop).await?),
                JobKind::Rebuild | JobKind::Rollback => {
                    self.check_last_good(job)?;
                    Beside::Built(self.build(job, &Goal::Tail, stop).await?)
                }
                JobKind::GiveUp => {
                    files::give_up(&self.folder)?;
                    Beside::Compared(Comparison::Impossible("a file was removed"))
                }
            })
        };
        let beside = tokio::select! {
            beside = beside => beside,
            ended = live.ended() => {
                ended?;
                anyhow::bail!("the projector ended unbidden");
            }
        };
        let (live, result) = match beside {
            Ok(Beside::Built(built)) => self.take_over(job, built, live, stop).await?,
            Ok(Beside::Compared(comparison)) => (live, Ok(comparison)),
            Err(fault) => (live, Err(fault)),
        };
        if let Err(fault) = &result {
            job.discard_failed(fault, &self.folder);
        }
        self.conclude(job, result);
        Ok(live)
    }

    /// Refuses at once what would be refused at its end: one last good file is kept, and a model that is
    /// blocked would be a second one.
    fn check_last_good(&self, job: Job) -> Result<(), JobFault> {
        let is_blocked = !goes_on(&self.handle.progress.borrow().phase);
        if is_blocked && job.place() != Place::LastGood && Place::LastGood.is_there(&self.folder)? {
            return Err(JobFault::LastGoodKept);
        }
        Ok(())
    }

    fn conclude(&self, job: Job, result: Result<Comparison, JobFault>) {
        let kind = job.kind.word();
        match result {
            Ok(comparison) => {
                metrics::done(job, &comparison);
                let compared = comparison.summary();
                if job.kind == JobKind::Verify && comparison.equal() == Some(false) {
                    tracing::error!(
                        kind,
                        compared,
                        "the live rows are not the fold of the stream"
                    );
                } else {
                    tracing::info!(kind, compared, "the {kind} is done");
                }
                self.tell(|status| {
                    status.state = JobState::Done;
                    status.stage = None;
                    if job.kind != JobKind::Verify {
                        status.applied_sequence = self.handle.progress.borrow().applied();
                        status.read_sequence = status.applied_sequence;
                    }
                    status.compared(&comparison);
                });
            }
            Err(fault) => {
                if matches!(fault, JobFault::Stopped) {
                    tracing::info!(kind, "the {kind} is cut off: {fault}");
                } else {
                    metrics::failed(job);
                    tracing::error!(
                        kind,
                        "the live read model stays, the {kind} failed: {fault}"
                    );
                }
                self.tell(|status| {
                    status.state = JobState::Failed;
                    status.stage = None;
                    status.detail = Some(fault.to_string());
                });
            }
        }
    }

    /// Verifies rows that nothing writes, and tells of it as of any job.
    pub(crate) async fn verify_alone(&self, stop: &CancellationToken) {
        let job = Job::of(JobKind::Verify);
        self.tell(|status| *status = JobStatus::begun(job, 1));
        let result = self.verify(job, &self.reader, stop).await;
        self.conclude(job, result);
    }

    fn tell(&self, change: impl FnOnce(&mut JobStatus)) {
        self.told.send_modify(change);
    }
}

/// What a job makes while the live projector goes on.
enum Beside {
    Built(ReadModel),
    Compared(Comparison),
}

/// A projector on its threads. It is told to end when this is dropped.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<ReadModel, ProjectorError>>,
}

impl Running {
    fn start(projector: Projector) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(projector.run(stop.clone()));
        Self { stop, task }
    }

    /// Its end, unbidden.
    async fn ended(&mut self) -> anyhow::Result<ReadModel> {
        let ended = (&mut self.task).await.context("the projector panicked")?;
        Ok(ended?)
    }

    /// Ends it; what was handed over is committed.
    async fn stop(mut self) -> Result<ReadModel, JobFault> {
        self.stop.cancel();
        Ok((&mut self.task).await??)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

//! Wiring of source and writer, each on a thread of its own: the disk may block one, and the other
//! has to keep reading meanwhile.

use std::io;
use std::sync::Arc;
use std::thread;

use domain::{Ahead, Phase, Progress};
use read_model::{Changes, CommitError, Committed, OpenError, ReadModel};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::alarms::Alarms;
use crate::announcer::Announcer;
use crate::config::Config;
use crate::source::link::Connect;
use crate::source::{Nats, Source, Stumbles};
use crate::standing::Doing;
use crate::teller::Teller;
use crate::writer::{WriteError, Writer};

/// Chunks of records between source and writer. A chunk is bounded by the source's credit.
pub(crate) const CHUNKS_MAX: usize = 4;
/// Commits that a slow listener may be behind before it is told that it missed some.
const COMMITS_MAX: usize = 64;

/// Why a projector ended. A restart may mend it: the file is opened anew.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The read model could not be written, and not for want of space.
    #[error("the projector stopped: a batch could not be written")]
    Commit(#[source] CommitError),
    /// The read model could not be opened again after its disk was full.
    #[error("the projector stopped: the read model could not be opened again")]
    Reopen(#[source] OpenError),
    /// A defect of this program: it would have applied records over a hole.
    #[error("the projector stopped: the rows end at {applied}, the records begin behind {after}")]
    Elsewhere {
        /// The checkpoint's sequence.
        applied: u64,
        /// The sequence that the source attached behind.
        after: u64,
    },
    /// The system gave no thread.
    #[error("the projector cannot start a thread")]
    Thread(#[source] io::Error),
    /// A defect of this program.
    #[error("the projector's {0} panicked")]
    Panicked(&'static str),
    /// The wait for the threads was cut off.
    #[error("the projector was cut off")]
    CutOff(#[source] JoinError),
}

impl ProjectorError {
    /// Whether the disk, quota or file size limit is what failed: space, not the file.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Commit(error) => error.is_disk_full(),
            Self::Reopen(error) => error.is_disk_full(),
            Self::Elsewhere { .. } | Self::Thread(_) | Self::Panicked(_) | Self::CutOff(_) => false,
        }
    }
}

impl From<WriteError> for ProjectorError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Commit(error) => Self::Commit(error),
            WriteError::Reopen(error) => Self::Reopen(error),
            WriteError::Elsewhere { applied, after } => Self::Elsewhere { applied, after },
        }
    }
}

/// What others see of a projector.
#[derive(Clone)]
pub struct Handle {
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
    /// Every commit, after it is durable. A receiver that lags learns that it missed some.
    pub commits: broadcast::Sender<Arc<Committed>>,
    teller: Teller,
}

impl Handle {
    /// Tells why nothing moves while no projector runs, or that this is over.
    pub fn waits_for(&self, what: Option<String>) {
        self.teller.waits_for(what);
    }
}

/// Folds one stream into one read model.
pub struct Projector {
    source: Source<Nats>,
    writer: Writer,
}

impl Projector {
    /// Prepares a projector of the rows that are served; [`Projector::run`] starts it.
    pub fn new(config: Config, model: ReadModel) -> (Self, Handle) {
        let (teller, progress) = Teller::new(progress_of(&model), true);
        let (commits, _) = broadcast::channel(COMMITS_MAX);
        let handle = Handle {
            progress,
            commits: commits.clone(),
            teller: teller.clone(),
        };
        (Self::of(config, model, teller, commits, None), handle)
    }

    /// Prepares a projector that goes on for one that ended, with its rows or with others, and tells
    /// whom that one told: how far the rows are, and that every answer may have changed.
    ///
    /// What `model`'s rows say must be what readers see by now.
    pub fn in_place_of(handle: &Handle, config: Config, model: ReadModel) -> Self {
        let before = handle.progress.borrow().clone();
        let mut progress = progress_of(&model);
        let checkpoint = progress.checkpoint.clone();
        let stream = checkpoint.as_ref().map(|held| &held.stream);
        let is_same = before.checkpoint.as_ref().map(|held| &held.stream) == stream;
        if is_same && !matches!(before.phase, Phase::Blocked(_)) {
            // The same stream goes on being read: to attach again takes moments and is no news.
            progress = Progress {
                checkpoint: progress.checkpoint,
                folded: 0,
                // Counted behind another checkpoint.
                ahead: Ahead::default(),
                ..before
            };
        }
        handle.teller.replaced(progress);
        if let Some(checkpoint) = checkpoint {
            let changes = Changes::everything();
            // Nobody listening is no fault: there may be no live subscription.
            let _ = handle.commits.send(Arc::new(Committed {
                checkpoint,
                changes,
            }));
        }
        let (teller, commits) = (handle.teller.clone(), handle.commits.clone());
        Self::of(config, model, teller, commits, None)
    }

    /// Prepares a projector of rows that nobody is served: to the sequence `until` and no further, or
    /// on with the stream without. Nothing of it is told in metrics.
    pub fn beside(
        config: Config,
        model: ReadModel,
        until: Option<u64>,
    ) -> (Self, watch::Receiver<Progress>) {
        let (teller, progress) = Teller::new(progress_of(&model), false);
        let (commits, _) = broadcast::channel(COMMITS_MAX);
        (Self::of(config, model, teller, commits, until), progress)
    }

    fn of(
        config: Config,
        model: ReadModel,
        teller: Teller,
        commits: broadcast::Sender<Arc<Committed>>,
        until: Option<u64>,
    ) -> Self {
        let (source, writer) = assemble(Nats, config, model, teller, commits, until);
        Self { source, writer }
    }

    /// Runs until it is stopped, is as far as it was to come, or cannot write. Stopping commits what was
    /// handed over. Gives the read model back.
    pub async fn run(self, stop: CancellationToken) -> Result<ReadModel, ProjectorError> {
        let Self { source, writer } = self;
        let reading = runtime()?;
        let writing = runtime()?;
        let named = |name: &str| thread::Builder::new().name(name.into());
        let source = named("log-reader")
            .spawn(move || reading.block_on(source.run(stop)))
            .map_err(ProjectorError::Thread)?;
        let writer = named("writer")
            .spawn(move || writing.block_on(writer.run()))
            .map_err(ProjectorError::Thread)?;
        // The source ends when it is stopped or the writer is gone, the writer when the source is.
        let ended = tokio::task::spawn_blocking(move || (source.join(), writer.join()));
        let (source, writer) = ended.await.map_err(ProjectorError::CutOff)?;
        source.map_err(|_panic| ProjectorError::Panicked("source"))?;
        let model = writer.map_err(|_panic| ProjectorError::Panicked("writer"))??;
        Ok(model)
    }
}

fn progress_of(model: &ReadModel) -> Progress {
    let reader = model.reader();
    Progress {
        checkpoint: reader.checkpoint(),
        was_live: reader.was_live(),
        ..Progress::default()
    }
}

fn runtime() -> Result<Runtime, ProjectorError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProjectorError::Thread)
}

/// A source and a writer that go on behind what the rows hold, and what is between them. Simulations
/// put the same together over a connector of their own.
pub(crate) fn assemble<C: Connect>(
    connector: C,
    config: Config,
    model: ReadModel,
    teller: Teller,
    commits: broadcast::Sender<Arc<Committed>>,
    until: Option<u64>,
) -> (Source<C>, Writer) {
    let (feed, records) = mpsc::channel(CHUNKS_MAX);
    let (setback, setbacks) = mpsc::channel(1);
    let limits = config.limits;
    let source = Source {
        connector,
        config,
        position: model.reader().checkpoint(),
        feed,
        setbacks,
        teller: teller.clone(),
        standing: Vec::new(),
        stumbles: Stumbles::default(),
        doing: Doing::default(),
    };
    let alarms = Alarms::new(teller.is_served());
    let writer = Writer {
        model,
        setback,
        refusal: None,
        feed: records,
        announcer: Announcer {
            teller,
            commits,
            alarms,
        },
        limits,
        until,
    };
    (source, writer)
}

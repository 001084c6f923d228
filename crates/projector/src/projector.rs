//! Wiring of source and writer, each on a thread of its own: the disk may block one, and the other
//! has to keep reading meanwhile.

use std::io;
use std::sync::Arc;
use std::thread;

use domain::Progress;
use read_model::{CommitError, Committed, ReadModel};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::source::Source;
use crate::teller::Teller;
use crate::writer::Writer;

/// Chunks of records between source and writer. A chunk is bounded by the source's credit.
const CHUNKS_MAX: usize = 4;
/// Commits that a slow listener may be behind before it is told that it missed some.
const COMMITS_MAX: usize = 64;

/// Why a projector ended. A restart may mend it: the file is opened anew.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The read model could not be written.
    #[error("the projector stopped: a batch was not kept")]
    Commit(#[from] CommitError),
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

/// What others see of a projector.
#[derive(Clone)]
pub struct Handle {
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
    /// Every commit, after it is durable. A receiver that lags learns that it missed some.
    pub commits: broadcast::Sender<Arc<Committed>>,
}

/// Folds one stream into one read model.
pub struct Projector {
    source: Source,
    writer: Writer,
}

impl Projector {
    /// Prepares a projector; [`Projector::run`] starts it.
    pub fn new(config: Config, model: ReadModel) -> (Self, Handle) {
        let reader = model.reader();
        let (teller, progress) = Teller::new(Progress {
            checkpoint: reader.checkpoint(),
            was_live: reader.was_live(),
            ..Progress::default()
        });
        let (feed, records) = mpsc::channel(CHUNKS_MAX);
        let (commits, _) = broadcast::channel(COMMITS_MAX);
        let limits = config.limits;
        let position = reader.checkpoint();
        let source = Source::new(config, position, feed, teller.clone());
        let writer = Writer {
            model,
            feed: records,
            teller,
            commits: commits.clone(),
            limits,
        };
        (Self { source, writer }, Handle { progress, commits })
    }

    /// Runs until it is stopped or cannot write. Stopping commits what was handed over.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ProjectorError> {
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
        writer.map_err(|_panic| ProjectorError::Panicked("writer"))??;
        Ok(())
    }
}

fn runtime() -> Result<Runtime, ProjectorError> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProjectorError::Thread)
}

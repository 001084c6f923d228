//! A process in memory: the projector's two halves, on one thread.

use std::sync::Arc;

use domain::Progress;
use jetstream::{ApiPrefix, NoLogin};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use read_model::ReadModel;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::connection::Connector;
use crate::config::{BatchLimits, Config};
use crate::projector::assemble;
use crate::teller::Teller;
use crate::writer::WriteError;

/// One process: the projector's two halves.
pub(super) struct Process {
    stop: CancellationToken,
    source: JoinHandle<()>,
    pub(super) writer: JoinHandle<Result<ReadModel, WriteError>>,
    pub(super) progress: watch::Receiver<Progress>,
}

impl Process {
    /// Starts one on rows that were kept before, or on none.
    pub(super) fn start(broker: &Broker, model: ReadModel, limits: BatchLimits, seed: u64) -> Self {
        let config = Config {
            servers: Vec::new(),
            login: Arc::new(NoLogin),
            api: ApiPrefix::default(),
            stream: "S".to_owned(),
            consumer: "c".to_owned(),
            inbox: "_INBOX_c".to_owned(),
            limits,
        };
        let reader = model.reader();
        let (teller, progress) = Teller::new(
            Progress {
                checkpoint: reader.checkpoint(),
                ..Progress::default()
            },
            false,
        );
        let (commits, _) = broadcast::channel(4);
        let connector = Connector {
            broker: broker.clone(),
            chance: SmallRng::seed_from_u64(seed),
        };
        let (source, writer) = assemble(connector, config, model, teller, commits, None);
        let stop = CancellationToken::new();
        Self {
            source: tokio::task::spawn_local(source.run(stop.clone())),
            writer: tokio::task::spawn_local(writer.run()),
            stop,
            progress,
        }
    }

    pub(super) fn applied(&self) -> u64 {
        self.progress.borrow().applied()
    }

    /// Ends it as a process is told to; what the writer came to.
    pub(super) async fn end(&mut self) -> Result<ReadModel, WriteError> {
        self.stop.cancel();
        (&mut self.source).await.unwrap();
        (&mut self.writer).await.unwrap()
    }

    /// Ends it without a chance to finish anything.
    #[expect(
        clippy::disallowed_methods,
        reason = "a process that is killed finishes nothing"
    )]
    pub(super) fn kill(&self) {
        self.source.abort();
        self.writer.abort();
    }
}

//! The projector, from nothing to the tail, durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jetstream::{ApiPrefix, NoLogin};
use projector::{BatchLimits, Config, Projector};
use read_model::{Options, Place, ReadModel};
use tests::broker::STREAM;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

/// Folds the stream; gives the time, the digest and the file's size.
pub(crate) fn fold(
    url: &str,
    events: u64,
    budget: Option<u64>,
) -> anyhow::Result<(Duration, String, u64)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let folder = tempfile::tempdir()?;
        let model = ReadModel::open(folder.path(), Options::default())?;
        let reader = model.reader();
        let config = Config {
            servers: vec![url.parse()?],
            login: Arc::new(NoLogin),
            api: ApiPrefix::default(),
            stream: STREAM.to_owned(),
            consumer: "bench".to_owned(),
            inbox: "_INBOX_bench".to_owned(),
            limits: limits(budget)?,
        };
        let started = Instant::now();
        let (projector, mut handle) = Projector::new(config, model);
        let stop = CancellationToken::new();
        let running = tokio::spawn(projector.run(stop.clone()));
        let reached = |progress: &domain::Progress| events <= progress.applied();
        handle.progress.wait_for(reached).await?;
        let elapsed = started.elapsed();
        stop.cancel();
        running.await??;
        let file_bytes = std::fs::metadata(Place::Live.path(folder.path()))?.len();
        Ok((elapsed, reader.totals().digest.to_string(), file_bytes))
    })
}

/// Those of the service, or without a bound, so that all rows stay in memory until the end.
fn limits(budget: Option<u64>) -> anyhow::Result<BatchLimits> {
    let defaults = BatchLimits::default();
    Ok(match budget {
        Some(bytes) => BatchLimits {
            memory_bytes_max: usize::try_from(bytes)?,
            ..defaults
        },
        None => BatchLimits {
            memory_bytes_max: usize::MAX,
            time_max: Duration::from_hours(1),
            ..defaults
        },
    })
}

//! Wires the projector and the query service.

use tokio_util::sync::CancellationToken;

use crate::Config;

/// Runs the service until `stop`.
pub async fn run(_config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    stop.cancelled().await;
    Ok(())
}

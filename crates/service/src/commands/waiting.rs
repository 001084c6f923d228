//! Waiting until running services have applied what a command published.

use std::time::Duration;

use crate::cli::WaitArgs;
use crate::operator::Operator;

/// The services to wait for.
pub(super) fn services(args: &WaitArgs) -> anyhow::Result<Vec<Operator>> {
    args.wait.iter().map(|url| Operator::at(url)).collect()
}

/// Waits for each of them, one after the other; they work at the same time.
pub(super) async fn applied(
    services: &[Operator],
    stream: &str,
    sequence: u64,
    args: &WaitArgs,
) -> anyhow::Result<()> {
    let within = Duration::from_secs(args.wait_seconds);
    for service in services {
        service.applied(stream, sequence, within).await?;
    }
    Ok(())
}

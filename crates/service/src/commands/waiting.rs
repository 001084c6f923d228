//! Waiting until running services have applied what a command published.

use std::fmt;
use std::time::Duration;

use anyhow::bail;
use serde::Deserialize;
use tokio::time::Instant;

use crate::admin_client::AdminClient;
use crate::cli::WaitArgs;

/// How often a service is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The services to wait for.
pub(super) fn services(args: &WaitArgs) -> anyhow::Result<Vec<AdminClient>> {
    args.wait.iter().map(|url| AdminClient::new(url)).collect()
}

/// Waits until each of them has applied everything up to `sequence`, durably; one after the other,
/// since they work at the same time.
pub(super) async fn applied(
    services: &[AdminClient],
    stream: &str,
    sequence: u64,
    args: &WaitArgs,
) -> anyhow::Result<()> {
    for service in services {
        let within = Duration::from_secs(args.wait_seconds);
        applied_by(service, stream, sequence, within).await?;
    }
    Ok(())
}

/// A service that does not answer may be starting, so it is asked again until the time is over. One
/// that reads another stream, or applies nothing, is not waited for.
async fn applied_by(
    service: &AdminClient,
    stream: &str,
    sequence: u64,
    within: Duration,
) -> anyhow::Result<()> {
    let url = service.url();
    let deadline = Instant::now() + within;
    loop {
        let status: anyhow::Result<Status> = service.get("/status").await;
        if let Ok(status) = &status {
            if let Some(fault) = status.fault(stream) {
                bail!("{url} {fault}");
            }
            if status.stream.is_some() && sequence <= status.applied_sequence {
                return Ok(());
            }
        }
        if deadline <= Instant::now() {
            let (status, seconds) = (status?, within.as_secs());
            bail!(
                "{url} has not applied sequence {sequence} within {seconds} s ({status}); it is in the stream: wait longer with --wait-seconds"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What `/status` tells, as far as waiting needs it.
#[derive(Debug, Deserialize)]
struct Status {
    phase: String,
    reason: Option<String>,
    detail: Option<String>,
    connection: String,
    stream: Option<Stream>,
    applied_sequence: u64,
}

#[derive(Debug, Deserialize)]
struct Stream {
    name: String,
}

impl Status {
    /// Why waiting is in vain.
    fn fault(&self, stream: &str) -> Option<String> {
        let other = self.stream.as_ref().filter(|other| other.name != stream);
        if let Some(Stream { name }) = other {
            return Some(format!(
                "reads stream {name}, not {stream}: is that the service to wait for?"
            ));
        }
        (self.phase == "blocked").then(|| {
            format!("applies nothing ({self}); what was published is in the stream, and is applied when that is mended")
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, connection) = (&self.phase, &self.connection);
        write!(
            f,
            "{phase}, {connection}, applied up to {}",
            self.applied_sequence
        )?;
        for more in [&self.reason, &self.detail].into_iter().flatten() {
            write!(f, ", {more}")?;
        }
        Ok(())
    }
}

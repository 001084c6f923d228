//! Waiting until running services have applied what a command published.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use jetstream::{StreamInfo, Which};
use query::quarantine::{Entry, PAGE_MAX, Page};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::admin_client::AdminClient;
use crate::cli::WaitArgs;
use crate::nats::Connection;
use crate::producer::{Landed, Place, Whose};

/// How often a service is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the stream is asked what it holds.
const ASKED_AGAIN_WITHIN: Duration = Duration::from_secs(10);
/// Pages of parked records that are looked through for those of a run.
const PAGES_MAX: usize = 200;

/// The services to wait for.
pub(super) fn services(args: &WaitArgs) -> anyhow::Result<Vec<AdminClient>> {
    let token_file = args.admin_token_file.as_deref();
    let service = |url: &String| AdminClient::new(url, token_file);
    args.wait.iter().map(service).collect()
}

/// Waits until each of them has applied everything up to `sequence` of this very stream, durably; one
/// after the other, since they work at the same time.
pub(super) async fn applied(
    services: &[AdminClient],
    connection: &Connection,
    stream: &str,
    sequence: u64,
    args: &WaitArgs,
) -> anyhow::Result<()> {
    for service in services {
        let within = Duration::from_secs(args.wait_seconds);
        let found = applied_by(service, stream, sequence, within).await?;
        let compared = same_stream(connection, stream, &found).await;
        compared.with_context(|| {
            format!("{} may not have applied what was published", service.url())
        })?;
    }
    Ok(())
}

/// Refuses services that answer nothing, apply nothing, or have applied another stream of this name: for
/// what must not be published in vain.
pub(super) async fn check_known(
    services: &[AdminClient],
    connection: &Connection,
    stream: &str,
) -> anyhow::Result<()> {
    for service in services {
        let status: Status = service.get("/status").await?;
        if let Some(fault) = status.fault(stream) {
            bail!("{} {fault}", service.url());
        }
        let applied = status.stream.filter(|applied| applied.last.is_some());
        if let Some(applied) = applied {
            let compared = same_stream(connection, stream, &applied).await;
            compared.with_context(|| format!("{} is not to be waited for", service.url()))?;
        }
    }
    Ok(())
}

/// A service that does not answer may be starting, so it is asked again until the time is over. One
/// that reads another stream, or applies nothing, is not waited for. Gives the stream as it knows it.
async fn applied_by(
    service: &AdminClient,
    stream: &str,
    sequence: u64,
    within: Duration,
) -> anyhow::Result<Stream> {
    let url = service.url();
    let deadline = Instant::now() + within;
    loop {
        let status: anyhow::Result<Status> = service.get("/status").await;
        if let Ok(status) = &status {
            if let Some(fault) = status.fault(stream) {
                bail!("{url} {fault}");
            }
            if let Some(stream) = &status.stream
                && sequence <= status.applied_sequence
            {
                return Ok(stream.clone());
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

/// Whether the stream that was published to is the one that a service applied: a stream that was made
/// anew under the same name begins at sequence 1 again. The message that the service applied last tells
/// histories apart; where it cannot be read, the time of the stream's creation does.
async fn same_stream(
    connection: &Connection,
    stream: &str,
    applied: &Stream,
) -> anyhow::Result<()> {
    let found = info_of(connection, stream).await?;
    let Some(last) = &applied.last else {
        bail!("it has applied nothing of stream {stream}");
    };
    if found.last < last.sequence {
        bail!(
            "it has applied message {} of stream {stream}, which ends at {}: it knows another stream of this name",
            last.sequence,
            found.last
        );
    }
    let is_created_alike = applied.created.as_deref().and_then(nanos_of) == Some(found.created_ns);
    let stored = if last.sequence == found.last {
        Some(found.last_ns)
    } else if is_created_alike {
        // Good enough, and most producers may not read other people's events.
        None
    } else {
        stored(connection, stream, last.sequence).await
    };
    match stored {
        Some(stored) if last.stored.as_deref().and_then(nanos_of) == Some(stored) => Ok(()),
        None if is_created_alike => Ok(()),
        Some(_) | None => bail!(
            "it knows another stream {stream}, created {}; this one was created {}",
            applied.created.as_deref().unwrap_or("at an unknown time"),
            shown(found.created_ns)
        ),
    }
}

/// What the stream says of itself. A cluster may be electing a leader, or the connection be made anew.
async fn info_of(connection: &Connection, stream: &str) -> anyhow::Result<StreamInfo> {
    let deadline = Instant::now() + ASKED_AGAIN_WITHIN;
    loop {
        let error = match connection.nats.stream_info(stream).await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        if !error.may_pass() || deadline <= Instant::now() {
            let problem = connection.explain(&error, stream);
            bail!(
                "stream {stream} does not tell what it holds ({problem}): is the connection steady, and does this user have the permissions of doctor --permissions publish?"
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn nanos_of(text: &str) -> Option<i64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos()).ok()
}

fn shown(time_ns: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(time_ns.into());
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.unwrap_or_default()
}

/// When the message at `sequence` was stored; `None` where it is gone or may not be read.
async fn stored(connection: &Connection, stream: &str, sequence: u64) -> Option<i64> {
    let which = Which::At { seq: sequence };
    let found = connection.nats.message(stream, which).await.ok()??;
    Some(found.time_ns)
}

/// The records of this run that a service holds parked, in the order of the stream.
pub(super) async fn parked(
    service: &AdminClient,
    landed: &Landed,
) -> anyhow::Result<Vec<(Entry, Option<Place>)>> {
    let Some((first, last)) = landed.range() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut after = first.saturating_sub(1);
    for _page in 0..PAGES_MAX {
        let page = format!("/quarantine?after={after}&limit={PAGE_MAX}");
        let page: Page = service.get(&page).await?;
        for entry in page.records {
            if last < entry.sequence {
                return Ok(found);
            }
            match landed.place(entry.sequence) {
                Whose::Ours(place) => found.push((entry, Some(place))),
                Whose::Unknown => found.push((entry, None)),
                Whose::Others => {}
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(found),
        }
    }
    let looked_at = PAGES_MAX.saturating_mul(PAGE_MAX);
    bail!(
        "{} has more than {looked_at} records parked from sequence {first} on: whether any behind sequence {after} is of this run was not looked at; profile-projector quarantine list --admin {} --after {after} lists them",
        service.url(),
        service.url()
    )
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

/// The stream as a service knows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Stream {
    name: String,
    created: Option<String>,
    last: Option<Last>,
}

/// The message that was applied last.
#[derive(Debug, Clone, Deserialize)]
struct Last {
    sequence: u64,
    stored: Option<String>,
}

impl Status {
    /// Why waiting is in vain.
    fn fault(&self, stream: &str) -> Option<String> {
        let other = self.stream.as_ref().filter(|other| other.name != stream);
        if let Some(Stream { name, .. }) = other {
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

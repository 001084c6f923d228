//! Attaching: a new consumer first, then what the stream says of itself, then a message that we know.
//!
//! The order matters: a stream that is made anew after it was asked about takes the consumer with it,
//! so what was verified is what is read.

use domain::{Checkpoint, LogBounds, Sequence, Sighting, StreamId};
use jetstream::{ApiError, FoundMessage, RequestError, StreamInfo, Which, code};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::asking::Allowed;
use super::link::{Link, RequestFault};
use super::{End, Trouble};
use crate::config::Config;
use crate::findings::{self, Finding};

/// The server removes a consumer that nobody asks for this long, or sooner where the stream allows no more.
const INACTIVE_AFTER: Duration = Duration::from_mins(5);

/// How many of the messages that we know are compared, the latest that are left. A stream's messages
/// only follow each other, so one is enough; more make it plain.
const COMPARED: usize = 3;

/// A stream that was verified, and a consumer that starts behind our position.
pub(crate) struct Attached {
    pub(crate) position: Checkpoint,
    pub(crate) outlook: Outlook,
    /// What a request for records may ask.
    pub(crate) allowed: Allowed,
    /// What of the stream's settings endangers the events.
    pub(crate) dangers: Vec<Finding>,
}

/// What is left to read, as a new consumer and its stream say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outlook {
    pub(crate) tail: u64,
    /// Records that the consumer has to deliver.
    pub(crate) pending: u64,
    /// The stream's tail before they were counted.
    pub(crate) counted_to: u64,
    /// Nothing up to here is left to read.
    pub(crate) void_to: u64,
}

/// Any answer whose content does not matter.
#[derive(Deserialize)]
struct Anything {}

/// What a new consumer says of itself.
#[derive(Deserialize)]
struct Created {
    /// Records that it has to deliver.
    num_pending: u64,
    /// As it is, which need not be as it was asked for.
    #[serde(default)]
    config: Allowed,
}

pub(crate) async fn attach(
    link: &impl Link,
    config: &Config,
    position: Option<&Checkpoint>,
) -> Result<Attached, End> {
    let applied = position.map_or(0, Checkpoint::sequence);
    link.begin_attaching().await;
    let info = stream_info(link, config).await?;
    let before = bounds(&info)?;
    let created = create_consumer(link, config, &info, applied.saturating_add(1)).await?;
    let (info, bounds) = verify(link, config, position).await?;
    warn_of_beginning(bounds.first, applied);
    let outlook = outlook(&before, created.num_pending, &bounds);
    let position = match position {
        Some(held) => {
            say_if_moved(held, &bounds.stream);
            held.in_stream(bounds.stream)
        }
        None => Checkpoint::start_of(bounds.stream),
    };
    Ok(Attached {
        position,
        outlook,
        allowed: created.config,
        dangers: findings::dangers(&info),
    })
}

/// What a consumer counted between two looks at its stream.
fn outlook(before: &LogBounds, pending: u64, now: &LogBounds) -> Outlook {
    let counted_to = if before.stream == now.stream {
        before.last
    } else {
        0
    };
    let begins_behind = now.first.saturating_sub(1);
    Outlook {
        tail: now.last,
        pending,
        counted_to,
        void_to: match pending {
            0 => counted_to.max(begins_behind),
            _ => begins_behind,
        },
    }
}

/// Asks the stream whether it goes on from `position`.
pub(crate) async fn verify(
    link: &impl Link,
    config: &Config,
    position: Option<&Checkpoint>,
) -> Result<(Value, LogBounds), End> {
    let info = stream_info(link, config).await?;
    let bounds = bounds(&info)?;
    if let Some(held) = position {
        let seen = look_at_known(link, config, held).await?;
        held.resume(&bounds, &seen)?;
        if seen.is_empty() && held.applied.is_some() {
            tracing::warn!(
                applied = held.sequence(),
                "every message that could tell this stream's history from another was deleted"
            );
        }
    }
    Ok((info, bounds))
}

/// Gives the consumer back. Best effort: the server removes it by itself in the end.
pub(crate) async fn leave(link: &impl Link, config: &Config) {
    let subject = format!("CONSUMER.DELETE.{}.{}", config.stream, config.consumer);
    let _ = link.request::<Anything>(subject, &json!({})).await;
}

/// What the broker holds now.
pub(super) async fn stream_info(link: &impl Link, config: &Config) -> Result<Value, End> {
    let subject = format!("STREAM.INFO.{}", config.stream);
    link.request(subject, &json!({}))
        .await
        .map_err(|fault| unreadable(link, config, fault))
}

pub(super) fn bounds(info: &Value) -> Result<LogBounds, End> {
    let info = StreamInfo::of(info).map_err(|error| odd(&error))?;
    let stream = StreamId {
        name: info.name.into(),
        created_ns: info.created_ns,
    };
    Ok(LogBounds {
        stream,
        first: info.first,
        last: info.last,
    })
}

/// Another consumer of our name can only be one that we left behind.
async fn create_consumer(
    link: &impl Link,
    config: &Config,
    info: &Value,
    start_sequence: u64,
) -> Result<Created, End> {
    leave(link, config).await;
    // Without this permission all goes well until there is a consumer to delete.
    if let Some(trouble) = link.told_trouble() {
        return Err(End::Trouble(trouble));
    }
    let nanos = u64::try_from(inactive_after(info).as_nanos()).unwrap_or(u64::MAX);
    let request = json!({
        "stream_name": config.stream,
        "config": {
            "name": config.consumer,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start_sequence,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanos,
        },
        "action": "create",
    });
    let subject = format!("CONSUMER.CREATE.{}.{}", config.stream, config.consumer);
    match link.request(subject, &request).await {
        Err(RequestFault::Refused(error)) if is_of_consumer(&error) => Err(End::Trouble(Trouble {
            connection: domain::Connection::ConsumerRefused,
            detail: format!(
                "the server makes no consumer for stream {}: {error}",
                config.stream
            ),
        })),
        created => created.map_err(|fault| unreadable(link, config, fault)),
    }
}

/// As long as is good for us and the stream allows.
fn inactive_after(info: &Value) -> Duration {
    let limit = info.pointer("/config/consumer_limits/inactive_threshold");
    match limit.and_then(Value::as_u64) {
        Some(limit @ 1..) => INACTIVE_AFTER.min(Duration::from_nanos(limit)),
        Some(0) | None => INACTIVE_AFTER,
    }
}

/// Whether it is the consumer that is refused, and not its stream or all of `JetStream`.
fn is_of_consumer(error: &ApiError) -> bool {
    !matches!(
        error.err_code,
        code::STREAM_NOT_FOUND | code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT
    )
}

/// What stands at the places of messages that we know, the latest first. One that was deleted says
/// nothing, so earlier ones stand in for it.
async fn look_at_known(
    link: &impl Link,
    config: &Config,
    position: &Checkpoint,
) -> Result<Vec<Sighting>, End> {
    let mut seen = Vec::new();
    for held in position.fingerprints() {
        if let Some(found_ns) = message_time(link, config, held.sequence).await? {
            seen.push(Sighting { held, found_ns });
        }
        if COMPARED <= seen.len() {
            break;
        }
    }
    Ok(seen)
}

/// When a message was stored; `None` when it was deleted.
pub(super) async fn message_time(
    link: &impl Link,
    config: &Config,
    at: Sequence,
) -> Result<Option<i64>, End> {
    let subject = format!("STREAM.MSG.GET.{}", config.stream);
    match link
        .request::<FoundMessage>(subject, &Which::At { seq: at.get() })
        .await
    {
        Ok(found) => Ok(Some(found.message.time_ns)),
        Err(RequestFault::Refused(error)) if error.err_code == code::NO_MESSAGE_FOUND => Ok(None),
        Err(fault) => Err(unreadable(link, config, fault)),
    }
}

pub(super) fn unreadable(link: &impl Link, config: &Config, fault: RequestFault) -> End {
    End::Trouble(match fault {
        RequestFault::Refused(error) => link.refused(&config.stream, &error),
        RequestFault::Unanswered(trouble) => trouble,
    })
}

fn odd(error: &RequestError) -> End {
    End::Trouble(Trouble {
        connection: domain::Connection::Disconnected,
        detail: error.to_string(),
    })
}

/// Says that a stream was recognised by its messages alone.
fn say_if_moved(held: &Checkpoint, found: &StreamId) {
    let StreamId { name, created_ns } = &held.stream;
    if held.stream != *found {
        tracing::warn!(
            stream = %found.name, created_ns = found.created_ns,
            held_stream = %name, held_created_ns = created_ns, applied = held.sequence(),
            "the stream says it is another one, and its messages are those that were applied: \
             it is the same history, and reading goes on"
        );
    }
}

/// Says what the stream no longer holds to who reads it from its beginning.
fn warn_of_beginning(first: u64, applied: u64) {
    if applied == 0 && first > 1 {
        tracing::warn!(
            first,
            "the stream begins at {first}: what was before cannot be read"
        );
    }
}

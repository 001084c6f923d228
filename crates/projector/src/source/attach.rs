//! Attaching: a new consumer first, then what the stream says of itself, then a message that we know.
//!
//! The order matters: a stream that is made anew after it was asked about takes the consumer with it,
//! so what was verified is what is read.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, IntoConsumerConfig, pull};
use async_nats::jetstream::stream;
use domain::{Checkpoint, Fingerprint, LogBounds, StreamId};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

use super::link::{Link, RequestFault};
use super::{End, Trouble};
use crate::config::Config;
use crate::findings::{self, Finding};

/// The server removes a consumer that nobody asks for this long.
const INACTIVE_AFTER: Duration = Duration::from_mins(5);

/// A stream that was verified, and a consumer that starts behind our position.
pub(crate) struct Attached {
    pub(crate) position: Checkpoint,
    pub(crate) tail: u64,
    /// Nothing is left to read: what stood between position and tail was deleted.
    pub(crate) is_at_end: bool,
    /// What of the stream's settings endangers the events.
    pub(crate) dangers: Vec<Finding>,
}

/// Any answer whose content does not matter.
#[derive(Deserialize)]
struct Anything {}

/// What a new consumer says of itself.
#[derive(Deserialize)]
struct Created {
    /// Records that it has to deliver.
    num_pending: u64,
}

pub(crate) async fn attach(
    link: &impl Link,
    config: &Config,
    position: Option<&Checkpoint>,
) -> Result<Attached, End> {
    let applied = position.map_or(0, Checkpoint::sequence);
    link.begin_attaching().await;
    let created = create_consumer(link, config, applied.saturating_add(1)).await?;
    let (info, bounds) = verify(link, config, position).await?;
    warn_of_beginning(bounds.first, applied);
    let position = match position {
        Some(held) => held.clone(),
        None => Checkpoint::start_of(bounds.stream),
    };
    Ok(Attached {
        position,
        tail: bounds.last,
        is_at_end: created.num_pending == 0,
        dangers: findings::dangers(&info),
    })
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
        held.resume(&bounds)?;
        recognise(link, config, held).await?;
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
    let info = stream::Info::deserialize(info);
    let info = info.map_err(|error| odd(&error.to_string()))?;
    let created_ns = i64::try_from(info.created.unix_timestamp_nanos());
    let created_ns =
        created_ns.map_err(|_range| odd("the stream's creation time is out of range"))?;
    let stream = StreamId {
        name: info.config.name.as_str().into(),
        created_ns,
    };
    Ok(LogBounds {
        stream,
        first: info.state.first_sequence,
        last: info.state.last_sequence,
    })
}

/// Another consumer of our name can only be one that we left behind.
async fn create_consumer(
    link: &impl Link,
    config: &Config,
    start_sequence: u64,
) -> Result<Created, End> {
    leave(link, config).await;
    // Without this permission all goes well until there is a consumer to delete.
    if let Some(trouble) = link.told_trouble() {
        return Err(End::Trouble(trouble));
    }
    let consumer = pull::Config {
        name: Some(config.consumer.clone()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
        ack_policy: AckPolicy::None,
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: INACTIVE_AFTER,
        ..pull::Config::default()
    };
    let request = json!({
        "stream_name": config.stream,
        "config": consumer.into_consumer_config(),
        "action": "create",
    });
    let subject = format!("CONSUMER.CREATE.{}.{}", config.stream, config.consumer);
    let created = link.request(subject, &request).await;
    created.map_err(|fault| unreadable(link, config, fault))
}

/// Compares the latest message of the stream that we know by its time. A message that was deleted
/// says nothing, so earlier ones stand in for it.
async fn recognise(link: &impl Link, config: &Config, position: &Checkpoint) -> Result<(), End> {
    for held in position.fingerprints() {
        if let Some(found_ns) = message_time(link, config, held).await? {
            return Ok(Checkpoint::recognise(held, found_ns)?);
        }
    }
    if position.applied.is_some() {
        tracing::warn!(
            applied = position.sequence(),
            "every message that could tell this stream's history from another was deleted"
        );
    }
    Ok(())
}

/// `None` when the message was deleted.
async fn message_time(
    link: &impl Link,
    config: &Config,
    at: Fingerprint,
) -> Result<Option<i64>, End> {
    #[derive(Deserialize)]
    struct Found {
        message: stream::RawMessage,
    }
    let subject = format!("STREAM.MSG.GET.{}", config.stream);
    match link
        .request::<Found>(subject, &json!({ "seq": at.sequence.get() }))
        .await
    {
        Ok(found) => {
            let time_ns = i64::try_from(found.message.time.unix_timestamp_nanos());
            time_ns
                .map(Some)
                .map_err(|_range| odd("a message's time is out of range"))
        }
        Err(RequestFault::Refused(error)) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
            Ok(None)
        }
        Err(fault) => Err(unreadable(link, config, fault)),
    }
}

pub(super) fn unreadable(link: &impl Link, config: &Config, fault: RequestFault) -> End {
    End::Trouble(match fault {
        RequestFault::Refused(error) => link.refused(&config.stream, &error),
        RequestFault::Unanswered(trouble) => trouble,
    })
}

fn odd(what: &str) -> End {
    let detail = format!("the server's answer makes no sense: {what}");
    End::Trouble(Trouble {
        connection: domain::Connection::Disconnected,
        detail,
    })
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

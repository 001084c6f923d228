//! Reading a stream from its beginning, once, message by message: for commands that replay it.

use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use domain::Sequence;
use event_lines::Message;
use futures::StreamExt;
use tokio::time::timeout;

use crate::nats::{Connection, REQUEST_WITHIN};

/// A server that has something to send and does not for this long is not waited for.
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);

/// Up to where a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// What it holds when the reading begins.
    Tail,
    /// This message, or the last one before it.
    Sequence(u64),
    /// The last message stored at this time, in nanoseconds since the epoch.
    Time(i128),
}

/// What a stream held when its reading began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Its first message; above 1 when what was before is gone.
    pub(crate) first: u64,
    /// The last one that is read.
    pub(crate) last: u64,
}

/// Hands the messages of a stream to `each`, in order. `begin` hears first what there is.
///
/// The client makes its consumer anew when something was lost on the way. It begins at the first
/// message, since from any other one it would not find back.
pub(crate) async fn read(
    connection: &Connection,
    stream: &str,
    until: Until,
    begin: impl FnOnce(Extent),
    mut each: impl FnMut(Message) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let asked = timeout(REQUEST_WITHIN, connection.jetstream.get_stream(stream)).await;
    let Ok(Ok(found)) = asked else {
        return Err(connection.why_unheard(stream).await.into());
    };
    let state = found.cached_info().state.clone();
    let tail = state.last_sequence;
    let last = match until {
        Until::Sequence(sequence) => {
            ensure!(
                sequence <= tail,
                "sequence {sequence} is not there yet: the stream ends at {tail}"
            );
            sequence
        }
        Until::Tail | Until::Time(_) => tail,
    };
    let first = state.first_sequence;
    begin(Extent { first, last });
    if state.messages == 0 || last < first {
        return Ok(());
    }
    let config = pull::OrderedConfig {
        deliver_policy: DeliverPolicy::All,
        ..pull::OrderedConfig::default()
    };
    let consumer = timeout(REQUEST_WITHIN, found.create_consumer(config)).await;
    let consumer = consumer
        .map_err(|_elapsed| anyhow!("the server makes no consumer"))?
        .context("the stream cannot be read")?;
    let mut messages = consumer
        .messages()
        .await
        .context("the stream cannot be read")?;
    loop {
        let next = timeout(MESSAGE_WITHIN, messages.next()).await;
        let next = next.map_err(|_elapsed| anyhow!("the stream does not answer any more"))?;
        let message = next
            .context("the reading ended")?
            .context("the reading broke off")?;
        let (about, time) = place(&message)?;
        if last < about.sequence || matches!(until, Until::Time(until) if until < time) {
            return Ok(());
        }
        let at = about.sequence;
        each(written(about, &message))?;
        if at == last || about.pending == 0 {
            return Ok(());
        }
    }
}

/// What a delivery says of its message.
#[derive(Clone, Copy)]
struct About {
    sequence: u64,
    pending: u64,
    time: time::OffsetDateTime,
}

fn place(message: &async_nats::jetstream::Message) -> anyhow::Result<(About, i128)> {
    let info = message.info();
    let info = info.map_err(|problem| anyhow!("a delivery tells no place: {problem}"))?;
    let time = info.published;
    let about = About {
        sequence: info.stream_sequence,
        pending: info.pending,
        time,
    };
    Ok((about, time.unix_timestamp_nanos()))
}

/// The message as a line of a file holds it.
fn written(about: About, message: &async_nats::jetstream::Message) -> Message {
    let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
    let mut headers: Vec<(String, String)> = headers
        .flat_map(|(name, values)| {
            let values = values.iter();
            values.map(move |value| (name.to_string(), value.as_str().to_owned()))
        })
        .collect();
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    Message {
        sequence: Sequence::new(about.sequence),
        time: about
            .time
            .format(&time::format_description::well_known::Rfc3339)
            .ok(),
        subject: message.subject.to_string(),
        headers,
        payload: message.payload.to_vec(),
    }
}

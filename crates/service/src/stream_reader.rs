//! Reading a stream from its beginning, once, message by message: for commands that replay it.

use std::ops::ControlFlow;

use anyhow::{anyhow, ensure};
use domain::{Fingerprint, RecordRef};
use event_lines::Message;
use projector::{ReadingError, read_log};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::log_access::LogAccess;
use crate::nats::Connection;

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
pub(crate) async fn read(
    connection: &Connection,
    log: &LogAccess,
    until: Until,
    begin: impl FnOnce(Extent),
    mut each: impl FnMut(Message) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stream = log.nats().stream.as_str();
    let found = connection.stream(stream).await?;
    let tail = found.last;
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
    let first = found.first;
    begin(Extent { first, last });
    if found.messages == 0 || last < first {
        return Ok(());
    }
    let each = |at: Fingerprint, record: &RecordRef<'_>| {
        let sequence = at.sequence.get();
        let is_beyond = matches!(until, Until::Time(until) if until < at.time_ns.into());
        if last < sequence || is_beyond {
            return Ok(ControlFlow::Break(()));
        }
        each(message_of(at, record))?;
        Ok(if sequence == last {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    };
    let config = log.projector_config("");
    match read_log(config, each).await {
        Ok(()) => Ok(()),
        Err(ReadingError::Unreadable(why)) => Err(anyhow!(why)),
        Err(ReadingError::Taker(error)) => Err(error),
    }
}

/// The message as a line of a file holds it.
fn message_of(at: Fingerprint, record: &RecordRef<'_>) -> Message {
    let time = OffsetDateTime::from_unix_timestamp_nanos(at.time_ns.into());
    Message {
        sequence: Some(at.sequence),
        time: time.ok().and_then(|time| time.format(&Rfc3339).ok()),
        subject: record.subject.to_owned(),
        headers: record.headers.as_bytes().to_vec(),
        payload: record.payload.to_vec(),
    }
}

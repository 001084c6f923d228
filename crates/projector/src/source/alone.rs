//! A place that reading fails at again and again: its message is asked for by itself.
//!
//! Bytes on the way may be what is wrong, or the consumer, or the message. A request takes another way, and
//! what it gives is the record, byte for byte. If it gives nothing either, the place is named.

use domain::{Checkpoint, Fingerprint, Refusal, Sequence};
use jetstream::{FoundMessage, Frames, StoredMessage, Which, code};

use super::attach::{bounds, stream_info};
use super::ledger::Doubt;
use super::link::{Connect, Link, RequestFault};
use super::{End, Source};
use crate::chunk::{Chunk, Place};
use crate::config::Config;
use crate::writer::Feed;

/// Failures in a row at one place after which its message is asked for by itself.
const FAILURES_MAX: u32 = 3;

/// Failures in a row at one place.
#[derive(Debug, Default)]
pub(crate) struct Stumbles {
    /// Behind this sequence.
    position: u64,
    times: u32,
    /// The last one, in words.
    last: String,
}

impl Stumbles {
    /// An attachment ended; everything up to `position` was handed over.
    fn ended(&mut self, end: &End, position: u64) {
        match end {
            // It says nothing of the place.
            End::Stopped | End::Trouble(_) => {}
            // The consumer has its turn first each time, but not three of them.
            End::Doubt(Doubt::ReadAlone { .. })
            | End::Refused(Refusal::MessageUnreadable { .. }) => {
                self.position = position;
                self.times = FAILURES_MAX - 1;
            }
            End::Doubt(Doubt::StreamChanged) | End::Refused(_) | End::SetBack(_) => {
                *self = Self::default();
            }
            End::Doubt(doubt) => {
                if self.position != position {
                    *self = Self::default();
                }
                self.position = position;
                self.times = self.times.saturating_add(1);
                self.last = doubt.to_string();
            }
        }
    }

    fn is_stuck(&self, position: u64) -> bool {
        self.position == position && FAILURES_MAX <= self.times
    }
}

impl<C: Connect> Source<C> {
    fn applied(&self) -> u64 {
        self.position.as_ref().map_or(0, Checkpoint::sequence)
    }

    /// Counts an end against the place it came at, if something is to be read there.
    pub(super) fn note_stumble(&mut self, end: &End) {
        let position = self.applied();
        let is_idle = self.teller.is_tail(position);
        if is_idle && matches!(end, End::Doubt(_)) {
            self.stumbles = Stumbles::default();
        } else {
            self.stumbles.ended(end, position);
        }
    }

    /// Where reading failed too often, asks for the next message by itself and hands it over; that ends the
    /// attachment, since its consumer begins with that message.
    pub(super) async fn read_alone(&mut self, link: &C::Link) -> Result<(), End> {
        let Some(position) = self.position.clone() else {
            return Ok(());
        };
        if !self.stumbles.is_stuck(position.sequence()) {
            return Ok(());
        }
        let Some(from) = Sequence::new(position.sequence().saturating_add(1)) else {
            return Ok(());
        };
        self.doing.waits_for("the broker's answer with one message");
        let found = next_message(link, &self.config, from).await;
        // Whoever does not answer this either is not there.
        let bounds = bounds(&stream_info(link, &self.config).await?)?;
        if bounds.stream != position.stream {
            return Err(Doubt::StreamChanged.into());
        }
        position.resume(&bounds, &[])?;
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.stumbles = Stumbles::default();
                return Ok(());
            }
            Err(why) => {
                let last = &self.stumbles.last;
                return Err(End::Refused(Refusal::MessageUnreadable {
                    sequence: from,
                    detail: format!("{last}; and asked for by itself: {why}"),
                }));
            }
        };
        let sequence = found.at.sequence.get();
        tracing::warn!(
            sequence,
            why = self.stumbles.last,
            "message {sequence} could not be read with others, and is read by itself"
        );
        let place = Place {
            at: found.at,
            pending: bounds.last.saturating_sub(sequence),
        };
        let mut chunk = Chunk::default();
        chunk.begin(found.frames);
        chunk.push(place, 0);
        self.position = Some(position.advanced(found.at));
        if self.feed.send(Feed::Records(chunk)).await.is_err() {
            return Err(End::Stopped);
        }
        Err(Doubt::ReadAlone { sequence }.into())
    }
}

/// A message as the stream holds it.
struct Found {
    at: Fingerprint,
    frames: Frames,
}

/// The first message from a place on; `None` when there is none. Errors are for people.
async fn next_message(
    link: &impl Link,
    config: &Config,
    from: Sequence,
) -> Result<Option<Found>, String> {
    let seq = from.get();
    if let Some(found) = ask(link, config, Which::At { seq }, from).await? {
        return Ok(Some(found));
    }
    let next_by_subj = ">";
    ask(link, config, Which::From { seq, next_by_subj }, from).await
}

async fn ask(
    link: &impl Link,
    config: &Config,
    which: Which<'_>,
    from: Sequence,
) -> Result<Option<Found>, String> {
    let request = format!("STREAM.MSG.GET.{}", config.stream);
    match link.request::<FoundMessage>(request, &which).await {
        Ok(FoundMessage { message }) => found(&message, from).map(Some),
        Err(RequestFault::Refused(error)) if error.err_code == code::NO_MESSAGE_FOUND => Ok(None),
        Err(RequestFault::Refused(error)) => Err(error.to_string()),
        Err(RequestFault::Unanswered(trouble)) => Err(trouble.detail),
    }
}

fn found(message: &StoredMessage, from: Sequence) -> Result<Found, String> {
    let sequence = Sequence::new(message.sequence).filter(|found| from <= *found);
    let sequence = sequence.ok_or_else(|| {
        let found = message.sequence;
        format!("the server's answer makes no sense: it is message {found}")
    })?;
    let (subject, time_ns) = (message.subject.as_bytes(), message.time_ns);
    Ok(Found {
        at: Fingerprint { sequence, time_ns },
        frames: Frames::of_message(subject, &message.headers, &message.payload),
    })
}

//! One event's way to its ack, and what it means when none comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jetstream::{HeaderBlock, PendingAck, PublishAck, RequestError, code};

use super::event::OutgoingEvent;
use super::fault::Fault;
use crate::nats::{Connection, NatsError};

/// How long an event is sent again while no ack comes, or while a cluster elects a leader: nobody takes its
/// subject then, or an id is kept for a message that is not stored yet.
const RESENT_WITHIN: Duration = Duration::from_secs(30);
/// The same before the stream has taken anything: it may be missing.
const RESENT_AT_FIRST_WITHIN: Duration = Duration::from_millis(500);
const RETRY_AFTER: Duration = Duration::from_millis(200);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
/// After a connection was lost: whoever loses them as fast as they are made is not pressed.
const RESENT_AFTER: Duration = Duration::from_millis(20);

/// What a server is to compare before it stores a message.
pub(super) const EXPECTED_STREAM: &str = "Nats-Expected-Stream";
pub(super) const EXPECTED_LAST_SUBJECT_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";

/// Whether an error is one event's or everybody's.
pub(super) enum Meaning {
    OfEvent(Fault),
    OfAll(NatsError),
}

impl Connection {
    pub(super) async fn meaning_of(&self, error: &RequestError, stream: &str) -> Meaning {
        let too_large = || {
            Meaning::OfEvent(Fault {
                member: "data".to_owned(),
                found: "more bytes than the server takes".to_owned(),
                expected: "a message within the limits of server and stream".to_owned(),
            })
        };
        match error {
            RequestError::TooLarge(_) => too_large(),
            RequestError::NoResponders => Meaning::OfAll(self.why_unheard(stream).await),
            RequestError::Refused(refused) => match refused.err_code {
                code::MESSAGE_TOO_LARGE => too_large(),
                code::STREAM_NOT_MATCH => Meaning::OfAll(NatsError::SubjectElsewhere {
                    stream: stream.to_owned(),
                }),
                _ => Meaning::OfAll(self.explain(error, stream)),
            },
            RequestError::TimedOut | RequestError::Lost(_)
                if self.nats.state().borrow().problem.is_none() =>
            {
                Meaning::OfAll(NatsError::TimedOut {
                    servers: self.servers(),
                    asked: "an event was sent again and again, no ack came",
                })
            }
            RequestError::TimedOut
            | RequestError::Lost(_)
            | RequestError::Denied(_)
            | RequestError::Unauthorized
            | RequestError::Invalid
            | RequestError::Odd(_) => Meaning::OfAll(self.explain(error, stream)),
        }
    }
}

/// Sends a single event, a command's own, and tells what went wrong with it as the command's error.
pub(crate) async fn send_one(
    connection: &Connection,
    stream: &str,
    event: &OutgoingEvent,
) -> anyhow::Result<PublishAck> {
    let outlet = Outlet::of(connection);
    match outlet.publish(event, Behind::Stream(stream)).await {
        Ok(ack) if ack.stream == stream => Ok(ack),
        Ok(ack) => Err(NatsError::OtherStream {
            expected: stream.to_owned(),
            found: ack.stream,
        }
        .into()),
        Err(error) => match connection.meaning_of(&error, stream).await {
            Meaning::OfEvent(fault) => Err(anyhow::anyhow!("the event was refused: {fault}")),
            Meaning::OfAll(problem) => Err(problem.into()),
        },
    }
}

/// Where events are handed over.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) nats: jetstream::Connection,
    /// Whether an event was acknowledged, through any clone.
    has_stored: Arc<AtomicBool>,
}

impl Outlet {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            nats: connection.nats.clone(),
            has_stored: Arc::default(),
        }
    }

    /// Sends one event until it is acknowledged, refused, or nobody answers often enough.
    ///
    /// It is stored only where it is to be.
    pub(super) async fn publish(
        &self,
        event: &OutgoingEvent,
        behind: Behind<'_>,
    ) -> Result<PublishAck, RequestError> {
        let begun = Instant::now();
        let mut pause = RETRY_AFTER;
        loop {
            let sent = async { self.hand_over(event, behind).await?.ack().await };
            let error = match sent.await {
                Ok(ack) => {
                    self.has_stored.store(true, Ordering::Relaxed);
                    return Ok(ack);
                }
                Err(error) => error,
            };
            if self.resent_within(&error) <= begun.elapsed() {
                return Err(error);
            }
            if matches!(error, RequestError::Lost(_)) {
                tokio::time::sleep(RESENT_AFTER).await;
            } else {
                tokio::time::sleep(pause).await;
                pause = RETRY_AFTER_MAX.min(pause * 2);
            }
        }
    }

    fn resent_within(&self, error: &RequestError) -> Duration {
        let is_on_its_way = matches!(error, RequestError::TimedOut | RequestError::Lost(_))
            || error.code() == Some(code::BEING_STORED);
        // Nobody is there, or a cluster finds its leader.
        let is_unheard = error.may_pass();
        match (is_on_its_way, is_unheard) {
            (true, _) => RESENT_WITHIN,
            (false, true) if self.has_stored.load(Ordering::Relaxed) => RESENT_WITHIN,
            (false, true) => RESENT_AT_FIRST_WITHIN,
            (false, false) => Duration::ZERO,
        }
    }

    /// Sends a run of events, all at once: each but the first only if the one before it is the last
    /// message of the stream. So whatever is lost or refused, nothing is stored before what goes before
    /// it. Gives their acks; none for an event that was not stored there, or of which nothing is known.
    ///
    /// For streams of one copy. With more, the server compares after it has taken the event's id, and a
    /// refused event cannot be stored while the id is known.
    pub(super) async fn publish_run(&self, run: &[&OutgoingEvent]) -> Vec<Option<PublishAck>> {
        let mut sent = Vec::with_capacity(run.len());
        let mut before = None;
        for event in run {
            let behind = before.map_or(Behind::Anything, Behind::Message);
            sent.push(self.hand_over(event, behind).await);
            before = Some(event.id.as_str());
        }
        let mut acks = Vec::with_capacity(run.len());
        for ack in sent {
            acks.push(match ack {
                Ok(ack) => ack.ack().await.ok(),
                Err(_not_sent) => None,
            });
        }
        acks
    }

    async fn hand_over(
        &self,
        event: &OutgoingEvent,
        behind: Behind<'_>,
    ) -> Result<PendingAck, RequestError> {
        let mut headers = headers_of(event)?;
        let mut add = |name: &str, value: &str| {
            let added = headers.push(name, value);
            added.map_err(|_ends_line| RequestError::Invalid)
        };
        match behind {
            Behind::Anything => {}
            Behind::Stream(stream) => add(EXPECTED_STREAM, stream)?,
            Behind::Sequence(stream, sequence) => {
                add(EXPECTED_STREAM, stream)?;
                add(EXPECTED_LAST_SUBJECT_SEQUENCE, &sequence.to_string())?;
            }
            Behind::Message(id) => add("Nats-Expected-Last-Msg-Id", id)?,
        }
        let payload = event.payload.clone();
        self.nats.publish(&event.subject, headers, payload).await
    }
}

/// What has to be there for an event to be stored.
#[derive(Clone, Copy)]
pub(super) enum Behind<'a> {
    Anything,
    /// The stream that takes the subject has this name.
    Stream(&'a str),
    /// That, and the last message of the subject has this sequence.
    Sequence(&'a str, u64),
    /// The last message of the stream has this id.
    Message(&'a str),
}

/// The event's headers as they are sent. The schemas allow no control characters in an attribute.
pub(super) fn headers_of(event: &OutgoingEvent) -> Result<HeaderBlock, RequestError> {
    let mut headers = HeaderBlock::default();
    for (name, value) in &event.headers {
        let added = headers.push(name, value);
        added.map_err(|_ends_line| RequestError::Invalid)?;
    }
    Ok(headers)
}

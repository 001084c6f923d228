//! One event's way to its ack, and what it means when none comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{PublishAckFuture, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{HeaderMap, HeaderValue};
use tokio::sync::watch;

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
/// The server's code for an id that is kept for a message that is not stored yet.
const BEING_STORED: u64 = 10_158;

/// Whether an error is one event's or everybody's.
pub(super) enum Meaning {
    OfEvent(Fault),
    OfAll(NatsError),
}

impl Connection {
    pub(super) async fn meaning_of(&self, error: &PublishError, stream: &str) -> Meaning {
        let too_large = || {
            Meaning::OfEvent(Fault {
                member: "data".to_owned(),
                found: "more bytes than the server takes".to_owned(),
                expected: "a message within the limits of server and stream".to_owned(),
            })
        };
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => too_large(),
            _ if code_of(error) == Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => too_large(),
            _ if code_of(error) == Some(ErrorCode::STREAM_NOT_MATCH) => {
                Meaning::OfAll(NatsError::SubjectElsewhere {
                    stream: stream.to_owned(),
                })
            }
            PublishErrorKind::StreamNotFound => Meaning::OfAll(self.why_unheard(stream).await),
            PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending => Meaning::OfAll(NatsError::TimedOut {
                servers: self.servers.clone(),
                asked: "an event was sent again and again, no ack came",
            }),
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::Other => Meaning::OfAll(NatsError::Refused {
                said: error.to_string(),
            }),
        }
    }
}

/// Sends a single event, a command's own, and tells what went wrong with it as the command's error.
pub(crate) async fn send_one(
    connection: &Connection,
    stream: &str,
    event: &OutgoingEvent,
) -> anyhow::Result<PublishAck> {
    let mut denied = connection.denied.clone();
    let outlet = Outlet::of(connection);
    let sent = tokio::select! {
        biased;
        Ok(problem) = denied.wait_for(Option::is_some) => {
            anyhow::bail!("{}", problem.clone().map_or_else(String::new, |problem| problem.to_string()));
        }
        sent = outlet.publish(event, Behind::Stream(stream)) => sent,
    };
    match sent {
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
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pub(super) jetstream: jetstream::Context,
    resets: watch::Receiver<u64>,
    /// Whether an event was acknowledged, through any clone.
    has_stored: Arc<AtomicBool>,
}

impl Outlet {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            jetstream: connection.jetstream.clone(),
            resets: connection.resets.clone(),
            has_stored: Arc::default(),
        }
    }

    /// Sends one event until it is acknowledged, refused, or nobody answers for too long.
    ///
    /// It is stored only where it is to be.
    pub(super) async fn publish(
        &self,
        event: &OutgoingEvent,
        behind: Behind<'_>,
    ) -> Result<PublishAck, PublishError> {
        let begun = Instant::now();
        let mut pause = RETRY_AFTER;
        loop {
            let sent = async { hand_over(&self.jetstream, event, behind).await?.await };
            let error = tokio::select! {
                biased;
                sent = sent => match sent {
                    Ok(ack) => {
                        self.has_stored.store(true, Ordering::Relaxed);
                        return Ok(ack);
                    }
                    Err(error) => error,
                },
                () = self.reset(), if begun.elapsed() < RESENT_WITHIN => continue,
            };
            if self.resent_within(&error) <= begun.elapsed() {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = RETRY_AFTER_MAX.min(pause * 2);
        }
    }

    /// Sends a run of events, all at once: each but the first only if the one before it is the last
    /// message of the stream. So whatever is lost or refused, nothing is stored before what goes before
    /// it. Gives their acks; none for an event that was not stored there, or of which nothing is known.
    ///
    /// For streams of one copy. With more, the server compares after it has taken the event's id, and a
    /// refused event cannot be stored while the id is known.
    pub(super) async fn publish_run(&self, run: &[&OutgoingEvent]) -> Vec<Option<PublishAck>> {
        let mut acks: Vec<Option<PublishAck>> = Vec::with_capacity(run.len());
        let publishing = async {
            let mut sent = Vec::with_capacity(run.len());
            let mut before = None;
            for event in run {
                let behind = before.map_or(Behind::Anything, Behind::Message);
                sent.push(hand_over(&self.jetstream, event, behind).await);
                before = Some(event.id.as_str());
            }
            for ack in sent {
                acks.push(match ack {
                    Ok(ack) => ack.await.ok(),
                    Err(_not_sent) => None,
                });
            }
        };
        tokio::select! {
            biased;
            () = publishing => {}
            () = self.reset() => {}
        }
        acks.resize_with(run.len(), || None);
        acks
    }

    fn resent_within(&self, error: &PublishError) -> Duration {
        let is_unheard = match error.kind() {
            PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending => return RESENT_WITHIN,
            PublishErrorKind::StreamNotFound => true,
            // 503 is what the server says while a cluster finds its leader.
            PublishErrorKind::Other if status_of(error) == Some(503) => true,
            PublishErrorKind::Other if is_being_stored(error) => return RESENT_WITHIN,
            PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::WrongLastSequence
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => false,
        };
        match (is_unheard, self.has_stored.load(Ordering::Relaxed)) {
            (false, _) => Duration::ZERO,
            (true, false) => RESENT_AT_FIRST_WITHIN,
            (true, true) => RESENT_WITHIN,
        }
    }

    /// Ends when the connection was lost and made again.
    pub(super) async fn reset(&self) {
        let mut resets = self.resets.clone();
        resets.mark_unchanged();
        if resets.changed().await.is_err() {
            // Nobody tells; the acks' own time limit remains.
            std::future::pending::<()>().await;
        }
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

async fn hand_over(
    jetstream: &jetstream::Context,
    event: &OutgoingEvent,
    behind: Behind<'_>,
) -> Result<PublishAckFuture, PublishError> {
    let message = PublishMessage::build()
        .payload(event.payload.clone())
        .headers(headers_of(event)?);
    let message = match behind {
        Behind::Anything => message,
        Behind::Stream(name) => message.expected_stream(name),
        Behind::Sequence(stream, sequence) => message
            .expected_stream(stream)
            .expected_last_subject_sequence(sequence),
        Behind::Message(id) => message.expected_last_message_id(id),
    };
    jetstream.send_publish(event.subject.clone(), message).await
}

/// The event's headers as the client takes them.
pub(super) fn headers_of(event: &OutgoingEvent) -> Result<HeaderMap, PublishError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &event.headers {
        // The schemas allow no control characters in an attribute.
        let value: HeaderValue = value
            .parse()
            .map_err(|problem| PublishError::with_source(PublishErrorKind::Other, problem))?;
        headers.insert(*name, value);
    }
    Ok(headers)
}

fn is_being_stored(error: &PublishError) -> bool {
    code_of(error).is_some_and(|code| code.0 == BEING_STORED)
}

fn server_error(error: &PublishError) -> Option<&jetstream::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

fn code_of(error: &PublishError) -> Option<ErrorCode> {
    server_error(error).map(jetstream::Error::error_code)
}

fn status_of(error: &PublishError) -> Option<usize> {
    server_error(error).map(jetstream::Error::code)
}

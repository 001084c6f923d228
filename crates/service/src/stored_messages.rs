//! Messages as the stream stores them, read one request at a time: any bytes can be read, in bounded
//! memory, and no consumer needs permissions.

use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::{Headers, RecordRef, Sequence};
use event_lines::Message;
use futures::stream::{self, Stream, StreamExt};
use jetstream::{StoredMessage, Which};
use serde_json::Value;

use crate::nats::Connection;

/// How often a request is made that is not answered.
const TRIES_MAX: u32 = 4;
pub(crate) const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Requests under way at once while a range is read.
const TOGETHER: usize = 32;
/// In how many pieces a range is read at most, and how many places one has at least.
const PIECES_MAX: u64 = 1024;
const PLACES_MIN: u64 = 1000;

/// One stored message.
pub(crate) struct Found {
    pub(crate) sequence: Sequence,
    pub(crate) message: Message,
}

impl Found {
    fn of(stored: StoredMessage) -> anyhow::Result<Self> {
        let sequence = Sequence::new(stored.sequence).context("a message has a sequence")?;
        let message = Message {
            sequence: Some(sequence),
            time: None,
            subject: stored.subject,
            headers: stored.headers,
            payload: stored.payload,
        };
        Ok(Self { sequence, message })
    }

    /// Lends the record that the projector reads.
    pub(crate) fn with_record<T>(&self, read: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        self.message.with_record(self.sequence, read)
    }

    /// The event's id, also of an event that is none.
    pub(crate) fn id(&self) -> Option<String> {
        self.header("ce-id").or_else(|| {
            let body: Value = serde_json::from_slice(&self.message.payload).ok()?;
            Some(body.get("id")?.as_str()?.to_owned())
        })
    }

    /// Whether it calls itself an erasure.
    pub(crate) fn claims_erasure(&self) -> bool {
        let kind = self.header("ce-type").or_else(|| {
            let body: Value = serde_json::from_slice(&self.message.payload).ok()?;
            Some(body.get("type")?.as_str()?.to_owned())
        });
        kind.is_some_and(|kind| kind.ends_with(".erased.v1"))
    }

    fn header(&self, wanted: &str) -> Option<String> {
        let headers = Headers::of_block(&self.message.headers);
        let mut headers = headers.iter().filter_map(Result::ok);
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.to_owned())
    }
}

/// Where messages are read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) stream: &'a str,
}

impl Reading<'_> {
    /// The message at a place; `None` when it is gone or was never there.
    pub(crate) async fn at(&self, sequence: u64) -> anyhow::Result<Option<Found>> {
        self.ask(Which::At { seq: sequence }).await
    }

    /// The first message of these subjects from a place on.
    pub(crate) async fn next(&self, subjects: &str, from: u64) -> anyhow::Result<Option<Found>> {
        self.ask(Which::From {
            seq: from,
            next_by_subj: subjects,
        })
        .await
    }

    /// The messages of these subjects from one place to another, in any order.
    pub(crate) fn range(
        &self,
        subjects: &str,
        first: u64,
        last: u64,
    ) -> impl Stream<Item = anyhow::Result<Found>> {
        let step = (last.saturating_sub(first) / PIECES_MAX).saturating_add(PLACES_MIN);
        let begins = std::iter::successors(Some(first), move |from| from.checked_add(step));
        let pieces = begins
            .take_while(move |from| *from <= last)
            .map(move |from| (from, from.saturating_add(step - 1).min(last)));
        let pieces = pieces.map(move |(from, to)| Box::pin(self.piece(subjects, from, to)));
        stream::iter(pieces).flatten_unordered(TOGETHER)
    }

    fn piece(
        &self,
        subjects: &str,
        first: u64,
        last: u64,
    ) -> impl Stream<Item = anyhow::Result<Found>> {
        stream::try_unfold(first, move |from| async move {
            if last < from {
                return Ok(None);
            }
            let found = self.next(subjects, from).await?;
            let found = found.filter(|found| found.sequence.get() <= last);
            Ok(found.map(|found| {
                let next = found.sequence.get().saturating_add(1);
                (found, next)
            }))
        })
    }

    async fn ask(&self, which: Which<'_>) -> anyhow::Result<Option<Found>> {
        let mut tries = 0;
        loop {
            match self.connection.nats.message(self.stream, which).await {
                Ok(found) => return found.map(Found::of).transpose(),
                Err(error) if tries == TRIES_MAX || !error.may_pass() => {
                    let why = self.connection.explain(&error, self.stream);
                    bail!("the stream cannot be read: {why}");
                }
                Err(_again) => {
                    tries += 1;
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
            }
        }
    }
}

/// The subjects of one person.
pub(crate) fn subjects_of(user: &str) -> String {
    format!("identity.v1.{user}.>")
}

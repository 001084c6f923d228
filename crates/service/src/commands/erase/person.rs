//! The person in the stream: which messages there are, and their deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, RawMessageErrorKind, Stream};
use indicatif::ProgressBar;

use crate::producer::{Stored, version_of};

/// How often a request is made that is not answered.
const TRIES_MAX: u32 = 4;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// One person's messages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Person {
    /// What says that a document is gone for good: nothing personal, and final. It stays.
    pub(super) erasures: Vec<u64>,
    /// Everything else.
    pub(super) messages: Vec<u64>,
    /// The highest version of each document, as `<kind>:<id>`.
    pub(super) versions: BTreeMap<String, u64>,
    /// Documents whose erasure is in the stream.
    pub(super) erased: BTreeSet<String>,
}

impl Person {
    pub(super) fn is_unknown(&self) -> bool {
        self.erasures.is_empty() && self.messages.is_empty()
    }
}

/// Reads every message of a person's subjects, one by one: bounded memory, and no consumer that needs
/// permissions.
pub(super) async fn find(stream: &Stream, user: &str, bar: &ProgressBar) -> anyhow::Result<Person> {
    let subjects = format!("identity.v1.{user}.>");
    let mut person = Person::default();
    let mut sequence = 1;
    let mut tries = 0;
    loop {
        let read = stream
            .get_first_raw_message_by_subject(&subjects, sequence)
            .await;
        let message = match read {
            Ok(message) => message,
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(person),
            Err(_again) if tries < TRIES_MAX => {
                tries += 1;
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
                continue;
            }
            Err(error) => return Err(error).context("the stream cannot be searched"),
        };
        tries = 0;
        sequence = message.sequence.saturating_add(1);
        let stored = Stored::of(&message);
        let document = stored.id.as_deref().and_then(version_of);
        if let Some((document, version)) = document {
            let highest = person.versions.entry(document.to_owned()).or_default();
            *highest = version.max(*highest);
        }
        match document {
            Some((document, _)) if stored.is_erasure => {
                person.erased.insert(document.to_owned());
                person.erasures.push(message.sequence);
            }
            _ => person.messages.push(message.sequence),
        }
        bar.set_message(format!("{} messages found", person.messages.len()));
    }
}

/// Deletes messages so that the server overwrites their bytes. One that is gone already is no fault.
pub(super) async fn delete(
    stream: &Stream,
    sequences: &[u64],
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut deleted = 0_u64;
    for sequence in sequences {
        let mut tries = 0;
        loop {
            match stream.delete_message(*sequence).await {
                Ok(_) => break deleted = deleted.saturating_add(1),
                Err(error) => match error.kind() {
                    DeleteMessageErrorKind::JetStream(problem)
                        if problem.error_code() == ErrorCode::NO_MESSAGE_FOUND =>
                    {
                        break;
                    }
                    DeleteMessageErrorKind::JetStream(problem) => {
                        bail!("message {sequence} cannot be deleted: {problem}")
                    }
                    DeleteMessageErrorKind::Request | DeleteMessageErrorKind::TimedOut
                        if tries < TRIES_MAX =>
                    {
                        tries += 1;
                        tokio::time::sleep(TRY_AGAIN_AFTER).await;
                    }
                    DeleteMessageErrorKind::Request | DeleteMessageErrorKind::TimedOut => {
                        return Err(anyhow!("message {sequence} cannot be deleted: {error}"));
                    }
                },
            }
        }
        bar.set_message(format!("{deleted} of {} messages deleted", sequences.len()));
    }
    Ok(deleted)
}

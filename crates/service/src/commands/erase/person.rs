//! The person in the stream: which messages there are, which of them stay, and the deletion of the
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::bail;
use domain::{Circle, Headers, Lane, ProfileId, erased_document};
use event_lines::Line;
use indicatif::ProgressBar;

use crate::producer::{Checker, HEADERS, version_of};
use crate::stored_messages::{Found, Reading, TRY_AGAIN_AFTER, subjects_of};

/// How long a deletion is asked for again that is not answered, or while a cluster elects a leader.
const TRIED_WITHIN: Duration = Duration::from_secs(30);

/// One person's messages.
#[derive(Debug, Default)]
pub(super) struct Person {
    /// What says that a document is gone for good, and nothing else. It stays.
    pub(super) erasures: BTreeSet<u64>,
    /// Everything else.
    pub(super) messages: Vec<u64>,
    /// Of these, erasures that carry more than the contract allows.
    pub(super) personal_erasures: u64,
    /// Of these, messages that call themselves erasures and erase nothing.
    pub(super) void_erasures: u64,
    /// Of these, messages whose subject names no document.
    pub(super) without_lane: u64,
    /// The highest version of each document, as `<kind>:<id>`.
    pub(super) versions: BTreeMap<String, u64>,
    /// Documents whose erasure stays.
    pub(super) erased: BTreeSet<String>,
}

impl Person {
    pub(super) fn is_unknown(&self) -> bool {
        self.erasures.is_empty() && self.messages.is_empty()
    }

    /// The documents without an erasure that stays, with their highest versions; the user's last. The
    /// user's erasure is enough for the read model; those of profiles are for whoever else reads.
    pub(super) fn unerased(&self, user: &str) -> Vec<(String, u64)> {
        let user = format!("user:{user}");
        // Ids are read from bad events too.
        let is_profile = |document: &&String| {
            let id = document.strip_prefix("profile:");
            id.is_some_and(|id| ProfileId::parse(id).is_ok())
        };
        let profiles = self.versions.keys().filter(is_profile);
        let documents = profiles.chain([&user]);
        let missing = documents.filter(|document| !self.erased.contains(*document));
        missing
            .map(|document| {
                let version = self.versions.get(document).copied().unwrap_or(0);
                (document.clone(), version)
            })
            .collect()
    }

    fn see(&mut self, found: &Found, checker: &Checker) {
        let sequence = found.sequence.get();
        if let Some((document, version)) = found.id().as_deref().and_then(version_of) {
            let highest = self.versions.entry(document.to_owned()).or_default();
            *highest = version.max(*highest);
        }
        let erases = found.with_record(erased_document);
        match erases {
            Some(document) if is_clean(found, checker) => {
                self.erased.insert(document);
                self.erasures.insert(sequence);
                return;
            }
            Some(_) => self.personal_erasures += 1,
            None if found.claims_erasure() => self.void_erasures += 1,
            None => {}
        }
        if Lane::of_subject(&found.message.subject).is_none() {
            self.without_lane += 1;
        }
        self.messages.push(sequence);
    }
}

/// Whether a message erases this document, by the projector's decoder, and says nothing else.
pub(super) fn is_erasure_of(found: &Found, user: &str, document: &str, checker: &Checker) -> bool {
    let theirs =
        Lane::of_subject(&found.message.subject).is_some_and(|lane| lane.user.as_str() == user);
    let erases = found.with_record(erased_document);
    theirs && erases.as_deref() == Some(document) && is_clean(found, checker)
}

/// Whether an erasure holds no member, attribute or header beside those of the contract.
fn is_clean(found: &Found, checker: &Checker) -> bool {
    let message = &found.message;
    let known = |name: &str| {
        let name = name.to_ascii_lowercase();
        let mut headers = HEADERS.iter();
        name == "content-type"
            || name.starts_with("nats-")
            || headers.any(|(_, header)| header.eq_ignore_ascii_case(&name))
    };
    let line = message.to_line();
    let line = Line {
        number: 1,
        text: Some(line.as_bytes()),
        bytes_read: 0,
    };
    let mut headers = Headers::of_block(&message.headers).iter();
    headers.all(|header| header.is_ok_and(|(name, _)| known(name))) && checker.check(&line).is_ok()
}

/// Reads every message of a person's subjects. `circle` sees the person's claims.
pub(super) async fn find(
    reading: Reading<'_>,
    user: &str,
    checker: &Checker,
    circle: &mut Circle,
    bar: &ProgressBar,
) -> anyhow::Result<Person> {
    let subjects = subjects_of(user);
    let mut person = Person::default();
    let mut from = 1;
    while let Some(found) = reading.next(&subjects, from).await? {
        from = found.sequence.get().saturating_add(1);
        person.see(&found, checker);
        found.with_record(|record| circle.see(record));
        bar.set_message(format!("{} messages found", person.messages.len()));
    }
    Ok(person)
}

/// Deletes messages so that the server overwrites their bytes. One that is gone already is no fault.
pub(super) async fn delete(
    reading: Reading<'_>,
    sequences: &[u64],
    bar: &ProgressBar,
) -> anyhow::Result<u64> {
    let mut deleted = 0_u64;
    for sequence in sequences {
        let begun = Instant::now();
        loop {
            let (nats, stream) = (&reading.connection.nats, reading.stream);
            match nats.delete_message(stream, *sequence).await {
                Ok(true) => break deleted = deleted.saturating_add(1),
                Ok(false) => break,
                Err(error) if TRIED_WITHIN <= begun.elapsed() || !error.may_pass() => {
                    let why = reading.connection.explain(&error, stream);
                    bail!("message {sequence} cannot be deleted: {why}");
                }
                Err(_again) => tokio::time::sleep(TRY_AGAIN_AFTER).await,
            }
        }
        bar.set_message(format!("{deleted} of {} messages deleted", sequences.len()));
    }
    Ok(deleted)
}

//! Compare-and-set: an event goes into the stream only behind its document's previous one.
//!
//! The server compares the subject's last sequence *before* it looks for duplicates, so a retry after
//! a lost ack is refused like somebody else's change. What stands last on the subject tells the two
//! apart: the event itself, its predecessor, or something else.

use std::time::Duration;

use jetstream::{PublishAck, RequestError, StoredMessage, Which, code};

use super::attempt::{Behind, Outlet};
use super::event::OutgoingEvent;
use super::fault::{Fault, describe};
use super::stored::{Stored, version_of};
use crate::nats::NatsError;

/// How often the subject may change under an event before it is given up.
const TURNS_MAX: u32 = 5;
/// How often the server is asked for a subject's last message.
const READS_MAX: u32 = 4;
const READ_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What became of one event.
#[derive(Debug)]
pub(super) enum Fate {
    /// The server took it, or had it by its id.
    Acked(PublishAck),
    /// It is the last of its document in the stream.
    There(u64),
    /// The stream holds a later version of its document.
    Passed(u64),
    /// It does not follow what is there.
    Refused(Fault),
}

/// Why nothing is known of one event.
#[derive(Debug)]
pub(super) enum Trouble {
    Publish(RequestError),
    Read(NatsError),
}

/// What the subject's last message says of an event.
enum Verdict {
    /// It comes next, behind this sequence.
    Next(u64),
    Settled(Fate),
}

/// The event that this run has seen last on a subject.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) sequence: u64,
}

/// Sends an event expecting its document's previous one to be the last of the subject. Where nothing
/// is known of the subject, an event of version 1 is expected to be the first there.
pub(super) async fn publish_in_turn(
    outlet: &Outlet,
    stream: &str,
    event: &OutgoingEvent,
    known: Option<Known>,
) -> Result<Fate, Trouble> {
    let mut expected = match &known {
        Some(known) => follows(&event.id, &known.id).then_some(known.sequence),
        None => version_of(&event.id)
            .filter(|(_, version)| *version == 1)
            .map(|_first| 0),
    };
    for _turn in 0..TURNS_MAX {
        let behind = if let Some(behind) = expected.take() {
            behind
        } else {
            let name = &event.subject;
            let subject = Subject {
                outlet,
                stream,
                name,
            };
            match subject.judge(event).await? {
                Verdict::Next(behind) => behind,
                Verdict::Settled(fate) => return Ok(fate),
            }
        };
        match outlet
            .publish(event, Behind::Sequence(stream, behind))
            .await
        {
            Ok(ack) => return Ok(Fate::Acked(ack)),
            Err(error) if is_wrong_last(&error) => {}
            Err(error) => return Err(Trouble::Publish(error)),
        }
    }
    Ok(Fate::Refused(Fault {
        member: "data.entity.version".to_owned(),
        found: "a subject that others keep changing".to_owned(),
        expected: "one producer for each document".to_owned(),
    }))
}

/// Looks at what the broker took an event for.
pub(super) async fn compare(
    outlet: &Outlet,
    stream: &str,
    event: &OutgoingEvent,
    ack: PublishAck,
) -> Result<Fate, Trouble> {
    let (id, sequence) = (&event.id, ack.sequence);
    let name = &event.subject;
    let subject = Subject {
        outlet,
        stream,
        name,
    };
    let found = subject.read(Which::At { seq: sequence }).await?;
    let (what, expected) = match found.map(|found| Stored::of(&found)) {
        Some(there) if there.id.as_ref() == Some(id) && there.contents == Some(event.contents) => {
            return Ok(Fate::Acked(ack));
        }
        Some(_) => (
            "with other contents",
            "what is stored, or the next version of the document",
        ),
        None => (
            "and deleted since",
            "an id that the broker does not know; it forgets one when the stream's duplicate window is over",
        ),
    };
    Ok(Fate::Refused(Fault {
        member: "id".to_owned(),
        found: format!(
            "{}, which was stored at sequence {sequence} {what}",
            describe("id", Some(&id.as_str().into()))
        ),
        expected: expected.to_owned(),
    }))
}

fn is_wrong_last(error: &RequestError) -> bool {
    let code = error.code();
    code.is_some_and(|code| code::WRONG_LAST_SEQUENCE.contains(&code))
}

/// A subject of the stream, as its leader knows it: a replica may not have the latest yet.
struct Subject<'a> {
    outlet: &'a Outlet,
    stream: &'a str,
    name: &'a str,
}

impl Subject<'_> {
    async fn judge(&self, event: &OutgoingEvent) -> Result<Verdict, Trouble> {
        let last = self.last().await?;
        let behind = last.as_ref().map_or(0, |last| last.sequence);
        let Some((document, version)) = version_of(&event.id) else {
            // Decisions have no versions; each stands for itself.
            return Ok(Verdict::Next(behind));
        };
        let last = match last {
            Some(last) if !Stored::of(&last).is_of(document) => {
                self.last_of(document, behind).await?
            }
            last => last,
        };
        Ok(judge(event, document, version, last.as_ref(), behind))
    }

    async fn last(&self) -> Result<Option<StoredMessage>, Trouble> {
        let last_by_subj = self.name;
        self.read(Which::Last { last_by_subj }).await
    }

    async fn read(&self, which: Which<'_>) -> Result<Option<StoredMessage>, Trouble> {
        let mut reads = 1;
        loop {
            match self.outlet.nats.message(self.stream, which).await {
                Ok(message) => return Ok(message),
                Err(error) if READS_MAX <= reads || !error.may_pass() => {
                    return Err(unreadable(&error));
                }
                Err(_again) => {}
            }
            reads += 1;
            tokio::time::sleep(READ_AGAIN_AFTER).await;
        }
    }

    /// The last message of one document among those of its subject, which two documents can share.
    async fn last_of(&self, document: &str, end: u64) -> Result<Option<StoredMessage>, Trouble> {
        let mut found = None;
        let mut seq = 1;
        while seq <= end {
            let next_by_subj = self.name;
            let Some(message) = self.read(Which::From { seq, next_by_subj }).await? else {
                break;
            };
            seq = message.sequence.saturating_add(1);
            if Stored::of(&message).is_of(document) {
                found = Some(message);
            }
        }
        Ok(found)
    }
}

fn unreadable(error: &RequestError) -> Trouble {
    if let RequestError::Denied(said) = error {
        return Trouble::Read(NatsError::PermissionDenied { said: said.clone() });
    }
    Trouble::Read(NatsError::Refused {
        said: format!("the last event of a subject cannot be read ({error})"),
    })
}

/// Compares an event with the last one of its document. It would go behind `behind`.
fn judge(
    event: &OutgoingEvent,
    document: &str,
    version: u64,
    last: Option<&StoredMessage>,
    behind: u64,
) -> Verdict {
    let refused = |found: String, expected: String| {
        let member = "data.entity.version".to_owned();
        Verdict::Settled(Fate::Refused(Fault {
            member,
            found,
            expected,
        }))
    };
    let Some(last) = last else {
        return match version {
            1 => Verdict::Next(behind),
            _ => refused(
                version.to_string(),
                "1: the stream holds nothing of this document".to_owned(),
            ),
        };
    };
    let (sequence, there) = (last.sequence, Stored::of(last));
    let (_, held) = there
        .id
        .as_deref()
        .and_then(version_of)
        .unwrap_or((document, 0));
    if version < held {
        return Verdict::Settled(Fate::Passed(sequence));
    }
    if version == held {
        return if there.contents == Some(event.contents) {
            Verdict::Settled(Fate::There(sequence))
        } else {
            let expected = format!("what the stream has for it at sequence {sequence}");
            refused(format!("version {version} with other data"), expected)
        };
    }
    if there.is_erasure {
        let expected = format!("nothing: the document was erased at sequence {sequence}");
        return refused(version.to_string(), expected);
    }
    match held.saturating_add(1) {
        next if next == version => Verdict::Next(behind),
        next => refused(
            version.to_string(),
            format!("{next}: the stream ends at version {held}"),
        ),
    }
}

/// Whether an event is the next version of the document that another event is of.
fn follows(id: &str, other: &str) -> bool {
    let (Some((document, version)), Some((other, before))) = (version_of(id), version_of(other))
    else {
        return false;
    };
    document == other && before.checked_add(1) == Some(version)
}

//! Records for tests: the events of the contract, in each of their forms, and random histories.
//!
//! A [`Draft`] is an event before it is a message; [`Draft::message`] gives it a form and
//! [`Message::at`] a place in the stream. Ids are taken as they are, so that invalid ones can be made.

mod history;
mod invariants;
mod oracle;
mod probe;
mod workload;

pub use history::{
    Form, History, history, identity_history, meeting_history, profile_members, whole_history,
};
pub use invariants::broken_invariant;
pub use oracle::{Oracle, Seen};
pub use probe::Probe;
pub use workload::workload;

use std::fmt;

use serde_json::{Value, json};

use crate::{Headers, Record, Sequence, block_of};

/// What every draft says of its origin.
const SOURCE: &str = "/tests";

/// A message before the broker gave it a sequence. Made up, so `Debug` shows it whole.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it is published.
    pub subject: String,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ", self.subject, self.headers)?;
        f.write_str(&String::from_utf8_lossy(&self.payload))
    }
}

impl Message {
    /// A message without headers.
    pub fn bare(subject: &str, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            subject: subject.into(),
            headers: Vec::new(),
            payload: payload.into(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The record that it is at a place in the stream.
    pub fn at(&self, sequence: Sequence) -> Record {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_str()));
        Record {
            sequence,
            subject: self.subject.as_str().into(),
            headers: block_of(headers).into(),
            payload: self.payload.as_slice().into(),
        }
    }
}

/// The message that a record was, for one whose headers are text.
impl From<&Record> for Message {
    fn from(record: &Record) -> Self {
        let headers = Headers::of_block(&record.headers);
        let headers = headers.iter().filter_map(Result::ok);
        Self {
            subject: record.subject.to_string(),
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            payload: record.payload.to_vec(),
        }
    }
}

/// Numbers messages from 1.
pub fn records<'m>(messages: impl IntoIterator<Item = &'m Message>) -> Vec<Record> {
    let places = (1..).filter_map(Sequence::new);
    places
        .zip(messages)
        .map(|(place, message)| message.at(place))
        .collect()
}

/// An event: its attributes and its data.
#[derive(Clone, PartialEq)]
pub struct Draft {
    /// Whose subject it goes to.
    pub user: String,
    /// The subject's last token.
    pub family: &'static str,
    /// The attribute `type`.
    pub kind: String,
    /// The attribute `id`.
    pub id: String,
    /// The attribute `data`.
    pub data: Value,
}

impl Draft {
    /// Where it is published.
    pub fn subject(&self) -> String {
        format!("identity.v1.{}.{}", self.user, self.family)
    }

    /// The message in one of the three forms.
    pub fn message(&self, form: Form) -> Message {
        let bare = |payload: &Value| Message::bare(&self.subject(), payload.to_string());
        match form {
            Form::Binary => bare(&self.data)
                .header("ce-specversion", "1.0")
                .header("ce-id", &self.id)
                .header("ce-source", SOURCE)
                .header("ce-type", &self.kind)
                .header("Content-Type", "application/json")
                .header("Nats-Msg-Id", &self.id),
            Form::Structured => {
                bare(&self.envelope()).header("Content-Type", "application/cloudevents+json")
            }
            Form::Bare => bare(&self.envelope()),
        }
    }

    /// The structured form: with a line end, a line of an NDJSON file.
    pub fn envelope(&self) -> Value {
        json!({
            "specversion": "1.0", "id": self.id, "source": SOURCE, "type": self.kind,
            "subject": self.user, "data": self.data,
        })
    }
}

/// In binary form, the one that producers emit.
impl From<Draft> for Message {
    fn from(draft: Draft) -> Self {
        draft.message(Form::Binary)
    }
}

fn draft(user: &str, kind: &str, document: (&'static str, &str, u64), rest: &Value) -> Draft {
    let (family, id, version) = document;
    let mut data =
        json!({"entity": {"kind": family, "id": id, "userId": user, "version": version}});
    if let (Some(data), Some(rest)) = (data.as_object_mut(), rest.as_object()) {
        data.extend(rest.clone());
    }
    Draft {
        user: user.into(),
        family,
        kind: format!("app.connvo.{family}.{kind}.v1"),
        id: format!("{family}:{id}:{version}"),
        data,
    }
}

/// The whole user document.
pub fn user_state(user: &str, version: u64, workos_id: &str) -> Draft {
    let kind = if version == 1 {
        "registered"
    } else {
        "updated"
    };
    let state = json!({
        "workosUserId": workos_id, "email": "someone@example.com", "isActive": true,
        "createdAt": 1_795_420_800_000_u64, "updatedAt": 1_795_420_920_000.5,
    });
    draft(
        user,
        kind,
        ("user", user, version),
        &json!({"state": state}),
    )
}

/// A user document's tombstone.
pub fn user_deleted(user: &str, version: u64) -> Draft {
    let rest = json!({"deletedAt": 1_795_420_930_000_u64});
    draft(user, "deleted", ("user", user, version), &rest)
}

/// A person's erasure.
pub fn user_erased(user: &str, version: u64) -> Draft {
    draft(user, "erased", ("user", user, version), &erasure())
}

/// The whole profile document, of these members.
pub fn profile_state(user: &str, profile: &str, version: u64, members: &Value) -> Draft {
    let kind = if version == 1 { "created" } else { "updated" };
    draft(
        user,
        kind,
        ("profile", profile, version),
        &json!({"state": members}),
    )
}

/// Profile members with nothing but the required ones.
pub fn named(display_name: &str) -> Value {
    json!({
        "displayName": display_name, "languages": [],
        "createdAt": 1_795_420_800_000_u64, "updatedAt": 1_795_420_920_000.5,
    })
}

/// A patch that gives the profile this version, and so names the one before.
pub fn profile_patched(user: &str, profile: &str, version: u64, patch: &Value) -> Draft {
    let rest = json!({"baseVersion": version.saturating_sub(1), "patch": patch});
    draft(user, "patched", ("profile", profile, version), &rest)
}

/// A profile document's tombstone.
pub fn profile_deleted(user: &str, profile: &str, version: u64) -> Draft {
    let rest = json!({"deletedAt": 1_795_420_930_000_u64});
    draft(user, "deleted", ("profile", profile, version), &rest)
}

/// A profile document's erasure.
pub fn profile_erased(user: &str, profile: &str, version: u64) -> Draft {
    draft(user, "erased", ("profile", profile, version), &erasure())
}

fn erasure() -> Value {
    json!({"erasedAt": 1_795_420_940_000_u64, "requestId": "request-1"})
}

/// An operator's decision to give up the record at a sequence.
pub fn dropped(user: &str, sequence: u64) -> Draft {
    Draft {
        user: user.into(),
        family: "quarantine",
        kind: "app.connvo.quarantine.dropped.v1".into(),
        id: format!("decision-{sequence}"),
        data: json!({"userId": user, "sequence": sequence, "reason": "given up"}),
    }
}

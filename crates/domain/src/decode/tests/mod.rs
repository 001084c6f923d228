//! Decoding: the three forms, every type, every rule, and the text of every fault.

mod attributes;
mod members;
mod names;
mod properties;
mod schemas;
mod secrets;

use crate::testing::{Form, Message};
use crate::{Decoded, Event, Sequence, decode};

/// A type of the contract with data that has every member, and the document the id speaks of.
struct Base {
    kind: &'static str,
    subject: &'static str,
    id: &'static str,
    data: &'static str,
}

const BASES: [Base; 8] = [
    Base {
        kind: "app.connvo.user.registered.v1",
        subject: "identity.v1.u1.user",
        id: "user:u1:3",
        data: concat!(
            r#"{"entity":{"kind":"user","id":"u1","userId":"u1","version":3},"#,
            r#""state":{"workosUserId":"w1","email":"a@b.c","isActive":true,"#,
            r#""createdAt":1,"updatedAt":2.5,"orgId":"o","orgRole":"r","displayName":"d","#,
            r#""avatarUrl":"a","lastSeenAt":3,"onboardingComplete":false,"#,
            r#""onboardingStartedAt":4,"onboardingCompletedAt":5},"#,
            r#""changed":["email"],"reason":"because"}"#,
        ),
    },
    Base {
        kind: "app.connvo.user.deleted.v1",
        subject: "identity.v1.u1.user",
        id: "user:u1:3",
        data: concat!(
            r#"{"entity":{"kind":"user","id":"u1","userId":"u1","version":3},"#,
            r#""deletedAt":9.5,"changed":[],"reason":"because"}"#,
        ),
    },
    Base {
        kind: "app.connvo.user.erased.v1",
        subject: "identity.v1.u1.user",
        id: "user:u1:3",
        data: concat!(
            r#"{"entity":{"kind":"user","id":"u1","userId":"u1","version":3},"#,
            r#""erasedAt":9,"requestId":"r1","changed":[],"reason":"because"}"#,
        ),
    },
    Base {
        kind: "app.connvo.profile.created.v1",
        subject: "identity.v1.u1.profile",
        id: "profile:p1:3",
        data: concat!(
            r#"{"entity":{"kind":"profile","id":"p1","userId":"u1","version":3},"#,
            r#""state":{"displayName":"Ada","languages":["en","fr"],"createdAt":1,"#,
            r#""updatedAt":2.5,"age":36,"gender":"non-binary","bio":"b","company":"c","#,
            r#""experience":"e","field":"f","goals":"g","jobTitle":"j","linkedinUrl":"l"},"#,
            r#""changed":["bio"],"reason":"because"}"#,
        ),
    },
    Base {
        kind: "app.connvo.profile.patched.v1",
        subject: "identity.v1.u1.profile",
        id: "profile:p1:3",
        data: concat!(
            r#"{"entity":{"kind":"profile","id":"p1","userId":"u1","version":3},"#,
            r#""baseVersion":2,"patch":{"displayName":"Ada","languages":[],"createdAt":1,"#,
            r#""updatedAt":2.5,"age":36,"gender":"male","bio":null,"company":"c","#,
            r#""experience":"e","field":"f","goals":"g","jobTitle":"j","linkedinUrl":"l"},"#,
            r#""changed":["bio"],"reason":"because"}"#,
        ),
    },
    Base {
        kind: "app.connvo.profile.deleted.v1",
        subject: "identity.v1.u1.profile",
        id: "profile:p1:3",
        data: concat!(
            r#"{"entity":{"kind":"profile","id":"p1","userId":"u1","version":3},"#,
            r#""deletedAt":9}"#,
        ),
    },
    Base {
        kind: "app.connvo.profile.erased.v1",
        subject: "identity.v1.u1.profile",
        id: "profile:p1:3",
        data: concat!(
            r#"{"entity":{"kind":"profile","id":"p1","userId":"u1","version":3},"#,
            r#""erasedAt":9,"requestId":"r1"}"#,
        ),
    },
    Base {
        kind: "app.connvo.quarantine.dropped.v1",
        subject: "identity.v1.u1.quarantine",
        id: "decision-1",
        data: r#"{"userId":"u1","sequence":7,"reason":"given up"}"#,
    },
];

/// The base whose type holds this word.
fn base(word: &str) -> &'static Base {
    BASES.iter().find(|base| base.kind.contains(word)).unwrap()
}

impl Base {
    fn message(&self, form: Form) -> Message {
        self.with_data(self.data, form)
    }

    /// The message with other data, which need not be JSON.
    fn with_data(&self, data: &str, form: Form) -> Message {
        let Self {
            kind, subject, id, ..
        } = self;
        let structured = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{kind}","subject":"u1","time":"2026-11-23T08:00:00Z","datacontenttype":"application/json","dataschema":"https://s","data":{data}}}"#
        );
        match form {
            Form::Binary => Message::bare(subject, data)
                .header("ce-specversion", "1.0")
                .header("ce-id", id)
                .header("ce-source", "/s")
                .header("ce-type", kind)
                .header("ce-subject", "u1")
                .header("ce-time", "2026-11-23T08:00:00Z")
                .header("ce-dataschema", "https://s")
                .header("traceparent", "00-0-0-00")
                .header("content-type", "application/json")
                .header("Nats-Msg-Id", id),
            Form::Structured => Message::bare(subject, structured).header(
                "Content-Type",
                "application/cloudevents+json; charset=utf-8",
            ),
            Form::Bare => Message::bare(subject, structured),
        }
    }
}

/// A user's event in binary form, with these headers instead of those of the same name.
fn binary(instead: &[(&str, &str)]) -> Message {
    let mut message = base("user.registered").message(Form::Binary);
    let replaced = |name: &str| {
        instead
            .iter()
            .any(|(one, _)| one.eq_ignore_ascii_case(name))
    };
    message.headers.retain(|(name, _)| !replaced(name));
    // An empty value stands for none.
    for (name, value) in instead.iter().filter(|(_, value)| !value.is_empty()) {
        message = message.header(name, value);
    }
    message
}

fn decoded(message: &Message) -> Decoded {
    message.at(Sequence::new(1).unwrap()).with_ref(decode)
}

/// What is wrong with a message; empty when nothing is.
fn fault(message: &Message) -> String {
    match decoded(message) {
        Decoded::Event(_) => String::new(),
        Decoded::UnknownType(_) => "unknown type".into(),
        Decoded::Invalid { fault, .. } => fault.to_string(),
    }
}

fn event(message: &Message) -> Event {
    let decoded = decoded(message);
    let Decoded::Event(event) = decoded else {
        panic!("{decoded:?}");
    };
    event
}

//! Every way to be bad that we could think of, as messages of one person, each with the reason that it
//! has to be parked for.

use domain::testing::{
    Draft, Form, Message, named, profile_deleted, profile_erased, profile_patched, profile_state,
    user_erased, user_state,
};
use serde_json::{Value, json};

use super::{Person, VERSIONS};

/// A bad message and the reason to park it for.
pub(super) struct Bad {
    pub(super) message: Message,
    pub(super) reason: &'static str,
    /// Whether the next whole state of the person's user document and profile removes it.
    pub(super) heals: bool,
}

/// A kind of badness, of one person.
type Kind = fn(&Person) -> Vec<Bad>;

fn bad(message: Message, reason: &'static str) -> Vec<Bad> {
    let heals = true;
    vec![Bad {
        message,
        reason,
        heals,
    }]
}

fn stays(message: Message, reason: &'static str) -> Vec<Bad> {
    let heals = false;
    vec![Bad {
        message,
        reason,
        heals,
    }]
}

fn invalid(message: Message) -> Vec<Bad> {
    bad(message, "invalid")
}

/// The person's next profile event, good as it is.
fn next(person: &Person) -> Draft {
    profile_state(&person.user, &person.profile, VERSIONS + 1, &named("bad"))
}

fn next_user(person: &Person) -> Draft {
    user_state(&person.user, 2, &person.identity)
}

/// The same event with one member of its data changed, or removed by null.
fn with(mut draft: Draft, pointer: &str, value: Value) -> Vec<Bad> {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = draft.data.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().insert(name.into(), value);
    invalid(draft.message(Form::Structured))
}

fn without(mut draft: Draft, pointer: &str) -> Vec<Bad> {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = draft.data.pointer_mut(parent).unwrap();
    parent.as_object_mut().unwrap().remove(name).unwrap();
    invalid(draft.message(Form::Structured))
}

/// The structured event with one attribute changed.
fn attribute(draft: &Draft, name: &str, value: Value) -> Vec<Bad> {
    let mut envelope = draft.envelope();
    envelope[name] = value;
    invalid(Message::bare(&draft.subject(), envelope.to_string()))
}

/// The structured event's text with a piece replaced.
fn text(draft: &Draft, from: &str, to: &str) -> Vec<Bad> {
    let text = draft.envelope().to_string();
    assert!(text.contains(from), "{text}");
    invalid(Message::bare(&draft.subject(), text.replacen(from, to, 1)))
}

fn bytes(draft: &Draft, change: impl FnOnce(&mut Vec<u8>)) -> Vec<Bad> {
    let mut message = draft.message(Form::Bare);
    change(&mut message.payload);
    invalid(message)
}

/// The binary event with one header more, or another value of one.
fn header(draft: &Draft, name: &str, value: &str) -> Vec<Bad> {
    let mut message = draft.message(Form::Binary);
    // The broker would take two events with one id for one.
    message
        .headers
        .retain(|(known, _)| known != "Nats-Msg-Id" && known != name);
    invalid(message.header(name, value))
}

/// Broken bytes and broken JSON.
const BYTES: &[Kind] = &[
    |p| invalid(Message::bare(&next(p).subject(), "not JSON")),
    |p| invalid(Message::bare(&next(p).subject(), "")),
    |p| invalid(Message::bare(&next(p).subject(), "[]")),
    |p| invalid(Message::bare(&next(p).subject(), "null")),
    |p| invalid(Message::bare(&next(p).subject(), "[".repeat(10_000))),
    |p| bytes(&next(p), |payload| payload.truncate(payload.len() / 2)),
    |p| bytes(&next(p), |payload| payload.push(b'x')),
    |p| {
        bytes(&next(p), |payload| {
            payload.splice(..0, *b"\xef\xbb\xbf");
        })
    },
    |p| bytes(&next(p), |payload| payload.resize(330 * 1024, b' ')),
    |p| {
        bytes(&next(p), |payload| {
            for byte in payload {
                *byte ^= 0x80;
            }
        })
    },
    |p| text(&next(p), "\"bad\"", "\"ba\u{0}d\""),
    |p| text(&next(p), "\"bad\"", "\"\\ud800\""),
    |p| {
        text(
            &next(p),
            "\"languages\":[]",
            "\"languages\":[],\"languages\":[]",
        )
    },
    |p| text(&next(p), "1795420800000", "1e999"),
    |p| text(&next(p), "1795420800000", "NaN"),
];

/// Members that are missing, too many, or of the wrong kind.
const MEMBERS: &[Kind] = &[
    |p| without(next(p), "/state/displayName"),
    |p| without(next(p), "/state/languages"),
    |p| without(next(p), "/state"),
    |p| without(next(p), "/entity"),
    |p| without(next(p), "/entity/version"),
    |p| without(next_user(p), "/state/workosUserId"),
    |p| with(next(p), "/state/displayName", json!(7)),
    |p| with(next(p), "/state/displayName", Value::Null),
    |p| with(next(p), "/state/languages", json!("English")),
    |p| with(next(p), "/state/languages", json!([1])),
    |p| with(next(p), "/state/gender", json!("unknown")),
    |p| with(next(p), "/state/createdAt", json!("yesterday")),
    |p| with(next(p), "/state/age", Value::Null),
    |p| with(next(p), "/entity/version", json!(0)),
    |p| with(next(p), "/entity/version", json!(-1)),
    |p| with(next(p), "/entity/version", json!(1.5)),
    |p| with(next(p), "/entity/version", json!("55")),
    |p| with(next(p), "/entity/version", json!(9_007_199_254_740_992_u64)),
    |p| with(next(p), "/entity/kind", json!("user")),
    |p| with(next(p), "/entity/userId", json!("somebodyelse")),
    |p| with(next(p), "/entity/id", json!("a b")),
    |p| with(next_user(p), "/entity/id", json!("somebodyelse")),
    |p| with(next_user(p), "/state/workosUserId", json!("")),
    |p| with(next_user(p), "/state/workosUserId", json!("x".repeat(257))),
    |p| {
        let patch = json!({"displayName": null});
        let patch = profile_patched(&p.user, &p.profile, VERSIONS + 1, &patch);
        invalid(patch.message(Form::Structured))
    },
    |p| without(patch(p, VERSIONS + 1), "/baseVersion"),
    |p| with(patch(p, VERSIONS + 1), "/baseVersion", json!(3)),
    |p| {
        without(
            profile_deleted(&p.user, &p.profile, VERSIONS + 1),
            "/deletedAt",
        )
    },
    |p| {
        without(
            profile_erased(&p.user, &p.profile, VERSIONS + 1),
            "/requestId",
        )
    },
    |p| without(user_erased(&p.user, 2), "/erasedAt"),
];

/// Attributes and headers.
const ATTRIBUTES: &[Kind] = &[
    |p| attribute(&next(p), "specversion", json!("0.3")),
    |p| attribute(&next(p), "id", json!("profile:another:55")),
    |p| attribute(&next(p), "source", json!("")),
    |p| attribute(&next(p), "source", Value::Null),
    |p| attribute(&next(p), "type", json!("app.connvo.profile.updated.v2")),
    |p| attribute(&next(p), "type", json!("app.connvo.user.updated.v1")),
    |p| attribute(&next(p), "type", json!("com.example.other")),
    |p| attribute(&next(p), "subject", json!("somebodyelse")),
    |p| attribute(&next(p), "datacontenttype", json!("text/xml")),
    |p| attribute(&next(p), "data", json!("text")),
    |p| header(&next(p), "ce-specversion", "2.0"),
    |p| header(&next(p), "CE-Type", "app.connvo.profile.created.v1"),
    |p| header(&next(p), "content-type", "text/plain"),
    |p| header(&next(p), "ce-datacontenttype", "text/plain"),
    |p| header(&next(p), "Nats-Msg-Id", &format!("another-{}", p.user)),
    |p| invalid(next(p).message(Form::Structured).header("ce-id", "another")),
];

fn patch(person: &Person, version: u64) -> Draft {
    profile_patched(
        &person.user,
        &person.profile,
        version,
        &json!({"bio": "patched"}),
    )
}

/// Events that are well made and do not fit.
const UNFIT: &[Kind] = &[
    |p| {
        let other = profile_state(&p.user, &p.profile, VERSIONS, &named("another content"));
        bad(other.message(Form::Structured), "conflict")
    },
    |p| {
        let gone = profile_deleted(&p.user, &p.profile, VERSIONS);
        bad(gone.message(Form::Structured), "conflict")
    },
    |p| {
        let identity = format!("{}-another", p.identity);
        let other = user_state(&p.user, 1, &identity);
        bad(other.message(Form::Structured), "conflict")
    },
    |p| bad(patch(p, VERSIONS + 3).into(), "patch_base"),
    |p| {
        let unknown = profile_patched(&p.user, &p.second_profile(), 2, &json!({"bio": "b"}));
        stays(unknown.into(), "patch_base")
    },
    |p| {
        let second = profile_state(&p.user, &p.second_profile(), 1, &named("second"));
        stays(second.into(), "profile_conflict")
    },
    |p| {
        bad(
            user_state(&p.user, 2, &p.neighbour).into(),
            "mapping_conflict",
        )
    },
    |p| {
        let mut both = invalid(Message::bare(&next(p).subject(), "{}"));
        both.extend(bad(patch(p, VERSIONS + 1).into(), "behind"));
        both
    },
    |p| {
        stays(
            Message::bare(&format!("identity.v1.{}.quarantine", p.user), "{}"),
            "invalid",
        )
    },
    |p| {
        stays(
            Message::bare(&format!("identity.v1.\u{e4}{}.user", p.user), "{}"),
            "invalid",
        )
    },
];

/// The bad messages of a person, of the kind that has this number.
pub(super) fn of(person: &Person, number: usize) -> Vec<Bad> {
    let all = [BYTES, MEMBERS, ATTRIBUTES, UNFIT];
    let count: usize = all.iter().map(|kinds| kinds.len()).sum();
    let mut kinds = all.into_iter().flatten();
    let kind = kinds.nth(number % count).unwrap();
    kind(person)
}

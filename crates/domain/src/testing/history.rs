//! Random histories: few people, few identities, few documents, so that everything meets.

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{
    Draft, Message, dropped, named, profile_deleted, profile_erased, profile_patched,
    profile_state, records, user_deleted, user_erased, user_state,
};
use crate::Headers;
use crate::Record;

/// The highest lead over the held version that is believed.
const JUMP: i64 = 1_000_000;

/// The three forms of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Attributes as headers, the data as body.
    Binary,
    /// One JSON object, named by its content type.
    Structured,
    /// One JSON object without a content type.
    Bare,
}

impl Form {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Binary, Self::Structured, Self::Bare];
}

/// Records in order, numbered from 1. Made up, so `Debug` shows them whole.
#[derive(Clone, PartialEq, Eq)]
pub struct History(pub Vec<Record>);

impl std::ops::Deref for History {
    type Target = [Record];

    fn deref(&self) -> &[Record] {
        &self.0
    }
}

impl IntoIterator for History {
    type Item = Record;
    type IntoIter = std::vec::IntoIter<Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'h> IntoIterator for &'h History {
    type Item = &'h Record;
    type IntoIter = std::slice::Iter<'h, Record>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.0 {
            let headers = Headers::of_block(&record.headers);
            let mut headers = headers.iter().filter_map(Result::ok);
            let kind = headers.find(|(name, _)| *name == "ce-type");
            let kind = kind.map_or("", |(_, kind)| kind);
            let payload = String::from_utf8_lossy(&record.payload);
            writeln!(f)?;
            write!(f, "{} {} {kind} {payload}", record.sequence, record.subject)?;
        }
        Ok(())
    }
}

/// A history of at most `length_max` records, numbered from 1.
///
/// Each document's versions mostly count up, as a producer's do, with repeats, holes and returns;
/// identities and profile ids are shared between few users; some records repeat an earlier one,
/// are unreadable, are decisions about an earlier one, or erase. Users are `u0` to `u2`, identities
/// `w0` to `w3`, profiles `p0` to `p2`.
pub fn history(length_max: usize) -> impl Strategy<Value = History> {
    let user = proptest::sample::select(&["u0", "u1", "u2"]);
    written(step(user, change()), length_max)
}

fn written(step: impl Strategy<Value = Step>, length_max: usize) -> impl Strategy<Value = History> {
    proptest::collection::vec(step, 1..=length_max).prop_map(|steps| {
        let mut writer = Writer::default();
        for step in steps {
            let message = writer.message(&step);
            writer.messages.push(message);
        }
        History(records(&writer.messages))
    })
}

/// A history of user documents alone: six users, `u0` to `u5`, pass the same four identities around.
pub fn identity_history(length_max: usize) -> impl Strategy<Value = History> {
    let user = proptest::sample::select(&["u0", "u1", "u2", "u3", "u4", "u5"]);
    let identity = proptest::sample::select(&["w0", "w1", "w2", "w3"]);
    let change = prop_oneof![
        8 => identity.prop_map(Change::UserState),
        1 => Just(Change::UserDeleted),
    ];
    written(step(user, change), length_max)
}

/// A history of whole states as the contract wants it: each version once and in order, nothing of a user
/// after the erasure, and no identity of anybody else. Users are `u0` to `u7`.
pub fn whole_history(length_max: usize) -> impl Strategy<Value = History> {
    let act = prop_oneof![
        8 => any::<bool>().prop_map(Act::User),
        1 => Just(Act::UserDeleted),
        1 => Just(Act::UserErased),
        8 => (0_u8..9).prop_map(Act::Profile),
        1 => Just(Act::ProfileDeleted),
    ];
    let acts = proptest::collection::vec((0_u8..8, act), 1..=length_max);
    acts.prop_map(|acts| History(records(&well_behaved(&acts))))
}

/// What a well-behaved source does next.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// The user with one of its own two identities.
    User(bool),
    UserDeleted,
    UserErased,
    Profile(u8),
    ProfileDeleted,
}

fn well_behaved(acts: &[(u8, Act)]) -> Vec<Message> {
    let mut versions: BTreeMap<(u8, bool), u64> = BTreeMap::new();
    let mut erased = Vec::new();
    let mut messages = Vec::new();
    for (n, act) in acts {
        if erased.contains(n) {
            continue;
        }
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        let is_user = matches!(act, Act::User(_) | Act::UserDeleted | Act::UserErased);
        let version = versions.entry((*n, is_user)).or_default();
        *version = version.saturating_add(1);
        let draft = match act {
            Act::User(other) => user_state(&user, *version, &format!("w{n}{other}")),
            Act::UserDeleted => user_deleted(&user, *version),
            Act::UserErased => {
                erased.push(*n);
                user_erased(&user, *version)
            }
            Act::Profile(name) => {
                profile_state(&user, &profile, *version, &named(&name.to_string()))
            }
            Act::ProfileDeleted => profile_deleted(&user, &profile, *version),
        };
        messages.push(draft.message(Form::Binary));
    }
    messages
}

/// A history of well-behaved sources whose users pass identities around: each version once and in order,
/// nothing of a user after the erasure. Operators give parked registrations up. Users are `u0` to `u4`,
/// identities `w0` to `w2`.
pub fn meeting_history(length_max: usize) -> impl Strategy<Value = History> {
    let act = prop_oneof![
        8 => (0_u8..3).prop_map(Meeting::Claim),
        2 => Just(Meeting::Deleted),
        1 => Just(Meeting::Erased),
        2 => Just(Meeting::Profile),
        3 => any::<Index>().prop_map(Meeting::GivenUp),
    ];
    let acts = proptest::collection::vec((0_u8..5, act), 1..=length_max);
    acts.prop_map(|acts| History(records(&meetings(&acts))))
}

/// What a user of a [`meeting_history`] does next.
#[derive(Debug, Clone, Copy)]
enum Meeting {
    Claim(u8),
    Deleted,
    Erased,
    Profile,
    GivenUp(Index),
}

fn meetings(acts: &[(u8, Meeting)]) -> Vec<Message> {
    let mut versions: BTreeMap<(u8, &str), u64> = BTreeMap::new();
    let mut erased = Vec::new();
    let mut messages: Vec<Message> = Vec::new();
    let mut claims: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for (n, act) in acts {
        if erased.contains(n) {
            continue;
        }
        let (user, profile) = (format!("u{n}"), format!("p{n}"));
        let mut next = |kind| {
            let version = versions.entry((*n, kind)).or_default();
            *version = version.saturating_add(1);
            *version
        };
        let draft = match act {
            Meeting::Claim(identity) => {
                let at = u64::try_from(messages.len()).unwrap_or(u64::MAX);
                claims.entry(*n).or_default().push(at.saturating_add(1));
                user_state(&user, next("user"), &format!("w{identity}"))
            }
            Meeting::Deleted => user_deleted(&user, next("user")),
            Meeting::Erased => {
                erased.push(*n);
                user_erased(&user, next("user"))
            }
            Meeting::Profile => profile_state(&user, &profile, next("profile"), &named("x")),
            Meeting::GivenUp(which) => match claims.get(n) {
                Some(claims) => dropped(&user, *which.get(claims)),
                None => continue,
            },
        };
        messages.push(draft.message(Form::Binary));
    }
    messages
}

/// The members of any valid profile.
pub fn profile_members() -> impl Strategy<Value = Value> {
    let text = || proptest::option::of(".{0,12}");
    let number = || any::<f64>().prop_filter("JSON has no others", |number| number.is_finite());
    let gender = &["male", "female", "non-binary", "prefer-not-to-say"];
    let required = (
        ".{0,12}",
        proptest::collection::vec(".{0,4}", 0..3),
        number(),
        number(),
    );
    let texts = (text(), text(), text(), text(), text(), text(), text());
    let rest = (
        proptest::option::of(number()),
        proptest::option::of(proptest::sample::select(gender)),
    );
    (required, texts, rest).prop_map(|((name, languages, created, updated), texts, rest)| {
        let (bio, company, experience, field, goals, job_title, linkedin_url) = texts;
        let mut members = json!({
            "displayName": name, "languages": languages, "createdAt": created,
            "updatedAt": updated, "age": rest.0, "gender": rest.1, "bio": bio,
            "company": company, "experience": experience, "field": field, "goals": goals,
            "jobTitle": job_title, "linkedinUrl": linkedin_url,
        });
        if let Some(members) = members.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        members
    })
}

#[derive(Debug, Clone)]
struct Step {
    user: &'static str,
    form: Form,
    /// What the version is beyond the highest that the document was given so far.
    lead: i64,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    UserState(&'static str),
    UserDeleted,
    UserErased,
    ProfileState(&'static str, Value),
    ProfilePatched(&'static str, Value),
    ProfileDeleted(&'static str),
    ProfileErased(&'static str),
    /// A decision about an earlier record, of its own user unless the flag says of the step's.
    Dropped(Index, bool),
    Again(Index),
    Unknown(&'static str),
    Broken(&'static str, Break),
    Elsewhere,
}

#[derive(Debug, Clone, Copy)]
enum Break {
    NotJson,
    NextMajor,
    NoData,
    OtherUser,
}

fn step(
    user: impl Strategy<Value = &'static str>,
    change: impl Strategy<Value = Change>,
) -> impl Strategy<Value = Step> {
    let form = proptest::sample::select(&Form::ALL);
    // A jump is of a version that the document is not given again.
    let jump = proptest::sample::select(&[JUMP - 1, JUMP, JUMP + 1, 9 * JUMP]);
    let lead = prop_oneof![
        30 => Just(1_i64), 6 => Just(0), 3 => Just(-1), 6 => Just(2), 2 => jump
    ];
    (user, form, lead, change).prop_map(|(user, form, lead, change)| Step {
        user,
        form,
        lead,
        change,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let identity = proptest::sample::select(&["w0", "w1", "w2", "w3"]);
    let profile = || proptest::sample::select(&["p0", "p0", "p0", "p1", "p2"]);
    let family = || proptest::sample::select(&["user", "profile", "quarantine"]);
    let name = proptest::sample::select(&["a", "b"]).prop_map(named);
    let members = prop_oneof![6 => name, 1 => profile_members()];
    let patch = proptest::sample::select(&[
        "{}",
        r#"{"bio":"x"}"#,
        r#"{"bio":null,"age":3}"#,
        r#"{"displayName":"a"}"#,
        r#"{"displayName":"b","age":-0.0}"#,
    ]);
    let patch = patch.prop_map(|patch| serde_json::from_str(patch).unwrap_or(Value::Null));
    let broken = proptest::sample::select(&[
        Break::NotJson,
        Break::NextMajor,
        Break::NoData,
        Break::OtherUser,
    ]);
    prop_oneof![
        30 => identity.prop_map(Change::UserState),
        8 => Just(Change::UserDeleted),
        1 => Just(Change::UserErased),
        30 => (profile(), members).prop_map(|(id, members)| Change::ProfileState(id, members)),
        30 => (profile(), patch).prop_map(|(id, patch)| Change::ProfilePatched(id, patch)),
        8 => profile().prop_map(Change::ProfileDeleted),
        1 => profile().prop_map(Change::ProfileErased),
        8 => (any::<Index>(), proptest::bool::weighted(0.2))
            .prop_map(|(back, own)| Change::Dropped(back, own)),
        6 => any::<Index>().prop_map(Change::Again),
        2 => family().prop_map(Change::Unknown),
        6 => (family(), broken).prop_map(|(family, broken)| Change::Broken(family, broken)),
        1 => Just(Change::Elsewhere),
    ]
}

/// Turns steps into messages; knows the versions given so far.
#[derive(Default)]
struct Writer {
    messages: Vec<Message>,
    versions: BTreeMap<(&'static str, &'static str), i64>,
}

impl Writer {
    fn message(&mut self, step: &Step) -> Message {
        let user = step.user;
        let of_user = |draft: Draft| draft.message(step.form);
        match &step.change {
            Change::UserState(id) => of_user(user_state(user, self.version(step, ""), id)),
            Change::UserDeleted => of_user(user_deleted(user, self.version(step, ""))),
            Change::UserErased => of_user(user_erased(user, self.version(step, ""))),
            Change::ProfileState(id, members) => {
                of_user(profile_state(user, id, self.version(step, id), members))
            }
            Change::ProfilePatched(id, patch) => {
                // A patch names the version before its own, so its own is at least 2.
                let version = self.version(step, id).max(2);
                of_user(profile_patched(user, id, version, patch))
            }
            Change::ProfileDeleted(id) => {
                of_user(profile_deleted(user, id, self.version(step, id)))
            }
            Change::ProfileErased(id) => of_user(profile_erased(user, id, self.version(step, id))),
            Change::Dropped(back, own) => self.decision(user, *back, *own).message(step.form),
            Change::Again(_) if self.messages.is_empty() => {
                Message::bare("identity.v1.nobody", "{}")
            }
            Change::Again(back) => back.get(&self.messages).clone(),
            Change::Unknown(family) => of_user(renamed(user, family, "renamed.v1")),
            Change::Broken(family, broken) => broken_message(user, family, *broken, step.form),
            Change::Elsewhere => Message::bare("identity.v1.nobody", "{}"),
        }
    }

    fn version(&mut self, step: &Step, document: &'static str) -> u64 {
        let last = self.versions.entry((step.user, document)).or_default();
        let version = last.saturating_add(step.lead).max(1);
        if step.lead < JUMP - 1 {
            *last = version.max(*last);
        }
        version.unsigned_abs()
    }

    fn decision(&self, user: &str, back: Index, own: bool) -> Draft {
        let at = back.index(self.messages.len().max(1));
        let named = self
            .messages
            .get(at)
            .map(|message| message.subject.as_str());
        let theirs = named.and_then(|subject| subject.split('.').nth(2));
        let user = theirs.filter(|_| !own).unwrap_or(user);
        let sequence = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
        dropped(user, sequence)
    }
}

fn renamed(user: &str, family: &'static str, end: &str) -> Draft {
    Draft {
        family,
        kind: format!("app.connvo.{family}.{end}"),
        ..dropped(user, 1)
    }
}

fn broken_message(user: &str, family: &'static str, broken: Break, form: Form) -> Message {
    match broken {
        Break::NotJson => Message::bare(&renamed(user, family, "updated.v1").subject(), "{"),
        Break::NextMajor => renamed(user, family, "updated.v2").message(form),
        Break::NoData => Draft {
            data: Value::Null,
            ..renamed(user, family, "erased.v1")
        }
        .message(form),
        Break::OtherUser => Message {
            subject: renamed(user, family, "").subject(),
            ..user_state("u9", 1, "w0").message(form)
        },
    }
}

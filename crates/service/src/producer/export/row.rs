//! One row of an export: what of it is in the contract, and what does not fit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::{ProfileId, UserId};
use event_lines::Line;
use serde_json::{Map, Number, Value, json};

use super::super::check::Checker;
use super::super::event::OutgoingEvent;
use super::super::fault::{Fault, describe, name_of};
use super::super::{encoding, json};
use super::ROW_BYTES_MAX;

/// The members of both documents, as the contract has them.
const COMMON: &str = include_str!("../../../../../schemas/events/common.json");
/// Names of unknown members that are remembered.
const UNKNOWN_MAX: usize = 50;
/// Members of every Convex document that no event has a place for.
const SYSTEM: [&str; 2] = ["_id", "_creationTime"];

/// Members that the contract does not know: table, name, and in how many rows.
#[derive(Debug, Default)]
pub(crate) struct Unknown(pub(crate) BTreeMap<(&'static str, String), u64>);

impl Unknown {
    fn count(&mut self, table: &'static str, name: &str) {
        let key = (table, name_of(name));
        if self.0.len() < UNKNOWN_MAX || self.0.contains_key(&key) {
            let rows = self.0.entry(key).or_default();
            *rows = rows.saturating_add(1);
        }
    }
}

/// What an id or identity is remembered by: 16 bytes of its hash, so that memory depends on the
/// number of rows alone.
type Key = [u8; 16];

fn key_of(text: &str) -> Key {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let first = digest.as_ref().first_chunk();
    first.copied().unwrap_or_default()
}

/// Judges rows in their order, and each by those before it.
pub(super) struct Rows<'a> {
    source: &'a str,
    members: [BTreeSet<String>; 2],
    /// Rows by user id, by identity, by profile id, and by the profile's user.
    seen: [HashMap<Key, u64>; 4],
    pub(super) unknown: Unknown,
}

const USERS: usize = 0;
const IDENTITIES: usize = 1;
const PROFILES: usize = 2;
const OWNERS: usize = 3;

impl<'a> Rows<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            members: ["userState", "profileState"].map(members_of),
            seen: Default::default(),
            unknown: Unknown::default(),
        }
    }

    /// The event that a row is, structured and as it is published.
    pub(super) fn event(
        &mut self,
        checker: &Checker,
        table: &'static str,
        line: &Line<'_>,
    ) -> Result<(Value, OutgoingEvent), Vec<Fault>> {
        let fault = |fault: Fault| vec![fault];
        let text = line.text.ok_or_else(|| {
            let expected = format!("at most {ROW_BYTES_MAX} bytes");
            fault(Fault {
                member: "row".to_owned(),
                found: "more bytes".to_owned(),
                expected,
            })
        })?;
        let value = encoding::check(text)
            .and_then(|()| json::parse(text))
            .map_err(|problem| fault(of_row(problem)))?;
        let Value::Object(document) = value else {
            let found = describe("row", Some(&value));
            return Err(fault(wrong("row", found, "an object")));
        };
        let is_user = table == "users";
        let event = if is_user {
            self.user(table, document)
        } else {
            self.profile(table, document)
        };
        let event = event.map_err(fault)?;
        let outgoing = checker
            .check_event(&event)
            .map_err(|faults| faults.into_iter().map(of_row).collect::<Vec<_>>())?;
        self.remember(is_user, &event, line.number).map_err(fault)?;
        Ok((event, outgoing))
    }

    fn user(&mut self, table: &'static str, document: Map<String, Value>) -> Result<Value, Fault> {
        let id = id_of(&document, "_id", |id| UserId::parse(id).is_ok())?;
        let entity = json!({"kind": "user", "id": id, "userId": id, "version": 1});
        let state = self.state(table, 0, document)?;
        Ok(self.envelope("user.registered", &id, &entity, &state))
    }

    fn profile(
        &mut self,
        table: &'static str,
        mut document: Map<String, Value>,
    ) -> Result<Value, Fault> {
        let id = id_of(&document, "_id", |id| ProfileId::parse(id).is_ok())?;
        let user = id_of(&document, "userId", |id| UserId::parse(id).is_ok())?;
        document.remove("userId");
        let entity = json!({"kind": "profile", "id": id, "userId": user, "version": 1});
        let state = self.state(table, 1, document)?;
        Ok(self.envelope("profile.created", &user, &entity, &state))
    }

    fn envelope(&self, kind: &str, user: &str, entity: &Value, state: &Value) -> Value {
        let id = |name: &str| entity.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = format!("{}:{}:1", id("kind"), id("id"));
        json!({
            "specversion": "1.0", "id": id, "source": self.source,
            "type": format!("app.connvo.{kind}.v1"), "subject": user,
            "data": {"entity": entity, "state": state},
        })
    }

    /// The members that the contract knows, with Convex's encodings undone.
    fn state(
        &mut self,
        table: &'static str,
        members: usize,
        document: Map<String, Value>,
    ) -> Result<Value, Fault> {
        let mut state = Map::new();
        for (name, value) in document {
            let known = self.members.get(members);
            if known.is_some_and(|known| known.contains(&name)) {
                let value = plain(value);
                if let Some(encoding) = encoding_of(&value) {
                    let found = format!("Convex's {encoding}");
                    return Err(wrong(&name, found, "a value that JSON has"));
                }
                state.insert(name, value);
            } else if !SYSTEM.contains(&&*name) {
                self.unknown.count(table, &name);
            }
        }
        Ok(Value::Object(state))
    }

    /// Holds a row against those before it: the first one with an id or identity has it.
    fn remember(&mut self, is_user: bool, event: &Value, row: u64) -> Result<(), Fault> {
        let text = |pointer: &str| {
            let found = event.pointer(pointer).and_then(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        let (id, user) = (text("/data/entity/id"), text("/data/entity/userId"));
        if is_user {
            let identity = text("/data/state/workosUserId");
            self.is_new(USERS, "_id", &id, "users")?;
            self.is_new(IDENTITIES, "workosUserId", &identity, "users")?;
            self.keep([(USERS, &id), (IDENTITIES, &identity)], row);
            return Ok(());
        }
        if self.row_of(USERS, &user).is_none() {
            let found = "no user row that fits";
            return Err(wrong(
                "userId",
                found.to_owned(),
                "the _id of a user that is imported",
            ));
        }
        self.is_new(PROFILES, "_id", &id, "profiles")?;
        self.is_new(OWNERS, "userId", &user, "profiles")?;
        self.keep([(PROFILES, &id), (OWNERS, &user)], row);
        Ok(())
    }

    fn row_of(&self, of: usize, text: &str) -> Option<u64> {
        self.seen.get(of)?.get(&key_of(text)).copied()
    }

    fn is_new(&self, of: usize, member: &str, text: &str, table: &str) -> Result<(), Fault> {
        match self.row_of(of, text) {
            None => Ok(()),
            Some(row) => {
                let found = format!("the same as in {table} row {row}");
                Err(wrong(member, found, "one of its own"))
            }
        }
    }

    fn keep(&mut self, keys: [(usize, &String); 2], row: u64) {
        for (of, text) in keys {
            if let Some(seen) = self.seen.get_mut(of) {
                seen.insert(key_of(text), row);
            }
        }
    }
}

fn wrong(member: &str, found: String, expected: &str) -> Fault {
    Fault {
        member: member.to_owned(),
        found,
        expected: expected.to_owned(),
    }
}

/// The names of a document's members, from the schema itself.
fn members_of(definition: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(COMMON).unwrap_or_default();
    let members = schema.pointer(&format!("/$defs/{definition}/properties"));
    let members = members.and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, _)| name.clone()).collect()
}

fn id_of(
    document: &Map<String, Value>,
    member: &str,
    is_id: impl FnOnce(&str) -> bool,
) -> Result<String, Fault> {
    let value = document.get(member);
    match value.and_then(Value::as_str) {
        Some(id) if is_id(id) => Ok(id.to_owned()),
        Some(text) => {
            let found = format!("a text of {} characters", text.chars().count());
            Err(wrong(
                member,
                found,
                "a document id: 1 to 64 characters of A-Z a-z 0-9 _ -",
            ))
        }
        None => Err(wrong(member, describe("row", value), "a document id")),
    }
}

/// Undoes Convex's encoding of numbers that JSON lacks: whole ones of 64 bits, and special doubles.
/// What is no number at all stays, for the checker to tell.
fn plain(value: Value) -> Value {
    let encoded = |name: &str| {
        let text = value.as_object().filter(|object| object.len() == 1)?;
        let bytes = BASE64_STANDARD.decode(text.get(name)?.as_str()?).ok()?;
        <[u8; 8]>::try_from(bytes).ok()
    };
    if let Some(bytes) = encoded("$integer") {
        return i64::from_le_bytes(bytes).into();
    }
    let double = encoded("$float").map(f64::from_le_bytes);
    match double.and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => value,
    }
}

/// The name of a Convex encoding that was not undone: of bytes, or of a double that is no number.
fn encoding_of(value: &Value) -> Option<String> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, _) = object.iter().next()?;
    name.starts_with('$').then(|| name_of(name))
}

/// The same fault, told of the row.
fn of_row(fault: Fault) -> Fault {
    let member = match fault.member.strip_prefix("data.state.") {
        Some(member) => member.to_owned(),
        None if ["data.state", "line"].contains(&&*fault.member) => "row".to_owned(),
        None => fault.member,
    };
    Fault { member, ..fault }
}

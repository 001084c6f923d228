//! Ids that stand for more than one event.
//!
//! The broker tells events apart by their ids alone: a second event under an id that it knows is acknowledged as a
//! duplicate and not stored, whatever it says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, BufReader, Seek};

use event_lines::Lines;
use serde::Deserialize;
use serde_json::Value;

use super::check::Checker;
use super::fault::Fault;
use super::read::{Place, READ_BYTES};

/// Ids that are remembered, with what each stands for. They take some 50 MiB: ids and events are kept as hashes.
const IDS_MAX: usize = 1_000_000;

/// What an event says, as a hash: its type and its data, in whatever order their members are written. When it was
/// sent, and what for, may differ between two attempts at one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contents(u64);

impl Contents {
    pub(super) fn of(kind: &str, data: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        hash(data, &mut hasher);
        Self(hasher.finish())
    }
}

/// 1 and 1.0 are one number, as they are to whoever reads the event.
fn hash(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => {
            let bits = number.as_f64().map(f64::to_bits);
            (2_u8, bits).hash(hasher);
        }
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            for item in items {
                hash(item, hasher);
            }
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            (5_u8, members.len()).hash(hasher);
            for (name, value) in members {
                name.hash(hasher);
                hash(value, hasher);
            }
        }
    }
}

/// The ids of one input, in bounded memory.
#[derive(Debug)]
pub(crate) struct Ids {
    seen: HashMap<u64, (Contents, u64)>,
    ids_max: usize,
}

/// What an id stood for before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing, as far as is known.
    New,
    /// Nothing that is remembered: there are too many ids.
    Unknown,
    /// The same event.
    Same,
    /// Another event, first at this line or row.
    Other(u64),
}

impl Ids {
    pub(crate) fn new() -> Self {
        Self::of_at_most(IDS_MAX)
    }

    fn of_at_most(ids_max: usize) -> Self {
        Self {
            seen: HashMap::new(),
            ids_max,
        }
    }

    /// Compares an event with the first of its id.
    pub(crate) fn see(&mut self, id: &str, contents: Contents, line: u64) -> Seen {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let is_full = self.ids_max <= self.seen.len();
        match self.seen.entry(hasher.finish()) {
            Entry::Occupied(first) if first.get().0 == contents => Seen::Same,
            Entry::Occupied(first) => Seen::Other(first.get().1),
            Entry::Vacant(_) if is_full => Seen::Unknown,
            Entry::Vacant(place) => {
                place.insert((contents, line));
                Seen::New
            }
        }
    }
}

/// The fault of an event whose id stood for another event before.
pub(crate) fn other_event(first: Place) -> Fault {
    Fault {
        member: "id".to_owned(),
        found: format!("the id of {first}, which says something else"),
        expected: "an id of its own: another change of a document has the next version".to_owned(),
    }
}

/// An event of a file whose id stood for another one before: its line, and that of the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) line: u64,
    pub(crate) first: u64,
}

/// Looks through a whole file before anything of it is sent. Nearly always one quick look is enough, which takes
/// lines for events; only where an id is there with other bytes is the file read as events.
pub(crate) fn other_events(file: &mut File) -> anyhow::Result<Vec<Repeat>> {
    file.rewind()?;
    let found = if may_repeat(file)? {
        file.rewind()?;
        repeats(file, &Checker::new()?)?
    } else {
        Vec::new()
    };
    file.rewind()?;
    Ok(found)
}

/// Whether an id is there again with other bytes, or the ids are not to be seen at one look.
fn may_repeat(file: &File) -> io::Result<bool> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let mut ids = Ids::new();
    let mut lines = Lines::of(BufReader::with_capacity(READ_BYTES, file));
    while let Some(line) = lines.next_line()? {
        let text = line.text.unwrap_or_default();
        let Ok(event) = serde_json::from_slice::<Event<'_>>(text) else {
            return Ok(true);
        };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let seen = ids.see(&event.id, Contents(hasher.finish()), line.number);
        if matches!(seen, Seen::Other(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn repeats(file: &File, checker: &Checker) -> io::Result<Vec<Repeat>> {
    let mut ids = Ids::new();
    let mut found = Vec::new();
    let mut lines = Lines::of(BufReader::with_capacity(READ_BYTES, file));
    while let Some(line) = lines.next_line()? {
        let Ok(event) = checker.check(&line) else {
            continue;
        };
        if let Seen::Other(first) = ids.see(&event.id, event.contents, line.number) {
            let line = line.number;
            found.push(Repeat { line, first });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_the_same_however_it_is_written() {
        let of = |text: &str| Contents::of("t", &serde_json::from_str(text).unwrap());
        let written = of(r#"{"a":[1,null,true,"x"],"b":{"c":1.5,"d":2}}"#);
        assert_eq!(
            written,
            of(r#"{ "b":{"d":2.0,"c":1.5}, "a":[1.0,null,true,"\u0078"] }"#)
        );
        for other in [
            r#"{"a":[1,null,true,"x"],"b":{"c":1.5,"d":3}}"#,
            r#"{"a":[null,1,true,"x"],"b":{"c":1.5,"d":2}}"#,
            r#"{"a":[1,null,true,"x"],"b":{"c":1.5},"d":2}"#,
            r#"{"a":[1,null,true],"b":{"c":1.5,"d":2}}"#,
        ] {
            assert_ne!(written, of(other), "{other}");
        }
        assert_ne!(Contents::of("t", &json!({})), Contents::of("u", &json!({})));
    }

    #[test]
    fn ids_are_compared_as_far_as_they_are_remembered() {
        let mut ids = Ids::of_at_most(2);
        let (one, other) = (Contents(1), Contents(2));
        assert_eq!(ids.see("a", one, 1), Seen::New);
        assert_eq!(ids.see("b", one, 2), Seen::New);
        assert_eq!(ids.see("a", one, 3), Seen::Same);
        assert_eq!(ids.see("a", other, 4), Seen::Other(1));
        assert_eq!(ids.see("c", one, 5), Seen::Unknown);
        assert_eq!(ids.see("c", other, 6), Seen::Unknown);
    }
}

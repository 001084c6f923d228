//! JSON to wire types, and a break in it to a [`Fault`] that repeats no value.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_json::error::Category;
use std::fmt;
use std::marker::PhantomData;

use super::plain;
use crate::Fault;

/// Reads the body of a structured record.
pub(super) fn body<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Fault> {
    read(json, "body", "")
}

/// Reads an event's data.
pub(super) fn data<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Fault> {
    // The data of nearly all events is taken here.
    let plain = str::from_utf8(json).ok().and_then(plain::read);
    if let Some(Object(data)) = plain {
        return Ok(data);
    }
    read(json, "data", "data.")
}

fn read<'a, T: Deserialize<'a>>(
    json: &'a [u8],
    part: &'static str,
    prefix: &str,
) -> Result<T, Fault> {
    // Text that is known to be UTF-8 is not looked at again string by string. Only a string that is
    // read has to be: what is ignored may hold any bytes.
    let object = match str::from_utf8(json) {
        Ok(text) => serde_json::from_str::<Object<T>>(text),
        Err(_) => serde_json::from_slice(json),
    };
    match object {
        Ok(object) => Ok(object.0),
        // The path of a fault is worth a second reading, not a slower first one.
        Err(_) => Err(explain::<T>(json, part, prefix)),
    }
}

fn explain<'a, T: Deserialize<'a>>(json: &'a [u8], part: &'static str, prefix: &str) -> Fault {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read: Result<Object<T>, _> = serde_path_to_error::deserialize(&mut deserializer);
    let (path, error) = match read {
        Ok(_) => match deserializer.end() {
            Ok(()) => {
                return Fault::Member {
                    path: part.into(),
                    problem: "cannot be read".into(),
                };
            }
            Err(error) => (String::new(), error),
        },
        Err(error) => (error.path().to_string(), error.into_inner()),
    };
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    if error.classify() == Category::Data {
        let (member, problem) = without_values(text);
        let mut path = if path == "." { String::new() } else { path };
        if let Some(member) = member
            && path != member
            && !path.ends_with(&format!(".{member}"))
        {
            path = if path.is_empty() {
                member.into()
            } else {
                format!("{path}.{member}")
            };
        }
        let path = if path.is_empty() {
            part.into()
        } else {
            format!("{prefix}{path}")
        };
        return Fault::Member { path, problem };
    }
    let (line, column) = (error.line(), error.column());
    Fault::NotJson {
        part,
        problem: text.into(),
        line,
        column,
    }
}

/// What serde says of a member, without the value that it quotes.
fn without_values(text: &str) -> (Option<&str>, String) {
    let quoted = || text.split('`').nth(1);
    if text.starts_with("missing field") {
        return (quoted(), "is missing".into());
    }
    if text.starts_with("duplicate field") {
        return (quoted(), "is there twice".into());
    }
    let expected = text.rsplit_once("expected ").map(|(_, expected)| expected);
    let found = text
        .strip_prefix("invalid type: ")
        .and_then(|found| found.split(['`', '"', ',']).next())
        .map(str::trim);
    let problem = match (expected.map(json_words), found.map(json_words)) {
        (Some(expected), Some(found)) => format!("expected {expected}, found {found}"),
        (Some(expected), None) => format!("expected {expected}"),
        (None, _) => "is not what the contract says".into(),
    };
    (None, problem)
}

/// JSON's words for what serde names in Rust's.
fn json_words(words: &str) -> &str {
    match words {
        "f64" => "a number",
        "a sequence" => "an array",
        "integer" | "floating point" => "number",
        "sequence" => "array",
        "map" => "object",
        other => other,
    }
}

/// A JSON object. A derived struct alone would take an array too, member by member.
pub(super) struct Object<T>(pub(super) T);

impl<T> std::ops::Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An optional member: absent or a value, never null.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// A whole number, also where it is written with a fraction of zero, as JSON Schema counts it.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct WholeVisitor;

    impl Visitor<'_> for WholeVisitor {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number from 1 to 2^53 - 1")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
            // Exact: a whole double of this range prints as its digits.
            let whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number);
            if whole && let Ok(number) = format!("{number:.0}").parse() {
                return Ok(number);
            }
            Err(E::custom(NOT_WHOLE))
        }
    }

    deserializer.deserialize_any(WholeVisitor)
}

pub(super) const NOT_WHOLE: &str = "expected a whole number from 1 to 2^53 - 1";

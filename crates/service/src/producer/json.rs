//! JSON read strictly: a member that is there twice is a fault, not the last one's win.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::fault::{Fault, name_of};

/// Reads one JSON value that fills `line`.
pub(super) fn parse(line: &[u8]) -> Result<Value, Fault> {
    match serde_json::from_slice::<Strict>(line) {
        Ok(Strict(value)) => Ok(value),
        Err(error) => Err(fault(&error)),
    }
}

fn fault(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let problem = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(problem, _)| problem);
    // The parser says what it could have taken next, which helps nobody.
    let problem = match problem {
        guess if guess.starts_with("expected ") => "something that is not JSON",
        "trailing characters" => {
            "more than one JSON value: `jq -c .` writes one a line, the first ends"
        }
        problem => problem,
    };
    let column = error.column();
    Fault {
        member: "line".to_owned(),
        found: format!("{problem} at column {column}"),
        expected: "one JSON object in UTF-8".to_owned(),
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.contains_key(&name) {
                let name = name_of(&name);
                return Err(A::Error::custom(format!("member {name} is there twice")));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_json_is_json_without_repeated_members() {
        let line = br#"{"a":[1,-2,3.5,true,null,"x\u00e4"],"b":{"a":1e2}}"#;
        assert_eq!(
            parse(line).unwrap(),
            serde_json::from_slice::<Value>(line).unwrap()
        );
        for (line, found) in [
            (
                &br#"{"a":1,"b":{"c":1,"c":1}}"#[..],
                "member c is there twice at column 24",
            ),
            (br#"{"a":1"#, "EOF while parsing an object at column 6"),
            (
                br#"{"a":1} {}"#,
                "more than one JSON value: `jq -c .` writes one a line, the first ends at column 9",
            ),
            (br#"{"a":1e999}"#, "number out of range at column 10"),
            (
                b"{\"a\":\"\xff\"}",
                "invalid unicode code point at column 7",
            ),
        ] {
            assert_eq!(parse(line).unwrap_err().found, found);
        }
        let deep = "[".repeat(100_000);
        assert!(
            parse(deep.as_bytes())
                .unwrap_err()
                .found
                .starts_with("recursion limit")
        );
    }
}

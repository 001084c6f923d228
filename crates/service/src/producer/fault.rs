//! What is wrong with one line of a file of events.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::printable;

/// Longest piece of a file that a fault repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// Members whose values may be repeated. Any other may hold a text of a person, also where the schema
/// has no text: it is there that something is wrong.
const HARMLESS: [&str; 17] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "traceparent",
    "tracestate",
    "data.entity.kind",
    "data.entity.id",
    "data.entity.userId",
    "data.entity.version",
    "data.baseVersion",
    "data.userId",
    "data.sequence",
];

/// One fault of one line. `found` repeats no text of a person's documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The member, dotted; `line` for the line as a whole.
    pub member: String,
    /// What is there.
    pub found: String,
    /// What should be.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            member,
            found,
            expected,
        } = self;
        write!(f, "{member}: found {found}, expected {expected}")
    }
}

/// Says what a value is. What is repeated ends in logs of build servers, so it is only what cannot be
/// personal, by its place and by its look.
pub(super) fn describe(member: &str, value: Option<&Value>) -> String {
    let is_harmless = HARMLESS.contains(&member);
    match value {
        None => "nothing".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Array(items)) => format!("an array of {}", items.len()),
        Some(Value::Object(members)) => match members.len() {
            1 => "an object of 1 member".to_owned(),
            count => format!("an object of {count} members"),
        },
        Some(Value::String(text)) if is_encoded_twice(text) => {
            "a text that is JSON: encoded twice?".to_owned()
        }
        Some(Value::String(text)) => text_at(is_harmless, text),
        Some(Value::Number(number)) if is_harmless => shortened(&number.to_string()),
        Some(Value::Number(_)) => "a number".to_owned(),
        Some(Value::Bool(value)) => value.to_string(),
    }
}

/// A text, repeated where its place is harmless and it has neither the look of an address nor words: a
/// mapping that is shifted by one column puts names where ids belong.
pub(super) fn text_at(is_harmless: bool, text: &str) -> String {
    let has_words = text.contains(char::is_whitespace);
    if is_harmless && !has_words && !text.contains('@') {
        return shortened(&Value::from(text).to_string());
    }
    let spaces = if has_words { ", with spaces" } else { "" };
    match text.chars().count() {
        1 => format!("a text of 1 character{spaces}"),
        count => format!("a text of {count} characters{spaces}"),
    }
}

/// The name of a member, repeated where it looks like one: a table's keys may be people.
pub(super) fn name_of(name: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '-');
    if !name.is_empty() && name.len() <= SHOWN_CHARS_MAX && name.chars().all(is_letter) {
        return name.to_owned();
    }
    format!("(a name of {} characters)", name.chars().count())
}

fn is_encoded_twice(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// At most [`SHOWN_CHARS_MAX`] characters of a text, fit for a terminal.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => {
            let text = text.get(..end).unwrap_or_default();
            format!("{}...", printable::piece(text))
        }
        None => printable::piece(text).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_harmless_members_are_repeated() {
        let secret = "Ada Lovelace";
        for member in [
            "data",
            "data.entity",
            "data.changed",
            "data.changed.0",
            "data.state",
            "data.patch.bio",
            "data.reason",
            "data.requestId",
            "data.deletedAt",
            "row",
            "line",
            "payload",
            "extra",
        ] {
            for value in [json!(secret), json!([secret]), json!({secret: secret})] {
                let said = describe(member, Some(&value));
                assert!(!said.contains("Ada"), "{member}: {said}");
            }
            assert_eq!(describe(member, Some(&json!(36))), "a number");
        }
        let id = |text: &str| describe("id", Some(&json!(text)));
        assert_eq!(id("user:u1:one"), r#""user:u1:one""#);
        assert_eq!(id("user:ada@example.com:1"), "a text of 22 characters");
        assert_eq!(id(secret), "a text of 12 characters, with spaces");
        assert_eq!(id("\x1b[31m\u{9b}"), r#""\u001b[31m\u009b""#);
        let data = json!(r#" {"entity":{"name":"Ada"}}"#);
        assert_eq!(
            describe("data", Some(&data)),
            "a text that is JSON: encoded twice?"
        );
        assert_eq!(name_of("displayName"), "displayName");
        assert_eq!(name_of("ada@example.com"), "(a name of 15 characters)");
    }
}

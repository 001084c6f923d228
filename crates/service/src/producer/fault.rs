//! What is wrong with one line of a file of events.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// Longest piece of a file that a fault repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

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

/// Says what a value is. Texts of documents (`data.state`, `data.patch`, reasons) are described, not
/// repeated: they are personal, and the output of a check ends in logs of build servers.
pub(super) fn describe(member: &str, value: Option<&Value>) -> String {
    let personal = ["data.state", "data.patch", "data.reason"];
    let is_personal = personal.iter().any(|place| member.starts_with(place));
    match value {
        None => "nothing".to_owned(),
        Some(Value::Null) => "null".to_owned(),
        Some(Value::Array(items)) => format!("an array of {}", items.len()),
        Some(Value::Object(members)) => format!("an object of {} members", members.len()),
        Some(Value::String(text)) if is_personal => {
            format!("a text of {} characters", text.chars().count())
        }
        Some(Value::Number(_)) if is_personal => "a number".to_owned(),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
            shortened(&other.to_string())
        }
    }
}

/// At most [`SHOWN_CHARS_MAX`] characters of a text.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

//! What a schema refuses, in words for people.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::fault::{Fault, describe, name_of};

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind but two is told in one way"
)]
/// One or, for several unknown members, several faults.
pub(super) fn faults_of(error: &ValidationError<'_>) -> Vec<Fault> {
    let place = dotted(error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|name| Fault {
                member: joined(&place, &name_of(name)),
                found: "an unknown member".to_owned(),
                expected: "none but the schema's members".to_owned(),
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Fault {
                member: joined(&place, name),
                found: "nothing".to_owned(),
                expected: "a value, the member is required".to_owned(),
            }]
        }
        kind => vec![Fault {
            found: describe(&place, Some(error.instance())),
            expected: expected(kind).unwrap_or_else(|| error.masked().to_string()),
            member: if place.is_empty() {
                "line".to_owned()
            } else {
                place
            },
        }],
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "keywords that our schemas do not use keep the library's words"
)]
fn expected(kind: &ValidationErrorKind) -> Option<String> {
    Some(match kind {
        ValidationErrorKind::Type { kind } => match kind {
            TypeKind::Single(one) => with_article(&one.to_string()),
            TypeKind::Multiple(several) => {
                let names: Vec<String> = several
                    .iter()
                    .map(|one| with_article(&one.to_string()))
                    .collect();
                names.join(" or ")
            }
        },
        ValidationErrorKind::Constant { expected_value } => expected_value.to_string(),
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
            let options: Vec<String> = options.iter().map(Value::to_string).collect();
            format!("one of {}", options.join(", "))
        }
        ValidationErrorKind::Minimum { limit } => format!("{limit} or more"),
        ValidationErrorKind::Maximum { limit } => format!("{limit} or less"),
        ValidationErrorKind::MinLength { limit: 1 } => "a text that is not empty".to_owned(),
        ValidationErrorKind::MinLength { limit } => format!("at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("at most {limit} characters"),
        ValidationErrorKind::Pattern { pattern } => match pattern.as_str() {
            "^[A-Za-z0-9_-]{1,64}$" => "1 to 64 characters of A-Z a-z 0-9 _ -".to_owned(),
            id if id.ends_with(":[1-9][0-9]{0,15}$") => {
                "<data.entity.kind>:<data.entity.id>:<data.entity.version>".to_owned()
            }
            other => format!("text that matches {other}"),
        },
        ValidationErrorKind::Format { format } => match format.as_str() {
            "date-time" => "a time as RFC 3339 writes it".to_owned(),
            "uri" => "a URI".to_owned(),
            "uri-reference" => "a URI or a path".to_owned(),
            other => format!("a {other}"),
        },
        _ => return None,
    })
}

fn with_article(name: &str) -> String {
    match name {
        "null" => "null".to_owned(),
        "integer" => "a whole number".to_owned(),
        "string" => "a text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "array" | "object" => format!("an {name}"),
        other => format!("a {other}"),
    }
}

/// `/data/state/languages/0` as `data.state.languages.0`.
fn dotted(pointer: &str) -> String {
    let names: Vec<String> = pointer.split('/').skip(1).map(name_of).collect();
    names.join(".")
}

fn joined(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

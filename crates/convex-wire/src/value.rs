//! Convex values: what a client's JSON means, and how an error message prints it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

/// Longest name of an object's field, in bytes.
const FIELD_NAME_BYTES_MAX: usize = 1024;

/// A Convex value. `Display` is the form that error messages show; [`crate::encode`] has the forms
/// that answers carry.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names are Convex's own")]
pub enum Value {
    Null,
    Bool(bool),
    Int64(i64),
    Float64(f64),
    String(String),
    Bytes(Vec<u8>),
    Array(Vec<Value>),
    /// Sorted by the bytes of its names, as every output is.
    Object(BTreeMap<String, Value>),
}

/// Why a JSON text is not a Convex value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidValue {
    #[error("Field name {0} starts with '$', which is reserved.")]
    ReservedField(String),
    #[error(
        "Field name {name} has invalid character '{character}': Field names can only contain non-control ASCII characters"
    )]
    FieldCharacter { name: String, character: char },
    #[error("Field name is too long ({0} > maximum {FIELD_NAME_BYTES_MAX})")]
    FieldTooLong(usize),
    #[error("{tag} must hold {expected}")]
    Payload {
        tag: &'static str,
        expected: &'static str,
    },
    #[error("Float64 {0} should be encoded as a number")]
    PlainFloat(f64),
    #[error("Received a {0} which is no longer supported as a Convex type")]
    Retired(&'static str),
}

impl Value {
    /// Reads a client's JSON. Every number is a float64; int64, bytes and the floats that JSON
    /// lacks come as objects with one `$` field.
    pub fn from_json(json: Json) -> Result<Self, InvalidValue> {
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            // Without arbitrary precision every JSON number has a double.
            Json::Number(number) => Self::Float64(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::String(text),
            Json::Array(items) => Self::Array(
                items
                    .into_iter()
                    .map(Self::from_json)
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(fields) => Self::from_fields(fields)?,
        })
    }

    fn from_fields(fields: serde_json::Map<String, Json>) -> Result<Self, InvalidValue> {
        if fields.len() == 1
            && let Some((name, payload)) = fields.iter().next()
            && let Some(special) = special(name, payload)
        {
            return special;
        }
        let mut object = BTreeMap::new();
        for (name, value) in fields {
            check_field_name(&name)?;
            object.insert(name, Self::from_json(value)?);
        }
        Ok(Self::Object(object))
    }

    /// The size Convex counts against its limits, in bytes.
    pub fn size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Int64(_) | Self::Float64(_) => 9,
            Self::String(text) => text.len() + 2,
            Self::Bytes(bytes) => bytes.len() + 2,
            Self::Array(items) => 2 + items.iter().map(Self::size).sum::<usize>(),
            Self::Object(fields) => {
                2 + fields
                    .iter()
                    .map(|(name, value)| name.len() + 1 + value.size())
                    .sum::<usize>()
            }
        }
    }
}

/// True for a float that the encoded form must wrap: JSON has no NaN and no infinity, and clients
/// lose the sign of -0.
pub(crate) fn is_special(float: f64) -> bool {
    !float.is_finite() || (float == 0.0 && float.is_sign_negative())
}

/// The value of an object whose only field is `name`, if that field is a tag.
fn special(name: &str, payload: &Json) -> Option<Result<Value, InvalidValue>> {
    match name {
        "$integer" => Some(
            eight_bytes(payload, "$integer").map(|bytes| Value::Int64(i64::from_le_bytes(bytes))),
        ),
        "$float" => Some(eight_bytes(payload, "$float").and_then(|bytes| {
            let float = f64::from_le_bytes(bytes);
            if is_special(float) {
                Ok(Value::Float64(float))
            } else {
                Err(InvalidValue::PlainFloat(float))
            }
        })),
        "$bytes" => Some(
            payload
                .as_str()
                .and_then(|text| STANDARD.decode(text).ok())
                .map(Value::Bytes)
                .ok_or(InvalidValue::Payload {
                    tag: "$bytes",
                    expected: "base64 text",
                }),
        ),
        "$set" => Some(Err(InvalidValue::Retired("Set"))),
        "$map" => Some(Err(InvalidValue::Retired("Map"))),
        _ => None,
    }
}

fn eight_bytes(payload: &Json, tag: &'static str) -> Result<[u8; 8], InvalidValue> {
    payload
        .as_str()
        .and_then(|text| STANDARD.decode(text).ok())
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(InvalidValue::Payload {
            tag,
            expected: "the base64 text of 8 bytes",
        })
}

fn check_field_name(name: &str) -> Result<(), InvalidValue> {
    if name.starts_with('$') {
        return Err(InvalidValue::ReservedField(name.to_owned()));
    }
    if let Some(character) = name.chars().find(|c| !c.is_ascii() || c.is_ascii_control()) {
        return Err(InvalidValue::FieldCharacter {
            name: name.to_owned(),
            character,
        });
    }
    if name.len() > FIELD_NAME_BYTES_MAX {
        return Err(InvalidValue::FieldTooLong(name.len()));
    }
    Ok(())
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int64(value) => write!(f, "{value}"),
            Self::Float64(value) => write!(f, "{value:?}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", STANDARD.encode(bytes)),
            Self::Array(items) => display_array(items, f),
            Self::Object(fields) => {
                f.write_str("{")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {value}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

pub(crate) fn display_array(items: &[Value], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("[")?;
    for (at, value) in items.iter().enumerate() {
        write!(f, "{}{value}", if at == 0 { "" } else { ", " })?;
    }
    f.write_str("]")
}

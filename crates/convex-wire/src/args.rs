//! What a function is given, for a function that takes nothing: `v.object({})`.

use std::fmt;

use serde_json::value::RawValue;

use crate::FunctionPath;
use crate::value::{InvalidValue, Value, display_array};

/// The largest arguments, as Convex counts them.
const ARGS_BYTES_MAX: usize = 1 << 24;

/// Why arguments are refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InvalidArgs {
    /// JSON in form only: a number out of range, half a surrogate pair, too deep.
    #[error("Invalid arguments provided")]
    NotJson,
    /// JSON, but no Convex value.
    #[error("Invalid arguments for {path}: {fault}", path = path.canonical())]
    NotValue {
        /// Whose arguments.
        path: FunctionPath,
        /// What is wrong.
        fault: InvalidValue,
    },
    /// Above Convex's limit.
    #[error(
        "Arguments for {path} are too large (actual: {actual}, limit: {limit})",
        path = path.canonical(), actual = binary_size(*actual), limit = binary_size(ARGS_BYTES_MAX)
    )]
    TooLarge {
        /// Whose arguments.
        path: FunctionPath,
        /// Their size in bytes.
        actual: usize,
    },
    /// One argument, but no object.
    #[error(
        "ArgumentValidationError: Expected to receive an object as the function's argument. Instead received: {0}"
    )]
    NotObject(Value),
    /// Not one argument.
    #[error(
        "ArgumentValidationError: Expected to receive a single object as the function's argument. Instead received {count} arguments: {list}",
        count = .0.len(), list = List(.0)
    )]
    NotSingle(Vec<Value>),
    /// An object that is not empty.
    #[error(
        "ArgumentValidationError: Object contains extra field `{field}` that is not in the validator.\n\nObject: {object}\nValidator: v.object({{}})"
    )]
    ExtraField {
        /// The first of its fields.
        field: String,
        /// The argument.
        object: Value,
    },
}

/// Judges the arguments of a request. A text that is no array stands for its only argument.
pub fn check_empty(path: &FunctionPath, args: &RawValue) -> Result<(), InvalidArgs> {
    let text = args.get();
    if text == "{}" || text == "[{}]" {
        return Ok(());
    }
    let args: Vec<serde_json::Value> = if text.starts_with('[') {
        serde_json::from_str(text).map_err(|_fault| InvalidArgs::NotJson)?
    } else {
        vec![serde_json::from_str(text).map_err(|_fault| InvalidArgs::NotJson)?]
    };
    check_empty_list(path, args)
}

/// Judges arguments that came as a list.
pub fn check_empty_list(
    path: &FunctionPath,
    args: Vec<serde_json::Value>,
) -> Result<(), InvalidArgs> {
    let args = args
        .into_iter()
        .map(Value::from_json)
        .collect::<Result<Vec<_>, _>>();
    let mut args = args.map_err(|fault| InvalidArgs::NotValue {
        path: path.clone(),
        fault,
    })?;
    let actual = 2 + args.iter().map(Value::size).sum::<usize>();
    if actual > ARGS_BYTES_MAX {
        return Err(InvalidArgs::TooLarge {
            path: path.clone(),
            actual,
        });
    }
    match (args.pop(), args.is_empty()) {
        (Some(Value::Object(fields)), true) => match fields.keys().next().cloned() {
            Some(field) => Err(InvalidArgs::ExtraField {
                field,
                object: Value::Object(fields),
            }),
            None => Ok(()),
        },
        (Some(other), true) => Err(InvalidArgs::NotObject(other)),
        (last, _) => {
            args.extend(last);
            Err(InvalidArgs::NotSingle(args))
        }
    }
}

struct List<'a>(&'a [Value]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        display_array(self.0, f)
    }
}

/// A size in the largest binary unit below it, with two decimals unless it is whole.
fn binary_size(bytes: usize) -> String {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let (unit, name) = match bytes {
        0..KIB => return format!("{bytes} B"),
        KIB..MIB => (KIB, "KiB"),
        _ => (MIB, "MiB"),
    };
    let (whole, rest) = (bytes / unit, bytes % unit);
    if rest == 0 {
        return format!("{whole} {name}");
    }
    let hundredths = (rest * 100 + unit / 2) / unit;
    format!(
        "{}.{:02} {name}",
        whole + hundredths / 100,
        hundredths % 100
    )
}

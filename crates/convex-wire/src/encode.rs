//! Values as answers carry them, written straight into a byte buffer.
//!
//! An answer of a known shape goes through [`ObjectWriter`] in one pass; a [`Value`] of any shape
//! through [`write_value`]. Both append and never clear, so that an envelope can be written around
//! them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::client::{ClientVersion, Family};
use crate::value::{Value, is_special};

/// How an answer's values are written as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `json`: readable and lossy. An int64 is a string.
    Clean,
    /// `convex_encoded_json`: lossless, and what the WebSocket carries. int64, bytes and special
    /// floats are objects.
    Encoded,
    /// `export_json`: as encoded, but an int64 is a number and -0 is plain.
    Export,
}

/// A `format` that names none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("format param must be one of [`json`]. Got {0}")]
pub struct BadFormat(pub String);

impl Format {
    /// Takes the value of a request's `format`.
    pub fn parse(text: &str) -> Result<Self, BadFormat> {
        match text {
            "json" | "convex_clean_json" => Ok(Self::Clean),
            "convex_encoded_json" | "convex_json" => Ok(Self::Encoded),
            "export_json" => Ok(Self::Export),
            other => Err(BadFormat(other.to_owned())),
        }
    }

    /// The format for a client that names none. Old clients could not read the clean one.
    pub fn default_for(client: Option<&ClientVersion>) -> Self {
        let encoded = client.is_some_and(|client| match client.family() {
            Family::Npm => client.is_below(1, 4, 1),
            Family::Python => client.is_below(0, 5, 0),
            Family::Rust | Family::Other => false,
        });
        if encoded { Self::Encoded } else { Self::Clean }
    }
}

/// Appends a JSON text.
#[expect(
    clippy::expect_used,
    reason = "a Vec takes every write, and what is given has no failing Serialize"
)]
pub(crate) fn write_json(buffer: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(buffer, value).expect("writing JSON to memory");
}

/// Appends a string; ids are strings too.
pub fn write_string(buffer: &mut Vec<u8>, text: &str) {
    if !is_plain(text) {
        return write_json(buffer, text);
    }
    buffer.reserve(text.len() + 2);
    buffer.push(b'"');
    buffer.extend_from_slice(text.as_bytes());
    buffer.push(b'"');
}

/// Whether a text stands in JSON as it is. The loop has no way out, so that it looks at many bytes at a time.
fn is_plain(text: &str) -> bool {
    let escapes =
        |byte: u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
    text.bytes().fold(0, |any, byte| any | escapes(byte)) == 0
}

/// Appends a float64. An ordinary one always has a fraction or an exponent: `30.0`.
pub fn write_float(buffer: &mut Vec<u8>, format: Format, float: f64) {
    if !is_special(float) || (float == 0.0 && format != Format::Encoded) {
        write_json(buffer, &float);
    } else if format == Format::Clean {
        let name = if float.is_nan() {
            "NaN"
        } else if float > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        };
        write_string(buffer, name);
    } else {
        write_tagged(buffer, "$float", &float.to_le_bytes());
    }
}

fn write_integer(buffer: &mut Vec<u8>, format: Format, integer: i64) {
    match format {
        Format::Clean => write_string(buffer, &integer.to_string()),
        Format::Encoded => write_tagged(buffer, "$integer", &integer.to_le_bytes()),
        Format::Export => write_json(buffer, &integer),
    }
}

fn write_bytes(buffer: &mut Vec<u8>, format: Format, bytes: &[u8]) {
    match format {
        Format::Clean => write_string(buffer, &STANDARD.encode(bytes)),
        Format::Encoded | Format::Export => write_tagged(buffer, "$bytes", bytes),
    }
}

fn write_tagged(buffer: &mut Vec<u8>, tag: &str, bytes: &[u8]) {
    buffer.push(b'{');
    write_string(buffer, tag);
    buffer.push(b':');
    write_string(buffer, &STANDARD.encode(bytes));
    buffer.push(b'}');
}

/// Appends `items` between brackets.
pub fn write_array<T>(
    buffer: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write_item: impl FnMut(&mut Vec<u8>, T),
) {
    buffer.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at != 0 {
            buffer.push(b',');
        }
        write_item(buffer, item);
    }
    buffer.push(b']');
}

/// Appends any value.
pub fn write_value(buffer: &mut Vec<u8>, format: Format, value: &Value) {
    match value {
        Value::Null => buffer.extend_from_slice(b"null"),
        Value::Bool(value) => write_json(buffer, value),
        Value::Int64(value) => write_integer(buffer, format, *value),
        Value::Float64(value) => write_float(buffer, format, *value),
        Value::String(text) => write_string(buffer, text),
        Value::Bytes(bytes) => write_bytes(buffer, format, bytes),
        Value::Array(items) => {
            write_array(buffer, items, |buffer, item| {
                write_value(buffer, format, item);
            });
        }
        Value::Object(fields) => {
            let mut object = ObjectWriter::new(buffer, format);
            for (name, value) in fields {
                object.value(name, value);
            }
            object.finish();
        }
    }
}

/// Writes an object member by member, without a [`Value`] in between.
///
/// Members must come in the byte order of their names, which is the order of every Convex object; a
/// debug build checks.
#[derive(Debug)]
#[must_use = "the object is open until `finish`"]
pub struct ObjectWriter<'b, 'n> {
    buffer: &'b mut Vec<u8>,
    format: Format,
    last: Option<&'n str>,
}

impl<'b, 'n> ObjectWriter<'b, 'n> {
    /// Opens an object at the end of `buffer`.
    pub fn new(buffer: &'b mut Vec<u8>, format: Format) -> Self {
        buffer.push(b'{');
        Self {
            buffer,
            format,
            last: None,
        }
    }

    fn separate(&mut self, name: &'n str) {
        debug_assert!(
            self.last.is_none_or(|last| last < name),
            "{name} out of order"
        );
        if self.last.replace(name).is_some() {
            self.buffer.push(b',');
        }
    }

    /// Writes a name that is known to need no escapes.
    fn name(&mut self, name: &'n str) {
        debug_assert!(is_plain(name), "{name} needs escapes");
        self.separate(name);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(name.as_bytes());
        self.buffer.extend_from_slice(b"\":");
    }

    /// A string member. Its name, as every name but those of [`Self::value`], is plain ASCII.
    pub fn string(&mut self, name: &'n str, text: &str) {
        self.name(name);
        write_string(self.buffer, text);
    }

    /// A float64 member.
    pub fn float(&mut self, name: &'n str, float: f64) {
        self.name(name);
        write_float(self.buffer, self.format, float);
    }

    /// A member that is an array of strings.
    pub fn strings<'t>(&mut self, name: &'n str, texts: impl IntoIterator<Item = &'t str>) {
        self.name(name);
        write_array(self.buffer, texts, write_string);
    }

    /// A member of any kind.
    pub fn value(&mut self, name: &'n str, value: &Value) {
        self.separate(name);
        write_string(self.buffer, name);
        self.buffer.push(b':');
        write_value(self.buffer, self.format, value);
    }

    /// Closes the object.
    pub fn finish(self) {
        self.buffer.push(b'}');
    }
}

//! Which function a request names: `folder/module:export`.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode_str;

use crate::TransportError;

/// Longest part of a module's path and longest identifier, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The same for a file's name without its `.js`.
const STEM_BYTES_MAX: usize = NAME_BYTES_MAX - 3;
/// The export of a path that names none.
const DEFAULT_EXPORT: &str = "default";

/// A valid path to a function. Equal for `m:f` and `m.js:f`, and for `m` and `m:default`.
///
/// `Display` is the short form, without `.js` and without `:default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FunctionPath {
    module: Box<str>,
    export: Box<str>,
}

/// Why a text is not a path to a function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum InvalidPath {
    #[error("Module paths must be relative ({0} is absolute).")]
    Absolute(String),
    #[error("Module path {0} doesn't have a filename.")]
    NoFilename(String),
    #[error("Module path ({0}) has an extension that isn't 'js'.")]
    Extension(String),
    #[error("Path component is too long ({0} > maximum {NAME_BYTES_MAX}).")]
    ComponentTooLong(usize),
    #[error(
        "Path component {0} can only contain alphanumeric characters, underscores, or periods."
    )]
    ComponentCharacter(String),
    #[error("Path component {0} must have at least one alphanumeric character.")]
    ComponentBlank(String),
    #[error("Identifier cannot be empty")]
    IdentifierEmpty,
    #[error(
        "Invalid first character '{first}' in {identifier}: Identifiers must start with an alphabetic character or underscore"
    )]
    IdentifierStart { identifier: String, first: char },
    #[error(
        "Identifier {identifier} has invalid character '{character}': Identifiers can only contain alphanumeric characters or underscores"
    )]
    IdentifierCharacter { identifier: String, character: char },
    #[error("Identifier is too long ({0} > maximum {NAME_BYTES_MAX})")]
    IdentifierTooLong(usize),
    #[error("Identifier {0} must have at least one alphanumeric character")]
    IdentifierBlank(String),
}

impl FunctionPath {
    /// Takes the `path` of a request's body.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        Self::from_text(text).map_err(|reason| TransportError::BadConvexFunctionIdentifier {
            path: text.to_owned(),
            reason,
        })
    }

    /// Takes what follows `/api/run/` in a URL, after [`decode_url_tail`]: the last segment is the
    /// export.
    pub fn parse_url_tail(tail: &str) -> Result<Self, TransportError> {
        let (module, export) = tail
            .rsplit_once('/')
            .ok_or(TransportError::MissingIdentifier)?;
        // Segment by segment comes to the same: what parts them stays as it is.
        Self::parse(&[&decode(module)?, ":", &decode(export)?].concat())
    }

    /// Takes a text without making a transport error of a fault.
    pub fn from_text(text: &str) -> Result<Self, InvalidPath> {
        let (module, export) = text.rsplit_once(':').unwrap_or((text, DEFAULT_EXPORT));
        let module = parse_module(module)?;
        check_identifier(export)?;
        Ok(Self {
            module,
            export: export.into(),
        })
    }

    /// Whether this is that export of that module, the module without its `.js`.
    pub fn is(&self, module: &str, export: &str) -> bool {
        *self.module == *module && *self.export == *export
    }

    /// The long form, with the module's `.js`.
    pub fn canonical(&self) -> impl fmt::Display + '_ {
        fmt::from_fn(|f| write!(f, "{}.js:{}", self.module, self.export))
    }

    /// True for the modules that a deployment keeps for itself.
    pub fn is_system(&self) -> bool {
        self.module.starts_with("_system/")
    }
}

impl fmt::Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.module)?;
        if *self.export != *DEFAULT_EXPORT {
            write!(f, ":{}", self.export)?;
        }
        Ok(())
    }
}

/// Undoes the percent-encoding of what follows `/api/run/`, as a router does before a handler sees
/// it.
pub fn decode_url_tail(tail: &str) -> Result<Cow<'_, str>, TransportError> {
    decode(tail)
}

fn decode(text: &str) -> Result<Cow<'_, str>, TransportError> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_not_utf8| TransportError::BadPathArgs)
}

/// The module without its `.js`.
fn parse_module(module: &str) -> Result<Box<str>, InvalidPath> {
    if module.starts_with('/') {
        return Err(InvalidPath::Absolute(module.to_owned()));
    }
    // Repeated slashes and single dots mean nothing in a path of files.
    let mut parts = module.split('/').filter(|part| !matches!(*part, "" | "."));
    let Some(file) = parts.next_back().filter(|file| *file != "..") else {
        return Err(InvalidPath::NoFilename(module.to_owned()));
    };
    let stem = match file.rsplit_once('.') {
        Some((stem, "js")) if !stem.is_empty() => stem,
        Some((stem, _)) if !stem.is_empty() => {
            return Err(InvalidPath::Extension(module.to_owned()));
        }
        Some(_) | None => file,
    };
    let mut path = String::with_capacity(module.len());
    for folder in parts {
        check_component(folder)?;
        path.push_str(folder);
        path.push('/');
    }
    if check_component(stem).is_err() || stem.len() > STEM_BYTES_MAX {
        check_component(&format!("{stem}.js"))?;
    }
    path.push_str(stem);
    Ok(path.into())
}

fn check_component(part: &str) -> Result<(), InvalidPath> {
    if part.len() > NAME_BYTES_MAX {
        return Err(InvalidPath::ComponentTooLong(part.len()));
    }
    if !part
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
    {
        return Err(InvalidPath::ComponentCharacter(part.to_owned()));
    }
    if !part.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return Err(InvalidPath::ComponentBlank(part.to_owned()));
    }
    Ok(())
}

fn check_identifier(identifier: &str) -> Result<(), InvalidPath> {
    let first = identifier
        .chars()
        .next()
        .ok_or(InvalidPath::IdentifierEmpty)?;
    if !first.is_ascii_alphabetic() && first != '_' {
        return Err(InvalidPath::IdentifierStart {
            identifier: identifier.to_owned(),
            first,
        });
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(character) = identifier.chars().find(|c| !legal(*c)) {
        return Err(InvalidPath::IdentifierCharacter {
            identifier: identifier.to_owned(),
            character,
        });
    }
    if identifier.len() > NAME_BYTES_MAX {
        return Err(InvalidPath::IdentifierTooLong(identifier.len()));
    }
    if identifier.bytes().all(|b| b == b'_') {
        return Err(InvalidPath::IdentifierBlank(identifier.to_owned()));
    }
    Ok(())
}

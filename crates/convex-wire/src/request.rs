//! Request bodies. The structs' names and the order of their fields show in serde's texts, so both
//! are Convex's.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::TransportError;

/// The body of `/api/run/{path}`.
#[derive(Debug, Deserialize)]
pub struct UdfPostRequestArgsOnly {
    /// Any JSON; [`crate::args`] judges it.
    pub args: Box<RawValue>,
    /// Judged when the answer is known, by [`crate::Format::parse`].
    pub format: Option<String>,
}

/// The body of `/api/query`, `/api/mutation` and `/api/action`.
#[derive(Debug, Deserialize)]
pub struct UdfPostRequest {
    /// See [`crate::FunctionPath::parse`].
    pub path: String,
    /// As in [`UdfPostRequestArgsOnly`].
    pub args: Box<RawValue>,
    /// As in [`UdfPostRequestArgsOnly`].
    pub format: Option<String>,
}

/// The body of `/api/query_at_ts`.
#[derive(Debug, Deserialize)]
pub struct UdfPostWithTsRequest {
    /// As in [`UdfPostRequest`].
    pub path: String,
    /// As in [`UdfPostRequestArgsOnly`].
    pub args: Box<RawValue>,
    /// See [`crate::Timestamp::parse`].
    pub ts: String,
    /// As in [`UdfPostRequestArgsOnly`].
    pub format: Option<String>,
}

/// The body of `/api/query_batch`.
#[derive(Debug, Deserialize)]
pub struct QueryBatchArgs {
    /// Answered in order, all from one state.
    pub queries: Vec<UdfPostRequest>,
}

/// The body of `/api/function`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdfPostRequestWithComponent {
    /// Which component's function; none for the app's own.
    pub component_path: Option<String>,
    /// As in [`UdfPostRequest`].
    pub path: String,
    /// As in [`UdfPostRequestArgsOnly`].
    pub args: Box<RawValue>,
    /// As in [`UdfPostRequestArgsOnly`].
    pub format: Option<String>,
}

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum BodyFault {
    #[error("Expected request with `Content-Type: application/json`")]
    ContentType,
    #[error("Failed to buffer the request body: length limit exceeded")]
    TooLarge,
    #[error("Failed to buffer the request body: {0}")]
    Unreadable(String),
    #[error("Failed to parse the request body as JSON: {0}")]
    Syntax(String),
    #[error("Failed to deserialize the JSON body into the target type: {0}")]
    Shape(String),
}

/// True for `application/json` and `application/*+json`, with any parameters. Judged before the
/// body is read.
pub fn is_json(content_type: Option<&[u8]>) -> bool {
    let Some(Ok(text)) = content_type.map(str::from_utf8) else {
        return false;
    };
    if text == "application/json" {
        return true;
    }
    let essence = text.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, last)| last);
    kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
}

/// Reads a body whose content type has been judged.
pub fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, TransportError> {
    // Keeping track of the place costs more than all the rest, and is for faults alone.
    if let Ok(request) = serde_json::from_slice(body) {
        return Ok(request);
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let request = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let text = error.to_string();
        match error.inner().classify() {
            Category::Data => BodyFault::Shape(text),
            Category::Syntax | Category::Eof | Category::Io => BodyFault::Syntax(text),
        }
    });
    let request = request.map_err(TransportError::BadJsonBody)?;
    json.end()
        .map_err(|error| TransportError::BadJsonBody(BodyFault::Syntax(error.to_string())))?;
    Ok(request)
}

/// The fault of `GET /api/query`, given the names in its query string in order.
///
/// Convex declares `args` as raw JSON there, which its query string deserializer can never make: no
/// call succeeds.
pub fn get_query_fault<'n>(names: impl IntoIterator<Item = &'n str>) -> TransportError {
    let (mut path, mut format) = (false, false);
    for name in names {
        let duplicate = match name {
            "path" => std::mem::replace(&mut path, true),
            "format" => std::mem::replace(&mut format, true),
            "args" => {
                return bad_query_args(
                    "args: invalid type: newtype struct, expected any valid JSON value",
                );
            }
            _ => false,
        };
        if duplicate {
            return bad_query_args(&format!("duplicate field `{name}`"));
        }
    }
    bad_query_args(if path {
        "missing field `args`"
    } else {
        "missing field `path`"
    })
}

fn bad_query_args(reason: &str) -> TransportError {
    TransportError::BadQueryArgs(format!("Failed to deserialize query string: {reason}"))
}

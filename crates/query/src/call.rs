//! The one query: which function is asked for, and running it.

use convex_wire::{FunctionError, FunctionKind, FunctionPath, args};
use domain::WorkosUserId;
use read_model::{Answer, StorageError};
use serde_json::value::RawValue;

use crate::QueryState;

/// The function's module, and its export.
const FUNCTION: (&str, &str) = ("profiles/queries", "getCurrentUserProfile");

/// How a route words that there is no such function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wording {
    /// As a route for anybody's functions.
    Any,
    /// As a route for public functions.
    Public,
}

/// Whether the query may run: it is the function asked for, called as what it is, with what it
/// takes.
pub(crate) fn check_call(
    path: FunctionPath,
    called: FunctionKind,
    wording: Wording,
    args: &RawValue,
) -> Result<(), FunctionError> {
    if path.is(FUNCTION.0, FUNCTION.1) {
        if called != FunctionKind::Query {
            return Err(FunctionError::NotA { path, called });
        }
        return Ok(args::check_empty(&path, args)?);
    }
    Err(match wording {
        Wording::Any => FunctionError::NotFound(path),
        Wording::Public if path.is_system() => FunctionError::NotPermitted(called),
        Wording::Public => FunctionError::NotPublic(path),
    })
}

impl QueryState {
    /// Runs the query. Nobody has no profile; the sequence is told all the same.
    pub(crate) fn profile_of(
        &self,
        subject: Option<&WorkosUserId>,
    ) -> Result<Answer, StorageError> {
        match subject {
            Some(subject) => self.reader.profile_of(subject),
            None => Ok(Answer::of_nobody(self.progress.borrow().applied())),
        }
    }
}

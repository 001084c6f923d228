//! What is wrong with a record that cannot be decoded.
//!
//! A fault names places and expectations, never values: it is logged and shown, and a value may be
//! personal (D5). Texts are part of what operators see; they change only with care.

use crate::HeaderFault;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The subject is not `identity.v1.<userId>.<user|profile|quarantine>`.
    #[error("the subject names no lane: expected identity.v1.<userId>.<user|profile|quarantine>")]
    Subject,
    /// The data is longer than the contract allows, or a structured event around it.
    #[error("the {part} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// `data` or `body`.
        part: &'static str,
        /// Its length, as it is written.
        bytes: usize,
        /// The contract's limit.
        limit: usize,
    },
    /// The body is not JSON at all.
    #[error("{part} is not JSON: {problem} at line {line} column {column}")]
    NotJson {
        /// `body` or `data`.
        part: &'static str,
        /// The kind of break.
        problem: String,
        /// One-based line.
        line: usize,
        /// One-based column, in bytes.
        column: usize,
    },
    /// A member is missing, repeated, or of the wrong shape.
    #[error("{path}: {problem}")]
    Member {
        /// The member, dotted.
        path: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A `CloudEvents` attribute is missing or wrong.
    #[error("attribute {name}: {problem}")]
    Attribute {
        /// The attribute.
        name: &'static str,
        /// What is wrong and what was expected.
        problem: &'static str,
    },
    /// It is what a server answers with: somebody published, or asked, with the record's subject for the answer.
    #[error(
        "a server's answer: whoever published or asked something named this subject for the reply"
    )]
    Answer,
    /// The header block is none, or not text.
    #[error(transparent)]
    Headers(#[from] HeaderFault),
    /// Two headers give one attribute different values.
    #[error("header {name} is there twice with different values")]
    HeaderConflict {
        /// The header, in lower case.
        name: String,
    },
    /// The type is of a major version that this release does not understand.
    #[error("type has major version {major}, this release understands 1")]
    UnknownMajor {
        /// The number behind the `v`.
        major: u32,
    },
    /// Two places that must agree do not.
    #[error("{left} does not match {right}")]
    Mismatch {
        /// One place.
        left: &'static str,
        /// The other.
        right: &'static str,
    },
}

//! Timestamps as Convex writes them: nanoseconds since the epoch, eight bytes little endian,
//! base64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// Nanoseconds since the epoch. `Display` is the form on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A text that is no timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the base64 text of 8 bytes")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// Before every other: what both ends of a new socket start from.
    pub const ZERO: Self = Self(0);

    /// Reads the form on the wire.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let bytes = STANDARD.decode(text).map_err(|_fault| InvalidTimestamp)?;
        let bytes = bytes.try_into().map_err(|_fault| InvalidTimestamp)?;
        Ok(Self(u64::from_le_bytes(bytes)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0.to_le_bytes()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

//! The digest of the rows: equal rows, equal digest, in whatever order they came to be.
//!
//! The sum, modulo 2^128, of a hash of each row of `people` and of `parked`. A row that goes
//! takes its hash with it, so the digest is kept up to date by the rows that change alone. The
//! mapping is left out, since it follows from the people; so are counters and the checkpoint.
//!
//! Of a parked record it covers where it waits and why, not its bytes: they follow from its place in
//! the stream, and an event that is replayed from a file has the same meaning in other bytes.

use std::fmt;

use crate::rows::parked;

/// The digest of a set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(pub(crate) u128);

impl Digest {
    /// The tables that it covers.
    pub(crate) const TABLES: [&str; 2] = ["people", "parked"];

    pub(crate) fn add(&mut self, table: &str, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(row_hash(table, key, value));
    }

    pub(crate) fn remove(&mut self, table: &str, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(row_hash(table, key, value));
    }

    /// The part of a row's value that counts.
    pub(crate) fn covered<'v>(table: &str, value: &'v [u8]) -> &'v [u8] {
        if table == "parked" {
            parked::without_record(value)
        } else {
            value
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

fn row_hash(table: &str, key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(table.as_bytes());
    hasher.update(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    hasher.update(key);
    hasher.update(Digest::covered(table, value));
    let hash = hasher.finalize();
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |half| u128::from_le_bytes(*half))
}

//! The digest of the rows: equal rows, equal digest, in whatever order they came to be.
//!
//! The sum, modulo 2^128, of a hash of each row of `people` and of `parked`. A row that goes
//! takes its hash with it, so the digest is kept up to date by the rows that change alone. The
//! mapping is left out, since it follows from the people; so are counters and the checkpoint.
//!
//! Of a parked record it covers where it waits and why, not its bytes: they follow from its place in
//! the stream, and an event that is replayed from a file has the same meaning in other bytes.

use std::fmt;
use std::io::Write as _;

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

/// A row of up to so many bytes is hashed in one call: an incremental hash has more to prepare.
const ROW_BYTES: usize = 1024;

fn row_hash(table: &str, key: &[u8], value: &[u8]) -> u128 {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes();
    let parts = [
        table.as_bytes(),
        &length,
        key,
        Digest::covered(table, value),
    ];
    let mut row = [0; ROW_BYTES];
    let mut rest = row.as_mut_slice();
    let fits = parts.iter().all(|part| rest.write_all(part).is_ok());
    let hash = if fits {
        let free = rest.len();
        blake3::hash(row.get(..ROW_BYTES - free).unwrap_or_default())
    } else {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    };
    hash.as_bytes()
        .first_chunk()
        .map_or(0, |half| u128::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_any_length_has_the_hash_of_its_parts() {
        for length in [
            0, 1, 63, 64, 900, 1_010, 1_011, 1_012, 1_013, 1_014, 1_015, 3_000,
        ] {
            let value = vec![7; length];
            let mut whole = b"people\x02\0\0\0u1".to_vec();
            whole.extend_from_slice(&value);
            let expected = blake3::hash(&whole);
            let hash = row_hash("people", b"u1", &value).to_le_bytes();
            assert_eq!(Some(&hash), expected.as_bytes().first_chunk(), "{length}");
        }
    }
}

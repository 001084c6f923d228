//! The check of a row: a CRC-32 over its table, its key and its value, stored behind the value.
//!
//! It finds every change of up to 32 bits in a row, every three single bits in rows of up to 11 KiB, and
//! a row that stands under another key or in another table. The engine's own checksums are of pages, and it
//! compares them only when a file was not closed.

/// What a check takes behind its row.
pub(crate) const CHECK_BYTES: usize = 4;

/// Computes the checks of one table's rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check(u32);

impl Check {
    pub(crate) fn of_table(name: &str) -> Self {
        Self(crc32fast::hash(name.as_bytes()))
    }

    pub(crate) fn of(self, key: &[u8], row: &[u8]) -> [u8; CHECK_BYTES] {
        let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let mut crc = crc32fast::Hasher::new_with_initial(self.0 ^ length);
        crc.update(key);
        crc.update(row);
        crc.finalize().to_le_bytes()
    }

    /// The row without its check; `None` where the check is not that of this row.
    pub(crate) fn row<'v>(self, key: &[u8], stored: &'v [u8]) -> Option<&'v [u8]> {
        let (row, check) = stored.split_last_chunk()?;
        (self.of(key, row) == *check).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_of_table_key_and_every_bit_of_a_row() {
        let (people, owners) = (Check::of_table("people"), Check::of_table("owners"));
        let row: Vec<u8> = (0..400_u16).map(|at| at.to_le_bytes()[0]).collect();
        let mut stored = row.clone();
        stored.extend_from_slice(&people.of(b"u1", &row));
        assert_eq!(people.row(b"u1", &stored), Some(row.as_slice()));
        assert_eq!(people.row(b"u2", &stored), None);
        assert_eq!(owners.row(b"u1", &stored), None);
        assert_eq!(people.row(b"u1", &stored[1..]), None);
        assert_eq!(people.row(b"u1", &[]), None);
        for at in 0..stored.len() * 8 {
            let mut flipped = stored.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(people.row(b"u1", &flipped), None, "bit {at}");
            let second = (at * 7 + 13) % (stored.len() * 8);
            flipped[second / 8] ^= 1 << (second % 8);
            assert!(at == second || people.row(b"u1", &flipped).is_none());
        }
    }
}

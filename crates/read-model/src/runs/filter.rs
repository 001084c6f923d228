//! Which keys a run may hold: says yes to all that it holds, and to about one in a hundred others.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use hashbrown::DefaultHashBuilder;

use super::Kind;

const BITS_PER_KEY: usize = 12;

/// What a filter is asked with. One serves all filters: a look-up asks several.
#[derive(Clone, Copy)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    pub(super) fn of(kind: Kind, key: &[u8]) -> Self {
        static HASHER: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);
        Self(HASHER.hash_one((kind, key)))
    }
}

/// A Bloom filter that looks at one word of memory for a key.
pub(super) struct Filter {
    words: Box<[u64]>,
}

impl Filter {
    /// An empty filter for about this many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        let words = keys.saturating_mul(BITS_PER_KEY) / 64 + 1;
        Self {
            words: vec![0; words].into(),
        }
    }

    pub(super) fn insert(&mut self, key: KeyHash) {
        let (at, bits) = self.place(key);
        if let Some(word) = self.words.get_mut(at) {
            *word |= bits;
        }
    }

    pub(super) fn may_hold(&self, key: KeyHash) -> bool {
        let (at, bits) = self.place(key);
        self.words.get(at).is_some_and(|word| word & bits == bits)
    }

    /// The word from the upper half of the hash, five bits of it from the lower.
    fn place(&self, KeyHash(hash): KeyHash) -> (usize, u64) {
        let words = u64::try_from(self.words.len()).unwrap_or(u64::MAX);
        let at = (hash >> 32).wrapping_mul(words) >> 32;
        let bit = |from: u32| 1_u64 << ((hash >> from) & 63);
        let bits = bit(0) | bit(6) | bit(12) | bit(18) | bit(24);
        (usize::try_from(at).unwrap_or(usize::MAX), bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_little_else() {
        let key = |number: u32| number.to_le_bytes();
        let mut filter = Filter::with_room(10_000);
        for number in 0..10_000 {
            filter.insert(KeyHash::of(Kind::Person, &key(number)));
        }
        let held = |kind, numbers: std::ops::Range<u32>| {
            numbers
                .filter(|number| filter.may_hold(KeyHash::of(kind, &key(*number))))
                .count()
        };
        assert_eq!(held(Kind::Person, 0..10_000), 10_000);
        assert!(held(Kind::Person, 10_000..20_000) < 400);
        assert!(held(Kind::Owner, 0..10_000) < 400);
    }
}

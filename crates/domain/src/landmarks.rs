//! Which messages a checkpoint remembers, so that their history is recognised later.
//!
//! Many of the latest and ever fewer of the older ones: a message may be deleted, and so may all of
//! one person. What is remembered follows from the messages applied, not from how they came in batches.

use crate::Fingerprint;

/// Remembered of each size of blocks: the first message in as many of the latest blocks.
const BLOCKS: usize = 4;
/// Blocks are four times as large as those of the size before.
const STEP: u32 = 2;
/// Fingerprints that are gathered before those that no checkpoint needs are dropped.
const GATHERED_MAX: usize = 1_024;

/// The messages applied since a checkpoint, as far as the next one remembers them.
#[derive(Debug, Default)]
pub struct Passed(Vec<Fingerprint>);

impl Passed {
    /// Takes the next message in.
    pub fn push(&mut self, at: Fingerprint) {
        if GATHERED_MAX <= self.0.len() {
            thin(&mut self.0);
        }
        self.0.push(at);
    }

    /// The latest message.
    pub fn last(&self) -> Option<Fingerprint> {
        self.0.last().copied()
    }

    /// Forgets all: a checkpoint has them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those worth remembering, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Fingerprint> + '_ {
        self.0.iter().copied()
    }
}

/// Leaves the messages worth remembering of some that are in order, oldest first.
///
/// Sequences are cut into blocks of 1, 4, 16, ...; of each size the first message in each of the latest
/// blocks stays. A block's first message is also the first in one of the smaller blocks, so what was
/// dropped before is never missed: thinning on the way and thinning in the end leave the same.
pub(crate) fn thin(messages: &mut Vec<Fingerprint>) {
    let mut firsts = std::mem::take(messages);
    let mut bits = 0;
    while BLOCKS < firsts.len() {
        messages.extend(firsts.iter().rev().take(BLOCKS));
        bits += STEP;
        firsts.dedup_by_key(|at| at.sequence.get().checked_shr(bits));
    }
    messages.append(&mut firsts);
    messages.sort_unstable_by_key(|at| at.sequence);
    messages.dedup_by_key(|at| at.sequence);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Checkpoint, Sequence, StreamId};

    fn at(sequence: u64) -> Fingerprint {
        Fingerprint {
            sequence: Sequence::new(sequence).unwrap(),
            time_ns: i64::try_from(sequence).unwrap() + 7,
        }
    }

    fn start() -> Checkpoint {
        Checkpoint::start_of(StreamId {
            name: "S".into(),
            created_ns: 7,
        })
    }

    fn sequences(held: &Checkpoint) -> Vec<u64> {
        held.fingerprints().map(|at| at.sequence.get()).collect()
    }

    /// The checkpoint behind `messages`, which came in batches of `sizes`.
    fn in_batches(messages: &[u64], sizes: &[usize]) -> Checkpoint {
        let mut held = start();
        let mut sizes = sizes.iter().cycle();
        let mut rest = messages;
        while !rest.is_empty() {
            let size = sizes.next().map_or(1, |size| (*size).min(rest.len()));
            let (batch, after) = rest.split_at(size);
            let mut passed = Passed::default();
            for sequence in batch {
                passed.push(at(*sequence));
            }
            held = held.advanced_over(&passed);
            rest = after;
        }
        held
    }

    #[test]
    fn the_latest_and_ever_fewer_of_the_older_ones_are_remembered() {
        let all: Vec<u64> = (1..=100).collect();
        let held = sequences(&in_batches(&all, &[1]));
        assert_eq!(held, [100, 99, 98, 97, 96, 92, 88, 80, 64, 48, 1]);
    }

    #[test]
    fn a_million_messages_are_remembered_by_a_few_dozen() {
        let all: Vec<u64> = (1..=1_000_000).collect();
        let held = in_batches(&all, &[5_000]);
        let places = sequences(&held);
        assert!(places.len() <= 40, "{places:?}");
        assert_eq!(held, in_batches(&all, &[999_983]));
        let mut largest = Passed::default();
        for sequence in (1..=64).map(|bits| u64::MAX >> (64 - bits)) {
            largest.push(Fingerprint {
                time_ns: 0,
                sequence: Sequence::new(sequence).unwrap(),
            });
        }
        let held = start().advanced_over(&largest);
        assert!(held.fingerprints().count() <= 64);
    }

    proptest! {
        #[test]
        fn what_is_remembered_does_not_follow_from_batches(
            steps in prop::collection::vec(prop_oneof![9 => 1_u64..3, 1 => 1_u64..5_000], 1..3_000),
            sizes in prop::collection::vec(1_usize..2_500, 1..5),
        ) {
            let messages: Vec<u64> = steps
                .iter()
                .scan(0, |sequence, step| {
                    *sequence += step;
                    Some(*sequence)
                })
                .collect();
            let one_by_one = in_batches(&messages, &[1]);
            prop_assert_eq!(&in_batches(&messages, &sizes), &one_by_one);
            prop_assert_eq!(one_by_one.applied.map(|at| at.sequence.get()), messages.last().copied());
        }
    }
}

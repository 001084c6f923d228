//! The rows that a batch has touched, as bytes: compact, and written out as they are.
//!
//! Keys and values lie one behind the other in a few large pieces of memory. Rows that each had an
//! allocation of their own took half as much memory again, and seconds to be given back.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::StorageError;
use crate::runs::{Entry, Kind, Source};

/// A row in the overlay.
#[derive(Clone, Copy)]
pub(super) struct Row<'r> {
    pub(super) bytes: &'r [u8],
    /// Which parts of it are not written yet.
    pub(super) changed: u8,
}

/// Rows of one kind by key.
#[derive(Default)]
pub(super) struct Rows {
    /// Indexes of `places` by the hashes of their keys.
    index: HashTable<usize>,
    hasher: DefaultHashBuilder,
    places: Vec<Place>,
    memory: Memory,
}

/// Where a row stands: its key, and its value behind it.
struct Place {
    piece: usize,
    at: usize,
    key: u32,
    value: u32,
    /// Room for the value.
    room: u32,
    changed: u8,
}

/// Memory that only grows, and goes as a whole.
#[derive(Default)]
struct Memory {
    pieces: Vec<Vec<u8>>,
    /// Bytes of all pieces that are in use: the system gives memory as it is written to.
    used: usize,
}

/// The size of a first piece, if a row is not larger. The next is larger by a factor, up to the most: the
/// allocator gives pieces of more than 32 MiB back to the system, and keeps smaller ones for itself.
const PIECE_BYTES: usize = 256 * 1024;
const PIECE_FACTOR: usize = 16;
const PIECE_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Memory {
    /// Puts `key`, `value` and room for a longer value at the end; gives the place.
    fn push(&mut self, key: &[u8], value: &[u8]) -> Place {
        // Values mostly keep their length or grow by a little.
        let room = value.len() + value.len() / 16 + 4;
        let bytes = key.len() + room;
        let fits = |piece: &Vec<u8>| bytes <= piece.capacity() - piece.len();
        if !self.pieces.last().is_some_and(fits) {
            let next = |last: &Vec<u8>| (last.capacity() * PIECE_FACTOR).min(PIECE_BYTES_MAX);
            let capacity = self.pieces.last().map_or(PIECE_BYTES, next);
            self.pieces.push(Vec::with_capacity(capacity.max(bytes)));
        }
        self.used += bytes;
        let piece = self.pieces.len().saturating_sub(1);
        let mut at = 0;
        if let Some(last) = self.pieces.last_mut() {
            at = last.len();
            last.extend_from_slice(key);
            last.extend_from_slice(value);
            last.resize(at + bytes, 0);
        }
        Place {
            piece,
            at,
            key: length(key.len()),
            value: length(value.len()),
            room: length(room),
            changed: 0,
        }
    }

    fn get(&self, place: &Place, from: usize, length: u32) -> &[u8] {
        let from = place.at + from;
        let range = from..from + size(length);
        let piece = self.pieces.get(place.piece);
        piece.and_then(|piece| piece.get(range)).unwrap_or_default()
    }

    fn key(&self, place: &Place) -> &[u8] {
        self.get(place, 0, place.key)
    }

    fn value(&self, place: &Place) -> &[u8] {
        self.get(place, size(place.key), place.value)
    }

    /// Where the value of a place is written.
    fn value_mut(&mut self, place: &Place) -> Option<&mut [u8]> {
        let from = place.at + size(place.key);
        let range = from..from + size(place.value);
        self.pieces.get_mut(place.piece)?.get_mut(range)
    }
}

/// Keys and rows are far below 4 GiB: a body has 256 KiB at most.
fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn size(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// Where a key is, or that it is not here. Good until a row is added.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    hash: u64,
    at: Option<usize>,
}

impl Rows {
    pub(super) fn spot(&self, key: &[u8]) -> Spot {
        let hash = self.hasher.hash_one(key);
        let at = self.find(hash, key);
        Spot { hash, at }
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let same = |at: &usize| {
            let place = self.places.get(*at);
            place.is_some_and(|place| self.memory.key(place) == key)
        };
        self.index.find(hash, same).copied()
    }

    fn row(&self, place: &Place) -> Row<'_> {
        Row {
            bytes: self.memory.value(place),
            changed: place.changed,
        }
    }

    pub(super) fn get(&self, spot: Spot) -> Option<Row<'_>> {
        self.places.get(spot.at?).map(|place| self.row(place))
    }

    /// Adds a row, or replaces what is here of it; what was not written of it stays so.
    pub(super) fn put(&mut self, spot: Spot, key: &[u8], bytes: &[u8], changed: u8) {
        let Some(place) = spot.at.and_then(|at| self.places.get_mut(at)) else {
            return self.add(spot.hash, key, bytes, changed);
        };
        let changed = place.changed | changed;
        if size(place.room) < bytes.len() {
            *place = self.memory.push(key, bytes);
        } else {
            place.value = length(bytes.len());
            if let Some(value) = self.memory.value_mut(place) {
                value.copy_from_slice(bytes);
            }
        }
        place.changed = changed;
    }

    fn add(&mut self, hash: u64, key: &[u8], bytes: &[u8], changed: u8) {
        let place = self.memory.push(key, bytes);
        let at = self.places.len();
        self.places.push(Place { changed, ..place });
        let (places, memory, hasher) = (&self.places, &self.memory, &self.hasher);
        self.index.insert_unique(hash, at, |at| {
            let place = places.get(*at);
            place.map_or(0, |place| hasher.hash_one(memory.key(place)))
        });
    }

    /// About how much memory it takes, in bytes, and takes to be written out.
    pub(super) fn memory_bytes(&self) -> usize {
        // A table is at most seven eighths full, and has a byte beside each slot.
        let slots = self.index.capacity() / 7 * 8;
        let slots = slots.saturating_mul(size_of::<usize>() + 1);
        let places = self.places.capacity().saturating_mul(size_of::<Place>());
        let sorted = self.places.len().saturating_mul(size_of::<Sorted<'_>>());
        self.memory.used + slots + places + sorted
    }

    fn changed_places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| place.changed != 0)
    }

    pub(super) fn changed_count(&self) -> usize {
        self.changed_places().count()
    }

    /// The rows with changes, sorted by key.
    pub(super) fn changed(&self) -> Vec<Sorted<'_>> {
        let changed = || self.changed_places();
        let mut keys = changed().map(|place| self.memory.key(place));
        let first = keys.next().unwrap_or_default();
        let common = keys.fold(first.len(), |common, key| {
            let same = first.iter().zip(key).take(common);
            same.take_while(|(one, other)| one == other).count()
        });
        // Keys lie all over the memory: most are told apart by what is copied here.
        let mut sorted: Vec<Sorted<'_>> = changed()
            .map(|place| {
                let key = self.memory.key(place);
                let row = self.row(place);
                Sorted {
                    order: eight_from(key, common),
                    key,
                    row,
                }
            })
            .collect();
        sorted.sort_unstable_by(|one, other| {
            let order = one.order.cmp(&other.order);
            order.then_with(|| one.key.cmp(other.key))
        });
        sorted
    }

    /// Takes all changes for written.
    pub(super) fn settle(&mut self) {
        self.places.iter_mut().for_each(|place| place.changed = 0);
    }
}

/// A row with its key, and eight bytes of the key that tell most keys apart.
pub(super) struct Sorted<'r> {
    order: u64,
    pub(super) key: &'r [u8],
    pub(super) row: Row<'r>,
}

/// The eight bytes of a key from `at` on, zeros behind its end, as a number that sorts as they do.
fn eight_from(key: &[u8], at: usize) -> u64 {
    let rest = key.get(at..).unwrap_or_default();
    let mut eight = [0; 8];
    for (to, from) in eight.iter_mut().zip(rest) {
        *to = *from;
    }
    u64::from_be_bytes(eight)
}

/// Sorted rows as entries of a run.
pub(super) struct Changed<'r> {
    kind: Kind,
    rows: std::vec::IntoIter<Sorted<'r>>,
}

impl<'r> Changed<'r> {
    pub(super) fn new(kind: Kind, rows: Vec<Sorted<'r>>) -> Self {
        let rows = rows.into_iter();
        Self { kind, rows }
    }
}

impl Source for Changed<'_> {
    fn entry(&self) -> Option<Entry<'_>> {
        let Sorted { key, row, .. } = self.rows.as_slice().first()?;
        Some(Entry {
            kind: self.kind,
            key,
            value: row.bytes,
        })
    }

    fn advance(&mut self) -> Result<(), StorageError> {
        self.rows.next();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_rows_come_in_the_order_of_keys() {
        let mut rows = Rows::default();
        let mut keys: Vec<String> = (0..500).map(|number| format!("u000{number:020}")).collect();
        keys.extend(["u", "u0", "u0000000000000000000001", "u0001\u{0}x"].map(String::from));
        for key in &keys {
            rows.put(rows.spot(key.as_bytes()), key.as_bytes(), b"1", 1);
        }
        rows.put(rows.spot(b"unchanged"), b"unchanged", b"1", 0);
        keys.sort_unstable();
        let changed: Vec<&[u8]> = rows.changed().into_iter().map(|row| row.key).collect();
        assert!(changed.into_iter().eq(keys.iter().map(String::as_bytes)));
        rows.settle();
        assert!(rows.changed().is_empty());
    }

    #[test]
    fn a_row_is_what_was_written_last_however_long() {
        let mut rows = Rows::default();
        for turn in 0..300_usize {
            let key = [u8::try_from(turn % 7).unwrap()];
            let value = vec![key[0]; (turn * 37) % 3_000];
            rows.put(rows.spot(&key), &key, &value, 1);
            let row = rows.get(rows.spot(&key)).unwrap();
            assert_eq!((row.bytes, row.changed), (value.as_slice(), 1));
        }
        assert!(rows.get(rows.spot(b"none")).is_none());
        assert_eq!(rows.changed().len(), 7);
        assert!(rows.memory_bytes() < 1024 * 1024);
    }
}

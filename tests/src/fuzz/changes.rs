//! Changes of seeds, the same each time.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// What readers of lengths, lines and texts stumble over.
const PIECES: [&[u8]; 14] = [
    b"18446744073709551615",
    b"9223372036854775808",
    b"-1",
    b"0",
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc2\xa0",
    b"\"",
    b"{",
    b"]",
    b"\\u0000",
];

/// Numbers by chance, from a seed (xorshift).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One change to bytes; `other` is where pieces come from.
    fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        let until = bytes.len().min(at + self.below(16));
        match self.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.byte(),
            2 => drop(bytes.drain(at..until)),
            3 => {
                let twice = bytes[at..until].to_vec();
                bytes.splice(at..at, twice);
            }
            4 => {
                let piece = PIECES[self.below(PIECES.len())];
                bytes.splice(at..until, piece.iter().copied());
            }
            5 => {
                let from = self.below(other.len() + 1);
                let to = other.len().min(from + self.below(64));
                bytes.splice(at..until, other[from..to].iter().copied());
            }
            _ => bytes.insert(at, self.byte()),
        }
    }
}

/// Runs a target on the seeds in `fuzz/seeds` of this name, and on so many changes of them.
pub fn run(name: &str, target: fn(&[u8]), times: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let entries = fs::read_dir(&folder).expect("each target has seeds");
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let changed = (0..times).map(|_| {
        let mut bytes = seeds[chance.below(seeds.len())].clone();
        let other = &seeds[chance.below(seeds.len())];
        for _ in 0..=chance.below(5) {
            chance.change(&mut bytes, other);
        }
        bytes
    });
    for bytes in seeds.iter().cloned().chain(changed) {
        let ran = catch_unwind(AssertUnwindSafe(|| target(&bytes)));
        if let Err(panic) = ran {
            println!("{name} fails on b\"{}\"", bytes.escape_ascii());
            resume_unwind(panic);
        }
    }
}

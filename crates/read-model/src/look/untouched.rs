//! A storage whose changes stay in memory: the engine may put a file in order, and the file stays as it is.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// Changes are kept in blocks of this many bytes.
const BLOCK: usize = 4096;

type Block = Box<[u8; BLOCK]>;

/// What is read of a file and written beside it.
#[derive(Debug)]
pub(super) struct Untouched {
    file: FileBackend,
    beside: Mutex<Beside>,
}

#[derive(Debug)]
struct Beside {
    length: u64,
    /// So much of the file is still what it was; behind it there are zeros.
    of_file: u64,
    /// Blocks that were written, by their number.
    blocks: BTreeMap<u64, Block>,
}

/// A part of a block, and where it is in what is read or written.
struct Part {
    block: u64,
    within: std::ops::Range<usize>,
    at: std::ops::Range<usize>,
}

impl Untouched {
    pub(super) fn new(file: FileBackend, length: u64) -> Self {
        let beside = Beside {
            length,
            of_file: length,
            blocks: BTreeMap::new(),
        };
        Self {
            file,
            beside: Mutex::new(beside),
        }
    }

    fn beside(&self) -> MutexGuard<'_, Beside> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is in the file.
    fn block_of_file(&self, number: u64, of_file: u64) -> Result<Block, io::Error> {
        let mut block = Box::new([0; BLOCK]);
        let offset = number.saturating_mul(block_length());
        let held = of_file.saturating_sub(offset).min(block_length());
        let held = usize::try_from(held).unwrap_or(BLOCK);
        if let Some(held) = block.get_mut(..held).filter(|held| !held.is_empty()) {
            self.file.read(offset, held)?;
        }
        Ok(block)
    }
}

fn block_length() -> u64 {
    u64::try_from(BLOCK).unwrap_or(u64::MAX)
}

fn out_of_range() -> io::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof)
}

/// The parts of blocks that `length` bytes from `offset` on are made of.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = offset.saturating_add(u64::try_from(done).ok()?);
        let start = usize::try_from(at % block_length()).ok()?;
        let taken = (BLOCK - start).min(length - done);
        let part = Part {
            block: at / block_length(),
            within: start..start + taken,
            at: done..done + taken,
        };
        done += taken;
        (0 < taken).then_some(part)
    })
}

impl StorageBackend for Untouched {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.beside().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let beside = self.beside();
        let length = u64::try_from(out.len()).unwrap_or(u64::MAX);
        if beside.length < offset.saturating_add(length) {
            return Err(out_of_range());
        }
        for part in parts(offset, out.len()) {
            let of_file;
            let block = if let Some(block) = beside.blocks.get(&part.block) {
                block
            } else {
                of_file = self.block_of_file(part.block, beside.of_file)?;
                &of_file
            };
            let from = block.get(part.within).ok_or_else(out_of_range)?;
            let to = out.get_mut(part.at).ok_or_else(out_of_range)?;
            to.copy_from_slice(from);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        let mut beside = self.beside();
        if length < beside.length {
            let _ = beside.blocks.split_off(&length.div_ceil(block_length()));
            let last = length / block_length();
            let kept = usize::try_from(length % block_length()).unwrap_or(0);
            if let Some(block) = beside.blocks.get_mut(&last) {
                block.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            }
        }
        beside.of_file = beside.of_file.min(length);
        beside.length = length;
        Ok(())
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        let mut beside = self.beside();
        for part in parts(offset, data.len()) {
            let block = match beside.blocks.remove(&part.block) {
                Some(block) => block,
                None => self.block_of_file(part.block, beside.of_file)?,
            };
            let block = beside.blocks.entry(part.block).or_insert(block);
            let to = block.get_mut(part.within).ok_or_else(out_of_range)?;
            to.copy_from_slice(data.get(part.at).ok_or_else(out_of_range)?);
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        beside.length = beside.length.max(offset.saturating_add(length));
        Ok(())
    }

    fn close(&self) -> Result<(), io::Error> {
        self.file.close()
    }

    /// Shared, whatever is asked for: what is open for writing elsewhere is refused, and we write nothing.
    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use proptest::prelude::*;

    use super::*;

    /// Something that is done to a storage.
    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        Length(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let write = (0..20_000_u64, prop::collection::vec(1..u8::MAX, 0..9_000));
        let step = prop_oneof![
            write.prop_map(|(offset, data)| Step::Write(offset, data)),
            (0..30_000_u64).prop_map(Step::Length),
        ];
        prop::collection::vec(step, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn it_reads_as_if_it_were_written_and_the_file_stays(steps in steps()) {
            let file = tempfile::NamedTempFile::new().unwrap();
            let held: Vec<u8> = (0..10_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
            fs::write(file.path(), &held).unwrap();
            let opened = FileBackend::new(File::open(file.path()).unwrap()).unwrap();
            let storage = Untouched::new(opened, 10_000);
            let mut expected = held.clone();
            for step in steps {
                match step {
                    Step::Write(offset, data) => {
                        storage.write(offset, &data).unwrap();
                        let start = usize::try_from(offset).unwrap();
                        let end = start + data.len();
                        expected.resize(expected.len().max(end), 0);
                        expected[start..end].copy_from_slice(&data);
                    }
                    Step::Length(length) => {
                        storage.set_len(length).unwrap();
                        expected.resize(usize::try_from(length).unwrap(), 0);
                    }
                }
                let mut found = vec![0; usize::try_from(storage.len().unwrap()).unwrap()];
                storage.read(0, &mut found).unwrap();
                prop_assert!(found == expected);
            }
            prop_assert!(storage.read(storage.len().unwrap(), &mut [0]).is_err());
            prop_assert!(fs::read(file.path()).unwrap() == held);
        }
    }
}

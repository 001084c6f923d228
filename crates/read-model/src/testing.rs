//! A disk in memory that does its worst: for tests of what crashes, failures and full disks leave.

use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What the file system gives out, and what the medium writes whole.
const BLOCK: usize = 4096;
const SECTOR: usize = 512;

/// What the disk does wrong. Calls are counted from when the fault is set, the next one is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// From this call on every one fails, as it does for a process that is no more.
    PowerCut {
        /// The first call that fails.
        at: u64,
    },
    /// This call alone fails. A write is half done then, a sync not at all.
    Error {
        /// The call that fails.
        at: u64,
        /// How.
        kind: io::ErrorKind,
    },
    /// Blocks that were never written can be had so often yet and then no more.
    Full {
        /// Blocks that are left.
        blocks: usize,
    },
}

/// A change that was made and not synced.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

impl Change {
    fn make(&self, image: &mut Vec<u8>) {
        match self {
            Self::Length(length) => image.resize(*length, 0),
            Self::Write { offset, data } => write_at(image, *offset, data),
        }
    }
}

#[derive(Debug, Default)]
struct Images {
    /// What the process sees.
    live: Vec<u8>,
    /// What is on the medium.
    durable: Vec<u8>,
    /// What makes the one of the other, in the order of the calls.
    unsynced: Vec<Change>,
    /// Blocks that the file has; a hole costs nothing until it is written.
    allocated: Vec<bool>,
    fault: Option<Fault>,
    calls: u64,
}

/// A disk that keeps a byte only once it was synced, and fails as it is told to. Clones are the same
/// disk.
#[derive(Debug, Clone, Default)]
pub struct ForgetfulDisk(Arc<Mutex<Images>>);

impl ForgetfulDisk {
    /// This disk with a fault from now on, or without any.
    pub fn set_fault(&self, fault: Option<Fault>) {
        let mut images = self.lock();
        images.calls = 0;
        images.fault = fault;
    }

    /// The disk as the next process finds it after a power cut: what was synced.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let images = self.lock();
        Self::holding(images.durable.clone())
    }

    /// The same, if the medium had begun with what was not synced: any of it, in any order, each
    /// write torn at sectors. Equal seeds choose alike.
    #[must_use]
    pub fn after_torn_power_cut(&self, seed: u64) -> Self {
        let images = self.lock();
        let mut chance = Chance(seed);
        let mut image = images.durable.clone();
        let mut changes = images.unsynced.clone();
        chance.shuffle(&mut changes);
        for change in changes {
            match change {
                Change::Length(_) if chance.half() => change.make(&mut image),
                Change::Length(_) => {}
                Change::Write { offset, data } => {
                    for (sector, bytes) in data.chunks(SECTOR).enumerate() {
                        if chance.half() {
                            write_at(&mut image, offset + sector * SECTOR, bytes);
                        }
                    }
                }
            }
        }
        Self::holding(image)
    }

    /// The disk as the next process finds it when only the process died: what was written.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let images = self.lock();
        Self::holding(images.live.clone())
    }

    /// How many calls the disk was asked for since a fault was set or taken away.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn holding(image: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Images {
            allocated: vec![true; image.len().div_ceil(BLOCK)],
            live: image.clone(),
            durable: image,
            ..Images::default()
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Images> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; fails when it has to.
    fn call(&self) -> io::Result<MutexGuard<'_, Images>> {
        let mut images = self.lock();
        let call = images.calls;
        images.calls = call.saturating_add(1);
        match images.fault {
            Some(Fault::PowerCut { at }) if at <= call => {
                Err(io::Error::other("the power is gone"))
            }
            Some(Fault::Error { at, kind }) if at == call => Err(kind.into()),
            _ => Ok(images),
        }
    }
}

impl Images {
    /// Gives every block under `range` to the file, if there are enough.
    fn allocate(&mut self, range: &Range<usize>) -> io::Result<()> {
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        if self.allocated.len() < blocks.end {
            self.allocated.resize(blocks.end, false);
        }
        for block in self.allocated.get_mut(blocks).into_iter().flatten() {
            if let Some(Fault::Full { blocks }) = &mut self.fault
                && !*block
            {
                *blocks = blocks.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            }
            *block = true;
        }
        Ok(())
    }

    fn change(&mut self, change: Change) {
        change.make(&mut self.live);
        self.unsynced.push(change);
    }
}

fn range(offset: u64, length: usize) -> io::Result<Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    Ok(start..start.saturating_add(length))
}

/// Writes there, over the end if it has to.
fn write_at(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset.saturating_add(data.len());
    if image.len() < end {
        image.resize(end, 0);
    }
    if let Some(bytes) = image.get_mut(offset..end) {
        bytes.copy_from_slice(data);
    }
}

impl StorageBackend for ForgetfulDisk {
    fn len(&self) -> io::Result<u64> {
        u64::try_from(self.call()?.live.len()).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let images = self.call()?;
        let bytes = images.live.get(range(offset, out.len())?);
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let length = usize::try_from(len).map_err(io::Error::other)?;
        let mut images = self.call()?;
        images.change(Change::Length(length));
        images.allocated.resize(length.div_ceil(BLOCK), false);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut images = self.call()?;
        let Images {
            durable, unsynced, ..
        } = &mut *images;
        unsynced.drain(..).for_each(|change| change.make(durable));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let range = range(offset, data.len())?;
        let offset = range.start;
        let mut images = match self.call() {
            Ok(images) => images,
            Err(error) => {
                let mut images = self.lock();
                if let Some(Fault::Error { .. }) = images.fault {
                    let data = data.get(..data.len() / 2).unwrap_or_default().to_vec();
                    images.change(Change::Write { offset, data });
                }
                return Err(error);
            }
        };
        if images.live.len() < range.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        images.allocate(&range)?;
        let data = data.to_vec();
        images.change(Change::Write { offset, data });
        Ok(())
    }
}

/// Numbers that look random and follow from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn half(&mut self) -> bool {
        self.next() & 1 == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
            let other = usize::try_from(self.next() % bound).unwrap_or(0);
            items.swap(last, other);
        }
    }
}

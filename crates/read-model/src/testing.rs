//! A disk that forgets: for tests of what a crash leaves.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What a power cut leaves of writes that were not synced.
#[derive(Debug, Default)]
struct Images {
    /// What the process sees.
    live: Vec<u8>,
    /// What is on the medium.
    durable: Vec<u8>,
    /// Calls left until the power goes; `None` for never.
    calls_left: Option<u64>,
    calls: u64,
}

/// A disk in memory that keeps a byte only once it was synced, and whose power goes at a chosen
/// call. From then on every call fails, as it does for a process that is no more.
#[derive(Debug, Clone, Default)]
pub struct ForgetfulDisk(Arc<Mutex<Images>>);

impl ForgetfulDisk {
    /// A disk whose power goes at call number `call` from now.
    #[must_use]
    pub fn failing_at(&self, call: u64) -> Self {
        self.lock().calls_left = Some(call);
        self.clone()
    }

    /// The disk as the next process finds it: what was synced, and power.
    #[must_use]
    pub fn after_power_cut(&self) -> Self {
        let durable = self.lock().durable.clone();
        let live = durable.clone();
        Self(Arc::new(Mutex::new(Images {
            live,
            durable,
            ..Images::default()
        })))
    }

    /// How many calls the disk was asked for.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, Images> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; fails when the power is gone.
    fn call(&self) -> io::Result<MutexGuard<'_, Images>> {
        let mut images = self.lock();
        images.calls = images.calls.saturating_add(1);
        match &mut images.calls_left {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(images)
    }
}

fn range(offset: u64, length: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    Ok(start..start.saturating_add(length))
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
        self.call()?.live.resize(length, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut images = self.call()?;
        let live = images.live.clone();
        images.durable.clone_from(&live);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut images = self.call()?;
        let bytes = images.live.get_mut(range(offset, data.len())?);
        bytes
            .ok_or(io::ErrorKind::UnexpectedEof)?
            .copy_from_slice(data);
        Ok(())
    }
}

//! A file that reads as zeros behind its end.

use std::io;
use std::ops::Bound;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// More is no page of ours: a length that was damaged must not take the memory.
const READ_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The engine's storage. A damaged link may lead behind the end of the file, and after a read that fails the
/// engine gives its handle up, so that nobody's rows could be read; no page of zeros is one of its pages, so
/// this way it is the one link that is damaged.
#[derive(Debug)]
pub(crate) struct Endless(pub(crate) FileBackend);

impl StorageBackend for Endless {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        match self.0.read(offset, out) {
            Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof && out.len() <= READ_BYTES_MAX =>
            {
                out.fill(0);
                Ok(())
            }
            read => read,
        }
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }
}

//! The last good key set of an address, in a file for the next start, which may come while its issuer is away.
//!
//! Keys decide who is believed, so a file is used only if it is whole, of this address, and confirmed within the
//! time for which a set is used that cannot be refreshed. Whoever can write here can replace the rows too.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// In the folder that is given.
const FOLDER: &str = "signing-keys";
/// Largest file: a largest key set in base64, and the names of the most issuers.
const BYTES_MAX: u64 = 128 * 1024;
/// A set confirmed later than now, by no more than this, is as good as new: a clock was set right.
const FUTURE_MAX: Duration = Duration::from_mins(5);
const OTHERS_WRITE: u32 = 0o002;

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be read: {0}")]
    Read(io::Error),
    #[error("it is no file of at most {BYTES_MAX} bytes that only its owner can write to")]
    Odd,
    #[error("it is damaged")]
    Damaged,
    #[error("it is of another address, or lacks an issuer that is trusted now")]
    Foreign,
    #[error("it was confirmed {} h ago, which is too long", .0.as_secs() / 3600)]
    TooOld(Duration),
    #[error("it was confirmed in the future: a clock was wrong, so its age is not known")]
    FromTheFuture,
}

/// A key set from a file.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) document: Vec<u8>,
    /// Since it was last known to be what the address holds.
    pub(super) age: Duration,
}

/// The file of one address.
#[derive(Debug, Clone)]
pub(super) struct KeptFile {
    pub(super) path: PathBuf,
    address: String,
    issuers: Vec<Box<str>>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    address: String,
    issuers: Vec<Box<str>>,
    /// Seconds since 1970.
    confirmed_at: u64,
    /// The key set's bytes in base64.
    document: String,
}

/// A file's content and what shows that it is whole.
#[derive(Serialize, Deserialize)]
struct Sealed<'f> {
    #[serde(borrow)]
    content: &'f RawValue,
    sha256: String,
}

impl KeptFile {
    pub(super) fn of(folder: &Path, address: String, issuers: Vec<Box<str>>) -> Self {
        let mut name = hash(address.as_bytes());
        name.truncate(16);
        Self {
            path: folder.join(FOLDER).join(name).with_extension("json"),
            address,
            issuers,
        }
    }

    /// Reads the set, if there is one. Blocks.
    pub(super) fn read(
        &self,
        now: SystemTime,
        age_max: Duration,
    ) -> Result<Option<Kept>, Unusable> {
        let Some(bytes) = self.bytes()? else {
            return Ok(None);
        };
        let content = unseal(&bytes).ok_or(Unusable::Damaged)?;
        let is_ours = content.address == self.address
            && self
                .issuers
                .iter()
                .all(|ours| content.issuers.contains(ours));
        if !is_ours {
            return Err(Unusable::Foreign);
        }
        let confirmed = UNIX_EPOCH.checked_add(Duration::from_secs(content.confirmed_at));
        let confirmed = confirmed.ok_or(Unusable::FromTheFuture)?;
        let age = match now.duration_since(confirmed) {
            Ok(age) if age > age_max => return Err(Unusable::TooOld(age)),
            Ok(age) => age,
            Err(future) if future.duration() > FUTURE_MAX => return Err(Unusable::FromTheFuture),
            Err(_just_now) => Duration::ZERO,
        };
        let document = STANDARD.decode(content.document);
        let document = document.map_err(|_no_base64| Unusable::Damaged)?;
        Ok(Some(Kept { document, age }))
    }

    fn bytes(&self) -> Result<Option<Vec<u8>>, Unusable> {
        // Before it is opened: a pipe would have us wait for a writer.
        let found = match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(Unusable::Read)?,
        };
        if !found.is_file() || found.mode() & OTHERS_WRITE != 0 || found.len() > BYTES_MAX {
            return Err(Unusable::Odd);
        }
        let mut bytes = Vec::new();
        let mut file = File::open(&self.path)
            .map_err(Unusable::Read)?
            .take(BYTES_MAX);
        file.read_to_end(&mut bytes).map_err(Unusable::Read)?;
        Ok(Some(bytes))
    }

    /// Puts a set that was confirmed now in the place of the one before. Blocks.
    pub(super) fn write(&self, document: &[u8], now: SystemTime) -> io::Result<()> {
        let confirmed_at = now.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
        let content = serde_json::value::to_raw_value(&Content {
            address: self.address.clone(),
            issuers: self.issuers.clone(),
            confirmed_at: confirmed_at.as_secs(),
            document: STANDARD.encode(document),
        })?;
        let sealed = serde_json::to_vec(&Sealed {
            content: &content,
            sha256: hash(content.get().as_bytes()),
        })?;
        if let Some(folder) = self.path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let fresh = self.path.with_extension("fresh");
        // A run that was cut off may have left one.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _gone => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)
    }
}

fn unseal(bytes: &[u8]) -> Option<Content> {
    let sealed: Sealed<'_> = serde_json::from_slice(bytes).ok()?;
    let text = sealed.content.get();
    let is_whole = hash(text.as_bytes()) == sealed.sha256;
    is_whole.then(|| serde_json::from_str(text).ok()).flatten()
}

/// SHA-256 as hexadecimal digits.
fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = digest(&SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // A text takes what is written to it.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

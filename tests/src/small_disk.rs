//! A file system of its own, as small as a test wants it, that really has no space left when it is full.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// The file that takes up the room.
const BALLAST: &str = "ballast";
/// Mounts, says so, and holds the mount until its standard input ends, which the end of the tests does.
const HOLD: &str = r#"mount -t tmpfs -o "size=$1,mode=700" tmpfs "$2" && echo mounted && exec cat"#;

/// A tmpfs in a mount namespace of its own: nobody else sees it, and it goes with this handle. Others
/// come to it through the process that holds it.
#[derive(Debug)]
pub struct SmallDisk {
    _holder: Child,
    at: PathBuf,
}

impl SmallDisk {
    /// A disk of so many bytes, which stands at `at` from then on.
    pub async fn at(at: &Path, bytes: u64) -> anyhow::Result<Self> {
        let mount_point = at.with_extension("disk");
        std::fs::create_dir(&mount_point)?;
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        let mut holder = unshare
            .args(["sh", "-c", HOLD, "sh", &bytes.to_string()])
            .arg(&mount_point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("util-linux' `unshare` is needed for a small disk")?;
        let output = holder.stdout.take().context("it is piped")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await?;
        if line != "mounted\n" {
            let mut said = String::new();
            let mut errors = holder.stderr.take().context("it is piped")?;
            errors.read_to_string(&mut said).await?;
            bail!(
                "no tmpfs can be mounted here: {}. A disk that is really full takes root with \
                 CAP_SYS_ADMIN, or a system that lets a user make user and mount namespaces",
                said.trim()
            );
        }
        let id = holder.id().context("it runs")?;
        symlink(format!("/proc/{id}/root{}", mount_point.display()), at)?;
        let disk = Self {
            _holder: holder,
            at: at.to_owned(),
        };
        ensure!(disk.at.is_dir(), "{} is no folder", disk.at.display());
        Ok(disk)
    }

    /// Takes up all room but for so many bytes.
    pub fn fill(&self, rest: u64) -> anyhow::Result<()> {
        let mut ballast = File::create(self.at.join(BALLAST))?;
        let block = [0; 4096];
        let full = loop {
            if let Err(error) = ballast.write_all(&block) {
                break error;
            }
        };
        ensure!(full.kind() == io::ErrorKind::StorageFull, "{full}");
        let length = ballast.metadata()?.len();
        ballast.set_len(length.saturating_sub(rest))?;
        Ok(())
    }

    /// Gives the room back.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.at.join(BALLAST))?)
    }
}

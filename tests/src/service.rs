//! The service: in this process where a test looks into it, or the real binary where it is killed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::broker::{STREAM, eventually};
use crate::client::Client;

/// Longest wait for a state that has to come.
pub const SOON: Duration = Duration::from_secs(20);

/// The real binary with a folder and ports of its own; killed with this handle.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Speaks to its two listeners.
    pub client: Client,
    /// Where its log goes.
    pub log: PathBuf,
}

/// How the binary is started.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Where NATS is.
    pub nats_url: &'a str,
    /// The read model's folder.
    pub data: &'a Path,
    /// The trusted issuers.
    pub auth_config: &'a Path,
    /// Where the Convex routes are; a free port if 0.
    pub listen: SocketAddr,
    /// Further flags.
    pub flags: &'a [&'a str],
}

impl Start<'_> {
    /// The command, logging JSON to `log`.
    fn command(&self, log: &Path) -> anyhow::Result<Command> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)?;
        let mut command = Command::new(binary()?);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg("serve")
            .args(["--nats-url", self.nats_url, "--stream", STREAM])
            .args(["--listen", &self.listen.to_string()])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--verbose-errors"])
            .arg("--data-dir")
            .arg(self.data)
            .arg("--auth-config")
            .arg(self.auth_config)
            .args(self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        Ok(command)
    }
}

impl Service {
    /// Starts the binary and waits until it listens.
    pub async fn start(start: &Start<'_>) -> anyhow::Result<Self> {
        let log = start.data.with_extension("log");
        let seen = std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        let mut child = start.command(&log)?.spawn()?;
        let (public, admin) = eventually("the listeners", SOON, async || {
            let ended = child.try_wait().ok().flatten();
            let text = std::fs::read_to_string(&log).ok()?;
            match (text.lines().skip(seen).find_map(listening), ended) {
                (Some(addresses), _) => Some(Ok(addresses)),
                (None, Some(_)) => Some(Err(anyhow!("the service ended at once: {text}"))),
                (None, None) => None,
            }
        })
        .await??;
        let client = Client::new(public, admin)?;
        Ok(Self { child, client, log })
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the end; it has to be a good one.
    pub async fn stop(mut self) -> anyhow::Result<Duration> {
        let started = std::time::Instant::now();
        let pid = self.child.id().context("it runs")?.to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await?;
        ensure!(sent.success(), "no such process");
        let status = tokio::time::timeout(Duration::from_secs(10), self.child.wait())
            .await
            .context("it did not stop within 10 s")??;
        let log = std::fs::read_to_string(&self.log)?;
        ensure!(status.success(), "it ended with {status}: {log}");
        Ok(started.elapsed())
    }

    /// Waits until everything up to `sequence` is applied and durable.
    pub async fn applied(&self, sequence: u64) -> anyhow::Result<Value> {
        self.status_when(&format!("sequence {sequence}"), |status| {
            sequence <= status["applied_sequence"].as_u64().unwrap_or(0)
        })
        .await
    }

    /// Waits until `/status` is as `wanted`.
    pub async fn status_when(
        &self,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        eventually(what, Duration::from_mins(2), async || {
            self.client.status().await.ok().filter(&wanted)
        })
        .await
    }
}

/// How every token, and every e-mail of the tests, can be recognised.
const PERSONAL: [&str; 2] = ["eyJ", "@example."];

impl Drop for Service {
    /// Whatever a test did to it, its log holds nothing personal.
    fn drop(&mut self) {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let line = log
            .lines()
            .find(|line| PERSONAL.iter().any(|text| line.contains(text)));
        assert!(
            line.is_none() || std::thread::panicking(),
            "this was logged: {line:?}"
        );
    }
}

/// What a command came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub said: String,
}

/// Runs a command of the binary that ends by itself.
pub async fn command(arguments: &[&str]) -> anyhow::Result<Ended> {
    let child = Command::new(binary()?)
        .env_clear()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let ended = tokio::time::timeout(Duration::from_mins(2), child.wait_with_output()).await??;
    Ok(Ended {
        code: ended.status.code(),
        output: String::from_utf8(ended.stdout)?,
        said: String::from_utf8(ended.stderr)?,
    })
}

/// Runs the binary to its end; gives its exit code and what it said on standard error.
pub async fn run_to_end(arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let mut child = Command::new(binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut said = String::new();
    let mut lines = BufReader::new(child.stderr.take().context("it has a standard error")?).lines();
    while let Some(line) = tokio::time::timeout(SOON, lines.next_line()).await?? {
        said.push_str(&line);
        said.push('\n');
    }
    let status = tokio::time::timeout(SOON, child.wait()).await??;
    Ok((status.code(), said))
}

/// The addresses in the line that tells them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line.get(name)?.as_str()?.parse().ok();
    Some((address("listen")?, address("admin_listen")?))
}

/// The program stands above the test programs; cargo builds it with them.
fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("a test program stands in a folder")?;
    let binary = folder.join("service-under-test");
    ensure!(binary.is_file(), "there is no {}", binary.display());
    Ok(binary)
}

//! The service: in this process where a test looks into it, or the real binary where it is killed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::broker::{STREAM, eventually};
use crate::client::Client;
use crate::fake_clock::{FakeClock, LeftBehind};

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
    _left_behind: Option<LeftBehind>,
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
    /// The clock that it goes by; the machine's if there is none.
    pub clock: Option<&'a FakeClock>,
}

impl Start<'_> {
    /// The command line.
    pub fn arguments(&self) -> Vec<OsString> {
        let listen = self.listen.to_string();
        let mut arguments: Vec<OsString> = [
            ["serve", "--log-format=json"],
            ["--nats-url", self.nats_url],
            ["--stream", STREAM],
            ["--listen", &listen],
            ["--admin-listen", "127.0.0.1:0"],
        ]
        .concat()
        .into_iter()
        .map(Into::into)
        .collect();
        arguments.extend(["--data-dir".into(), self.data.into()]);
        arguments.extend(["--auth-config".into(), self.auth_config.into()]);
        arguments.push("--verbose-errors".into());
        arguments.extend(self.flags.iter().map(Into::into));
        arguments
    }

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
            .envs(self.clock.into_iter().flat_map(FakeClock::environment))
            .args(self.arguments())
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
        let left_behind = start.clock.and(child.id()).map(LeftBehind);
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
        let client = Client::new(public, admin, start.data)?;
        Ok(Self {
            child,
            client,
            log,
            _left_behind: left_behind,
        })
    }

    /// The number of its process.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("it runs")
    }

    /// Ends it as a crash would.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        Ok(())
    }

    /// Limits how large its files may become, in bytes, as a full disk does; `None` lifts the limit.
    pub fn limit_files(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(Some(self.pid()?), Resource::Fsize, limit)?;
        Ok(())
    }

    /// Forgets the most memory that it has had.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()?), "5")?;
        Ok(())
    }

    /// The most resident memory that it has had, in bytes.
    pub fn memory_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        Ok(kilobytes.context("no VmHWM")?.parse::<u64>()? * 1024)
    }

    /// Waits for it to end by itself; gives its exit code and its log.
    pub async fn ended(mut self) -> anyhow::Result<(Option<i32>, String)> {
        let status = tokio::time::timeout(SOON, self.child.wait()).await??;
        Ok((status.code(), std::fs::read_to_string(&self.log)?))
    }

    fn pid(&self) -> anyhow::Result<Pid> {
        let pid = i32::try_from(self.id()?)?;
        Pid::from_raw(pid).context("a process has a number")
    }

    /// Sends SIGTERM and waits for the end; it has to be a good one.
    pub async fn stop(mut self) -> anyhow::Result<Duration> {
        let started = std::time::Instant::now();
        kill_process(self.pid()?, Signal::TERM)?;
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
    command_with(&[], arguments).await
}

/// The same with these variables in its environment, and no others.
pub async fn command_with(variables: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Ended> {
    let mut command = Command::new(binary()?);
    command.env_clear().envs(variables.iter().copied());
    command.args(arguments);
    run(command).await
}

/// The same on a terminal of its own, where these lines are typed. What it says is all in `output`.
pub async fn command_on_terminal(arguments: &[&str], typed: &str) -> anyhow::Result<Ended> {
    let program =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut child = Command::new("python3")
        .args(["-c", program])
        .arg(binary()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut input = child.stdin.take().context("it has an input")?;
    input.write_all(typed.as_bytes()).await?;
    let ended = tokio::time::timeout(Duration::from_mins(2), child.wait_with_output()).await??;
    drop(input);
    Ok(Ended {
        code: ended.status.code(),
        output: String::from_utf8(ended.stdout)?,
        said: String::from_utf8(ended.stderr)?,
    })
}

/// What a command writes within a second behind its question, on a terminal of its own where nobody answers.
pub async fn written_behind_a_question(arguments: &[&str]) -> anyhow::Result<String> {
    let program = "
import os, pty, select, signal, sys, time
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b''
while b'[y/N] ' not in seen:
    seen += os.read(terminal, 4096)
behind = seen.split(b'[y/N] ', 1)[1]
end = time.monotonic() + 1
while (left := end - time.monotonic()) > 0:
    if select.select([terminal], [], [], left)[0]:
        behind += os.read(terminal, 4096)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
sys.stdout.buffer.write(behind)
";
    let mut command = Command::new("python3");
    command.args(["-c", program]).arg(binary()?).args(arguments);
    let ended = run(command).await?;
    anyhow::ensure!(ended.code == Some(0), "{ended:?}");
    Ok(ended.output)
}

/// Runs any command to its end.
pub async fn run(mut command: Command) -> anyhow::Result<Ended> {
    let child = command
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

/// Starts a command of the binary and does not wait for its end; killed with this handle.
pub fn spawn_command(arguments: &[&str]) -> anyhow::Result<Child> {
    let mut command = Command::new(binary()?);
    command.env_clear().args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(Stdio::null()).spawn()?)
}

/// Starts the binary and does not wait for it to listen: it may be killed before.
pub fn spawn(start: &Start<'_>) -> anyhow::Result<Child> {
    Ok(start.command(&start.data.with_extension("log"))?.spawn()?)
}

/// Runs a copy of the binary, that everybody may run, to its end: behind another command, as another
/// user.
pub async fn run_as(
    before: &[&str],
    user: Option<u32>,
    arguments: &[OsString],
) -> anyhow::Result<Ended> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
    let copy = folder.path().join("service");
    // Not by this process: a child that another test forks meanwhile would hold the copy open for
    // writing, and what is open for writing cannot be run.
    let copied = Command::new("cp")
        .arg(binary()?)
        .arg(&copy)
        .status()
        .await?;
    ensure!(copied.success(), "the binary cannot be copied");
    let mut words: Vec<OsString> = before.iter().map(Into::into).collect();
    words.push(copy.into());
    words.extend_from_slice(arguments);
    let (program, rest) = words.split_first().context("there is a program")?;
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    run(command).await
}

/// Runs a command to its end and gives the most memory that it was seen to take, in bytes.
pub async fn peak_memory_of(arguments: &[&str]) -> anyhow::Result<usize> {
    let mut child = Command::new(binary()?)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let status = format!("/proc/{}/status", child.id().context("it runs")?);
    let peak = async || {
        let text = std::fs::read_to_string(&status).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse::<usize>().ok()
    };
    let mut kib = 0;
    let ended = eventually("the end", Duration::from_mins(2), async || {
        kib = kib.max(peak().await.unwrap_or(0));
        child.try_wait().ok().flatten()
    });
    ended.await?;
    ensure!(kib != 0, "it was never seen");
    Ok(kib * 1024)
}

/// Runs the binary to its end; gives its exit code and what it said on standard error.
pub async fn run_to_end(arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let Ended { code, said, .. } = command(arguments).await?;
    Ok((code, said))
}

/// The addresses in the line that tells them.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |name: &str| line.get(name)?.as_str()?.parse().ok();
    Some((address("listen")?, address("admin_listen")?))
}

/// The program stands above the test programs; cargo builds it with them.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("a test program stands in a folder")?;
    let binary = folder.join("service-under-test");
    ensure!(binary.is_file(), "there is no {}", binary.display());
    Ok(binary)
}

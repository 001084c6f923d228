//! A running nats-server.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tokio::time::Instant;

/// A server with a million messages in its store is ready after a second.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long SIGTERM may take before SIGKILL.
const STOP_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Kills process `$1` when standard input closes.
const GUARD: &str = r#"read -r _; kill -KILL "$1""#;

/// What to start.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program, as [`super::locate()`] gives it.
    pub binary: PathBuf,
    /// Holds `store/`, `nats-server.log` and `ports/`; created if missing.
    pub dir: PathBuf,
    /// A fixed port; a free one without. A restart keeps the port of the first start.
    pub port: Option<u16>,
    /// Further arguments, for example a configuration file.
    pub arguments: Vec<OsString>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder or file of the server cannot be made.
    #[error("{path} cannot be used: {problem}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// The program cannot be run.
    #[error("{binary} cannot be run: {problem}")]
    Run {
        /// The program.
        binary: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
    /// It ended before it was ready.
    #[error("nats-server ended at once: {said} (log: {log})")]
    Ended {
        /// The last thing it logged.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// It runs but does not get ready.
    #[error("nats-server was not ready after {} s (log: {log})", READY_WITHIN.as_secs())]
    NotReady {
        /// Its log.
        log: PathBuf,
    },
}

/// A nats-server that ends with this handle.
#[derive(Debug)]
pub struct NatsServer {
    setup: Setup,
    port: u16,
    running: Option<Running>,
}

/// The processes behind a handle.
#[derive(Debug)]
struct Running {
    server: Child,
    guard: Child,
}

/// What the server writes into its ports file.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl NatsServer {
    /// Starts a server with JetStream and waits until it takes connections.
    pub async fn start(setup: Setup) -> Result<Self, StartError> {
        let mut server = Self {
            port: setup.port.unwrap_or(0),
            setup,
            running: None,
        };
        server.restart().await?;
        Ok(server)
    }

    /// Starts again on the same port and store; first ends what still runs.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        self.running = Some(self.spawn()?);
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(port) = self.listening_port() {
                self.port = port;
                return Ok(());
            }
            let log = self.log_file();
            if self.has_ended() {
                self.running = None;
                let said = last_complaint(&log);
                return Err(StartError::Ended { said, log });
            }
            if Instant::now() >= deadline {
                self.running = None;
                return Err(StartError::NotReady { log });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends it: SIGTERM, and SIGKILL if that takes too long.
    pub async fn stop(&mut self) {
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_WITHIN;
        while !self.has_ended() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.running = None;
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Stops it in its tracks: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused server go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Has it take no new clients, let the others go, and end.
    pub fn go_lame(&self) {
        self.signal(Signal::USR2);
    }

    /// Has it read its configuration file again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port of [`NatsServer::url`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.server.id())
    }

    /// The server's log.
    pub fn log_file(&self) -> PathBuf {
        self.setup.dir.join("nats-server.log")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.running.as_ref().map(|r| Pid::from_child(&r.server));
        // A child that we have not waited for keeps its number, so this never hits a stranger.
        if let Some(Err(problem)) = pid.map(|pid| kill_process(pid, signal)) {
            tracing::debug!(%problem, ?signal, "nats-server takes no signal");
        }
    }

    fn has_ended(&mut self) -> bool {
        self.running
            .as_mut()
            .is_none_or(|running| !matches!(running.server.try_wait(), Ok(None)))
    }

    fn spawn(&self) -> Result<Running, StartError> {
        let ports = self.setup.dir.join("ports");
        let store = self.setup.dir.join("store");
        // A ports file that a killed server left would name its port.
        let _ = fs::remove_dir_all(&ports);
        for path in [&ports, &store] {
            fs::create_dir_all(path).map_err(|problem| StartError::Folder {
                path: path.clone(),
                problem,
            })?;
        }
        let output = self.output()?;
        let server = Command::new(&self.setup.binary)
            .args(["--addr", "127.0.0.1", "--jetstream", "--store_dir"])
            .arg(store)
            .arg("--port")
            .arg(match self.port {
                0 => "-1".to_owned(),
                port => port.to_string(),
            })
            .arg("--ports_file_dir")
            .arg(ports)
            .args(&self.setup.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(|problem| StartError::Run {
                binary: self.setup.binary.clone(),
                problem,
            })?;
        Running::guarded(server)
    }

    /// The server logs to standard error, which is its log file: so even a crash's trace is there.
    fn output(&self) -> Result<File, StartError> {
        let path = self.log_file();
        let opened = File::options().append(true).create(true).open(&path);
        opened.map_err(|problem| StartError::Folder { path, problem })
    }

    /// The port, once the server greets on it.
    fn listening_port(&self) -> Option<u16> {
        let file = fs::read_dir(self.setup.dir.join("ports"))
            .ok()?
            .find_map(|entry| Some(entry.ok()?.path()))?;
        // The file appears before it is complete.
        let ports: Ports = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        let port = ports.nats.first()?.rsplit_once(':')?.1.parse().ok()?;
        greets(port).then_some(port)
    }
}

impl Running {
    fn guarded(mut server: Child) -> Result<Self, StartError> {
        let guard = Command::new("sh")
            .args(["-c", GUARD, "nats-server-guard"])
            .arg(server.id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { server, guard }),
            Err(problem) => {
                end(&mut server);
                Err(StartError::Run {
                    binary: "sh".into(),
                    problem,
                })
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The guard first: it must never see the server's number in other hands.
        end(&mut self.guard);
        end(&mut self.server);
    }
}

/// Kills a child and waits for it. Both fail only when it has ended already.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Whether a NATS server takes connections there: it speaks first.
fn greets(port: u16) -> bool {
    let patience = Some(Duration::from_secs(1));
    let greeted = || -> io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(patience)?;
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting)?;
        Ok(greeting == *b"INFO ")
    };
    greeted().unwrap_or(false)
}

/// The last line of the log that tells of an error, without its time and process number.
fn last_complaint(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let complaint = text
        .lines()
        .rfind(|line| line.contains("[FTL]") || line.contains("[ERR]"))
        .or_else(|| text.lines().next_back())
        .unwrap_or("it said nothing");
    complaint
        .split_once("] ")
        .map_or(complaint, |(_, rest)| {
            rest.trim_start_matches(|c: char| c != '[')
        })
        .to_owned()
}

#[cfg(test)]
mod tests;

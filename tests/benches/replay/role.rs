//! What each process of the benchmark does: this program starts itself once for every figure, so that
//! no run has the memory of the one before.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use tests::bench::setting;
use tests::broker::Broker;

use crate::{drain, postgres, projector, reader};

/// Set for a process that plays a role.
const ROLE: &str = "BENCH_ROLE";

/// Who takes the stream.
pub(crate) enum Role {
    /// Counts, with a parser that does nothing else.
    Drain,
    /// Counts what the projector's own reading gives.
    Records,
    /// Counts what the client library gives.
    Reader,
    /// Folds it into a durable file, with at most so many bytes of rows in memory.
    Projector { budget: Option<u64> },
    /// Upserts it into the server behind a socket.
    Postgres { socket: PathBuf },
}

/// What a run took.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) seconds: f64,
    /// Processor time of the process.
    pub(crate) cpu_seconds: f64,
    pub(crate) broker_cpu_seconds: f64,
    pub(crate) peak_kib: u64,
    pub(crate) file_bytes: u64,
    pub(crate) digest: String,
}

impl Role {
    /// The role that this process was started for.
    pub(crate) fn of_this_process() -> anyhow::Result<Option<Self>> {
        let Ok(role) = std::env::var(ROLE) else {
            return Ok(None);
        };
        let (name, value) = role.split_once('=').unwrap_or((&role, ""));
        Ok(Some(match name {
            "drain" => Self::Drain,
            "records" => Self::Records,
            "reader" => Self::Reader,
            "projector" => Self::Projector {
                budget: value.parse().ok(),
            },
            "postgres" => Self::Postgres {
                socket: value.into(),
            },
            _ => bail!("{ROLE} names no role"),
        }))
    }

    /// Plays it and tells its figures on standard output.
    #[expect(clippy::print_stdout, reason = "its parent reads them")]
    pub(crate) fn play(self) -> anyhow::Result<()> {
        let url: String = std::env::var("BENCH_URL")?;
        let events = setting("BENCH_EVENTS", 0);
        let (elapsed, digest, file_bytes) = match self {
            Self::Drain => (drain::drain(&url, events)?, String::new(), 0),
            Self::Records => (drain::records(&url, events)?, String::new(), 0),
            Self::Reader => (reader::count(&url, events)?, String::new(), 0),
            Self::Projector { budget } => projector::fold(&url, events, budget)?,
            Self::Postgres { socket } => {
                (postgres::upsert(&url, events, &socket)?, String::new(), 0)
            }
        };
        println!(
            "figures {} {} {} {file_bytes} {digest}",
            elapsed.as_secs_f64(),
            cpu_seconds("self")?,
            peak_kib()?
        );
        Ok(())
    }

    /// Runs it in a process of its own.
    pub(crate) fn run(&self, broker: &Broker, events: u64) -> anyhow::Result<Figures> {
        let role = match self {
            Self::Drain => "drain".to_owned(),
            Self::Records => "records".to_owned(),
            Self::Reader => "reader".to_owned(),
            Self::Projector { budget } => {
                format!(
                    "projector={}",
                    budget.map_or(String::new(), |b| b.to_string())
                )
            }
            Self::Postgres { socket } => format!("postgres={}", socket.display()),
        };
        let server = broker.server.pid().context("the broker runs")?.to_string();
        let before = cpu_seconds(&server)?;
        let done = Command::new(std::env::current_exe()?)
            .env(ROLE, role)
            .env("BENCH_URL", broker.server.url())
            .env("BENCH_EVENTS", events.to_string())
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(done.status.success(), "a run failed");
        let broker_cpu_seconds = cpu_seconds(&server)? - before;
        let said = String::from_utf8(done.stdout)?;
        let figures = said.lines().find_map(|line| line.strip_prefix("figures "));
        let mut figures = figures.context("a run told no figures")?.split(' ');
        let mut next = || figures.next().context("a figure is missing");
        Ok(Figures {
            seconds: next()?.parse()?,
            cpu_seconds: next()?.parse()?,
            peak_kib: next()?.parse()?,
            file_bytes: next()?.parse()?,
            digest: next()?.to_owned(),
            broker_cpu_seconds,
        })
    }
}

/// Processor time of a process, of all its threads that were and are.
fn cpu_seconds(process: &str) -> anyhow::Result<f64> {
    // In hundredths of a second on every Linux that there is.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("it names its program")?;
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: f64 = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(ticks / TICKS)
}

fn peak_kib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|peak| peak.trim().strip_suffix("kB"));
    Ok(peak.context("the system tells the peak")?.trim().parse()?)
}

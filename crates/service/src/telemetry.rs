//! Logs and metrics.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl LogFormat {
    /// What fits where standard error goes.
    pub fn fitting() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// Sends the log to standard error. `filter` is a directive list such as `info` or `projector=debug,info`.
pub fn start_log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter: EnvFilter = filter.parse().context("--log is not a list of levels")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    }
    .map_err(|problem| anyhow::anyhow!("the log cannot be started: {problem}"))
}

/// The process's metrics as a Prometheus page, which the handle renders. The first call makes metrics
/// count; later ones give the same handle.
pub fn metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut held = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*held {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics cannot be started")?;
    Ok(held.insert(handle).clone())
}

/// From a request answered out of memory to a commit on a slow disk.
const BUCKETS_SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

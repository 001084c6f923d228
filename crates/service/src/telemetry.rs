//! Logs and metrics.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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
///
/// Other people's crates are held at `info`, whatever the filter says: below it they print what they
/// read and write, which is personal.
pub fn start_log(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter: EnvFilter = filter.parse().context("--log is not a list of levels")?;
    let discreet = filter_fn(|line| {
        let of = |names: &[&str]| names.iter().any(|name| line.target().starts_with(name));
        of(&OURS) || (*line.level() <= Level::INFO && !of(&TOLD_BY_US))
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter).with_filter(discreet))
        .try_init()
        .context("the log cannot be started")
}

/// Crates that report every attempt at what we report once or count: of the broker, and of clients that break HTTP/2.
const TOLD_BY_US: [&str; 2] = ["async_nats", "h2"];

/// The crates whose lines are known to hold nothing personal.
const OURS: [&str; 7] = [
    "convex_wire",
    "devkit",
    "domain",
    "projector",
    "query",
    "read_model",
    "service",
];

/// The process's metrics; the first call makes them go to a Prometheus page, which the handle renders.
pub fn metrics() -> anyhow::Result<&'static PrometheusHandle> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle);
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_SECONDS)
        .and_then(|builder| {
            let records = Matcher::Suffix("_records".to_owned());
            builder.set_buckets_for_metric(records, &BUCKETS_RECORDS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .context("the metrics cannot be started")?;
    let handle = HANDLE.get_or_init(|| handle);
    projector::describe_metrics();
    query::metrics::describe();
    crate::snapshot::describe_metrics();
    crate::keeper::describe_metrics();
    Ok(handle)
}

/// From a single event to what a rebuild commits at once.
const BUCKETS_RECORDS: [f64; 7] = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

/// From a request answered out of memory to a commit on a slow disk.
const BUCKETS_SECONDS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

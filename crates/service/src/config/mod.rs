//! What `serve` is told, judged whole: all faults are collected, none is found twice.

mod context;
mod dev;
mod faults;
mod memory;
mod nats;
mod sources;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use query::auth::AuthConfig;
use query::{Limits, Network, SyncLimits, TrustedProxies};

pub(crate) use dev::DevConfig;
pub use faults::{ConfigFault, ConfigFaults};
pub use nats::{NatsConfig, NatsCredentials, Secret};

use crate::cli::{LogArgs, ServeArgs};
use crate::snapshot::{InvalidPlace, SnapshotAt};
use crate::telemetry::LogFormat;
use faults::Judge;
use memory::judge_memory;

/// What the service runs with. `Debug` shows no secret (S2).
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach the log.
    pub nats: NatsConfig,
    /// Name of this replica's consumer; one is made from host and folder without.
    pub consumer_name: Option<String>,
    /// Folder of the read model.
    pub data_dir: PathBuf,
    /// Most memory for rows on the way to the tail, in bytes.
    pub memory_budget: usize,
    /// Address of the Convex routes.
    pub listen: SocketAddr,
    /// Address of the admin routes.
    pub admin_listen: SocketAddr,
    /// Certificate and key of the Convex routes; plain HTTP without.
    pub tls: Option<PemPair>,
    /// Certificate and key of the admin routes; plain HTTP without.
    pub admin_tls: Option<PemPair>,
    /// Names by which the admin routes are reached, beside addresses and localhost.
    pub admin_hosts: Vec<String>,
    /// What clients may take.
    pub limits: Limits,
    /// Whose tokens are believed.
    pub auth: AuthConfig,
    /// Whether errors are answered with a development deployment's texts.
    pub verbose_errors: bool,
    /// Whether another read model is built beside the one that is there, at every start.
    pub rebuild: bool,
    /// What to begin with where there is no read model yet.
    pub from_snapshot: Option<FromSnapshot>,
}

/// A snapshot to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromSnapshot {
    /// Where it is.
    pub at: SnapshotAt,
    /// Whether to begin with the stream where it cannot be used.
    pub or_rebuild: bool,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemPair {
    /// The certificate, or a chain of them.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// How and what to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// How lines look.
    pub format: LogFormat,
    /// A directive list.
    pub filter: String,
}

impl Config {
    /// Judges what `serve` was told.
    pub(crate) fn of(args: &ServeArgs) -> Result<(Self, LogConfig), ConfigFaults> {
        let mut judge = Judge::default();
        let log = LogConfig::judged(&args.log, "info", &mut judge);
        let nats = NatsConfig::of_service(&args.nats, &mut judge);
        if let Some(name) = &args.consumer_name {
            judge_token("--consumer-name", name, &mut judge);
        }
        let listen = judge_address("--listen", &args.listen, &mut judge);
        let admin_listen = judge_address("--admin-listen", &args.admin_listen, &mut judge);
        if listen.is_some_and(|at| at.port() != 0) && listen == admin_listen {
            judge.fault(
                "--admin-listen",
                "is the address of --listen: the admin routes must never be on the public port",
            );
        }
        let keep_alive = judge_keep_alive(&args.keep_alive_seconds, &mut judge);
        let tls = judge_pair(
            ("--tls-cert", args.tls_cert.as_deref()),
            ("--tls-key", args.tls_key.as_deref()),
            &mut judge,
        );
        let admin_tls = judge_pair(
            ("--admin-tls-cert", args.admin_tls_cert.as_deref()),
            ("--admin-tls-key", args.admin_tls_key.as_deref()),
            &mut judge,
        );
        for host in &args.admin_host {
            judge_host("--admin-host", host, &mut judge);
        }
        let proxies = judge_proxies(&args.trusted_proxies, &mut judge);
        let auth = judge_auth(args, &mut judge);
        if args.data_dir.is_file() {
            judge.fault("--data-dir", "is a file, not a folder");
        }
        let from_snapshot = judge_snapshot(args, &mut judge);
        let memory_budget = judge_memory("--memory-budget", &args.memory_budget, &mut judge);
        let config = || {
            Some(Self {
                nats: nats?,
                consumer_name: args.consumer_name.clone(),
                data_dir: args.data_dir.clone(),
                memory_budget: memory_budget?,
                listen: listen?,
                admin_listen: admin_listen?,
                tls,
                admin_tls,
                admin_hosts: args.admin_host.clone(),
                limits: limits_of(args, keep_alive?, proxies),
                auth: auth?,
                verbose_errors: args.verbose_errors,
                rebuild: args.rebuild,
                from_snapshot,
            })
        };
        judge.end(config().zip(log))
    }
}

impl LogConfig {
    fn judged(args: &LogArgs, default: &str, judge: &mut Judge) -> Option<Self> {
        let format = match args.log_format.as_deref() {
            None => LogFormat::fitting(),
            Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(_) => {
                judge.fault("--log-format", "is neither text nor json");
                return None;
            }
        };
        let filter = args.log.clone().unwrap_or_else(|| default.to_owned());
        if let Some(word) = no_level(&filter) {
            let problem = format!(
                "says {word:?}, which is no level: expected off, error, warn, info, debug, trace or CRATE=LEVEL"
            );
            judge.fault("--log", problem);
            return None;
        }
        if filter.parse::<tracing_subscriber::EnvFilter>().is_err() {
            judge.fault("--log", "is not a list of levels");
            return None;
        }
        Some(Self { format, filter })
    }
}

/// The first entry of a list of levels that names none. A filter takes one word that it does not know for a crate,
/// and then logs nothing else.
fn no_level(filter: &str) -> Option<&str> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |entry: &&str| {
        let level = entry.rsplit_once('=').map_or(*entry, |(_, level)| level);
        LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
    };
    let mut entries = filter.split(',').map(str::trim);
    entries.find(|entry| !entry.is_empty() && !is_level(entry))
}

/// Streams and consumers are named by one subject token.
fn judge_token(flag: &'static str, name: &str, judge: &mut Judge) {
    let illegal = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
    if name.is_empty() || name.len() > 255 || name.contains(illegal) {
        judge.fault(flag, "is no name: no space, dot, *, >, / or \\ is allowed");
    }
}

fn judge_address(flag: &'static str, text: &str, judge: &mut Judge) -> Option<SocketAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        judge.fault(flag, "is no address: expected IP:PORT");
    }
    address
}

fn judge_keep_alive(text: &str, judge: &mut Judge) -> Option<Duration> {
    let seconds = text.parse().ok().filter(|s| (1..=3600).contains(s));
    if seconds.is_none() {
        judge.fault("--keep-alive-seconds", "is no number from 1 to 3600");
    }
    seconds.map(Duration::from_secs)
}

/// A name as it stands in a Host header, without a port.
fn judge_host(flag: &'static str, name: &str, judge: &mut Judge) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if name.is_empty() || !name.chars().all(is_name) {
        judge.fault(flag, "is no name of a host (example: projector.internal)");
    }
}

fn judge_proxies(texts: &[String], judge: &mut Judge) -> TrustedProxies {
    let mut networks = Vec::new();
    for text in texts {
        match text.trim().parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(problem) => judge.fault("--trusted-proxies", format!("{text:?}: {problem}")),
        }
    }
    TrustedProxies::new(networks)
}

fn limits_of(args: &ServeArgs, keep_alive: Duration, proxies: TrustedProxies) -> Limits {
    let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let default = Limits::default();
    Limits {
        connections: count(args.max_connections),
        per_address: count(args.max_per_address),
        trusted_proxies: proxies,
        idle_timeout: keep_alive,
        sync: SyncLimits {
            sockets: count(args.max_sockets),
            sockets_of_one: count(args.max_sockets_per_identity),
            ..default.sync
        },
        ..default
    }
}

fn judge_snapshot(args: &ServeArgs, judge: &mut Judge) -> Option<FromSnapshot> {
    let at = args.from_snapshot.as_ref()?.parse();
    let at =
        at.map_err(|problem: InvalidPlace| judge.fault("--from-snapshot", problem.to_string()));
    Some(FromSnapshot {
        at: at.ok()?,
        or_rebuild: args.or_rebuild,
    })
}

/// A file that must be there and readable.
fn judge_file(flag: impl Into<Cow<'static, str>>, path: &Path, judge: &mut Judge) {
    if path.is_dir() {
        judge.fault(flag, format!("{} is a folder, not a file", path.display()));
    } else if let Err(problem) = std::fs::File::open(path) {
        judge.fault(flag, format!("{}: {problem}", path.display()));
    }
}

/// Two files that make sense together only.
fn judge_pair(
    (cert_flag, cert): (impl Into<Cow<'static, str>>, Option<&Path>),
    (key_flag, key): (impl Into<Cow<'static, str>>, Option<&Path>),
    judge: &mut Judge,
) -> Option<PemPair> {
    let (cert_flag, key_flag) = (cert_flag.into(), key_flag.into());
    for (flag, path) in [(&cert_flag, cert), (&key_flag, key)] {
        if let Some(path) = path {
            judge_file(flag.clone(), path, judge);
        }
    }
    match (cert, key) {
        (Some(cert), Some(key)) => Some(PemPair {
            cert: cert.into(),
            key: key.into(),
        }),
        (None, None) => None,
        (Some(_), None) => {
            judge.fault(key_flag, format!("is missing, {cert_flag} needs it"));
            None
        }
        (None, Some(_)) => {
            judge.fault(cert_flag, format!("is missing, {key_flag} needs it"));
            None
        }
    }
}

fn judge_auth(args: &ServeArgs, judge: &mut Judge) -> Option<AuthConfig> {
    let (flag, auth) = match (&args.workos_client_id, &args.auth_config) {
        (Some(client_id), None) => ("--workos-client-id", AuthConfig::workos(client_id)),
        (None, Some(file)) => ("--auth-config", AuthConfig::from_file(file)),
        (Some(_), Some(_)) => {
            judge.fault("--auth-config", "excludes --workos-client-id: give one");
            return None;
        }
        (None, None) => {
            judge.fault(
                "--workos-client-id",
                "is missing, and so is --auth-config: whose tokens are to be believed?",
            );
            return None;
        }
    };
    auth.map_err(|faults| {
        for fault in faults.0 {
            let is_flag = fault.place == flag;
            let place = if is_flag {
                String::new()
            } else {
                format!("at {}: ", fault.place)
            };
            judge.fault(flag, format!("{place}{}; {}", fault.problem, fault.remedy));
        }
    })
    .ok()
}

#[cfg(test)]
mod tests;

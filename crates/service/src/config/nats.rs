//! How to reach NATS.

use std::fmt;
use std::path::PathBuf;

use async_nats::ServerAddr;

use super::faults::{ConfigFaults, Judge};
use super::{PemPair, judge_file, judge_pair, judge_token};
use crate::cli::NatsArgs;

/// How to reach NATS and which stream. `Debug` shows no password of a URL (S2).
#[derive(Clone)]
pub struct NatsConfig {
    /// One or several servers of one cluster.
    pub servers: Vec<ServerAddr>,
    /// Who we are.
    pub credentials: NatsCredentials,
    /// Certificates to trust the server by.
    pub tls_ca: Option<PathBuf>,
    /// Our certificate.
    pub tls_client: Option<PemPair>,
    /// The stream of events.
    pub stream: String,
}

/// Who we are to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsCredentials {
    /// What the URL says, or nobody.
    Url,
    /// A credentials file.
    Creds(PathBuf),
    /// A file that holds an nkey seed.
    Nkey(PathBuf),
}

impl NatsConfig {
    /// Judges the NATS flags alone, for commands that take no others.
    pub(crate) fn of(args: &NatsArgs) -> Result<Self, ConfigFaults> {
        let mut judge = Judge::default();
        let config = Self::judged(args, &mut judge);
        judge.end(config)
    }

    /// A server on this machine that asks for nothing.
    pub(crate) fn plain(server: ServerAddr, stream: &str) -> Self {
        Self {
            servers: vec![server],
            credentials: NatsCredentials::Url,
            tls_ca: None,
            tls_client: None,
            stream: stream.to_owned(),
        }
    }

    pub(super) fn judged(args: &NatsArgs, judge: &mut Judge) -> Option<Self> {
        judge_token("--stream", &args.stream, judge);
        if let Some(ca) = &args.nats_tls_ca {
            judge_file("--nats-tls-ca", ca, judge);
        }
        let tls_client = judge_pair(
            ("--nats-tls-cert", args.nats_tls_cert.as_deref()),
            ("--nats-tls-key", args.nats_tls_key.as_deref()),
            judge,
        );
        let credentials = judge_credentials(args, judge);
        Some(Self {
            servers: judge_servers(&args.nats_url, judge)?,
            credentials,
            tls_ca: args.nats_tls_ca.clone(),
            tls_client,
            stream: args.stream.clone(),
        })
    }

    /// The servers' addresses without users and passwords.
    pub fn shown_servers(&self) -> String {
        let shown: Vec<String> = self
            .servers
            .iter()
            .map(|server| match server.host() {
                six if six.contains(':') => {
                    format!("{}://[{six}]:{}", server.scheme(), server.port())
                }
                host => format!("{}://{host}:{}", server.scheme(), server.port()),
            })
            .collect();
        shown.join(",")
    }
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("servers", &self.shown_servers())
            .field("credentials", &self.credentials)
            .field("tls_ca", &self.tls_ca)
            .field("tls_client", &self.tls_client)
            .field("stream", &self.stream)
            .finish()
    }
}

/// The URL may hold a password, so a fault never repeats it.
fn judge_servers(urls: &str, judge: &mut Judge) -> Option<Vec<ServerAddr>> {
    let mut servers = Vec::new();
    for (place, url) in urls.split(',').enumerate() {
        match url.trim().parse::<ServerAddr>() {
            Ok(server) if !server.host().is_empty() && !server.is_websocket() => {
                servers.push(server);
            }
            _ => judge.fault(
                "--nats-url",
                format!(
                    "is wrong at address {}: expected nats://HOST:PORT",
                    place + 1
                ),
            ),
        }
    }
    Some(servers).filter(|servers| !servers.is_empty())
}

fn judge_credentials(args: &NatsArgs, judge: &mut Judge) -> NatsCredentials {
    if let Some(creds) = &args.nats_creds {
        judge_file("--nats-creds", creds, judge);
    }
    if let Some(nkey) = &args.nats_nkey {
        judge_file("--nats-nkey", nkey, judge);
    }
    match (&args.nats_creds, &args.nats_nkey) {
        (None, None) => NatsCredentials::Url,
        (Some(creds), None) => NatsCredentials::Creds(creds.clone()),
        (None, Some(nkey)) => NatsCredentials::Nkey(nkey.clone()),
        (Some(creds), Some(_)) => {
            judge.fault("--nats-nkey", "excludes --nats-creds: give one");
            NatsCredentials::Creds(creds.clone())
        }
    }
}

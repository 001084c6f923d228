//! How to reach NATS: by flags and their variables, else by a context of the `nats` tool, else by that tool's
//! variables.

use std::fmt;
use std::path::PathBuf;

use jetstream::{ApiPrefix, ServerAddr, TlsFiles};

use super::context::{self, Context, Variable};
use super::faults::{ConfigFaults, Judge};
use super::judge_token;
use super::sources::{Place, Sources};
use crate::cli::NatsArgs;

/// Where a server is if nobody says it.
const HERE: &str = "nats://127.0.0.1:4222";

/// How to reach NATS and which stream. `Debug` shows no password of a URL (S2).
#[derive(Clone)]
pub struct NatsConfig {
    /// One or several servers of one cluster.
    pub servers: Vec<ServerAddr>,
    /// Who named the servers: a flag, a member of a context, or a variable.
    pub servers_by: String,
    /// Who we are.
    pub credentials: NatsCredentials,
    /// By what the server is trusted, and our certificate.
    pub tls: TlsFiles,
    /// Where JetStream takes requests.
    pub api: ApiPrefix,
    /// The stream of events.
    pub stream: String,
    /// The context that the `nats` tool has selected, if nobody said where a server is.
    pub selected: Option<String>,
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
    /// A user and a password.
    Password {
        /// The user.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
}

/// A password or a token. `Debug` shows where it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// In a file, read anew for every connection.
    File(PathBuf),
    /// It was told.
    Told {
        /// What it is.
        text: String,
        /// By whom.
        by: String,
    },
}

impl NatsConfig {
    /// Judges the NATS flags alone, for commands that take no others and end by themselves.
    pub(crate) fn of(args: &NatsArgs) -> Result<Self, ConfigFaults> {
        let mut judge = Judge::default();
        let config = Self::judged(args, &variable, &mut judge);
        let config = config.map(|(config, is_told)| Self {
            // For people to choose; never taken by itself.
            selected: (!is_told).then(|| context::selected(&variable)).flatten(),
            ..config
        });
        judge.end(config)
    }

    /// A server on this machine that asks for nothing.
    pub(crate) fn plain(server: ServerAddr, stream: &str) -> Self {
        Self {
            servers: vec![server],
            servers_by: "--nats-url".to_owned(),
            credentials: NatsCredentials::Url,
            tls: TlsFiles::default(),
            api: ApiPrefix::default(),
            stream: stream.to_owned(),
            selected: None,
        }
    }

    /// The same for a service, to which nothing is offered.
    pub(super) fn of_service(args: &NatsArgs, judge: &mut Judge) -> Option<Self> {
        Some(Self::judged(args, &variable, judge)?.0)
    }

    /// Also gives whether anybody said where a server is.
    pub(super) fn judged(
        args: &NatsArgs,
        variable: Variable<'_>,
        judge: &mut Judge,
    ) -> Option<(Self, bool)> {
        judge_token("--stream", &args.stream, judge);
        let text = |name: &str| variable(name)?.into_string().ok();
        let context = match (&args.nats_context, text("NATS_CONTEXT")) {
            (Some(name), _) => Context::read("--nats-context", name, variable, judge),
            (None, Some(name)) => Context::read("NATS_CONTEXT", &name, variable, judge),
            (None, None) => None,
        };
        let sources = Sources {
            args,
            context: context.as_ref(),
            variable: &text,
        };
        let url = sources.url();
        let is_told = url.is_some();
        let (place, url) = url.unwrap_or_else(|| ("--nats-url".into(), HERE.into()));
        let credentials = sources.credentials(judge);
        let tls = sources.tls(judge);
        let api = sources.api(judge);
        let config = Self {
            servers: judge_servers(&place, &url, judge)?,
            servers_by: place.into_owned(),
            credentials,
            tls,
            api: api?,
            stream: args.stream.clone(),
            selected: None,
        };
        Some((config, is_told))
    }

    /// The servers' addresses without users and passwords.
    pub fn shown_servers(&self) -> String {
        let shown: Vec<String> = self.servers.iter().map(ToString::to_string).collect();
        shown.join(",")
    }
}

fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("servers", &self.shown_servers())
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .field("api", &self.api)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where it is.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Told { by, .. } => f.write_str(by),
        }
    }
}

/// The URL may hold a password, so a fault never repeats it.
fn judge_servers(flag: &Place, urls: &str, judge: &mut Judge) -> Option<Vec<ServerAddr>> {
    let mut servers = Vec::new();
    for (place, url) in urls.split(',').enumerate() {
        match url.trim().parse() {
            Ok(server) => servers.push(server),
            Err(_not_one) => judge.fault(
                flag.clone(),
                format!(
                    "is wrong at address {}: expected nats://HOST:PORT",
                    place + 1
                ),
            ),
        }
    }
    Some(servers).filter(|servers| !servers.is_empty())
}

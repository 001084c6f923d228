//! The command line. A flag that a deployment has in common also reads `PROFILE_PROJECTOR_<FLAG>` from the environment:
//! how to reach the broker and the service, the folder, the log, and whatever configures `serve`. See [`crate::variables`].
//!
//! Values are taken as text here and judged by [`crate::config`], so that all faults are told at once.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::doctor::permissions::Role;
use crate::config::ConfigFaults;
use crate::producer::ExampleForm;
use crate::snapshot::SnapshotAt;
use crate::variables::{Origins, Prepared};

/// The profile read model: folds identity events from JetStream, answers the profile query.
#[derive(Debug, Parser)]
#[command(name = "profile-projector", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything on this machine: nats-server, stream, sample events, token issuer, service
    Dev(DevArgs),
    /// Run the projector and the query service
    #[command(
        after_help = "Memory: at most about 1 GiB at the defaults, whatever clients do. --memory-budget, --max-connections \
        and --max-sockets set it; the first line of the log says what they come to, and deploy/MEMORY.md has the sum."
    )]
    Serve(Box<ServeArgs>),
    /// Show how a running service is, on one screen
    Status(StatusArgs),
    /// Say whether a running service takes requests; exit code 1 if not, or if none answers
    Ready(ReadyArgs),
    /// Build the read model of a running service anew, beside the one it serves, and swap
    Rebuild(RebuildArgs),
    /// Copy a read model while it is served, for another folder to begin with
    Snapshot(SnapshotArgs),
    /// Make a folder's read model from a snapshot
    Restore(RestoreArgs),
    /// Validate NDJSON events and publish them; safe to repeat
    Publish(PublishArgs),
    /// Validate NDJSON events; one line per fault, exit code 1 if there is any
    Check(CheckArgs),
    /// Publish the users and profiles of a Convex export; never overwrites, safe to repeat
    Import(ImportArgs),
    /// Erase a person: publish that it is final, prove it stored, delete the messages, prove that nothing
    /// is left
    Erase(EraseArgs),
    /// Print the contract: list its documents, or print one
    Schema(SchemaArgs),
    /// Show what is parked, what would heal it, and give a record up
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Fold a file of events or the stream and tell what it comes to
    Replay(ReplayArgs),
    /// Show the answer that a client would have had when the stream was that far
    AsOf(AsOfArgs),
    /// Hold a read model against a fold of its stream; exit code 1 if they differ
    Verify(VerifyArgs),
    /// Name what endangers the data at the broker and in the data folder, or the permissions that `serve`
    /// needs; exit code 1 if there is a danger
    #[command(
        after_help = "Exit code: 0 if nothing endangers the data, 1 if there is a danger, 2 if the flags \
        are wrong, 3 if the stream could not be looked at, whatever else was found."
    )]
    Doctor(DoctorArgs),
    /// Print a token of the development issuer
    Token(TokenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NatsArgs {
    /// NATS server, or several separated by commas (default: what a context or `NATS_URL` says, else
    /// <nats://127.0.0.1:4222>)
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_URL", value_name = "URL,..")]
    #[arg(hide_env_values = true)]
    pub(crate) nats_url: Option<String>,
    /// A context of the nats command line tool, for whatever no other flag says. `NATS_CONTEXT` is read too, and behind
    /// the context `NATS_URL`, `NATS_USER`, `NATS_PASSWORD`, `NATS_TOKEN`, `NATS_CREDS`, `NATS_NKEY`, `NATS_CA`, `NATS_CERT`
    /// and `NATS_KEY`
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_CONTEXT", value_name = "NAME")]
    pub(crate) nats_context: Option<String>,
    /// Credentials file (JWT and seed)
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_CREDS", value_name = "FILE")]
    pub(crate) nats_creds: Option<PathBuf>,
    /// File that holds an nkey seed
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_NKEY", value_name = "FILE")]
    pub(crate) nats_nkey: Option<PathBuf>,
    /// User, whose password is in a file
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_USER", value_name = "NAME")]
    pub(crate) nats_user: Option<String>,
    /// File that holds that user's password
    #[arg(
        long,
        env = "PROFILE_PROJECTOR_NATS_PASSWORD_FILE",
        value_name = "FILE"
    )]
    pub(crate) nats_password_file: Option<PathBuf>,
    /// File that holds a token
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) nats_token_file: Option<PathBuf>,
    /// Certificates to trust the server by (PEM); makes TLS mandatory
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_TLS_CA", value_name = "FILE")]
    pub(crate) nats_tls_ca: Option<PathBuf>,
    /// Client certificate (PEM); makes TLS mandatory
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_TLS_CERT", value_name = "FILE")]
    pub(crate) nats_tls_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_TLS_KEY", value_name = "FILE")]
    pub(crate) nats_tls_key: Option<PathBuf>,
    /// Begin with TLS, before the server says anything (its `handshake_first`)
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_TLS_FIRST")]
    pub(crate) nats_tls_first: bool,
    /// JetStream's domain, if the stream is behind a leaf node
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_JS_DOMAIN", value_name = "NAME")]
    pub(crate) nats_js_domain: Option<String>,
    /// What the subjects of JetStream's API begin with, if an account imported it (default: `$JS.API`)
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_API_PREFIX", value_name = "PREFIX")]
    pub(crate) nats_api_prefix: Option<String>,
    /// The stream of events
    #[arg(long, env = "PROFILE_PROJECTOR_STREAM", value_name = "NAME", num_args = 0..=1)]
    #[arg(
        default_value = "IDENTITY_EVENTS",
        default_missing_value = "IDENTITY_EVENTS"
    )]
    pub(crate) stream: String,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// text or json; text on a terminal, else json
    #[arg(long, env = "PROFILE_PROJECTOR_LOG_FORMAT", value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// What to log: off, error, warn, info, debug, trace, or per crate (projector=debug,info)
    #[arg(long, env = "PROFILE_PROJECTOR_LOG", value_name = "LEVELS")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Folder of the read model
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    #[arg(default_value = "./data")]
    pub(crate) data_dir: PathBuf,
    /// Memory for rows on the way to the stream's end; what exceeds it waits in the file
    #[arg(long, env = "PROFILE_PROJECTOR_MEMORY_BUDGET", value_name = "SIZE")]
    #[arg(default_value = "96MiB")]
    pub(crate) memory_budget: String,
    /// Address of the Convex routes
    #[arg(long, env = "PROFILE_PROJECTOR_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:3210")]
    pub(crate) listen: String,
    /// Address of /livez, /readyz, /metrics and /status
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "127.0.0.1:3211")]
    pub(crate) admin_listen: String,
    /// How long a connection without a request is kept; longer than a proxy in front keeps its own
    #[arg(
        long,
        env = "PROFILE_PROJECTOR_KEEP_ALIVE_SECONDS",
        value_name = "SECONDS"
    )]
    #[arg(default_value = "75")]
    pub(crate) keep_alive_seconds: String,
    /// Name by which the admin routes are reached, beside addresses and localhost; several with commas
    #[arg(
        long,
        env = "PROFILE_PROJECTOR_ADMIN_HOST",
        value_name = "NAME,..",
        value_delimiter = ','
    )]
    pub(crate) admin_host: Vec<String>,
    /// Certificate chain of the admin routes (PEM); without it they are plain HTTP
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_TLS_CERT", value_name = "FILE")]
    pub(crate) admin_tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_TLS_KEY", value_name = "FILE")]
    pub(crate) admin_tls_key: Option<PathBuf>,
    /// Connections at a time; for another one the idlest is closed
    #[arg(long, env = "PROFILE_PROJECTOR_MAX_CONNECTIONS", value_name = "COUNT")]
    #[arg(default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,
    /// Sockets at a time; for another one the one of least use is closed
    #[arg(long, env = "PROFILE_PROJECTOR_MAX_SOCKETS", value_name = "COUNT")]
    #[arg(default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_sockets: u32,
    /// Connections, and sockets, of one address at a time; 0 is no limit. Behind a proxy name it with
    /// --trusted-proxies, or leave this at 0: all clients would be one address
    #[arg(long, env = "PROFILE_PROJECTOR_MAX_PER_ADDRESS", value_name = "COUNT")]
    #[arg(default_value_t = 0)]
    pub(crate) max_per_address: u32,
    /// Sockets of one identity at a time, at most a quarter of --max-sockets; 0 is that quarter
    #[arg(
        long,
        env = "PROFILE_PROJECTOR_MAX_SOCKETS_PER_IDENTITY",
        value_name = "COUNT"
    )]
    #[arg(default_value_t = 256)]
    pub(crate) max_sockets_per_identity: u32,
    /// Proxies in front: addresses or networks (10.0.0.0/8), several with commas. From these alone
    /// X-Forwarded-For or Forwarded is believed: the client is the last address that is no such proxy
    #[arg(
        long,
        env = "PROFILE_PROJECTOR_TRUSTED_PROXIES",
        value_name = "NETWORK,..",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxies: Vec<String>,
    /// Certificate chain of the Convex routes (PEM); without it they are plain HTTP
    #[arg(long, env = "PROFILE_PROJECTOR_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, env = "PROFILE_PROJECTOR_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Trust the tokens that WorkOS gives out for this client
    #[arg(long, env = "PROFILE_PROJECTOR_WORKOS_CLIENT_ID", value_name = "ID")]
    pub(crate) workos_client_id: Option<String>,
    /// Trust the issuers of a JSON file instead
    #[arg(long, env = "PROFILE_PROJECTOR_AUTH_CONFIG", value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,
    /// Answer errors with a Convex development deployment's texts
    #[arg(long, env = "PROFILE_PROJECTOR_VERBOSE_ERRORS")]
    pub(crate) verbose_errors: bool,
    /// Name of this replica's consumer, each replica its own; made from host and folder by default
    #[arg(long, env = "PROFILE_PROJECTOR_CONSUMER_NAME", value_name = "NAME")]
    pub(crate) consumer_name: Option<String>,
    /// Build the read model anew, beside the one that is served meanwhile
    #[arg(long)]
    pub(crate) rebuild: bool,
    /// Begin with a snapshot, a file or object:BUCKET/NAME, where there is no read model yet
    #[arg(long, env = "PROFILE_PROJECTOR_FROM_SNAPSHOT", value_name = "FROM")]
    pub(crate) from_snapshot: Option<String>,
    /// Build the read model from the stream where the snapshot cannot be used
    #[arg(long, env = "PROFILE_PROJECTOR_OR_REBUILD", requires = "from_snapshot")]
    pub(crate) or_rebuild: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Folder of the read model; its service is asked when it runs
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    #[arg(default_value = "./data")]
    pub(crate) data_dir: PathBuf,
    /// Where it goes: a file, or object:BUCKET/NAME in a NATS object store
    #[arg(value_name = "TO")]
    pub(crate) to: SnapshotAt,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// Folder of the read model
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    #[arg(default_value = "./data")]
    pub(crate) data_dir: PathBuf,
    /// Put it in the place of the read model that is there, which is kept as the previous one
    #[arg(long)]
    pub(crate) replace: bool,
    /// The snapshot: a file, or object:BUCKET/NAME in a NATS object store
    #[arg(value_name = "FROM")]
    pub(crate) from: SnapshotAt,
}

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The running service: the address of its --admin-listen
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN", value_name = "URL")]
    #[arg(default_value = "http://127.0.0.1:3211")]
    pub(crate) admin: String,
    /// File with the service's admin token; on the service's machine its own is found
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Look again every two seconds, until Ctrl-C; a service that is away is waited for
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print what /status answers
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReadyArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Go back to the read model that was live before, or to the last good one of a stream that is gone
    #[arg(long, value_name = "WHICH")]
    #[arg(num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "previous", conflicts_with = "accept_loss")]
    pub(crate) rollback: Option<Kept>,
    /// Remove the last good read model of a stream that is gone, for good; nothing is rebuilt
    #[arg(long)]
    #[arg(conflicts_with_all = ["rollback", "accept_loss"])]
    pub(crate) give_up_last_good: bool,
    /// Swap even if the stream gives fewer users or profiles than are served
    #[arg(long)]
    pub(crate) accept_loss: bool,
}

/// A file that was live before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kept {
    /// The one before the one that is live
    Previous,
    /// The one that was live when the stream turned out not to be its own any more
    LastGood,
}

#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct ReplayArgs {
    /// Events, one a line; - is standard input. Without it the stream is replayed, see --stream
    #[arg(value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Stop behind this sequence; of a stream also at a time, such as 2026-11-24T12:00:00Z
    #[arg(long, value_name = "SEQUENCE|TIME")]
    pub(crate) until: Option<String>,
    /// Tell what a token of this identity would be answered with
    #[arg(long = "as", value_name = "SUB")]
    pub(crate) sub: Option<String>,
    /// Exit code 1 unless that answer is the JSON value of this file
    #[arg(long, value_name = "FILE")]
    #[arg(requires = "sub")]
    pub(crate) expect: Option<PathBuf>,
    /// Exit code 1 if anything is parked
    #[arg(long)]
    pub(crate) strict: bool,
    /// Print the digest of the rows and nothing else
    #[arg(long, conflicts_with = "json")]
    pub(crate) digest: bool,
    /// Print what it comes to as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Write what is replayed to a new file that only you can read, a message a line, as replay, check and
    /// publish read it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Answer requests on standard input until it ends: a JSON object with a list of events a line, what
    /// they come to a line; for kits in other languages
    #[arg(long)]
    #[arg(conflicts_with_all = ["input", "until", "sub", "expect", "strict", "digest", "json", "write"])]
    pub(crate) serve: bool,
    /// Name of the consumer that reads, for a user who may make no other; one that nobody has by default
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer_name: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("whose").required(true).args(["subject", "user"])))]
#[command(group(clap::ArgGroup::new("when").required(true).args(["sequence", "time"])))]
pub(crate) struct AsOfArgs {
    /// Whose answer: the identity that a token names
    #[arg(long, value_name = "SUB")]
    pub(crate) subject: Option<String>,
    /// Whose answer: the user's id
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// When: behind this message of the stream, the first of which is 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sequence: Option<u64>,
    /// When: at this time of the server's clock, such as 2026-11-24T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<String>,
    /// Name of the consumer that reads, for a user who may make no other; one that nobody has by default
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer_name: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Folder of the read model of a stopped service; without it, or while one runs on it, the running
    /// one is asked
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Name of the consumer of the stopped service; `-rebuild` is added
    #[arg(long, env = "PROFILE_PROJECTOR_CONSUMER_NAME", value_name = "NAME")]
    pub(crate) consumer_name: Option<String>,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// Folder of the service's read model, to be looked at too: its consumer's name is made from it
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    #[arg(default_value = "./data")]
    pub(crate) data_dir: PathBuf,
    /// Name of the service's consumer, if it was given one; with --permissions read, of the one that reads
    #[arg(long, env = "PROFILE_PROJECTOR_CONSUMER_NAME", value_name = "NAME")]
    pub(crate) consumer_name: Option<String>,
    /// The admin address of a running service, to ask it how its read model is, whatever is in --data-dir
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// The server's monitoring address, to see how often it syncs to disk
    #[arg(long, env = "PROFILE_PROJECTOR_MONITOR", value_name = "URL")]
    pub(crate) monitor: Option<String>,
    /// Print the NATS permissions that `serve` or another role needs, no more and no fewer, and look
    /// at nothing
    #[arg(long, value_name = "ROLE")]
    #[arg(num_args = 0..=1, default_missing_value = "serve")]
    pub(crate) permissions: Option<Role>,
    /// Print findings and summary as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Send each event only if its document's previous version is the last on its subject
    #[arg(long)]
    pub(crate) compare_and_set: bool,
    /// Where the broker takes an event for a duplicate by its id, compare it with what is stored there, and refuse
    /// it if that says something else; takes the permission to read the stream
    #[arg(long)]
    pub(crate) verify_duplicates: bool,
    /// Send a new user and its default profile, on neighbouring lines, so that both are stored or none
    #[arg(long)]
    pub(crate) atomic: bool,
    /// Begin at this line; an interrupted run names it
    #[arg(long, value_name = "LINE")]
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) from_line: u64,
    /// Print refusals and the account as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Events, one JSON object a line; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// The stream: `AsyncAPI` 3
    #[arg(long, conflicts_with_all = ["answer", "name"])]
    pub(crate) asyncapi: bool,
    /// The query's answer: JSON Schema 2020-12
    #[arg(long, conflicts_with = "name")]
    pub(crate) answer: bool,
    /// Write every document into a folder instead
    #[arg(long, value_name = "DIR")]
    #[arg(conflicts_with_all = ["asyncapi", "answer", "name"])]
    pub(crate) output: Option<PathBuf>,
    /// Print its example instead: `structured` as a line of a file, `binary` as a message, `nats` as a
    /// command of the nats tool
    #[arg(long, value_name = "FORM", value_enum, num_args = 0..=1, default_missing_value = "structured")]
    #[arg(conflicts_with_all = ["asyncapi", "output"])]
    pub(crate) example: Option<ExampleForm>,
    /// An event type (user.updated is enough), common, answer or asyncapi; all are listed without
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Print faults and summary as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// Events, one JSON object a line; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait until these services have applied it; addresses of their --admin-listen
    #[arg(long, value_name = "URL,..", value_delimiter = ',')]
    pub(crate) wait: Vec<String>,
    /// File with the service's admin token; on the service's machine its own is found
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// How long to wait for each of them at most
    #[arg(long, value_name = "SECONDS")]
    #[arg(default_value_t = 60)]
    pub(crate) wait_seconds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Publish nothing; tell which rows do not fit the contract
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Publish nothing; write the events into a new file, - is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The events' source attribute
    #[arg(long, value_name = "URI")]
    #[arg(default_value = "/convex/export")]
    pub(crate) source: String,
    /// Print rows that do not fit and the account as JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
    /// The zip that npx convex export writes
    #[arg(value_name = "EXPORT.zip")]
    pub(crate) export: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The erasure request, for the record; nothing personal
    #[arg(long, value_name = "ID")]
    #[arg(value_parser = impersonal)]
    pub(crate) request_id: String,
    /// Change nothing; show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) consent: ConsentArgs,
    /// Print what was done as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The person's user id
    pub(crate) user: String,
}

/// Answers given beforehand. They have no variables: each run is decided for itself.
#[derive(Debug, Args)]
pub(crate) struct ConsentArgs {
    /// Do not ask before messages are deleted; needed where there is no terminal to ask on
    #[arg(long)]
    pub(crate) yes: bool,
    /// Accept that a rebuild changes the rows of other users, who are named otherwise
    #[arg(long)]
    pub(crate) accept_changes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List parked records, the oldest first
    List(ListArgs),
    /// Show one parked record and what would heal it
    Show(ShowArgs),
    /// Give a parked record up; what waits behind it is tried again
    Drop(DropArgs),
    /// Give up every parked record of a group, as `list` shows it with the same flags
    DropAll(DropAllArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReadFromArgs {
    /// The running service's admin address; <http://127.0.0.1:3211> by default
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// File with the service's admin token; on the service's machine its own is found
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// A stopped service's folder instead; --admin goes before it
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Which parked records.
#[derive(Debug, Args)]
pub(crate) struct SelectArgs {
    /// One user's alone
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Those parked for this reason alone, as listed
    #[arg(long, value_name = "REASON")]
    pub(crate) parked_for: Option<String>,
    /// Those in a lane of this kind alone: user, profile, quarantine or none
    #[arg(long, value_name = "KIND")]
    pub(crate) lane: Option<String>,
    /// Those alone whose fault has this text in it
    #[arg(long, value_name = "TEXT")]
    pub(crate) fault: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) from: ReadFromArgs,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    /// Count them by reason, lane and fault instead
    #[arg(long, conflicts_with = "after", conflicts_with = "limit")]
    pub(crate) group: bool,
    /// Those behind this sequence
    #[arg(long, value_name = "SEQUENCE")]
    #[arg(default_value_t = 0)]
    pub(crate) after: u64,
    /// How many at most, up to 500
    #[arg(long, value_name = "COUNT")]
    #[arg(default_value_t = 100)]
    pub(crate) limit: usize,
    /// Print the page as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) from: ReadFromArgs,
    /// Print it as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The record's place in the stream
    pub(crate) sequence: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// The service to ask whether the record is parked: those of --wait where they are given, else
    /// <http://127.0.0.1:3211>
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// Ask no service: publish the decision whether the record is parked or not
    #[arg(long, conflicts_with = "wait")]
    pub(crate) force: bool,
    /// Why, for whoever reads the stream; nothing personal
    #[arg(long, value_name = "TEXT")]
    #[arg(value_parser = impersonal)]
    pub(crate) reason: String,
    /// Publish nothing; show the decision
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print what was done as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// Whose record
    pub(crate) user: String,
    /// Its place in the stream
    pub(crate) sequence: u64,
}

#[derive(Debug, Args)]
pub(crate) struct DropAllArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    /// The running service's admin address; <http://127.0.0.1:3211> by default
    #[arg(long, env = "PROFILE_PROJECTOR_ADMIN", value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// A stopped service's folder instead; --admin goes before it
    #[arg(long, env = "PROFILE_PROJECTOR_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) select: SelectArgs,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
    /// Why, for whoever reads the stream; nothing personal
    #[arg(long, value_name = "TEXT")]
    #[arg(value_parser = impersonal)]
    pub(crate) reason: String,
    /// Publish nothing; show which records it would be
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ask nobody
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Folder of the development issuer's key, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    #[arg(default_value = "./data/dev")]
    pub(crate) data_dir: PathBuf,
    /// Whose token: a workosUserId
    #[arg(long, value_name = "ID")]
    #[arg(default_value = "user_01SAMPLEADA000000000000000")]
    pub(crate) subject: String,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    /// Folder of everything that dev keeps
    #[arg(long, value_name = "DIR")]
    #[arg(default_value = "./data/dev")]
    pub(crate) data_dir: PathBuf,
    /// Address of the Convex routes; 127.0.0.1:3210 by default, another port where that is taken
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Address of /livez, /readyz, /metrics and /status; 127.0.0.1:3211 by default, or another port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// Address of the nats-server, on 127.0.0.1 or 0.0.0.0; 127.0.0.1:4222 by default, or another port
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) nats_listen: Option<String>,
    /// The nats-server to run; else `NATS_SERVER_BIN`, else the one on PATH, else one is installed
    #[arg(long, env = "PROFILE_PROJECTOR_NATS_SERVER", value_name = "FILE")]
    pub(crate) nats_server: Option<PathBuf>,
}

/// A text for the record. It stays in the stream for ever: erasing a person does not reach it.
fn impersonal(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.contains('@') {
        return Err(
            "it has an @ in it, as addresses have: it stays in the stream for ever, so it must name nobody; give the number \
             of a ticket",
        );
    }
    Ok(text.to_owned())
}

/// Reads the command line and the environment; usage faults and help are printed by clap, which also ends the process.
pub(crate) fn parse() -> Result<(Command, Origins), ConfigFaults> {
    let prepared = Prepared::of(Cli::command(), |name| std::env::var_os(name));
    let matches = prepared.command.clone().get_matches();
    let origins = prepared.origins(&matches, &Cli::command());
    if !origins.faults().is_empty() {
        return Err(ConfigFaults(origins.faults().to_vec()));
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    Ok((cli.command, origins))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a deployment has in common, whichever command is run in it.
    const SHARED: [&str; 14] = [
        "nats-url",
        "nats-creds",
        "nats-nkey",
        "nats-tls-ca",
        "nats-tls-cert",
        "nats-tls-key",
        "stream",
        "admin",
        "admin-token-file",
        "data-dir",
        "consumer-name",
        "monitor",
        "log",
        "log-format",
    ];

    #[test]
    fn what_names_a_person_or_no_place_is_refused() {
        let refused = |words: &[&str]| {
            let words = [&["profile-projector"], words].concat();
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        let drop = ["quarantine", "drop", "u1", "3", "--reason"];
        for reason in ["asked for by ada@example.com", ""] {
            let said = refused(&[&drop[..], &[reason]].concat());
            assert!(said.contains("--reason <TEXT>"), "{said}");
        }
        let said = refused(&["erase", "u1", "--request-id", "ada@example.com"]);
        assert!(said.contains("it must name nobody"), "{said}");
        let said = refused(&["publish", "x", "--from-line", "0"]);
        assert!(said.contains("0 is not in 1.."), "{said}");
        let said = refused(&["as-of", "--user", "u1", "--sequence", "0"]);
        assert!(said.contains("0 is not in 1.."), "{said}");
    }

    #[test]
    fn a_variable_of_serve_means_nothing_to_other_commands() {
        let cli = Cli::command();
        let nested = cli
            .get_subcommands()
            .flat_map(clap::Command::get_subcommands);
        for command in cli.get_subcommands().chain(nested) {
            let of_serve = command.get_name() == "serve";
            for flag in command.get_arguments().filter(|a| !a.is_positional()) {
                let name = flag.get_long().unwrap();
                let Some(found) = flag.get_env() else {
                    let configures = of_serve && !["help", "version", "rebuild"].contains(&name);
                    assert!(!configures, "--{name} of serve has no variable");
                    continue;
                };
                let variable = name.replace('-', "_").to_uppercase();
                assert_eq!(found, &*format!("PROFILE_PROJECTOR_{variable}"));
                let is_shared = SHARED.contains(&name) || name.starts_with("nats-");
                let command = command.get_name();
                assert!(
                    of_serve || is_shared,
                    "--{name} of {command} has a variable"
                );
            }
        }
        cli.debug_assert();
    }
}

//! `dev`: everything on this machine, and lines to paste.
//!
//! State is kept in one folder: `nats/` (the server's store and log), `model/` (the read model), the
//! issuer's key, `token` and `change.ndjson`. A second start goes on from there.

mod change;
mod folder;
mod guide;
mod ports;
mod samples;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use projector::BatchLimits;
use query::Limits;
use query::auth::AuthConfig;
use tokio_util::sync::CancellationToken;

use super::token;
use crate::cli::DevArgs;
use crate::config::{Config, DevConfig, NatsConfig};
use crate::exit::Failure;
use crate::run::Service;
use crate::{nats, signals, stream, telemetry};
use devkit::issuer::DevIssuer;
use devkit::nats_server::{NatsServer, Setup, locate};
use folder::DevFolder;
use guide::Guide;
use ports::{Ports, local};

const STREAM: &str = "IDENTITY_EVENTS";
/// More than one machine's pages open, and fewer than any limit on open files.
const CONNECTIONS: usize = 400;
/// How long the service may take until it answers.
const READY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(args: DevArgs) -> Result<(), Failure> {
    let (config, log) = DevConfig::of(args)?;
    telemetry::start_log(log.format, &log.filter)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        let folder = DevFolder::open(&config.data_dir)?;
        let ports = Ports::of(&folder);
        let mut server = tokio::select! {
            server = start_server(&config, &folder, ports) => server?,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = run_on(&server, &config, &folder, ports, &stop).await;
        server.stop().await;
        Ok(ended?)
    })
}

/// Finds a nats-server, installs one if need be, and starts it.
async fn start_server(
    config: &DevConfig,
    folder: &DevFolder,
    ports: Ports,
) -> anyhow::Result<NatsServer> {
    let named = config.nats_server.clone();
    let binary = tokio::task::spawn_blocking(move || locate(named.as_deref())).await??;
    let setup = |ports: Ports| {
        let listen = config.nats_listen.unwrap_or(local(ports.nats));
        Setup {
            binary: binary.clone(),
            dir: folder.join("nats"),
            port: Some(listen.port()).filter(|port| *port != 0),
            arguments: vec!["--addr".into(), listen.ip().to_string().into()],
        }
    };
    match (NatsServer::start(setup(ports)).await, ports.without_taken()) {
        (Err(_taken), Some(left)) => Ok(NatsServer::start(setup(left)).await?),
        (started, _) => Ok(started?),
    }
}

/// Opens the service's ports.
async fn bind(
    config: &DevConfig,
    folder: &DevFolder,
    nats: NatsConfig,
    ports: Ports,
) -> anyhow::Result<Service> {
    let bound = Service::bind(service_config(config, folder, nats.clone(), ports)?).await;
    // Of those that are left none is the server's: that is taken.
    match (bound, ports.without_taken()) {
        (Err(_taken), Some(left)) => {
            Service::bind(service_config(config, folder, nats, left)?).await
        }
        (bound, _) => bound,
    }
}

/// Everything that needs the server.
async fn run_on(
    server: &NatsServer,
    config: &DevConfig,
    folder: &DevFolder,
    ports: Ports,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let nats = NatsConfig::plain(server.url().parse()?, STREAM);
    let connection = nats::connect(&nats, "dev").await?;
    stream::create(&connection.nats, STREAM).await?;
    samples::publish(&connection, STREAM, stop).await?;
    let change = change::prepare(folder, &connection, STREAM).await?;
    drop(connection);
    let token = folder.join("token");
    folder.write_private(&token, &token::mint(folder.path(), samples::IDENTITY)?)?;

    let service = bind(config, folder, nats, ports).await?;
    let (listen, admin) = (service.public_address()?, service.admin_address()?);
    let now = Ports {
        listen: listen.port(),
        admin: admin.port(),
        nats: server.port(),
    };
    now.remember(folder)?;
    let guide = Guide {
        listen,
        admin,
        nats: server.url(),
        nats_log: server.log_file(),
        program: program(),
        folder: folder.path().to_owned(),
        token,
        change,
    };
    tokio::select! {
        ended = service.run(stop.clone()) => ended,
        failed = guide_when_ready(&guide) => failed,
    }
}

/// Prints the guide once the service answers. Ends only if it cannot.
async fn guide_when_ready(guide: &Guide) -> anyhow::Result<()> {
    wait_until_ready(guide.admin).await?;
    write!(io::stdout(), "{guide}").context("standard output is gone")?;
    std::future::pending().await
}

async fn wait_until_ready(admin: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{admin}/readyz");
    let asked = async {
        loop {
            if let Ok(answer) = reqwest::get(&url).await
                && answer.status().is_success()
            {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, asked)
        .await
        .with_context(|| format!("the service is not ready after {READY_WITHIN:?}, see {url}"))
}

fn service_config(
    config: &DevConfig,
    folder: &DevFolder,
    nats: NatsConfig,
    ports: Ports,
) -> anyhow::Result<Config> {
    let issuer = DevIssuer::open(folder.path())?;
    let mut limits = Limits {
        connections: CONNECTIONS,
        ..Limits::default()
    };
    limits.sync.sockets = CONNECTIONS;
    Ok(Config {
        nats,
        consumer_name: None,
        data_dir: folder.join("model"),
        memory_budget: BatchLimits::default().memory_bytes_max,
        listen: config.listen.unwrap_or(local(ports.listen)),
        admin_listen: config.admin_listen.unwrap_or(local(ports.admin)),
        tls: None,
        admin_tls: None,
        admin_hosts: Vec::new(),
        limits,
        auth: AuthConfig::from_file(&issuer.auth_config())?,
        verbose_errors: true,
        rebuild: false,
        from_snapshot: None,
    })
}

/// How to call this program from here.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|_unknown| "profile-projector".into());
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| program.strip_prefix(here).ok().map(PathBuf::from));
    relative.unwrap_or(program)
}

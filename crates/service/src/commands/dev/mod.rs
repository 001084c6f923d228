//! `dev`: everything on this machine, and lines to paste.
//!
//! State is kept in one folder: `nats/` (the server's store and log), `model/` (the read model), the
//! issuer's key, `token` and `change.ndjson`. A second start goes on from there.

mod change;
mod folder;
mod guide;
mod samples;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
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
use crate::issuer::DevIssuer;
use crate::nats_server::{NatsServer, Setup, locate};
use crate::run::Service;
use crate::{nats, signals, stream, telemetry};
use folder::DevFolder;
use guide::Guide;

const STREAM: &str = "IDENTITY_EVENTS";
/// Any free port of this machine.
const FREE_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long the service may take until it answers.
const READY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(crate) fn run(args: DevArgs) -> Result<(), Failure> {
    let (config, log) = DevConfig::of(args)?;
    telemetry::start_log(log.format, &log.filter)?;
    super::block_on(async {
        let stop = signals::stop_token()?;
        let folder = DevFolder::open(&config.data_dir)?;
        let mut server = tokio::select! {
            server = start_server(&config, &folder) => server?,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = run_on(&server, &config, &folder, &stop).await;
        server.stop().await;
        Ok(ended?)
    })
}

/// Finds a nats-server, installs one if need be, and starts it.
async fn start_server(config: &DevConfig, folder: &DevFolder) -> anyhow::Result<NatsServer> {
    let named = config.nats_server.clone();
    let binary = tokio::task::spawn_blocking(move || locate(named.as_deref())).await??;
    let setup = Setup {
        binary,
        dir: folder.join("nats"),
        port: None,
        arguments: Vec::new(),
    };
    Ok(NatsServer::start(setup).await?)
}

/// Everything that needs the server.
async fn run_on(
    server: &NatsServer,
    config: &DevConfig,
    folder: &DevFolder,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let nats = NatsConfig::plain(server.url().parse()?, STREAM);
    let connection = nats::connect(&nats, "dev").await?;
    stream::create(&connection.jetstream, STREAM).await?;
    samples::publish(&connection, STREAM, stop).await?;
    let change = change::prepare(folder, &connection.jetstream, STREAM).await?;
    drop(connection);
    let token = folder.join("token");
    folder.write_private(&token, &token::mint(folder.path(), samples::IDENTITY)?)?;

    let service = Service::bind(service_config(config, folder, nats)?).await?;
    let guide = Guide {
        listen: service.public_address()?,
        admin: service.admin_address()?,
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
) -> anyhow::Result<Config> {
    let issuer = DevIssuer::open(folder.path())?;
    Ok(Config {
        nats,
        consumer_name: None,
        data_dir: folder.join("model"),
        memory_budget: BatchLimits::default().memory_bytes_max,
        listen: config.listen.unwrap_or(FREE_PORT),
        admin_listen: config.admin_listen.unwrap_or(FREE_PORT),
        tls: None,
        admin_tls: None,
        admin_hosts: Vec::new(),
        limits: Limits::default(),
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

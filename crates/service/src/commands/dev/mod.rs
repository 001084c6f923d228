//! `dev`: everything on this machine, and lines to paste.
//!
//! State is kept in one folder: `nats/` (the server's store and log), `model/` (the read model), the
//! issuer's key, `token` and `change.ndjson`. A second start goes on from there.

mod change;
mod folder;
mod guide;
mod samples;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use query::auth::AuthConfig;
use tokio_util::sync::CancellationToken;

use super::token;
use crate::cli::DevArgs;
use crate::config::{Config, DevConfig, NatsConfig};
use crate::exit::Failure;
use crate::issuer::DevIssuer;
use crate::nats_server::{NatsServer, Setup, locate};
use crate::{nats, signals, stream, telemetry};
use folder::DevFolder;
use guide::Guide;

const STREAM: &str = "IDENTITY_EVENTS";
/// How long the service may take to answer at first, and to end.
const READY_WITHIN: Duration = Duration::from_mins(1);
const STOP_WITHIN: Duration = Duration::from_secs(10);
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
    let connection = nats::connect(&nats, "profile-projector dev").await?;
    stream::create(&connection.jetstream, STREAM).await?;
    samples::publish(&connection, STREAM, stop).await?;
    let change = change::prepare(folder, &connection.jetstream, STREAM).await?;
    drop(connection);
    let token = folder.join("token");
    folder.write_private(&token, &token::mint(folder.path(), samples::IDENTITY)?)?;

    let service = service_config(config, folder, nats)?;
    let guide = Guide {
        listen: service.listen,
        admin: service.admin_listen,
        nats: server.url(),
        nats_log: server.log_file(),
        program: program(),
        folder: folder.path().to_owned(),
        token,
        change,
    };
    serve(service, guide, stop).await
}

/// Runs the service and prints the guide once it answers.
async fn serve(service: Config, guide: Guide, stop: &CancellationToken) -> anyhow::Result<()> {
    let admin = service.admin_listen;
    let running = Box::pin(crate::run(service, stop.clone()));
    let telling = async {
        wait_until_ready(admin).await?;
        write!(io::stdout(), "{guide}").context("standard output is gone")?;
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
        anyhow::bail!("the service did not end within {} s", STOP_WITHIN.as_secs())
    };
    tokio::select! {
        ended = running => {
            ended?;
            anyhow::ensure!(stop.is_cancelled(), "the service ended by itself");
            Ok(())
        }
        failed = telling => failed,
    }
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
    let free = |address: Option<SocketAddr>| address.map_or_else(free_address, Ok);
    Ok(Config {
        nats,
        consumer_name: None,
        data_dir: folder.join("model"),
        listen: free(config.listen)?,
        admin_listen: free(config.admin_listen)?,
        tls: None,
        auth: AuthConfig::from_file(&issuer.auth_config())?,
        verbose_errors: true,
    })
}

/// A port that was free a moment ago. The lines to paste need its number before it is listened on.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}

/// How to call this program from here.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|_unknown| "profile-projector".into());
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| program.strip_prefix(here).ok().map(PathBuf::from));
    relative.unwrap_or(program)
}

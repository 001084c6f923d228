//! `serve`: the projector and the query service.

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::telemetry;

pub(crate) fn run(args: &ServeArgs, warning: Option<&str>) -> Result<(), Failure> {
    let (config, log) = Config::of(args)?;
    telemetry::start_log(log.format, &log.filter)?;
    let (version, folder) = (env!("CARGO_PKG_VERSION"), config.data_dir.display());
    let (stream, servers) = (&config.nats.stream, config.nats.shown_servers());
    tracing::info!(version, %folder, stream, servers, "profile-projector {version} starts");
    if let Some(warning) = warning {
        tracing::warn!("variables are {warning}");
    }
    super::block_on(async {
        let stop = crate::signals::stop_token()?;
        let ended = crate::run(config, stop).await;
        match &ended {
            Ok(()) => tracing::info!("it ends because it was told to"),
            Err(error) => {
                let reason = format!("{error:#}");
                tracing::error!(reason, "it ends because it failed");
            }
        }
        Ok(ended?)
    })
}

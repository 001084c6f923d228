//! `serve`: the projector and the query service.

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::telemetry;

pub(crate) fn run(args: &ServeArgs, warning: Option<&str>) -> Result<(), Failure> {
    let (config, log) = Config::of(args)?;
    telemetry::start_log(log.format, &log.filter)?;
    let (version, folder) = (env!("CARGO_PKG_VERSION"), config.data_dir.display());
    let stream = &config.nats.stream;
    tracing::info!(version, %folder, stream, "profile-projector {version} starts");
    if let Some(warning) = warning {
        tracing::warn!("variables are {warning}");
    }
    super::block_on(async {
        let stop = crate::signals::stop_token()?;
        let ended = crate::run(config, stop).await;
        if ended.is_ok() {
            tracing::info!("it ends because it was told to");
        }
        Ok(ended?)
    })
}

//! `serve`: the projector and the query service.

use crate::cli::ServeArgs;
use crate::config::Config;
use crate::exit::Failure;
use crate::telemetry;

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let (config, log) = Config::of(args)?;
    telemetry::start_log(log.format, &log.filter)?;
    super::block_on(async {
        let stop = crate::signals::stop_token()?;
        crate::run(config, stop).await?;
        Ok(())
    })
}
